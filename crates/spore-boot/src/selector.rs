//! Which slot is in force: one record in each of two sectors, of which the one with the higher sequence number counts.
//!
//! A record is never changed. A new one goes into the sector that does not count, so that a power cut at any moment
//! leaves the old one or the new one. What is changed is three words behind it, which only a record on trial has a use
//! for: before each start of its image, one of them is programmed to zero.

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};

use crate::bytes::{Reader, Writer};
use crate::map::{Region, SELECTOR, Slot};

/// Bytes that matter at the start of a sector: a record, and its trial words.
pub const BYTES: usize = 32;

/// How often an image on trial is started at most.
pub const TRIAL_BOOTS: u32 = 3;

const MAGIC: [u8; 4] = *b"SPSL";
const FORMAT: u8 = 1;
/// Bytes of a record that the CRC covers. The CRC is behind them, and behind that the trial words.
const COVERED: usize = 16;
/// The first trial word, from the start of the sector.
const TRIAL_WORDS: u32 = 20;
/// A word that was not programmed since it was erased.
const BLANK: u32 = u32::MAX;

/// The CRC of IEEE 802.3, without a table: the bootloader has no room for one.
const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// Whether an image has proved itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has, or there is nothing to go back to.
    Confirmed,
    /// It has not yet. It is started [`TRIAL_BOOTS`] times at most, then the other slot is.
    Trial,
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The slot to start.
    pub slot: Slot,
    /// Whether it is on trial.
    pub stage: Stage,
    /// The sequence number of the image in it, so that it can be told which one it was that did not pass its trial.
    pub image: u32,
}

/// A record that was found whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it says.
    pub choice: Choice,
    /// Its sequence number. 2³² records are more than the sectors live.
    pub sequence: u32,
    /// How many trial words are used, 0 to [`TRIAL_BOOTS`]. One that was programmed in part is used.
    pub boots: u32,
    /// The first trial word that is not, counted from 0.
    blank: Option<u32>,
}

impl Record {
    /// The record at the start of a sector; none if the sector is blank, damaged, or of another format.
    pub fn decode(bytes: &[u8; BYTES]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let magic = reader.word();
        let [format, slot, stage, _] = reader.word().to_le_bytes();
        let (sequence, image, crc) = (reader.word(), reader.word(), reader.word());
        let covered = bytes.get(..COVERED)?;
        if magic != u32::from_le_bytes(MAGIC) || format != FORMAT || crc != CRC.checksum(covered) {
            return None;
        }
        let slot = match slot {
            0 => Slot::A,
            1 => Slot::B,
            _ => return None,
        };
        let stage = match stage {
            0 => Stage::Confirmed,
            1 => Stage::Trial,
            _ => return None,
        };
        let (mut boots, mut blank) = (0, None);
        for word in 0..TRIAL_BOOTS {
            if reader.word() == BLANK {
                blank = blank.or(Some(word));
            } else {
                boots += 1;
            }
        }
        Some(Self { choice: Choice { slot, stage, image }, sequence, boots, blank })
    }

    /// The bytes of a record, with blank trial words.
    pub fn encode(choice: Choice, sequence: u32) -> [u8; BYTES] {
        let mut bytes = [0xFF; BYTES];
        let mut writer = Writer(&mut bytes);
        writer.put(&MAGIC);
        let slot = u8::from(choice.slot == Slot::B);
        let stage = u8::from(choice.stage == Stage::Trial);
        writer.put(&[FORMAT, slot, stage, 0]);
        writer.word(sequence);
        writer.word(choice.image);
        let crc = bytes.get(..COVERED).map_or(0, |covered| CRC.checksum(covered));
        if let Some(rest) = bytes.get_mut(COVERED..) {
            Writer(rest).word(crc);
        }
        bytes
    }
}

/// A sector to be erased, and what to program at its start then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// The sector.
    pub sector: Region,
    /// Its first bytes.
    pub bytes: [u8; BYTES],
}

/// Both sectors, as they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selector([Option<Record>; 2]);

impl Selector {
    /// Reads the first bytes of both sectors, in the order of [`SELECTOR`].
    pub fn read(first: &[u8; BYTES], second: &[u8; BYTES]) -> Self {
        Self([Record::decode(first), Record::decode(second)])
    }

    /// The record that counts; none if both sectors are bad.
    pub fn record(&self) -> Option<Record> {
        self.newest().map(|(_, record)| record)
    }

    /// The record that counts, and whether it is in the second sector.
    fn newest(&self) -> Option<(bool, Record)> {
        match self.0 {
            [Some(first), Some(second)] if first.sequence < second.sequence => Some((true, second)),
            [Some(first), _] => Some((false, first)),
            [None, second] => second.map(|record| (true, record)),
        }
    }

    /// Where to program a word to zero before the image on trial is started; none if it has no start left, or the record that
    /// counts is on no trial. An image that cannot be counted must not be started.
    pub fn trial_word(&self) -> Option<u32> {
        let (second, record) = self.newest()?;
        let [first_sector, second_sector] = SELECTOR;
        let sector = if second { second_sector } else { first_sector };
        let word = record.blank.filter(|_| record.choice.stage == Stage::Trial)?;
        Some(sector.start + TRIAL_WORDS + 4 * word)
    }

    /// What to write so that `choice` counts. Until it is written whole, what counted before does.
    pub fn write(&self, choice: Choice) -> Write {
        let (in_second, sequence) = match self.newest() {
            Some((second, record)) => (!second, record.sequence.saturating_add(1)),
            None => (false, 1),
        };
        let [first_sector, second_sector] = SELECTOR;
        let sector = if in_second { second_sector } else { first_sector };
        Write { sector, bytes: Record::encode(choice, sequence) }
    }

    /// What is left to write after a choice was confirmed: the other sector is to say the same, so that the loss of one
    /// does not bring back an older choice. None when that is so, and while the record that counts is on trial, since
    /// then the other one says what to go back to.
    ///
    /// Each start and each confirmation of an image should write what this returns.
    pub fn settle(&self) -> Option<Write> {
        let record = self.record().filter(|record| record.choice.stage == Stage::Confirmed)?;
        let settled =
            self.0.iter().all(|other| other.is_some_and(|other| other.choice == record.choice));
        (!settled).then(|| self.write(record.choice))
    }
}

#[cfg(test)]
mod tests;
