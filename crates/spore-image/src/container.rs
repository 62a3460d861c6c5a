//! A container as a whole, checked once. For tools, which have it in memory; a node takes it in pieces.

use core::ops::Range;

use sha2::{Digest as _, Sha256};
use spore_boot::image::Verifier;
use spore_boot::layout::{Esp, Host, Layout as _};
use spore_boot::map::Slot;

use crate::head::{HEAD, Head, HeadError, MAGIC, ROW};
use crate::relocations::{Decoder, Malformed, relocate};
use crate::{CHUNK_BYTES, DIGEST, index};

/// A container whose parts are what its head says. Who has signed it is another question: [`Head::verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Container<'a> {
    head: Head,
    rows: &'a [[u8; ROW]],
    relocations: &'a [u8],
    payload: &'a [u8],
}

/// Why bytes are no container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerError {
    /// There are fewer bytes than a head has, or not as many as the head says.
    Length,
    /// The head is none.
    Head(HeadError),
    /// Chunk table and relocation list have not the digest that the head says.
    Lists,
    /// The relocations of this chunk are no list, or are behind the end of the chunk, or of the list.
    Relocations(u32),
    /// This chunk has not the digest that the table says.
    Chunk(u32),
    /// Relocated for this slot, the image has not the digest that the head says.
    Slot(Slot),
}

impl core::fmt::Display for ContainerError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Length => {
                f.write_str("it is not as long as it says: it was cut, or more follows")
            }
            Self::Head(error) => error.fmt(f),
            Self::Lists => f.write_str("its tables are not what its head says: it was altered"),
            Self::Relocations(chunk) => write!(f, "the relocations of chunk {chunk} are none"),
            Self::Chunk(chunk) => write!(f, "chunk {chunk} is not what it was: it was altered"),
            Self::Slot(slot) => write!(f, "it is not what its head says in slot {slot:?}"),
        }
    }
}

impl core::error::Error for ContainerError {}

impl<'a> Container<'a> {
    /// Takes `bytes` apart and checks all digests, also those of the image in either slot.
    ///
    /// # Errors
    /// [`ContainerError`] says which part is not what it should be.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ContainerError> {
        if bytes.first_chunk().is_some_and(|magic| *magic != MAGIC) {
            return Err(ContainerError::Head(HeadError::Magic));
        }
        let head = bytes.first_chunk::<HEAD>().ok_or(ContainerError::Length)?;
        let head = Head::decode(head).map_err(ContainerError::Head)?;
        if index(head.length()) != bytes.len() {
            return Err(ContainerError::Length);
        }
        let parts = bytes.split_at_checked(index(head.manifest_length()));
        let (manifest, payload) = parts.ok_or(ContainerError::Length)?;
        let lists = manifest.get(HEAD..).unwrap_or_default();
        if Sha256::digest(lists)[..] != head.lists {
            return Err(ContainerError::Lists);
        }
        let table = lists.len().saturating_sub(index(head.relocations));
        let (table, relocations) = lists.split_at_checked(table).ok_or(ContainerError::Lists)?;
        let (rows, _) = table.as_chunks();
        let container = Self { head, rows, relocations, payload };
        container.check_chunks()?;
        for slot in Slot::BOTH {
            container.check_slot(slot)?;
        }
        Ok(container)
    }

    fn check_chunks(&self) -> Result<(), ContainerError> {
        let mut end = 0;
        for number in 0..self.head.chunks() {
            let malformed = ContainerError::Relocations(number);
            let list = self.list_range(number);
            if list.start != end || list.end < list.start {
                return Err(malformed);
            }
            end = list.end;
            let list = self.relocations.get(list).ok_or(malformed)?;
            let words = u32::try_from(self.chunk(number).len() / 4).unwrap_or(0);
            let mut decoder = Decoder::default();
            for byte in list {
                let word = decoder.push(*byte).map_err(|_| malformed)?;
                if word.is_some_and(|word| word >= words) {
                    return Err(malformed);
                }
            }
            if !decoder.is_complete() {
                return Err(malformed);
            }
            if Sha256::digest(self.chunk(number))[..] != self.row(number).0 {
                return Err(ContainerError::Chunk(number));
            }
        }
        // What belongs to no chunk would be nobody's.
        let last = ContainerError::Relocations(self.head.chunks());
        if end == self.relocations.len() { Ok(()) } else { Err(last) }
    }

    fn check_slot(&self, slot: Slot) -> Result<(), ContainerError> {
        let program = self.head.is_program();
        let page = if program { self.head.page::<Host>(slot) } else { self.head.page::<Esp>(slot) };
        let page = page.map_err(|_| ContainerError::Slot(slot))?;
        let mut verifier = Verifier::new(&page);
        let mut chunk = [0; CHUNK_BYTES];
        for number in 0..self.head.chunks() {
            let length = self.relocated(number, slot, &mut chunk);
            verifier.update(chunk.get(..length).unwrap_or_default());
        }
        if verifier.is_whole() { Ok(()) } else { Err(ContainerError::Slot(slot)) }
    }

    /// What it says of itself.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// What slot A has behind its header.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// How many words move.
    pub fn moved(&self) -> usize {
        // The last byte of each number has no highest bit.
        let (mut moved, mut second) = (0, false);
        for byte in self.relocations {
            second = !second && byte & 0x80 != 0;
            moved += usize::from(!second);
        }
        moved
    }

    /// A chunk, as slot A has it; empty behind the last one.
    pub fn chunk(&self, number: u32) -> &'a [u8] {
        let Range { start, end } = self.head.chunk(number);
        self.payload.get(index(start)..index(end)).unwrap_or_default()
    }

    /// Writes a chunk, as `slot` of a board has it, to `room`, and returns its length. It is cut if `room` is too small.
    pub fn relocated(&self, number: u32, slot: Slot, room: &mut [u8]) -> usize {
        let chunk = self.chunk(number);
        let length = chunk.len().min(room.len());
        let (Some(room), Some(chunk)) = (room.get_mut(..length), chunk.get(..length)) else {
            return 0;
        };
        room.copy_from_slice(chunk);
        // The lists were checked; a room that is too small for all of them is the caller's affair.
        let _ = self.relocate(number, room, Esp::distance(slot));
        length
    }

    /// Adds `distance` to the words of a chunk that move, and returns how many these are.
    ///
    /// # Errors
    /// When there is no such chunk, or `chunk` is too short for it.
    pub fn relocate(&self, number: u32, chunk: &mut [u8], distance: u32) -> Result<u32, Malformed> {
        let list = self.relocations.get(self.list_range(number)).ok_or(Malformed)?;
        relocate(chunk, list, distance)
    }

    /// A row of the table: the digest of a chunk, and where its relocations end.
    fn row(&self, number: u32) -> ([u8; DIGEST], usize) {
        let row = self.rows.get(index(number)).copied().unwrap_or([0; ROW]);
        let mut reader = spore_boot::bytes::Reader(&row);
        (reader.take(), index(reader.word()))
    }

    /// Where the relocations of a chunk are in the list.
    fn list_range(&self, number: u32) -> Range<usize> {
        let start = number.checked_sub(1).map_or(0, |before| self.row(before).1);
        start..self.row(number).1
    }
}
