extern crate std;

use core::net::Ipv4Addr;
use std::vec;
use std::vec::Vec;

use super::{ANSWER_MAX, QUESTION_MAX, answer_name};

const OWN: Ipv4Addr = Ipv4Addr::new(192, 168, 4, 1);

const A: u16 = 1;
const AAAA: u16 = 28;
const HTTPS: u16 = 65;

/// A message that asks for `names`, each of them a list of labels.
fn question(names: &[&[&str]], kind: u16) -> Vec<u8> {
    let mut message = vec![0xAB, 0xCD, 1, 0];
    message.extend(u16::try_from(names.len()).unwrap().to_be_bytes());
    message.extend([0; 6]);
    for name in names {
        for label in *name {
            message.push(u8::try_from(label.len()).unwrap());
            message.extend(label.as_bytes());
        }
        message.push(0);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
    }
    message
}

fn ask(question: &[u8]) -> Option<Vec<u8>> {
    let mut room = [0; ANSWER_MAX];
    answer_name(OWN, question, &mut room).map(|len| room[..len].to_vec())
}

#[test]
fn each_name_has_the_nodes_address_and_for_one_use_only() {
    let long: Vec<_> = std::iter::repeat_n("abcdefghijklmnopqrstuvwxyz0123456789", 6).collect();
    for name in [&["a"][..], &["connectivitycheck", "gstatic", "com"], &[], &long] {
        let question = question(&[name], A);
        let answer = ask(&question).unwrap();
        assert_eq!(answer[..2], question[..2], "the same number");
        // An answer, without an error, to one question and with one record.
        assert_eq!((answer[2] & 0x80, answer[3] & 0x0F), (0x80, 0));
        assert_eq!(answer[4..12], [0, 1, 0, 1, 0, 0, 0, 0]);
        assert!(answer[12..].starts_with(&question[12..]));
        // Type, class, time to live, length, address.
        let record = [0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 168, 4, 1];
        assert!(answer.ends_with(&record), "{}", answer.escape_ascii());
    }
}

#[test]
fn other_kinds_of_records_are_none_and_the_client_need_not_wait() {
    for kind in [AAAA, HTTPS, 255] {
        let question = question(&[&["a", "example"]], kind);
        let answer = ask(&question).unwrap();
        assert_eq!((answer[2] & 0x80, answer[3] & 0x0F), (0x80, 0));
        assert_eq!(answer[4..8], [0, 1, 0, 0]);
    }
    // Nor is anything but a question of the ordinary kind: not implemented.
    let mut update = question(&[&["a"]], A);
    update[2] = 5 << 3;
    assert_eq!(ask(&update).unwrap()[3] & 0x0F, 4);
}

#[test]
fn answers_and_what_is_cut_are_not_answered() {
    let mut message = question(&[&["a", "example"]], A);
    for len in 0..message.len() {
        assert_eq!(ask(&message[..len]), None, "{len}");
    }
    message[2] |= 0x80;
    assert_eq!(ask(&message), None);
    // Nor are more names than there is room for.
    let names = [&["a"][..]; 40];
    let message = question(&names, A);
    assert!(message.len() <= QUESTION_MAX);
    assert_eq!(ask(&message), None);
}

#[test]
fn junk_does_no_harm() {
    let good = question(&[&["connectivitycheck", "gstatic", "com"]], A);
    let mut random = super::super::dhcp::tests::Random(0x5EED);
    let mut answered = 0;
    for _ in 0..50_000 {
        let mut message = good.clone();
        for _ in 0..=random.below(6) {
            let at = random.below(message.len());
            message[at] = u8::try_from(random.below(256)).unwrap();
        }
        message.truncate(message.len() - random.below(8).saturating_sub(5));
        answered += usize::from(ask(&message).is_some());
    }
    assert!(answered > 5_000, "{answered}");
}
