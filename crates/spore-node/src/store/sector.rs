//! One sector: what is in it, and how it is read and written.

use super::layout::{Aligned, CRC, Head, KEYS, Label, SECTOR, Size, ZEROS};
use super::{Store, StoreError};
use embedded_storage_async::nor_flash::NorFlash;

/// So much is read or programmed at once. It lies on the stack.
const CHUNK: usize = 64;

/// Where a record is in its sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Not zero: there the head is.
    at: u16,
    len: u16,
}

impl Record {
    const NONE: Self = Self { at: 0, len: 0 };

    pub(super) fn at(self) -> u32 {
        self.at.into()
    }

    /// The length of its value.
    pub(super) fn len(self) -> usize {
        self.len.into()
    }

    /// Where its value is.
    pub(super) fn value(self) -> u32 {
        self.at() + Label::LEN
    }

    pub(super) fn size(self) -> Size {
        Size::of(self.len())
    }
}

/// What is known of a sector.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contents {
    /// By key: the newest record that is whole, or [`Record::NONE`].
    newest: [Record; KEYS],
    /// By key, a bit: a newer record is damaged, or is known to have been.
    damaged: u16,
    /// There is damage that is not written down yet.
    fresh: bool,
    /// Nothing may be appended.
    sealed: bool,
    /// Where the next record goes.
    end: u32,
}

impl Contents {
    /// Of a sector without records.
    pub(super) const EMPTY: Self = Self {
        newest: [Record::NONE; KEYS],
        damaged: 0,
        fresh: false,
        sealed: false,
        end: Head::END,
    };

    pub(super) fn newest(&self, key: u8) -> Option<Record> {
        let record = self.newest.get(usize::from(key)).copied();
        record.filter(|record| *record != Record::NONE)
    }

    /// The newest records, with their keys.
    pub(super) fn records(self) -> impl Iterator<Item = (u8, Record)> {
        let all = (0..).zip(self.newest);
        all.filter(|(_, record)| *record != Record::NONE)
    }

    pub(super) const fn end(&self) -> u32 {
        self.end
    }

    /// Where a record of this size can be appended.
    pub(super) fn room(&self, size: Size) -> Option<u32> {
        (!self.sealed && self.end + size.whole() <= SECTOR).then_some(self.end)
    }

    /// A record with a value of `len` bytes is at the end.
    pub(super) fn add(&mut self, key: u8, len: usize) {
        if let Some(newest) = self.newest.get_mut(usize::from(key)) {
            let at = u16::try_from(self.end).unwrap_or(0);
            *newest = Record { at, len: u16::try_from(len).unwrap_or(0) };
            self.damaged &= !(1 << key);
        }
        self.end += Size::of(len).whole();
    }

    /// A damaged record is at the end.
    fn add_damaged(&mut self, label: Label) {
        self.add_lost(label);
        self.fresh = true;
    }

    /// A record is at the end that says that the value of a key is lost; or one that is lost itself.
    pub(super) fn add_lost(&mut self, label: Label) {
        self.damaged |= 1 << label.key;
        self.end += label.size().whole();
    }

    /// So that nothing is appended any more.
    pub(super) const fn sealed(self) -> Self {
        Self { sealed: true, ..self }
    }

    /// There were newer records, nobody knows of what.
    pub(super) const fn doubted(self) -> Self {
        Self { damaged: u16::MAX, fresh: true, sealed: true, ..self }
    }

    /// Whether there is damage that is not written down yet.
    pub(super) const fn is_damaged(&self) -> bool {
        self.fresh
    }

    pub(super) fn is_damaged_at(&self, key: u8) -> bool {
        self.damaged.checked_shr(key.into()).unwrap_or(0) & 1 != 0
    }
}

impl<F: NorFlash> Store<F> {
    /// The sequence number of a sector that counts, and whether it is marked as superseded.
    pub(super) async fn head(
        &mut self,
        sector: u32,
    ) -> Result<(Option<u32>, bool), StoreError<F::Error>> {
        let mut bytes = Aligned([0; 16]);
        self.flash.read(self.address(sector, 0), &mut bytes.0).await?;
        let head = bytes.0.first_chunk().and_then(Head::parse);
        let mark = bytes.0.last_chunk::<4>();
        Ok((head.map(|head| head.sequence), mark != Some(&[0xFF; 4])))
    }

    /// Reads what is in a sector.
    pub(super) async fn scan(&mut self, sector: u32) -> Result<Contents, StoreError<F::Error>> {
        let start = self.address(sector, 0);
        let mut contents = Contents::EMPTY;
        while contents.end < SECTOR {
            let at = start + contents.end;
            let word = self.word(at).await?;
            if word == [0xFF; 4] {
                break;
            }
            let fits = |label: &Label| contents.end + label.size().whole() <= SECTOR;
            let Some(label) = Label::parse(word).filter(fits) else {
                // A label is programmed before all that follows it: either it is torn, and there
                // is nothing, or it was whole once.
                contents.sealed = true;
                if !self.is_blank(at + Label::LEN, start + SECTOR - at - Label::LEN).await? {
                    contents = contents.doubted();
                }
                break;
            };
            let whole = self.is_whole(at, label.size()).await?;
            let done = self.word(at + label.size().body + 4).await? != [0xFF; 4];
            match (whole, done) {
                (true, _) if label.len == Label::LOST => contents.add_lost(label),
                (true, true) => contents.add(label.key, label.len.into()),
                // The power went when all but the last word was there: the new value counts, now
                // and at each later start.
                (true, false) => {
                    contents.add(label.key, label.len.into());
                    contents.sealed = true;
                }
                (false, true) => {
                    contents.add_damaged(label);
                    contents.sealed = true;
                }
                (false, false) => {
                    contents.end += label.size().whole();
                    contents.sealed = true;
                }
            }
        }
        Ok(contents)
    }

    /// Writes a record. False if the flash did not take it.
    pub(super) async fn append(
        &mut self,
        at: u32,
        label: Label,
        value: &[u8],
    ) -> Result<bool, StoreError<F::Error>> {
        let size = label.size();
        if !self.is_blank(at, size.whole()).await? {
            return Ok(false);
        }
        let label = label.to_bytes();
        let mut sum = CRC.digest();
        sum.update(&label);
        self.flash.write(at, &Aligned(label).0).await?;
        let mut to = at + Label::LEN;
        for piece in value.chunks(CHUNK) {
            let mut chunk = Aligned([0xFF; CHUNK]);
            let whole = piece.len().next_multiple_of(4);
            let (chunk, _) = chunk.0.split_at_mut(whole);
            chunk[..piece.len()].copy_from_slice(piece);
            sum.update(chunk);
            self.flash.write(to, chunk).await?;
            to += u32::try_from(whole).unwrap_or(0);
        }
        self.flash.write(to, &Aligned(sum.finalize().to_le_bytes()).0).await?;
        self.finish(at, size).await
    }

    /// Copies a whole record. False if the flash did not take it.
    pub(super) async fn copy(
        &mut self,
        from: u32,
        to: u32,
        size: Size,
    ) -> Result<bool, StoreError<F::Error>> {
        let (mut at, end) = (0, size.body + 4);
        while at < end {
            let mut chunk = Aligned([0; CHUNK]);
            let chunk = piece(&mut chunk, end - at);
            self.flash.read(from + at, chunk).await?;
            self.flash.write(to + at, chunk).await?;
            at += u32::try_from(chunk.len()).unwrap_or(end);
        }
        self.finish(to, size).await
    }

    /// Reads a new record back, and says that it is done.
    async fn finish(&mut self, at: u32, size: Size) -> Result<bool, StoreError<F::Error>> {
        Ok(self.is_whole(at, size).await? && self.program(at + size.body + 4, &ZEROS).await?)
    }

    /// Programs a few words and reads them back. False if the flash did not take them.
    pub(super) async fn program<const N: usize>(
        &mut self,
        at: u32,
        bytes: &Aligned<N>,
    ) -> Result<bool, StoreError<F::Error>> {
        self.flash.write(at, &bytes.0).await?;
        let mut back = Aligned([0; N]);
        self.flash.read(at, &mut back.0).await?;
        Ok(back.0 == bytes.0)
    }

    /// Whether a record's check is right.
    async fn is_whole(&mut self, at: u32, size: Size) -> Result<bool, StoreError<F::Error>> {
        let mut sum = CRC.digest();
        self.each_piece(at, size.body, |piece| sum.update(piece)).await?;
        Ok(self.word(at + size.body).await? == sum.finalize().to_le_bytes())
    }

    /// Whether all bits of a part of the flash are ones.
    pub(super) async fn is_blank(
        &mut self,
        at: u32,
        len: u32,
    ) -> Result<bool, StoreError<F::Error>> {
        let mut blank = true;
        let look = |piece: &[u8]| blank &= piece.iter().all(|byte| *byte == 0xFF);
        self.each_piece(at, len, look).await?;
        Ok(blank)
    }

    /// Reads a part of the flash, whole words.
    pub(super) async fn each_piece(
        &mut self,
        at: u32,
        len: u32,
        mut look: impl FnMut(&[u8]),
    ) -> Result<(), StoreError<F::Error>> {
        let mut done = 0;
        while done < len {
            let mut chunk = Aligned([0; CHUNK]);
            let chunk = piece(&mut chunk, len - done);
            self.flash.read(at + done, chunk).await?;
            look(chunk);
            done += u32::try_from(chunk.len()).unwrap_or(len);
        }
        Ok(())
    }

    async fn word(&mut self, at: u32) -> Result<[u8; 4], StoreError<F::Error>> {
        let mut word = Aligned([0; 4]);
        self.flash.read(at, &mut word.0).await?;
        Ok(word.0)
    }
}

/// The start of a chunk, of at most `len` bytes.
fn piece(chunk: &mut Aligned<CHUNK>, len: u32) -> &mut [u8] {
    let len = usize::try_from(len).unwrap_or(CHUNK).min(CHUNK);
    let (piece, _) = chunk.0.split_at_mut(len);
    piece
}
