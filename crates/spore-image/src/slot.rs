//! A slot of a flash, with what is in it: reading, writing and checking, whichever way an image comes.

use core::marker::PhantomData;

use embedded_storage_async::nor_flash::NorFlash;
use sha2::{Digest as _, Sha256};
use spore_boot::bytes::Reader;
use spore_boot::image::{HEADER, Header, IN_PLACE, Verifier};
use spore_boot::layout::Layout;
use spore_boot::map::{PAGE, SECTOR, SELECTOR, Slot};
use spore_boot::selector::{BYTES, Choice, Selector, Stage, Write};

use crate::head::{HEAD, Head, ROW};
use crate::refusal::Refusal;
use crate::relocations::{Decoder, Malformed};
use crate::{DIGEST, index};

/// [`PAGE`], for buffers: bytes that are programmed and read at once.
pub(crate) const PAGE_BYTES: usize = HEADER;

/// [`HEAD`], in the numbers of flash.
pub(crate) const HEAD_LENGTH: u32 = 288;

const _: () = assert!(HEAD == 288 && PAGE_BYTES == 256);

/// Bytes of the relocation list that are read at once. They never lie in two sectors.
const WINDOW: u32 = 16;

/// [`WINDOW`], for buffers.
const WINDOW_BYTES: usize = 16;

/// Bytes for flash, which wants them at whole words.
#[repr(C, align(4))]
pub(crate) struct Aligned<const N: usize>(pub(crate) [u8; N]);

/// A slot of a flash.
pub(crate) struct InFlash<'a, F, L> {
    flash: &'a mut F,
    slot: Slot,
    layout: PhantomData<L>,
}

impl<'a, F: NorFlash, L: Layout> InFlash<'a, F, L> {
    pub(crate) const fn new(flash: &'a mut F, slot: Slot) -> Self {
        Self { flash, slot, layout: PhantomData }
    }

    /// Sees to it that the selector says in both sectors that what is in the other slot is confirmed: then nobody goes back to this one.
    pub(crate) async fn release(&mut self) -> Result<(), Refusal> {
        let selector = self.selector().await?;
        let running = self.slot.other();
        let record = selector.record().map(|record| record.choice);
        if !record.is_some_and(|is| is.stage == Stage::Confirmed && is.slot == running) {
            return Err(Refusal::Unconfirmed);
        }
        match selector.settle() {
            Some(write) => self.write_record(&write).await,
            None => Ok(()),
        }
    }

    /// Erases the sector of the header and the first chunk: there is no image in the slot.
    pub(crate) async fn erase_header(&mut self) -> Result<(), Refusal> {
        self.erase(L::region(self.slot).start, SECTOR).await
    }

    pub(crate) async fn erase_manifest(&mut self) -> Result<(), Refusal> {
        let manifest = L::manifest(self.slot);
        self.erase(manifest.start, manifest.length).await
    }

    pub(crate) async fn erase_chunk(&mut self, number: u32) -> Result<(), Refusal> {
        let start = L::region(self.slot).start;
        self.erase(start.saturating_add(number.saturating_mul(SECTOR)), SECTOR).await
    }

    /// Writes bytes that are `at` bytes into the manifest; the last of them are filled up to a word with ones.
    pub(crate) async fn write_manifest(
        &mut self,
        at: u32,
        page: &mut Aligned<PAGE_BYTES>,
        length: usize,
    ) -> Result<(), Refusal> {
        page.0.get_mut(length..).unwrap_or_default().fill(0xFF);
        let words = page.0.get(..length.next_multiple_of(4)).ok_or(Refusal::Length)?;
        self.write(L::manifest(self.slot).start.saturating_add(at), words).await
    }

    /// The same from there on.
    pub(crate) async fn read_manifest(&mut self, at: u32, bytes: &mut [u8]) -> Result<(), Refusal> {
        self.read(L::manifest(self.slot).start.saturating_add(at), bytes).await
    }

    /// The head of the manifest, whatever it is.
    pub(crate) async fn head(&mut self) -> Result<[u8; HEAD], Refusal> {
        let mut head = Aligned([0; HEAD]);
        self.read_manifest(0, &mut head.0).await?;
        Ok(head.0)
    }

    /// Whether chunk table and relocation list in flash are those of the head.
    pub(crate) async fn has_lists(&mut self, head: &Head) -> Result<bool, Refusal> {
        let mut page = Aligned([0; PAGE_BYTES]);
        let mut sha = Sha256::new();
        let (mut at, end) = (HEAD_LENGTH, head.manifest_length());
        while at < end {
            let length = up_to_page(at, end);
            let room = page.0.get_mut(..length.next_multiple_of(4)).ok_or(Refusal::Flash)?;
            self.read_manifest(at, room).await?;
            sha.update(room.get(..length).unwrap_or_default());
            at = at.saturating_add(PAGE);
        }
        Ok(sha.finalize()[..] == head.lists)
    }

    /// Whether nothing is programmed in the `length` bytes from `at` bytes into the slot, whole words.
    pub(crate) async fn is_blank(&mut self, at: u32, length: u32) -> Result<bool, Refusal> {
        let start = L::region(self.slot).start;
        let mut page = Aligned([0; PAGE_BYTES]);
        let (mut at, end) = (at, at.saturating_add(length));
        while at < end {
            let bytes = page.0.get_mut(..up_to_page(at, end)).ok_or(Refusal::Flash)?;
            self.read(start.saturating_add(at), bytes).await?;
            if bytes.iter().any(|byte| *byte != 0xFF) {
                return Ok(false);
            }
            at = at.saturating_add(PAGE);
        }
        Ok(true)
    }

    /// The digest of a chunk, and which words of it move.
    pub(crate) async fn row(
        &mut self,
        head: &Head,
        number: u32,
    ) -> Result<([u8; DIGEST], Moves), Refusal> {
        let mut moves = Moves::default();
        if number > 0 {
            // The last word of the row before.
            let mut end = Aligned([0; 4]);
            self.read_manifest(head.row(number).saturating_sub(4), &mut end.0).await?;
            moves.next = u32::from_le_bytes(end.0);
        }
        let mut bytes = Aligned([0; ROW]);
        self.read_manifest(head.row(number), &mut bytes.0).await?;
        let mut reader = Reader(&bytes.0);
        let digest = reader.take();
        moves.end = reader.word();
        if moves.next > moves.end || moves.end > head.relocations {
            return Err(Refusal::Altered);
        }
        moves.list = L::manifest(self.slot).start.saturating_add(head.relocation_list());
        Ok((digest, moves))
    }

    /// Moves the words of a part of a chunk, which is `at` bytes from its start, into the slot.
    pub(crate) async fn move_in(
        &mut self,
        part: &mut [u8],
        at: u32,
        moves: &mut Moves,
    ) -> Result<(), Refusal> {
        self.relocate(part, at, moves, L::distance(self.slot)).await
    }

    /// Moves them back to where they are in slot A.
    pub(crate) async fn move_back(
        &mut self,
        part: &mut [u8],
        at: u32,
        moves: &mut Moves,
    ) -> Result<(), Refusal> {
        self.relocate(part, at, moves, L::distance(self.slot).wrapping_neg()).await
    }

    /// Words in front of the part are skipped.
    async fn relocate(
        &mut self,
        part: &mut [u8],
        at: u32,
        moves: &mut Moves,
        distance: u32,
    ) -> Result<(), Refusal> {
        loop {
            if let Some(word) = moves.word {
                if let Some(place) = word.saturating_mul(4).checked_sub(at) {
                    let Some(place) = part.get_mut(index(place)..) else { return Ok(()) };
                    let Some(word) = place.first_chunk_mut() else { return Ok(()) };
                    *word = u32::from_le_bytes(*word).wrapping_add(distance).to_le_bytes();
                }
                moves.word = None;
            }
            if moves.next >= moves.end {
                return Ok(());
            }
            let address = moves.list.saturating_add(moves.next);
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

    /// Writes bytes that are `at` bytes into the payload.
    pub(crate) async fn write_payload(&mut self, at: u32, bytes: &[u8]) -> Result<(), Refusal> {
        let start = L::region(self.slot).start.saturating_add(IN_PLACE);
        self.write(start.saturating_add(at), bytes).await
    }

    pub(crate) async fn read_payload(&mut self, at: u32, bytes: &mut [u8]) -> Result<(), Refusal> {
        let start = L::region(self.slot).start.saturating_add(IN_PLACE);
        self.read(start.saturating_add(at), bytes).await
    }

    /// Whether the image in flash has the digest that the head says; its header need not be there.
    pub(crate) async fn is_whole(&mut self, head: &Head) -> Result<bool, Refusal> {
        let mut page = Aligned(head.page::<L>(self.slot).map_err(Refusal::Slot)?);
        let mut verifier = Verifier::new(&page.0);
        let (mut at, end) = (0, head.payload());
        while at < end {
            let bytes = page.0.get_mut(..up_to_page(at, end)).ok_or(Refusal::Flash)?;
            self.read_payload(at, bytes).await?;
            verifier.update(bytes);
            at = at.saturating_add(PAGE);
        }
        Ok(verifier.is_whole())
    }

    /// Writes the header, which makes an image of what follows it, and puts that on trial: it is what the bootloader starts next.
    pub(crate) async fn start_trial(&mut self, head: &Head) -> Result<(), Refusal> {
        let start = L::region(self.slot).start;
        let header = Aligned(head.page::<L>(self.slot).map_err(Refusal::Slot)?);
        let mut page = Aligned([0; PAGE_BYTES]);
        self.write(start, &header.0).await?;
        self.read(start, &mut page.0).await?;
        if page.0 != header.0 {
            return Err(Refusal::Flash);
        }
        let image = head.header.sequence;
        let trial = Choice { slot: self.slot, stage: Stage::Trial, image };
        let write = self.selector().await?.write(trial);
        self.write_record(&write).await.map_err(|_| Refusal::Selector)
    }

    /// What the header in flash says.
    pub(crate) async fn header(&mut self) -> Result<Header, Refusal> {
        let mut page = Aligned([0; PAGE_BYTES]);
        self.read(L::region(self.slot).start, &mut page.0).await?;
        Header::decode::<L>(self.slot, &page.0).map_err(Refusal::Slot)
    }

    pub(crate) async fn selector(&mut self) -> Result<Selector, Refusal> {
        let mut sectors = [Aligned([0; BYTES]), Aligned([0; BYTES])];
        for (sector, bytes) in SELECTOR.iter().zip(&mut sectors) {
            self.read(sector.start, &mut bytes.0).await?;
        }
        let [first, second] = &sectors;
        Ok(Selector::read(&first.0, &second.0))
    }

    /// Writes a record, and reads it back.
    pub(crate) async fn write_record(&mut self, write: &Write) -> Result<(), Refusal> {
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

    pub(crate) async fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), Refusal> {
        self.flash.write(address, bytes).await.map_err(|_| Refusal::Flash)
    }

    async fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), Refusal> {
        self.flash.read(address, bytes).await.map_err(|_| Refusal::Flash)
    }
}

/// The words of a chunk that are still to be moved.
pub(crate) struct Moves {
    decoder: Decoder,
    /// The next one, if it is known.
    word: Option<u32>,
    /// Where the relocation list is in flash, the next byte of it, and the end of the chunk's.
    list: u32,
    next: u32,
    end: u32,
    window: Aligned<WINDOW_BYTES>,
    /// Where the window was read from.
    has: Option<u32>,
}

impl Default for Moves {
    fn default() -> Self {
        let (decoder, window) = (Decoder::default(), Aligned([0; WINDOW_BYTES]));
        Self { decoder, word: None, list: 0, next: 0, end: 0, window, has: None }
    }
}

impl Moves {
    pub(crate) fn are_done(&self) -> bool {
        self.word.is_none() && self.next == self.end && self.decoder.is_complete()
    }
}

/// Bytes from `at` to the end of the page, or to `end`.
pub(crate) fn up_to_page(at: u32, end: u32) -> usize {
    index(end.saturating_sub(at).min(PAGE))
}
