//! Images for the nodes of a [`Fleet`](crate::scenario::Fleet): they are of no use but to be given on, and started.

use fastrand::Rng;
use spore_boot::Slot;
use spore_boot::image::{Header, IN_PLACE, MAX_SEGMENTS};
use spore_core::ota::ImageId;
use spore_image::{HEAD, build, pieces};

/// The board that they are for.
pub const BOARD: &str = "sim";

/// Bytes of a small one that run in place.
const SMALL: u32 = 600;

/// One word in so many moves.
const DENSITY: u32 = 72;

/// The image with this sequence number and so many bytes, as it is linked for `slot`.
pub fn linked_of(slot: Slot, sequence: u32, in_place: u32) -> Vec<u8> {
    let mut rng = Rng::with_seed(sequence.into());
    let (mut board, mut version) = ([0; 16], [0; 24]);
    board[..BOARD.len()].copy_from_slice(BOARD.as_bytes());
    version[0] = b'1';
    let entry = slot.window() + IN_PLACE;
    let segments = [Default::default(); MAX_SEGMENTS];
    let header = Header { sequence, entry, in_place, board, version, segments };
    let word = |at: u32| {
        let value = rng.u32(..);
        if value.is_multiple_of(DENSITY) { slot.window() + at } else { value }
    };
    let contents: Vec<u8> = (0..in_place / 4).map(word).flat_map(u32::to_le_bytes).collect();
    [header.encode(&contents).as_slice(), &contents].concat()
}

/// A small one.
pub fn linked(slot: Slot, sequence: u32) -> Vec<u8> {
    linked_of(slot, sequence, SMALL)
}

/// Its container, which nobody has signed.
///
/// # Panics
/// If it is too large for a slot, or no whole words.
pub fn container_of(sequence: u32, in_place: u32) -> Vec<u8> {
    let [a, b] = Slot::BOTH.map(|slot| linked_of(slot, sequence, in_place));
    build::from_slots(&a, &b).expect("the images are of one program")
}

/// That of a small one.
pub fn container(sequence: u32) -> Vec<u8> {
    container_of(sequence, SMALL)
}

/// How plans call a small one.
pub fn id(sequence: u32) -> ImageId {
    pieces::id(container(sequence).first_chunk::<HEAD>().expect("a container begins with a head"))
}
