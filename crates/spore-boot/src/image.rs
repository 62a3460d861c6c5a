//! What a slot must hold to be started: a header of one page, the part that runs in place, and segments for RAM.
//!
//! The digest covers all of it, with zeros in its own place. It does not say who made the image: signatures are checked when an image is
//! installed, the digest at each start.

use core::ops::Range;

use sha2::{Digest as _, Sha256};

use crate::bytes::{Reader, Writer};
use crate::layout::Layout;
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
/// Bytes of the header in front of the digest.
const COVERED: usize = HEADER - DIGEST;

/// What SHA-256 takes at once, in bytes.
pub const BLOCK: usize = 64;
/// Where the length is in its last block; the upper half of it is zero.
const LENGTH_AT: usize = BLOCK - 8;
/// FIPS 180-4, 5.3.3.
const INITIAL: [u32; 8] = [
    0x6A09_E667,
    0xBB67_AE85,
    0x3C6E_F372,
    0xA54F_F53A,
    0x510E_527F,
    0x9B05_688C,
    0x1F83_D9AB,
    0x5BE0_CD19,
];

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
    pub fn decode<L: Layout>(slot: Slot, bytes: &[u8; HEADER]) -> Result<Self, HeaderError> {
        let mut reader = Reader(bytes);
        if reader.word() != u32::from_le_bytes(MAGIC) {
            return Err(HeaderError::Magic);
        }
        let [format, ..] = reader.word().to_le_bytes();
        if format != FORMAT {
            return Err(HeaderError::Format);
        }
        let header = Self::take(&mut reader);
        L::check(&header, slot)?;
        Ok(header)
    }

    /// Reads the fields between the format and the zeros, unchecked. The head of a container has them as well.
    // A part of its one caller in the bootloader, which has four kilobytes.
    #[inline(always)]
    pub fn take(reader: &mut Reader<'_>) -> Self {
        let (sequence, entry, in_place) = (reader.word(), reader.word(), reader.word());
        let (board, version) = (reader.take(), reader.take());
        let mut segments = [Segment::default(); MAX_SEGMENTS];
        for segment in &mut segments {
            *segment = Segment { address: reader.word(), length: reader.word() };
        }
        Self { sequence, entry, in_place, board, version, segments }
    }

    /// Writes the fields that [`take`](Self::take) reads.
    pub fn put(&self, writer: &mut Writer<'_>) {
        writer.word(self.sequence);
        writer.word(self.entry);
        writer.word(self.in_place);
        writer.put(&self.board);
        writer.put(&self.version);
        for segment in self.segments {
            writer.word(segment.address);
            writer.word(segment.length);
        }
    }

    /// Whether it can stand in `slot` of a board.
    ///
    /// # Errors
    /// As [`Header::decode`].
    pub fn check(&self, slot: Slot) -> Result<(), HeaderError> {
        let mut length = self.in_place;
        for segment in self.segments {
            let end = if DATA_RAM.contains(&segment.address) {
                DATA_RAM.end
            } else if INSTRUCTION_RAM.contains(&segment.address) {
                INSTRUCTION_RAM.end
            } else {
                segment.address
            };
            let room = end - segment.address;
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
        let blank = self.page(&[0; DIGEST]);
        let digest = Sha256::new().chain_update(blank).chain_update(contents).finalize();
        self.page(&digest.into())
    }

    /// The page for flash, with a digest that is known.
    pub fn page(&self, digest: &[u8; DIGEST]) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let mut writer = Writer(&mut bytes);
        writer.put(&MAGIC);
        writer.put(&[FORMAT, 0, 0, 0]);
        self.put(&mut writer);
        if let Some(room) = bytes.get_mut(COVERED..) {
            Writer(room).put(digest);
        }
        bytes
    }
}

/// Computes the digest of an image, piece by piece. It is SHA-256 as FIPS 180-4 has it, without a buffer.
#[derive(Clone, Debug)]
pub struct Verifier {
    state: [u32; 8],
    expected: [u8; DIGEST],
    /// Bytes so far.
    length: u32,
    /// Whether the last block was there, with the padding.
    ended: bool,
}

impl Verifier {
    /// For the image whose first page is this.
    pub fn new(header: &[u8; HEADER]) -> Self {
        let mut verifier = Self { state: INITIAL, expected: [0; DIGEST], length: 0, ended: false };
        let mut blank = *header;
        if let Some((_, digest)) = blank.split_at_mut_checked(COVERED) {
            verifier.expected = Reader(digest).take();
            digest.fill(0);
        }
        verifier.update(&blank);
        verifier
    }

    /// Takes the next bytes, from behind the header up to [`Header::length`]. All pieces but the last must be multiples
    /// of [`BLOCK`], or the image is said to be damaged.
    pub fn update(&mut self, bytes: &[u8]) {
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        for block in blocks {
            self.block(block);
        }
        self.length = self.length.wrapping_add(bytes.len().try_into().unwrap_or(0));
        if !rest.is_empty() {
            self.end(rest);
        }
    }

    fn block(&mut self, block: &[u8; BLOCK]) {
        if self.ended {
            // There must be nothing behind the last block.
            self.state = [0; 8];
        } else {
            sha2::compress256(&mut self.state, core::slice::from_ref(block.into()));
        }
    }

    /// Takes the bytes behind the last whole block, and the padding.
    fn end(&mut self, rest: &[u8]) {
        let mut block = [0; BLOCK];
        let mut writer = Writer(&mut block);
        writer.put(rest);
        writer.put(&[0x80]);
        if rest.len() >= LENGTH_AT {
            self.block(&block);
            block = [0; BLOCK];
        }
        if let Some((_, length)) = block.split_last_chunk_mut() {
            // In bits; an image has less than 2^29 bytes.
            *length = self.length.wrapping_mul(8).to_be_bytes();
        }
        self.block(&block);
        self.ended = true;
    }

    /// Whether they were the image that the header speaks of.
    pub fn is_whole(mut self) -> bool {
        if !self.ended {
            self.end(&[]);
        }
        let mut expected = Reader(&self.expected);
        self.state.iter().all(|word| u32::from_be_bytes(expected.take()) == *word)
    }
}

#[cfg(test)]
mod tests;
