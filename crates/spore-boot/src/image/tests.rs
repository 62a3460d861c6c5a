use super::{
    DATA_RAM, HEADER, Header, HeaderError, INSTRUCTION_RAM, MAX_SEGMENTS, Segment, Verifier,
};
use crate::layout::Esp;
use crate::map::Slot;
use sha2::{Digest as _, Sha256};

fn header(slot: Slot) -> Header {
    let mut segments = [Segment::default(); MAX_SEGMENTS];
    segments[0] = Segment { address: INSTRUCTION_RAM.start, length: 12 };
    segments[1] = Segment { address: DATA_RAM.start, length: 8 };
    let mut board = [0; 16];
    board[..6].copy_from_slice(b"esp-01");
    let mut version = [0; 24];
    version[..5].copy_from_slice(b"1.2.3");
    let entry = slot.window() + 0x100;
    Header { sequence: 5, entry, in_place: 40, board, version, segments }
}

fn contents() -> [u8; 60] {
    core::array::from_fn(|index| u8::try_from(index).unwrap())
}

fn is_whole(page: &[u8; HEADER], contents: &[u8]) -> bool {
    let mut verifier = Verifier::new(page);
    verifier.update(contents);
    verifier.is_whole()
}

#[test]
fn a_header_is_read_as_it_was_written() {
    for slot in Slot::BOTH {
        let page = header(slot).encode(&contents());
        let read = Header::decode::<Esp>(slot, &page).unwrap();
        assert_eq!(read, header(slot));
        assert_eq!(read.length(), 256 + 60);
        assert!(is_whole(&page, &contents()));
        assert_eq!(Header::decode::<Esp>(slot.other(), &page), Err(HeaderError::Entry));
    }
}

#[test]
fn no_flipped_bit_and_no_missing_byte_passes_the_digest() {
    let page = header(Slot::A).encode(&contents());
    for bit in 0..8 * (HEADER + contents().len()) {
        let (mut page, mut contents) = (page, contents());
        match bit / 8 {
            at if at < HEADER => page[at] ^= 1 << (bit % 8),
            at => contents[at - HEADER] ^= 1 << (bit % 8),
        }
        assert!(!is_whole(&page, &contents), "bit {bit}");
    }
    assert!(!is_whole(&page, &contents()[1..]));
}

#[test]
fn what_is_no_header_is_told_from_what_is_out_of_place() {
    type Change = (HeaderError, fn(&mut Header));
    let changes: [Change; 9] = [
        (HeaderError::Entry, |header| header.entry += 40),
        (HeaderError::Entry, |header| header.entry = 0x4020_0000),
        (HeaderError::Length, |header| header.in_place = Slot::LENGTH),
        (HeaderError::Length, |header| header.in_place = u32::MAX - 3),
        (HeaderError::Length, |header| header.in_place += 2),
        (HeaderError::Segment, |header| header.segments[0].length = 0x8004),
        (HeaderError::Segment, |header| header.segments[1].address += 1),
        (HeaderError::Segment, |header| header.segments[1].length += 1),
        // The bootloader is there.
        (HeaderError::Segment, |header| {
            header.segments[7] = Segment { address: 0x4010_8000, length: 4 }
        }),
    ];
    for (error, change) in changes {
        let mut changed = header(Slot::A);
        change(&mut changed);
        let page = changed.encode(&contents());
        assert_eq!(Header::decode::<Esp>(Slot::A, &page), Err(error));
    }
    assert_eq!(Header::decode::<Esp>(Slot::A, &[0xFF; HEADER]), Err(HeaderError::Magic));
    let mut page = header(Slot::A).encode(&contents());
    page[4] = 2;
    assert_eq!(Header::decode::<Esp>(Slot::A, &page), Err(HeaderError::Format));
}

#[test]
fn an_image_may_fill_its_slot_and_no_more() {
    let mut header = header(Slot::B);
    header.segments = [Segment::default(); MAX_SEGMENTS];
    header.in_place = Slot::LENGTH - 256;
    assert_eq!(header.check(Slot::B), Ok(()));
    assert_eq!(header.length(), Slot::LENGTH);
    header.segments[0] = Segment { address: DATA_RAM.end - 4, length: 4 };
    assert_eq!(header.check(Slot::B), Err(HeaderError::Length));
}

// The padding falls into the last block, or into one more; images of each length that matters.
#[test]
fn the_digest_is_that_of_sha_256_for_each_rest_of_a_block() {
    for length in (0..=192).step_by(4) {
        let contents = &[0xA5; 192][..length];
        let page = header(Slot::A).encode(contents);
        assert!(is_whole(&page, contents), "{length}");
        let mut blank = page;
        blank[224..].fill(0);
        let digest = Sha256::new().chain_update(blank).chain_update(contents).finalize();
        assert_eq!(page[224..], digest[..], "{length}");
        let mut pieces = Verifier::new(&page);
        contents.chunks(64).for_each(|piece| pieces.update(piece));
        assert!(pieces.is_whole(), "{length}");
    }
}

#[test]
fn bytes_behind_the_end_are_damage() {
    let page = header(Slot::A).encode(&contents());
    let mut verifier = Verifier::new(&page);
    verifier.update(&contents());
    assert!(verifier.clone().is_whole());
    verifier.update(&[0; 64]);
    assert!(!verifier.is_whole());
}
