//! Images: the container with its manifest, lists of relocations, and plans of rollouts.

use spore_boot::{Esp, Slot};
use spore_core::ota::plan::{Plan, SignedPlan};
use spore_image::relocations::{self, Decoder};
use spore_image::{Container, HEAD, Head, Target};

use crate::See;

/// A container, which is also read as a list of relocations and as a plan.
pub(crate) fn read(input: &[u8], see: See<'_>) {
    if let Some(head) = input.first_chunk::<HEAD>() {
        match Head::decode(head) {
            Ok(decoded) => head_of(head, &decoded, see),
            Err(error) => see(format_args!("{error:?}")),
        }
    }
    match Container::parse(input) {
        Ok(container) => {
            see(format_args!("{} moved", container.moved()));
            let mut room = [0; 4096];
            for number in 0..16 {
                let len = container.relocated(number, Slot::B, &mut room);
                assert!(len <= room.len());
            }
        }
        Err(error) => see(format_args!("{error:?}")),
    }
    let mut decoder = Decoder::default();
    for &byte in input.iter().take(256) {
        match decoder.push(byte) {
            Ok(Some(at)) => see(format_args!("{at}")),
            Ok(None) => (),
            Err(error) => {
                see(format_args!("{error:?}"));
                break;
            }
        }
    }
    let mut chunk = [0x55; 256];
    let moved = relocations::relocate(&mut chunk, &input[..input.len().min(128)], 0x7_8000);
    see(format_args!("{moved:?}"));
    plan(input, see);
}

fn head_of(bytes: &[u8; HEAD], head: &Head, see: See<'_>) {
    assert_eq!(&head.encode(), bytes, "what was read is written as it was");
    see(format_args!("{} {} {}", head.board(), head.version(), head.length()));
    see(format_args!("{} {}", head.chunks(), head.manifest_length()));
    let target =
        Target { board: "esp-01", slot: Slot::B, floor: 1, quarantined: Some(7), length: None };
    see(format_args!("{:?}", target.judge::<Esp>(head)));
}

fn plan(input: &[u8], see: See<'_>) {
    match Plan::decode(input) {
        Ok(plan) => {
            let mut room = [0; 512];
            let len = plan.encode(&mut room);
            assert_eq!(Plan::decode(&room[..len]).as_ref(), Ok(&plan));
            see(format_args!("{plan:?}"));
        }
        Err(error) => see(format_args!("{error:?}")),
    }
    see(format_args!("{:?}", SignedPlan::decode(input).is_ok()));
}
