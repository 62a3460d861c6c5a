//! What a slot must hold to be started: a header of one page, the part that runs in place, and segments for RAM.
//!
//! The digest covers all of it but itself. It does not say who made the image: signatures are checked when an image is
//! installed, the digest at each start.

use core::ops::Range;

use sha2::{Digest as _, Sha256};

use crate::bytes::{Reader, Writer};
use crate::map::{PAGE, Slot};

/// Bytes of a header: one page, programmed last.
pub const HEADER: usize = 256;

/// Where the part that runs in place begins, from the start of the slot.
pub const IN_PLACE: u32 = PAGE;

/// How many segments for RAM an image has at most.
pub const MAX_SEGMENTS: usize = 8;

/// Instruction RAM that an image may fill. The bootloader is above it, where the cache will be.
pub const INSTRUCTION_RAM: Range<u32> = 0x4010_0000..0x4010_8000;

/// Data RAM that an image may fill with values. What is above, up to 0x3FFFC000, is the bootloader's while it loads;
/// statics that start as zero may be there.
pub const DATA_RAM: Range<u32> = 0x3FFE_8000..0x3FFF_B000;

/// Bytes of the digest, SHA-256.
pub const DIGEST: usize = 32;

const MAGIC: [u8; 4] = *b"SPIM";
const FORMAT: u8 = 1;
/// Bytes of the header in front of the digest, which the digest covers.
const COVERED: usize = HEADER - DIGEST;

/// Bytes for RAM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Where they belong, a multiple of 4, in [`INSTRUCTION_RAM`] or [`DATA_RAM`].
    pub address: u32,
    /// Bytes, a multiple of 4.
    pub length: u32,
}

/// What an image says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its place in the order of all images of a release key: later ones have higher numbers.
    pub sequence: u32,
    /// Where it is entered: in its slot's window, or in [`INSTRUCTION_RAM`].
    pub entry: u32,
    /// Bytes of the part that runs in place, which begins [`IN_PLACE`] bytes into the slot. A multiple of 4.
    pub in_place: u32,
    /// Name of the board that it is for, ASCII, padded with zeros.
    pub board: [u8; 16],
    /// Version for people, ASCII, padded with zeros.
    pub version: [u8; 24],
    /// What is loaded, in the order of their bytes behind the part that runs in place. Those behind the last have no bytes.
    pub segments: [Segment; MAX_SEGMENTS],
}

/// Why a header is none. The flash has what it had; an image with such a header is not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// It does not begin as a header does: the slot is blank, or half written.
    Magic,
    /// It has a format that this version does not know.
    Format,
    /// Its parts do not fit into a slot, or are not whole words.
    Length,
    /// A segment does not fit into the memories that images may fill.
    Segment,
    /// It would be entered outside of itself.
    Entry,
}

impl Header {
    /// Reads and checks the first page of `slot`. The digest is left to [`Verifier`].
    ///
    /// # Errors
    /// [`HeaderError`] says which field is wrong.
    pub fn decode(slot: Slot, bytes: &[u8; HEADER]) -> Result<Self, HeaderError> {
        let mut reader = Reader(bytes);
        if reader.take() != MAGIC {
            return Err(HeaderError::Magic);
        }
        let (format, _reserved): (_, [u8; 3]) = (reader.byte(), reader.take());
        if format != FORMAT {
            return Err(HeaderError::Format);
        }
        let (sequence, entry, in_place) = (reader.word(), reader.word(), reader.word());
        let (board, version) = (reader.take(), reader.take());
        let mut segments = [Segment::default(); MAX_SEGMENTS];
        for segment in &mut segments {
            *segment = Segment { address: reader.word(), length: reader.word() };
        }
        let header = Self { sequence, entry, in_place, board, version, segments };
        header.check(slot)?;
        Ok(header)
    }

    /// Whether it can stand in `slot`.
    ///
    /// # Errors
    /// As [`Header::decode`].
    pub fn check(&self, slot: Slot) -> Result<(), HeaderError> {
        let mut length = self.in_place;
        for segment in self.segments {
            let memory =
                [INSTRUCTION_RAM, DATA_RAM].into_iter().find(|m| m.contains(&segment.address));
            let room = memory.map_or(0, |memory| memory.end - segment.address);
            if segment.length > room || !(segment.length | segment.address).is_multiple_of(4) {
                return Err(HeaderError::Segment);
            }
            length = length.saturating_add(segment.length);
        }
        if !length.is_multiple_of(4) || length > Slot::LENGTH - IN_PLACE {
            return Err(HeaderError::Length);
        }
        let start = slot.window() + IN_PLACE;
        let in_place = start..start + self.in_place;
        if in_place.contains(&self.entry) || INSTRUCTION_RAM.contains(&self.entry) {
            return Ok(());
        }
        Err(HeaderError::Entry)
    }

    /// Bytes of the slot that are the image's, the header included. Its header must have been checked.
    pub fn length(&self) -> u32 {
        let segments =
            self.segments.iter().fold(0, |sum: u32, segment| sum.wrapping_add(segment.length));
        segments.wrapping_add(self.in_place).wrapping_add(IN_PLACE)
    }

    /// The page for flash, with the digest of `contents`: all that follows the header.
    pub fn encode(&self, contents: &[u8]) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let mut writer = Writer(&mut bytes);
        writer.put(&MAGIC);
        writer.put(&[FORMAT, 0, 0, 0]);
        writer.word(self.sequence);
        writer.word(self.entry);
        writer.word(self.in_place);
        writer.put(&self.board);
        writer.put(&self.version);
        for segment in self.segments {
            writer.word(segment.address);
            writer.word(segment.length);
        }
        let mut hash = Sha256::new();
        if let Some((covered, digest)) = bytes.split_at_mut_checked(COVERED) {
            hash.update(covered);
            hash.update(contents);
            Writer(digest).put(&hash.finalize());
        }
        bytes
    }
}

/// Computes the digest of an image, piece by piece.
#[derive(Clone)]
pub struct Verifier {
    hash: Sha256,
    expected: [u8; DIGEST],
}

impl Verifier {
    /// For the image whose first page is this.
    pub fn new(header: &[u8; HEADER]) -> Self {
        let mut hash = Sha256::new();
        let mut expected = [0; DIGEST];
        if let Some((covered, digest)) = header.split_at_checked(COVERED) {
            hash.update(covered);
            expected = Reader(digest).take();
        }
        Self { hash, expected }
    }

    /// Takes the next bytes, from behind the header up to [`Header::length`].
    pub fn update(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
    }

    /// Whether they were the image that the header speaks of.
    pub fn is_whole(self) -> bool {
        let found: [u8; DIGEST] = self.hash.finalize().into();
        found == self.expected
    }
}

#[cfg(test)]
mod tests;
