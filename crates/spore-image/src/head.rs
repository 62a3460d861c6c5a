//! The fixed part of a container: what the image is, and the signature over that.
//!
//! The signature covers the head alone, and the head has the digests of all else, so that it can be checked before
//! anything else has arrived.

use core::ops::Range;

use spore_boot::bytes::{Reader, Writer};
use spore_boot::image::{HEADER, Header, HeaderError, IN_PLACE, MAX_SEGMENTS, Segment};
use spore_boot::layout::Layout;
use spore_boot::map::Slot;

use crate::{CHUNK, DIGEST};

/// Bytes of a head.
pub const HEAD: usize = SIGNED + SIGNATURE;

/// Bytes that the signature covers, from the start. No other text that a release key signs begins as they do.
pub const SIGNED: usize = 224;

/// Bytes of an Ed25519 signature.
pub const SIGNATURE: usize = 64;

/// Bytes of a row of the chunk table: the digest of a chunk, and where its relocations end.
pub const ROW: usize = DIGEST + 4;

/// Bytes of a payload at most, so that no sum of sizes overflows. A board's is far smaller.
pub const MAX_PAYLOAD: u32 = 0x1000_0000;

pub(crate) const MAGIC: [u8; 4] = *b"SPOR";
const FORMAT: u8 = 1;

/// What a container says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The header of slot A. That of B has its entry moved, if it is in the part that runs in place.
    pub header: Header,
    /// Bytes of the relocation list.
    pub relocations: u32,
    /// SHA-256 of chunk table and relocation list.
    pub lists: [u8; DIGEST],
    /// The digests that the image's header has in slot A, and in slot B.
    pub slots: [[u8; DIGEST]; 2],
    /// Zeros if nobody has signed it.
    pub signature: [u8; SIGNATURE],
}

/// Why bytes are no head. Nothing was done with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// They do not begin as a container does.
    Magic,
    /// They are of a format that this version does not know.
    Format,
    /// The name of board or version is empty, or not ASCII characters that can be seen, padded with zeros.
    Name,
    /// The parts are empty, no whole words, larger than can be, or there are more relocations than words.
    Length,
}

impl core::fmt::Display for HeadError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Magic => "it does not begin as an image does",
            Self::Format => "it has a format that this version does not know",
            Self::Name => "the name of its board or version is none",
            Self::Length => "its sizes cannot be",
        })
    }
}

impl core::error::Error for HeadError {}

/// Why a signature is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// There is none.
    Unsigned,
    /// It is not that of the key, or of another head.
    Forged,
}

impl core::fmt::Display for SignatureError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Unsigned => "it is not signed",
            Self::Forged => "its signature is not that of the release key",
        })
    }
}

impl core::error::Error for SignatureError {}

impl Head {
    /// Reads a head. Whether the header can stand in a slot is not asked: that depends on the board.
    ///
    /// # Errors
    /// [`HeadError`] says what is wrong.
    pub fn decode(bytes: &[u8; HEAD]) -> Result<Self, HeadError> {
        let mut reader = Reader(bytes);
        if reader.take() != MAGIC {
            return Err(HeadError::Magic);
        }
        if reader.take() != [FORMAT, 0, 0, 0] {
            return Err(HeadError::Format);
        }
        let header = Header::take(&mut reader);
        let relocations = reader.word();
        let (lists, slots) = (reader.take(), [reader.take(), reader.take()]);
        let signature = reader.take();
        let head = Self { header, relocations, lists, slots, signature };
        if !(is_name(&header.board) && is_name(&header.version)) {
            return Err(HeadError::Name);
        }
        head.checked_length().map(|_| head).ok_or(HeadError::Length)
    }

    /// The bytes of the head.
    pub fn encode(&self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        let mut writer = Writer(&mut bytes);
        writer.put(&MAGIC);
        writer.put(&[FORMAT, 0, 0, 0]);
        self.header.put(&mut writer);
        writer.word(self.relocations);
        writer.put(&self.lists);
        self.slots.iter().for_each(|digest| writer.put(digest));
        writer.put(&self.signature);
        bytes
    }

    /// What is signed.
    pub fn message(&self) -> [u8; SIGNED] {
        Reader(&self.encode()).take()
    }

    /// Whether the owner of the Ed25519 key `public` has signed it. Weak keys and signatures that are not canonical are
    /// refused (RFC 8032 leaves that open), so that all implementations agree. Needs 9 KB of stack on a chip.
    ///
    /// # Errors
    /// When nobody has signed it, or somebody else.
    // Not inlined, as in `spore_core::security`: its frame would become that of whoever calls it.
    #[inline(never)]
    pub fn verify(&self, public: &[u8; 32]) -> Result<(), SignatureError> {
        if !self.is_signed() {
            return Err(SignatureError::Unsigned);
        }
        let genuine = spore_signature::is_genuine(public, &self.message(), &self.signature);
        genuine.then_some(()).ok_or(SignatureError::Forged)
    }

    /// Whether there is a signature, be it whose it may.
    pub fn is_signed(&self) -> bool {
        self.signature != [0; SIGNATURE]
    }

    /// The name of the board.
    pub fn board(&self) -> &str {
        text(&self.header.board)
    }

    /// The version.
    pub fn version(&self) -> &str {
        text(&self.header.version)
    }

    /// The header as it is in `slot`.
    ///
    /// # Errors
    /// When the image cannot stand there: it is of another kind of board, or too large.
    pub fn header<L: Layout>(&self, slot: Slot) -> Result<Header, HeaderError> {
        let mut header = self.header;
        L::check(&header, Slot::A)?;
        if Slot::A.in_window(header.entry) {
            header.entry = header.entry.wrapping_add(L::distance(slot));
        }
        L::check(&header, slot).map(|()| header)
    }

    /// The first page of `slot`, which makes an image of what follows it.
    ///
    /// # Errors
    /// As [`Head::header`].
    pub fn page<L: Layout>(&self, slot: Slot) -> Result<[u8; HEADER], HeaderError> {
        let [a, b] = &self.slots;
        Ok(self.header::<L>(slot)?.page(if slot == Slot::A { a } else { b }))
    }

    /// Whether it is a program for Linux, whose slots are in a file: it has no entry and no segments, and nothing in it
    /// moves.
    pub fn is_program(&self) -> bool {
        let Header { entry, segments, .. } = self.header;
        let [a, b] = &self.slots;
        let none = [Segment::default(); MAX_SEGMENTS];
        entry == 0 && segments == none && self.relocations == 0 && a == b
    }

    /// Whether a slot has room for the manifest behind the image.
    pub fn leaves_room<L: Layout>(&self) -> bool {
        // Both are alike.
        let (image, manifest) = (L::room(Slot::A), L::manifest(Slot::A).length);
        self.header.length() <= image && self.manifest_length() <= manifest
    }

    /// Bytes of the payload, which follows the header page in a slot. At least one word.
    pub fn payload(&self) -> u32 {
        self.header.length().saturating_sub(IN_PLACE)
    }

    /// How many chunks the payload has.
    pub fn chunks(&self) -> u32 {
        self.header.length().div_ceil(CHUNK)
    }

    /// Where chunk `index` is in the payload; empty behind the last one.
    pub fn chunk(&self, index: u32) -> Range<u32> {
        let at =
            |index: u32| index.saturating_mul(CHUNK).saturating_sub(IN_PLACE).min(self.payload());
        at(index)..at(index.saturating_add(1))
    }

    /// Bytes of the manifest: the head, the chunk table and the relocation list.
    pub fn manifest_length(&self) -> u32 {
        self.relocation_list().saturating_add(self.relocations)
    }

    /// Where the row of a chunk is in the manifest.
    pub fn row(&self, chunk: u32) -> u32 {
        let [head, row] = [HEAD, ROW].map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX));
        head.saturating_add(chunk.saturating_mul(row))
    }

    /// Where the relocation list is in the manifest.
    pub fn relocation_list(&self) -> u32 {
        self.row(self.chunks())
    }

    /// Bytes of the container.
    pub fn length(&self) -> u32 {
        self.checked_length().unwrap_or(u32::MAX)
    }

    /// The length, if the sizes can be.
    fn checked_length(&self) -> Option<u32> {
        let mut payload = self.header.in_place;
        for segment in self.header.segments {
            payload = payload.checked_add(segment.length)?;
        }
        let words = payload.is_multiple_of(4) && (4..=MAX_PAYLOAD).contains(&payload);
        // A word that moves takes two bytes of the list at most.
        if !words || self.relocations > payload / 2 {
            return None;
        }
        self.manifest_length().checked_add(payload)
    }
}

/// Whether it is a name: characters that can be seen, one at least, and zeros behind them.
fn is_name(field: &[u8]) -> bool {
    let name = field.split(|byte| *byte == 0).next().unwrap_or_default();
    let padding = field.get(name.len()..).unwrap_or_default();
    !name.is_empty()
        && name.is_ascii()
        && name.iter().all(u8::is_ascii_graphic)
        && padding.iter().all(|byte| *byte == 0)
}

/// What is in front of the zeros.
fn text(field: &[u8]) -> &str {
    let name = field.split(|byte| *byte == 0).next().unwrap_or_default();
    core::str::from_utf8(name).unwrap_or_default()
}
