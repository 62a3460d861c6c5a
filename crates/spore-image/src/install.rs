//! Installing an image: a container comes in, in order and in pieces of any size, and the slot that does not run is written.
//!
//! Nothing is written before the signature was found genuine. Then the slot is made one without an image; manifest and chunks are written
//! as they come, each chunk checked; and once all has come, everything is read back. The header of the slot comes last,
//! and behind it the selector: the image is on trial. So a power cut at any moment leaves the image that is running, or,
//! behind the last step, the new one.

use core::fmt;

use embedded_io_async::Read;
use embedded_storage_async::nor_flash::NorFlash;
use sha2::{Digest as _, Sha256};
use spore_boot::bytes::Reader;
use spore_boot::image::{HEADER, HeaderError, IN_PLACE, Verifier};
use spore_boot::map::{MANIFEST, PAGE, SECTOR, SELECTOR, Slot};
use spore_boot::selector::{BYTES, Choice, Selector, Stage, Write};

use crate::head::{HEAD, Head, HeadError, ROW, SignatureError};
use crate::relocations::{Decoder, Malformed, distance};
use crate::{DIGEST, index};

/// [`PAGE`], for buffers: bytes that are programmed and read at once.
const PAGE_BYTES: usize = HEADER;

/// [`HEAD`], in the numbers of flash.
const HEAD_LENGTH: u32 = 288;

const _: () = assert!(HEAD == 288 && PAGE_BYTES == 256);

/// Bytes of the relocation list that are read at once. They never lie in two sectors.
const WINDOW: u32 = 16;

/// [`WINDOW`], for buffers.
const WINDOW_BYTES: usize = 16;

/// For what, and where to.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The board that the image must be for.
    pub board: &'a str,
    /// The slot that does not run.
    pub slot: Slot,
    /// Images with this sequence number or a lower one are refused.
    pub floor: u32,
    /// An image that was rolled back, which is not tried again.
    pub quarantined: Option<u32>,
    /// How many bytes are to come, if that is known.
    pub length: Option<u32>,
}

/// Why an image is not taken. What runs, and what is started next, is as it was, except after
/// [`Selector`](Self::Selector).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is no image. Nothing was written.
    Head(HeadError),
    /// It is for another board. Nothing was written.
    Board,
    /// It cannot stand in the slots of this board. Nothing was written.
    Slot(HeaderError),
    /// It leaves no room in a slot for its manifest. Nothing was written.
    TooLarge,
    /// It is not newer than what is there. Nothing was written.
    Older,
    /// It was tried before, and rolled back. Nothing was written.
    Quarantined,
    /// It is not signed with the release key. Nothing was written.
    Signature(SignatureError),
    /// What runs is not confirmed, and the other slot is what to go back to. Nothing was written.
    Unconfirmed,
    /// It has not as many bytes as its head says, or the source ended.
    Length,
    /// What came is not what was signed.
    Altered,
    /// The flash failed, or does not hold what was written.
    Flash,
    /// Likewise, as the selector was written: the new image may be started next, or not.
    Selector,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head(error) => return error.fmt(f),
            Self::Signature(error) => return error.fmt(f),
            Self::Board => "it is for another board",
            Self::Slot(_) => "it cannot stand in the slots of this board",
            Self::TooLarge => "it is too large",
            Self::Older => "it is not newer than the image that is there",
            Self::Quarantined => "it was tried before, and rolled back",
            Self::Unconfirmed => "the image that runs is not confirmed yet",
            Self::Length => "it is not as long as it says",
            Self::Altered => "it is not what was signed",
            Self::Flash | Self::Selector => "the flash does not hold it",
        })
    }
}

impl core::error::Error for Refusal {}

/// Takes one image from `source` to its end, which must be that of the container, writes it to `flash`, and puts it
/// on trial: it is what the bootloader starts next. `verify` is [`Head::verify`] with the release key, where there is the stack
/// for it.
///
/// Dropped, it has done what [`Refusal::Flash`] says.
///
/// # Errors
/// [`Refusal`] says why not, as early as the bytes allow, and what was touched.
pub async fn install<F: NorFlash, R: Read>(
    flash: &mut F,
    source: &mut R,
    target: &Target<'_>,
    verify: impl FnOnce(&Head) -> Result<(), SignatureError>,
) -> Result<Head, Refusal> {
    let mut bytes = [0; HEAD];
    fill(source, &mut bytes).await?;
    let head = Head::decode(&bytes).map_err(Refusal::Head)?;
    target.judge(&head)?;
    verify(&head).map_err(Refusal::Signature)?;
    let mut slot = Installation { flash, head: &head, slot: target.slot };
    slot.clear().await?;
    slot.write_manifest(&bytes, source).await?;
    for chunk in 0..head.chunks() {
        slot.write_chunk(chunk, source).await?;
    }
    if source.read(&mut [0]).await.map_err(|_| Refusal::Length)? != 0 {
        return Err(Refusal::Length);
    }
    slot.check_manifest(&bytes).await?;
    slot.finish().await?;
    Ok(head)
}

impl Target<'_> {
    /// What can be said of an image by its head.
    fn judge(&self, head: &Head) -> Result<(), Refusal> {
        let sequence = head.header.sequence;
        if head.board() != self.board {
            return Err(Refusal::Board);
        }
        if sequence <= self.floor {
            return Err(Refusal::Older);
        }
        if self.quarantined == Some(sequence) {
            return Err(Refusal::Quarantined);
        }
        if !head.leaves_room() {
            return Err(Refusal::TooLarge);
        }
        head.header(self.slot).map_err(Refusal::Slot)?;
        if self.length.is_some_and(|length| length != head.length()) {
            return Err(Refusal::Length);
        }
        Ok(())
    }
}

/// Bytes for flash, which wants them at whole words.
#[repr(C, align(4))]
struct Aligned<const N: usize>([u8; N]);

/// A slot that is being written.
struct Installation<'a, F> {
    flash: &'a mut F,
    head: &'a Head,
    slot: Slot,
}

impl<F: NorFlash> Installation<'_, F> {
    /// Erases header and manifest, so that there is no image in the slot, and none leads to it.
    async fn clear(&mut self) -> Result<(), Refusal> {
        let selector = self.selector().await?;
        let running = self.slot.other();
        let record = selector.record().map(|record| record.choice);
        if !record.is_some_and(|is| is.stage == Stage::Confirmed && is.slot == running) {
            return Err(Refusal::Unconfirmed);
        }
        if let Some(write) = selector.settle() {
            self.write_record(&write).await?;
        }
        self.erase(self.slot.region().start, SECTOR).await?;
        self.erase(self.slot.manifest().start, MANIFEST).await
    }

    /// Takes the lists, and writes them behind the head.
    async fn write_manifest(
        &mut self,
        head: &[u8; HEAD],
        source: &mut impl Read,
    ) -> Result<(), Refusal> {
        let start = self.slot.manifest().start;
        let mut page = Aligned([0; PAGE_BYTES]);
        let (first, rest) = head.split_at(PAGE_BYTES);
        page.0.copy_from_slice(first);
        self.write(start, &page.0).await?;
        let (mut at, mut filled) = (PAGE, rest.len());
        page.0.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let mut sha = Sha256::new();
        let end = self.head.manifest_length();
        while at < end {
            let piece = piece(at, end);
            let room = page.0.get_mut(filled..piece).ok_or(Refusal::Flash)?;
            fill(source, room).await?;
            sha.update(room);
            // Whole words; what is behind the end stays blank.
            page.0.get_mut(piece..).unwrap_or_default().fill(0xFF);
            let words = page.0.get(..piece.next_multiple_of(4)).ok_or(Refusal::Flash)?;
            self.write(start.saturating_add(at), words).await?;
            (at, filled) = (at.saturating_add(PAGE), 0);
        }
        if sha.finalize()[..] == self.head.lists { Ok(()) } else { Err(Refusal::Altered) }
    }

    /// Takes a chunk, and writes it with its words moved.
    async fn write_chunk(&mut self, number: u32, source: &mut impl Read) -> Result<(), Refusal> {
        // That of the header was erased before.
        if number > 0 {
            let start = self.slot.region().start;
            self.erase(start.saturating_add(number.saturating_mul(SECTOR)), SECTOR).await?;
        }
        let (digest, mut moves) = self.row(number).await?;
        let range = self.head.chunk(number);
        let to = self.slot.region().start.saturating_add(IN_PLACE);
        let mut page = Aligned([0; PAGE_BYTES]);
        let mut sha = Sha256::new();
        let mut at = range.start;
        while at < range.end {
            let piece = page.0.get_mut(..piece(at, range.end)).ok_or(Refusal::Flash)?;
            fill(source, piece).await?;
            sha.update(&*piece);
            let place = at.saturating_sub(range.start);
            self.relocate(piece, place, &mut moves).await?;
            self.write(to.saturating_add(at), piece).await?;
            at = at.saturating_add(PAGE);
        }
        let whole = sha.finalize()[..] == digest && moves.are_done();
        if whole { Ok(()) } else { Err(Refusal::Altered) }
    }

    /// The digest of a chunk, and which words of it move.
    async fn row(&mut self, number: u32) -> Result<([u8; DIGEST], Moves), Refusal> {
        let start = self.slot.manifest().start;
        let row = |number| start.saturating_add(self.head.row(number));
        let mut moves = Moves::default();
        if number > 0 {
            // The last word of the row before.
            let mut end = Aligned([0; 4]);
            self.read(row(number).saturating_sub(4), &mut end.0).await?;
            moves.next = u32::from_le_bytes(end.0);
        }
        let mut bytes = Aligned([0; ROW]);
        self.read(row(number), &mut bytes.0).await?;
        let mut reader = Reader(&bytes.0);
        let digest = reader.take();
        moves.end = reader.word();
        if moves.next > moves.end || moves.end > self.head.relocations {
            return Err(Refusal::Altered);
        }
        Ok((digest, moves))
    }

    /// Moves the words of a piece of a chunk, which is `at` bytes from its start.
    async fn relocate(
        &mut self,
        piece: &mut [u8],
        at: u32,
        moves: &mut Moves,
    ) -> Result<(), Refusal> {
        let start = self.slot.manifest().start.saturating_add(self.head.relocation_list());
        loop {
            if let Some(word) = moves.word {
                let place = word.saturating_mul(4).saturating_sub(at);
                let Some(place) = piece.get_mut(index(place)..) else { return Ok(()) };
                let Some(word) = place.first_chunk_mut() else { return Ok(()) };
                *word = u32::from_le_bytes(*word).wrapping_add(distance(self.slot)).to_le_bytes();
                moves.word = None;
            }
            if moves.next >= moves.end {
                return Ok(());
            }
            let address = start.saturating_add(moves.next);
            let within = address % WINDOW;
            let window = address.saturating_sub(within);
            if moves.has != Some(window) {
                self.read(window, &mut moves.window.0).await?;
                moves.has = Some(window);
            }
            let byte = moves.window.0.get(index(within)).ok_or(Refusal::Flash)?;
            moves.word = moves.decoder.push(*byte).map_err(|Malformed| Refusal::Altered)?;
            moves.next = moves.next.saturating_add(1);
        }
    }

    /// Reads the manifest back.
    async fn check_manifest(&mut self, head: &[u8; HEAD]) -> Result<(), Refusal> {
        let start = self.slot.manifest().start;
        let mut read = Aligned([0; HEAD]);
        self.read(start, &mut read.0).await?;
        if read.0 != *head {
            return Err(Refusal::Flash);
        }
        let mut sha = Sha256::new();
        let (mut at, end) = (HEAD_LENGTH, self.head.manifest_length());
        while at < end {
            let piece = piece(at, end);
            let room = piece.next_multiple_of(4);
            let bytes = read.0.get_mut(..room).ok_or(Refusal::Flash)?;
            self.read(start.saturating_add(at), bytes).await?;
            sha.update(bytes.get(..piece).unwrap_or_default());
            at = at.saturating_add(PAGE);
        }
        if sha.finalize()[..] == self.head.lists { Ok(()) } else { Err(Refusal::Flash) }
    }

    /// Reads the image back, writes its header, and puts it on trial.
    async fn finish(&mut self) -> Result<(), Refusal> {
        let start = self.slot.region().start;
        let header = Aligned(self.head.page(self.slot).map_err(Refusal::Slot)?);
        let mut verifier = Verifier::new(&header.0);
        let mut page = Aligned([0; PAGE_BYTES]);
        let (mut at, end) = (IN_PLACE, self.head.header.length());
        while at < end {
            let bytes = page.0.get_mut(..piece(at, end)).ok_or(Refusal::Flash)?;
            self.read(start.saturating_add(at), bytes).await?;
            verifier.update(bytes);
            at = at.saturating_add(PAGE);
        }
        if !verifier.is_whole() {
            return Err(Refusal::Flash);
        }
        self.write(start, &header.0).await?;
        self.read(start, &mut page.0).await?;
        if page.0 != header.0 {
            return Err(Refusal::Flash);
        }
        let image = self.head.header.sequence;
        let trial = Choice { slot: self.slot, stage: Stage::Trial, image };
        let write = self.selector().await?.write(trial);
        self.write_record(&write).await.map_err(|_| Refusal::Selector)
    }

    async fn selector(&mut self) -> Result<Selector, Refusal> {
        let mut sectors = [Aligned([0; BYTES]), Aligned([0; BYTES])];
        for (sector, bytes) in SELECTOR.iter().zip(&mut sectors) {
            self.read(sector.start, &mut bytes.0).await?;
        }
        let [first, second] = &sectors;
        Ok(Selector::read(&first.0, &second.0))
    }

    /// Writes a record, and reads it back.
    async fn write_record(&mut self, write: &Write) -> Result<(), Refusal> {
        let record = Aligned(write.bytes);
        let mut read = Aligned([0; BYTES]);
        self.erase(write.sector.start, write.sector.length).await?;
        self.write(write.sector.start, &record.0).await?;
        self.read(write.sector.start, &mut read.0).await?;
        if read.0 == record.0 { Ok(()) } else { Err(Refusal::Flash) }
    }

    async fn erase(&mut self, from: u32, length: u32) -> Result<(), Refusal> {
        let erased = self.flash.erase(from, from.saturating_add(length)).await;
        erased.map_err(|_| Refusal::Flash)
    }

    async fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), Refusal> {
        self.flash.write(address, bytes).await.map_err(|_| Refusal::Flash)
    }

    async fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), Refusal> {
        self.flash.read(address, bytes).await.map_err(|_| Refusal::Flash)
    }
}

/// The words of a chunk that are still to be moved.
struct Moves {
    decoder: Decoder,
    /// The next one, if it is known.
    word: Option<u32>,
    /// The next byte of the list, and the end of the chunk's.
    next: u32,
    end: u32,
    window: Aligned<WINDOW_BYTES>,
    /// Where the window was read from.
    has: Option<u32>,
}

impl Default for Moves {
    fn default() -> Self {
        let (decoder, window) = (Decoder::default(), Aligned([0; WINDOW_BYTES]));
        Self { decoder, word: None, next: 0, end: 0, window, has: None }
    }
}

impl Moves {
    fn are_done(&self) -> bool {
        self.word.is_none() && self.next == self.end && self.decoder.is_complete()
    }
}

/// Bytes from `at` to the end of the page, or to `end`.
fn piece(at: u32, end: u32) -> usize {
    index(end.saturating_sub(at).min(PAGE))
}

/// Takes as many bytes as there is room for.
async fn fill(source: &mut impl Read, mut room: &mut [u8]) -> Result<(), Refusal> {
    while !room.is_empty() {
        let read = source.read(room).await.map_err(|_| Refusal::Length)?;
        room = room.get_mut(read..).filter(|_| read > 0).ok_or(Refusal::Length)?;
    }
    Ok(())
}
