//! A serial line: packets of Improv, among whatever else comes over it.

use alloc::vec::Vec;

use spore_core::improv::Improv;

use crate::See;
use crate::bytes::Bytes;
use crate::engine::{Bench, storage};

/// The most pieces of one run.
const PIECES: usize = 200;
const HEADER: &[u8] = b"IMPROV\x01";

/// A node with a radio hears what the input says, and answers in whole packets.
pub(crate) fn read(input: &[u8], see: See<'_>) {
    let mut bytes = Bytes(input);
    let mut storage = storage();
    let mut bench = Bench::new(&mut storage, bytes.u8() | 16);
    let mut improv = Improv::NEW;
    for _ in 0..PIECES {
        if bytes.is_empty() {
            break;
        }
        let mut said = Vec::new();
        match bytes.u8() % 4 {
            0 => bench.hear_line(&mut improv, bytes.piece(), &mut said),
            1 | 2 => bench.hear_line(&mut improv, &packet(&mut bytes), &mut said),
            _ => bench.verb(&mut bytes, see),
        }
        bench.say_line(&mut improv, &mut said);
        check(&said);
        see(format_args!("{said:?}"));
    }
}

/// A command whose frame is right.
fn packet(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let (command, data) = (bytes.u8() % 6, bytes.piece());
    let data = &data[..data.len().min(253)];
    let length = u8::try_from(data.len()).expect("it is cut");
    let mut packet = [HEADER, &[3, length + 2, command, length], data].concat();
    packet.push(sum(&packet));
    packet
}

/// Whatever came, what is said are whole packets, each on a line of its own.
fn check(mut said: &[u8]) {
    while !said.is_empty() {
        let length = usize::from(said[HEADER.len() + 1]);
        let (packet, rest) = said.split_at(HEADER.len() + 2 + length);
        assert!(packet.starts_with(HEADER), "a packet begins so: {packet:02x?}");
        assert_eq!(rest[..2], [sum(packet), b'\n'], "{packet:02x?}");
        said = &rest[2..];
    }
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}
