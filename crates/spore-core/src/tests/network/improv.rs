//! Credentials over the serial line, as whoever is at its other end sends them.

use super::{LEASE, Rig, credentials};
use crate::improv::Improv;
use crate::network::{RadioEvent, Reason, Seen};
use std::string::String;
use std::vec;
use std::vec::Vec;

/// A node at a serial line.
struct Line {
    rig: Rig,
    improv: Improv,
    /// What it has sent.
    sent: Vec<u8>,
}

impl Line {
    fn new(rig: Rig) -> Self {
        Self { rig, improv: Improv::NEW, sent: Vec::new() }
    }

    fn send(&mut self, bytes: &[u8]) {
        let Self { rig, improv, sent } = self;
        for byte in bytes {
            improv.handle_byte(&mut rig.node, rig.now, *byte, &mut |byte| sent.push(byte));
        }
        self.rig.settle();
    }

    /// What it says when it is its turn: the packets, each with its type.
    fn said(&mut self) -> Vec<(u8, Vec<u8>)> {
        let Self { rig, improv, sent } = self;
        improv.handle_timeout(&rig.node, &mut |byte| sent.push(byte));
        packets(&core::mem::take(sent))
    }
}

fn packet(kind: u8, data: &[u8]) -> Vec<u8> {
    let head = [&b"IMPROV\x01"[..], &[kind, u8::try_from(data.len()).unwrap()], data].concat();
    let sum = head.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    [head, vec![sum, b'\n']].concat()
}

fn packets(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut packets = Vec::new();
    while let Some((kind, data)) = bytes.get(7).copied().zip(bytes.get(9..)) {
        let data = data[..usize::from(bytes[8])].to_vec();
        let whole = packet(kind, &data);
        assert_eq!(bytes[..whole.len()], whole);
        bytes = &bytes[whole.len()..];
        packets.push((kind, data));
    }
    assert!(bytes.is_empty());
    packets
}

fn command(command: u8, data: &[u8]) -> Vec<u8> {
    packet(3, &[&[command, u8::try_from(data.len()).unwrap()], data].concat())
}

fn texts(texts: &[&str]) -> Vec<u8> {
    let text = |text: &&str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    texts.iter().flat_map(text).collect()
}

fn result(command: u8, of: &[&str]) -> (u8, Vec<u8>) {
    let texts = texts(of);
    (4, [&[command, u8::try_from(texts.len()).unwrap()], &texts[..]].concat())
}

fn wifi(name: &str) -> Vec<u8> {
    command(1, &texts(&[name, credentials(name).password.as_str()]))
}

#[test]
fn a_new_node_is_asked_and_told_its_network_over_the_serial_line() {
    let mut line = Line::new(Rig::new(None));
    assert!(line.rig.node.wants_credentials());
    line.send(&command(2, &[]));
    assert_eq!(line.said(), [(1, vec![2])]);
    line.send(&command(3, &[]));
    let said = line.said();
    let info = String::from_utf8_lossy(&said[0].1).into_owned();
    assert!(said[0].0 == 4 && info.contains("SPORE") && info.contains("Linux"), "{info}");
    line.send(&wifi("new"));
    assert_eq!(line.said(), [(1, vec![3]), (2, vec![0])]);
    line.rig.run(2);
    assert_eq!(line.said(), []);
    assert_eq!(line.rig.node.station(), Some(&credentials("new")));
    assert!(line.rig.node.wants_credentials(), "they are on trial");
    line.rig.radio(RadioEvent::Address(LEASE));
    let there = result(1, &["http://192.168.1.20"]);
    assert_eq!(line.said(), [(1, vec![4]), there.clone()]);
    assert_eq!(line.said(), []);
    assert!(!line.rig.node.wants_credentials());
    line.rig.restart();
    assert_eq!(line.rig.node.station(), Some(&credentials("new")), "they are kept");
}

#[test]
fn credentials_that_lead_nowhere_are_told_and_others_may_follow() {
    let mut line = Line::new(Rig::new(None));
    line.send(&wifi("wrong"));
    line.said();
    for _ in 0..3 {
        line.rig.run(5);
        line.rig.fail(Reason::WrongPassword);
    }
    line.rig.run(60);
    assert_eq!(line.said(), [(2, vec![3]), (1, vec![2])]);
    assert!(line.rig.node.station().is_none() && line.rig.node.wants_credentials());
    line.send(&wifi("new"));
    line.rig.run(2);
    line.said();
    line.rig.radio(RadioEvent::Address(LEASE));
    assert_eq!(line.said().first(), Some(&(1, vec![4])));
}

#[test]
fn networks_are_told_when_a_scan_has_found_them() {
    let mut line = Line::new(Rig::with_scans(None, false));
    line.send(&command(4, &[]));
    assert_eq!(line.said(), []);
    for (name, rssi, secure) in [("home", -50, true), ("guest", -9, false)] {
        let ssid = name.parse().unwrap();
        line.rig.radio(RadioEvent::Scanned(Seen { ssid, rssi, channel: 1, secure }));
    }
    line.rig.radio(RadioEvent::ScanDone);
    let found =
        [result(4, &["guest", "-9", "NO"]), result(4, &["home", "-50", "YES"]), result(4, &[])];
    assert_eq!(line.said(), found);
}

#[test]
fn what_is_no_packet_is_not_answered_and_what_is_no_command_says_so() {
    let mut line = Line::new(Rig::new(None));
    let state = command(2, &[]);
    let answer = [(1, vec![2])];
    for at in 0..state.len() - 1 {
        let mut other = state.clone();
        other[at] ^= 1;
        line.send(&other);
        line.send(&state[..at]);
        // The end of the line of a log, or whatever else.
        line.send(&[b'x'; 256]);
        line.send(b"I am IIMPROV");
        line.said();
        line.send(&state);
        assert_eq!(line.said(), answer, "after {at} bytes");
    }
    line.send(&packet(3, &[0; 100]));
    line.send(&packet(1, &[2]));
    assert_eq!(line.said(), []);
    line.send(&[packet(3, &[]), command(9, &[]), packet(3, &[1, 0])].concat());
    let long = [&[33][..], &[b'a'; 33], &[0]].concat();
    line.send(&[command(1, &long), command(1, &texts(&["home", "short"]))].concat());
    line.send(&command(1, &[200, b'a']));
    let errors = [(2, vec![2]), (2, vec![2])];
    let invalid = [const { 2_u8 }; 4].map(|kind| (kind, vec![1]));
    assert_eq!(line.said(), [&errors[..], &invalid[..]].concat());
    assert!(line.rig.node.station().is_none());
}

#[test]
fn a_node_that_knows_a_network_takes_no_other() {
    let rig = Rig::new(Some(credentials("home")));
    assert!(!rig.node.wants_credentials(), "nor if it was never there");
    let mut line = Line::new(rig);
    line.send(&wifi("elsewhere"));
    assert_eq!(line.said(), [(2, vec![2])], "it takes none");
    let Line { mut rig, .. } = line;
    rig.radio(RadioEvent::Address(LEASE));
    rig.fail(Reason::Lost);
    rig.run(60);
    assert!(!rig.node.wants_credentials());
}
