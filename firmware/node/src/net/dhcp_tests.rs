//! The client against a server that these tests play.

extern crate std;

use core::net::Ipv4Addr;
use std::vec;
use std::vec::Vec;

use spore_core::network::Lease;

use super::{ACK, Change, Client, FRAME_LEN, HEADER_LEN, MESSAGE, NAK, OFFER};
use crate::net::ethernet::MacAddress;

const MAC: MacAddress = [2, 0, 0, 0, 0, 1];
const ROUTER_MAC: MacAddress = [2, 0, 0, 0, 0, 9];
const XID: u32 = 0x1234_5678;
const ROUTER: [u8; 4] = [10, 0, 1, 1];
const GIVEN: [u8; 4] = [10, 0, 1, 77];
const LEASE: Lease = Lease {
    address: Ipv4Addr::new(10, 0, 1, 77),
    prefix_len: 22,
    gateway: Some(Ipv4Addr::new(10, 0, 1, 1)),
};

/// An IP packet with a server's message to the client.
fn answer(kind: u8, options: &[u8]) -> Vec<u8> {
    let mut message = vec![0; 240];
    message[..3].copy_from_slice(&[2, 1, 6]);
    message[4..8].copy_from_slice(&XID.to_be_bytes());
    message[16..20].copy_from_slice(&GIVEN);
    message[28..34].copy_from_slice(&MAC);
    message[236..240].copy_from_slice(&[99, 130, 83, 99]);
    message.extend([53, 1, kind, 54, 4]);
    message.extend(ROUTER);
    message.extend(options);
    message.push(255);
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
    packet.extend(ROUTER);
    packet.extend(GIVEN);
    let udp = u16::try_from(8 + message.len()).unwrap();
    packet.extend([0, 67, 0, 68, udp.to_be_bytes()[0], udp.to_be_bytes()[1], 0, 0]);
    packet.extend(message);
    packet
}

/// Mask of 22 bits, router, and so many seconds.
fn terms(seconds: u32) -> Vec<u8> {
    let mut options = vec![1, 4, 255, 255, 252, 0, 0, 3, 8, 10, 0, 1, 1, 10, 0, 1, 2, 51, 4];
    options.extend(seconds.to_be_bytes());
    options
}

/// The frame that is due, if one is.
fn sent(client: &mut Client, now: u64) -> Option<Vec<u8>> {
    let mut frame = [0xEE; FRAME_LEN + 5];
    let len = client.transmit(now, &mut frame);
    (len > 0).then(|| frame[..len].to_vec())
}

/// The value of an option of a frame.
fn option(frame: &[u8], code: u8) -> Option<Vec<u8>> {
    let mut rest = &frame[MESSAGE + 240..];
    while rest[0] != 255 {
        let (value, tail) = rest[2..].split_at(usize::from(rest[1]));
        if rest[0] == code {
            return Some(value.to_vec());
        }
        rest = tail;
    }
    None
}

/// A client with a lease of an hour, from time 0 on.
fn bound() -> Client {
    let mut client = Client::new(MAC);
    client.start(0, XID);
    sent(&mut client, 0).unwrap();
    assert!(client.handle(0, &answer(OFFER, &terms(3600)), ROUTER_MAC));
    sent(&mut client, 0).unwrap();
    assert!(client.handle(0, &answer(ACK, &terms(3600)), ROUTER_MAC));
    assert_eq!(client.take_change(), Some(Change::Address(LEASE)));
    client
}

#[test]
fn an_address_is_looked_for_asked_for_and_given() {
    let mut client = Client::new(MAC);
    assert_eq!((client.due(), sent(&mut client, 5)), (None, None));
    client.start(5, XID);
    let discover = sent(&mut client, 5).unwrap();
    assert_eq!(discover[..6], [0xFF; 6]);
    assert_eq!(option(&discover, 53).unwrap(), [1]);
    assert_eq!(option(&discover, 50), None);
    // RFC 1071: with its own check sum, a header sums up to all ones.
    let words = discover[HEADER_LEN..HEADER_LEN + 20].as_chunks::<2>().0;
    let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    assert_eq!((sum & 0xFFFF) + (sum >> 16), 0xFFFF);

    assert!(client.handle(6, &answer(OFFER, &terms(3600)), ROUTER_MAC));
    let request = sent(&mut client, 6).unwrap();
    assert_eq!(option(&request, 53).unwrap(), [3]);
    assert_eq!(option(&request, 50).unwrap(), GIVEN);
    assert_eq!(option(&request, 54).unwrap(), ROUTER);
    assert_eq!(client.take_change(), None);
    assert!(client.handle(7, &answer(ACK, &terms(3600)), ROUTER_MAC));
    assert_eq!(client.take_change(), Some(Change::Address(LEASE)));
    assert_eq!(client.take_change(), None);
    assert_eq!(sent(&mut client, 7), None);
}

#[test]
fn what_is_not_answered_is_repeated_with_growing_pauses() {
    let mut client = Client::new(MAC);
    client.start(0, XID);
    let times: Vec<u64> = (0..40_000).filter(|now| sent(&mut client, *now).is_some()).collect();
    assert_eq!(times, [0, 1_000, 3_000, 7_000, 15_000, 23_000, 31_000, 39_000]);
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let mut client = Client::new(MAC);
    client.start(0, XID);
    sent(&mut client, 0).unwrap();
    client.handle(0, &answer(OFFER, &terms(3600)), ROUTER_MAC);
    let frames: Vec<Vec<u8>> = (0..20_000).filter_map(|now| sent(&mut client, now)).collect();
    let kinds: Vec<u8> = frames.iter().map(|frame| option(frame, 53).unwrap()[0]).collect();
    assert_eq!(kinds[..5], [3, 3, 3, 3, 1]);
}

#[test]
fn a_lease_is_prolonged_first_with_its_server_then_with_any() {
    let mut client = bound();
    assert_eq!(sent(&mut client, 1_799_999), None);
    let renewal = sent(&mut client, 1_800_000).unwrap();
    assert_eq!(renewal[..6], ROUTER_MAC);
    assert_eq!(renewal[HEADER_LEN + 12..HEADER_LEN + 20], [GIVEN, ROUTER].concat());
    assert_eq!(renewal[MESSAGE + 12..MESSAGE + 16], GIVEN);
    assert_eq!(option(&renewal, 50), None);
    let rebinding = sent(&mut client, 3_150_000).unwrap();
    assert_eq!(rebinding[..6], [0xFF; 6]);
    client.handle(3_150_000, &answer(ACK, &terms(3600)), ROUTER_MAC);
    assert_eq!(client.take_change(), Some(Change::Address(LEASE)));
    assert_eq!(client.due(), Some(3_150_000 + 1_800_000));
}

#[test]
fn a_lease_that_nobody_prolongs_is_lost_at_its_end() {
    let mut client = bound();
    let mut now = 0;
    let mut requests = 0;
    while client.take_change().is_none() {
        now = client.due().unwrap();
        requests += u32::from(sent(&mut client, now).is_some());
    }
    assert_eq!(now, 3_600_000);
    assert!((4..20).contains(&requests), "{requests}");
    assert_eq!(client.due(), Some(now + 1_000), "it looks for another one at once");
}

#[test]
fn a_refused_address_is_lost() {
    let mut client = bound();
    assert!(client.handle(9, &answer(NAK, &[]), ROUTER_MAC));
    assert_eq!(client.take_change(), Some(Change::Lost));
    let discover = sent(&mut client, 1_009).unwrap();
    assert_eq!(option(&discover, 53).unwrap(), [1]);
}

#[test]
fn what_is_for_others_or_malformed_changes_nothing() {
    let good = answer(OFFER, &terms(3600));
    let mut client = Client::new(MAC);
    client.start(0, XID);
    sent(&mut client, 0).unwrap();
    let before = client.due();
    // Another transaction, another client, not a reply, no cookie.
    for at in [28 + 4, 28 + 28, 28, 28 + 236] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(client.handle(0, &bad, ROUTER_MAC), "it was for the client's port");
        assert_eq!(client.due(), before, "{at}");
    }
    // Not for the client's port at all: the stack may have it.
    for at in [0, 9, 21, 23] {
        let mut other = good.clone();
        other[at] ^= 0x10;
        assert!(!client.handle(0, &other, ROUTER_MAC), "{at}");
    }
    for len in 0..good.len() - 1 {
        client.handle(0, &good[..len], ROUTER_MAC);
        assert_eq!(client.due(), before, "cut to {len}");
    }
    // A mask that is none, an address of all.
    client.handle(0, &answer(OFFER, &[1, 4, 255, 0, 255, 0]), ROUTER_MAC);
    let mut nobody = good.clone();
    nobody[28 + 16..28 + 20].fill(0);
    client.handle(0, &nobody, ROUTER_MAC);
    assert_eq!(client.due(), before);
    client.handle(0, &good, ROUTER_MAC);
    assert_eq!(client.due(), Some(0), "the good one is taken");
}

#[test]
fn nothing_is_taken_while_the_link_is_down() {
    let mut client = bound();
    client.stop();
    assert!(!client.handle(0, &answer(ACK, &terms(3600)), ROUTER_MAC));
    assert_eq!((client.take_change(), client.due()), (None, None));
}
