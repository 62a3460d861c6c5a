//! [`Store`]: values under keys, in NOR flash, that a power cut at any moment leaves whole.
//!
//! # How
//!
//! The flash is a ring of sectors. One of them is *current*: it holds a copy of all values as of
//! when it was begun, and behind it what was stored since. When it is full, the next sector is
//! erased, the newest values are copied into it with the one that is to be stored, and its head,
//! which alone makes it count, is written last. So the sector with the highest sequence number is
//! current, and an older one is never needed but until the next one's head is there.
//!
//! | sector, at | bytes | |
//! |---|---|---|
//! | 0 | 12 | head: [`MAGIC`], sequence number, CRC-32 of both |
//! | 12 | 4 | blank; zeros once a later sector is current |
//! | 16 | | records, up to the first blank word |
//!
//! | record, at | bytes | |
//! |---|---|---|
//! | 0 | 4 | key, length of the value (2), how many bits of these three bytes are 0; length 65,535: no value, the last one is lost |
//! | 4 | n | value, filled up with ones to a whole word |
//! | 4 + n | 4 | CRC-32 of all before it |
//! | 8 + n | 4 | *done*: zeros once all before it was read back |
//!
//! Numbers are little-endian. The parts of a record are programmed in this order.
//!
//! # Which faults it bears
//!
//! - **Lost and torn operations**, one after the other without end: nothing is appended behind a
//!   record that is not done, nor is any word believed to be blank. A sector is erased each time
//!   before it is filled, and read in full after that, so half an erase is harmless. Opening a
//!   store writes nothing.
//! - **Operations that are reported to have failed, and have had their effect or none:** nothing is appended to a
//!   sector once the head of the next one was tried, and no sequence number is given to two heads.
//! - **Cells that do not take what is programmed:** each record is read back before it counts; the
//!   next sector is tried then, and the one after it.
//! - **Bits of stored values that flip later** are noticed, and told from a torn write: what was
//!   done and is not whole any more is [`Loaded::Older`] or [`Loaded::Damaged`]. So is everything
//!   if a record's first word or the head of the current sector is hurt. That holds until the key
//!   is stored anew: other stores write down that its value is lost. An older value of
//!   [`Key::Identity`] is never given out: with it, nonces would be used twice.
//!
//! Not borne: cells that read now so and now so.
//!
//! # Wear
//!
//! A value of n bytes takes n + 12 to n + 15 bytes of a sector. With three keys of 256 bytes each,
//! a sector begins with one store and takes (4096 - 16 - 3 * 268) / 268, which is 12, more; with
//! eight sectors, 104 stores are one erase of each. 10,000 erases, the least that a data sheet
//! promises, are then 1,040,000 stores: one a minute for 23 months, one an hour for 118 years. Of
//! identities alone (24 bytes, one a start) it is 13.6 million.

mod layout;
mod sector;

pub use layout::{FIRST_STORE, KEYS, MAGIC, SECTOR};

use core::ops::Range;
use embedded_storage_async::nor_flash::NorFlash;
use layout::{Head, Label};
use sector::Contents;
use spore_core::Key;
use spore_core::store::MAX_VALUE;

/// Where the values lie in the flash of an ESP-01: eight sectors.
pub const ESP01_RANGE: Range<u32> = 0xF_3000..0xF_B000;

/// A value as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// None was ever stored.
    Absent,
    /// The value that was stored last, of this length.
    Whole(usize),
    /// An earlier value, of this length: the last one is damaged.
    Older(usize),
    /// The value is damaged, and there is no earlier one, or it must not be used.
    Damaged,
}

impl Loaded {
    /// The length of the value; 0 if there is none.
    pub const fn len(self) -> usize {
        match self {
            Self::Whole(len) | Self::Older(len) => len,
            Self::Absent | Self::Damaged => 0,
        }
    }

    /// Whether there is no value, or an empty one.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether something that was stored is lost.
    pub const fn is_damaged(self) -> bool {
        matches!(self, Self::Older(_) | Self::Damaged)
    }
}

/// Why a value was not read or stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError<E> {
    /// The value is longer than [`MAX_VALUE`], the buffer for it is too short, or there can be no
    /// such key. Nothing was tried.
    Refused,
    /// The flash reported a failure. At the next start the old value is there, or the new one;
    /// storing again helps when the flash works again.
    Flash(E),
    /// No sector takes what is programmed. At the next start the old value is there, or, if only its
    /// reading back failed, the new one.
    Worn,
}

impl<E> From<E> for StoreError<E> {
    fn from(error: E) -> Self {
        Self::Flash(error)
    }
}

/// The sector that counts.
#[derive(Clone, Copy, Debug)]
struct Current {
    /// Its place in the ring.
    sector: u32,
    /// The highest sequence number that was given to any sector.
    sequence: u32,
    contents: Contents,
}

/// Values in flash. It owns its part of the flash: nothing else may write there.
#[derive(Debug)]
pub struct Store<F> {
    flash: F,
    /// Where the ring begins, and how many sectors it has.
    base: u32,
    sectors: u32,
    current: Option<Current>,
    /// The sector before the current one, if it is not yet marked.
    predecessor: Option<u32>,
    /// Not blank, and no sector counts.
    foreign: bool,
    /// No sector counts, and there was one once: this one.
    destroyed: Option<u32>,
}

impl<F: NorFlash> Store<F> {
    /// The store in `range` of `flash`: at least two sectors, at a multiple of [`SECTOR`]. Reads
    /// all heads and the current sector, and writes nothing.
    ///
    /// # Panics
    ///
    /// If `range` is not that.
    pub async fn open(flash: F, range: Range<u32>) -> Result<Self, StoreError<F::Error>> {
        const {
            assert!(F::READ_SIZE <= 4 && F::WRITE_SIZE <= 4, "the store reads and writes words");
            assert!(F::ERASE_SIZE == 4096, "the store is made for sectors of 4 KB");
        }
        let aligned = range.start.is_multiple_of(SECTOR) && range.end.is_multiple_of(SECTOR);
        let sectors = range.end.saturating_sub(range.start) / SECTOR;
        assert!(aligned && sectors >= 2, "the store needs two whole sectors");
        let base = range.start;
        let mut store = Self {
            flash,
            base,
            sectors,
            current: None,
            predecessor: None,
            foreign: false,
            destroyed: None,
        };
        store.find().await?;
        Ok(store)
    }

    /// Finds the current sector and reads what there is.
    async fn find(&mut self) -> Result<(), StoreError<F::Error>> {
        let (mut newest, mut unmarked) = (None::<(u32, u32, bool)>, None::<(u32, u32)>);
        for sector in 0..self.sectors {
            let (head, marked) = self.head(sector).await?;
            let Some(sequence) = head else { continue };
            match newest {
                Some((highest, ..)) if highest >= sequence => {
                    unmarked = unmarked.max((!marked).then_some((sequence, sector)));
                }
                _ => {
                    let former = newest.filter(|(_, _, marked)| !marked);
                    let former = former.map(|(sequence, sector, _)| (sequence, sector));
                    unmarked = unmarked.max(former);
                    newest = Some((sequence, sector, marked));
                }
            }
        }
        self.predecessor = unmarked.map(|(_, sector)| sector);
        self.current = match newest {
            Some((sequence, sector, marked)) => {
                let mut contents = self.scan(sector).await?;
                if marked {
                    // There was a later one. Its head is gone.
                    contents = contents.doubted();
                }
                Some(Current { sector, sequence, contents })
            }
            None => {
                for sector in 0..self.sectors {
                    // The very first store, if it was cut short, left the value of one key.
                    if self.scan(sector).await?.records().count() > 1 {
                        self.destroyed = Some(sector);
                    }
                }
                let blank = self.is_blank(self.base, self.sectors * SECTOR).await?;
                self.foreign = !blank && self.destroyed.is_none();
                None
            }
        };
        Ok(())
    }

    /// Whether something that was stored is lost, and no store was done since.
    pub fn is_damaged(&self) -> bool {
        self.contents().is_damaged()
    }

    /// Whether the flash is not blank, and yet nothing tells that it was a store: it is another's, or was
    /// destroyed, or the power went during the very first store. It counts as blank.
    pub const fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// Whoever opened the store knows that there were values, of which nothing is left. If the
    /// flash holds values all the same, this changes nothing.
    pub const fn mourn(&mut self) {
        self.destroyed = Some(self.sectors - 1);
    }

    /// Reads the value of the key of this [number](Key::number) into `buf`, which must hold
    /// [`MAX_VALUE`] bytes.
    pub async fn load(&mut self, key: u8, buf: &mut [u8]) -> Result<Loaded, StoreError<F::Error>> {
        let Some(Current { sector, contents, .. }) = self.current else {
            let destroyed = self.destroyed.is_some();
            return Ok(if destroyed { Loaded::Damaged } else { Loaded::Absent });
        };
        let damaged = contents.is_damaged_at(key);
        // Behind the older identity lie datagrams that were sealed with the newer one.
        let usable = !(damaged && key == Key::Identity.number());
        let Some(record) = contents.newest(key).filter(|_| usable) else {
            return Ok(if damaged { Loaded::Damaged } else { Loaded::Absent });
        };
        let len = record.len();
        let value = buf.get_mut(..len).ok_or(StoreError::Refused)?;
        let mut rest = value;
        let padded = record.size().body - Label::LEN;
        let fill = |piece: &[u8]| {
            let middle = piece.len().min(rest.len());
            let (here, later) = core::mem::take(&mut rest).split_at_mut(middle);
            here.copy_from_slice(piece.get(..here.len()).unwrap_or_default());
            rest = later;
        };
        self.each_piece(self.address(sector, record.value()), padded, fill).await?;
        Ok(if damaged { Loaded::Older(len) } else { Loaded::Whole(len) })
    }

    /// Stores `value`, of at most [`MAX_VALUE`] bytes, under the key of this number, which must be
    /// below [`KEYS`], in place of any earlier one. It is durable when this returns `Ok`.
    pub async fn store(&mut self, key: u8, value: &[u8]) -> Result<(), StoreError<F::Error>> {
        if value.len() > MAX_VALUE || usize::from(key) >= KEYS {
            return Err(StoreError::Refused);
        }
        let label = Label { key, len: u16::try_from(value.len()).unwrap_or(0) };
        self.mark_predecessor().await?;
        if let Some(current) = self.current
            && let Some(at) = current.contents.room(label.size())
        {
            // Until it is done, nothing may follow it.
            self.current = Some(Current { contents: current.contents.sealed(), ..current });
            let address = self.address(current.sector, at);
            if self.append(address, label, value).await? {
                let mut contents = current.contents;
                contents.add(key, value.len());
                self.current = Some(Current { contents, ..current });
                return Ok(());
            }
        }
        // A head that is reported to have failed may be there, and count at the next start: then
        // what is appended here from now on would be lost.
        self.current =
            self.current.map(|current| Current { contents: current.contents.sealed(), ..current });
        self.renew(label, value).await
    }

    /// The flash, to look at.
    pub const fn flash(&self) -> &F {
        &self.flash
    }

    /// Gives the flash back.
    pub fn into_flash(self) -> F {
        self.flash
    }

    /// Makes another sector the current one, with the values of this one but for `value`.
    async fn renew(&mut self, label: Label, value: &[u8]) -> Result<(), StoreError<F::Error>> {
        // What tells that there was a store stays until there is one again.
        let last = self.current.map(|current| current.sector).or(self.destroyed);
        let last = last.unwrap_or(self.sectors - 1);
        for ahead in 1..self.sectors {
            let sector = (last + ahead) % self.sectors;
            let Some(contents) = self.fill(sector, label, value).await? else { continue };
            let sequence = self.current.map_or(1, |current| current.sequence.saturating_add(1));
            // No other head may have this number, whatever is reported of this one.
            self.current = self.current.map(|current| Current { sequence, ..current });
            let head = Head { sequence }.to_bytes();
            if !self.program(self.address(sector, 0), &head).await? {
                continue;
            }
            self.predecessor = self.current.map(|current| current.sector);
            self.current = Some(Current { sector, sequence, contents });
            (self.foreign, self.destroyed) = (false, None);
            // The value is durable; what fails now is done at the next store.
            let _ = self.mark_predecessor().await;
            return Ok(());
        }
        Err(StoreError::Worn)
    }

    /// Erases `sector` and fills it, but for its head; `None` if it does not take that.
    async fn fill(
        &mut self,
        sector: u32,
        label: Label,
        value: &[u8],
    ) -> Result<Option<Contents>, StoreError<F::Error>> {
        let start = self.address(sector, 0);
        self.flash.erase(start, start + SECTOR).await?;
        if !self.is_blank(start, SECTOR).await? {
            return Ok(None);
        }
        let mut contents = Contents::EMPTY;
        let key = label.key;
        if let Some(old) = self.current {
            for (other, record) in old.contents.records().filter(|(other, _)| *other != key) {
                let from = self.address(old.sector, record.at());
                if !self.copy(from, start + contents.end(), record.size()).await? {
                    return Ok(None);
                }
                contents.add(other, record.len());
            }
        }
        if !self.append(start + contents.end(), label, value).await? {
            return Ok(None);
        }
        contents.add(key, value.len());
        let others = (0..).take(KEYS).filter(|other| *other != key);
        let old = self.contents();
        for key in others.filter(|other| old.is_damaged_at(*other)) {
            let label = Label { key, len: Label::LOST };
            if !self.append(start + contents.end(), label, &[]).await? {
                return Ok(None);
            }
            contents.add_lost(label);
        }
        Ok(Some(contents))
    }

    /// What is known of the values.
    fn contents(&self) -> Contents {
        match self.current {
            Some(current) => current.contents,
            None if self.destroyed.is_some() => Contents::EMPTY.doubted(),
            None => Contents::EMPTY,
        }
    }

    /// Marks the sector before the current one as superseded.
    async fn mark_predecessor(&mut self) -> Result<(), StoreError<F::Error>> {
        if let Some(sector) = self.predecessor {
            let mark = self.address(sector, Head::MARK);
            self.flash.write(mark, &layout::ZEROS.0).await?;
            self.predecessor = None;
        }
        Ok(())
    }

    fn address(&self, sector: u32, at: u32) -> u32 {
        self.base + sector * SECTOR + at
    }
}
