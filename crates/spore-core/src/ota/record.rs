//! What of updates is remembered over restarts.

use crate::seeded::seeded;
use crate::wire::{Full, Reader, Writer};

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Outcome {
    /// The sequence number of the image.
    pub image: u32,
    /// Why it is not the one that runs; `None` if it was confirmed.
    pub failure: Option<Failure>,
}

/// Why an image did not pass its trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// It never said why: it was started as often as it may be, and crashed, hung, or lost its power each time.
    NotStarted,
    /// Its network did not come up in time.
    NoNetwork,
    /// No peer has acknowledged it in time.
    NoPeer,
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NotStarted, Self::NoNetwork, Self::NoPeer];

    /// The failure as the API names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::NoNetwork => "no_network",
            Self::NoPeer => "no_peer",
        }
    }

    /// As a number that never changes; 0 is none.
    const fn number(self) -> u8 {
        match self {
            Self::NotStarted => 1,
            Self::NoNetwork => 2,
            Self::NoPeer => 3,
        }
    }
}

/// The beginning of the value of [`Key::Update`](crate::Key::Update), decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Images with this number or a lower one are refused.
    pub(super) floor: u32,
    /// The image that was rolled back last.
    pub(super) quarantined: Option<u32>,
    /// Whether the node had no peers when an image was put on trial.
    pub(super) alone: bool,
    /// What became of the last one.
    pub(super) outcome: Option<Outcome>,
}

const VERSION: u8 = 1;
/// The bytes of a record.
const LEN: usize = 16;
const ALONE: u8 = 1;
const QUARANTINED: u8 = 2;
const OUTCOME: u8 = 4;

impl Record {
    /// What follows the record in a value.
    pub(super) fn away(value: &[u8]) -> &[u8] {
        value.get(LEN..).unwrap_or_default()
    }

    /// The record in a value, if it begins with one.
    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(value);
        if value.len() < LEN || reader.u8().ok()? != VERSION {
            return None;
        }
        let flags = reader.u8().ok()?;
        let failure = reader.u8().ok()?;
        let _reserved = reader.u8().ok()?;
        let mut word = || reader.u32().ok();
        let (floor, quarantined, image) = (word()?, word()?, word()?);
        let failure = match failure {
            0 => None,
            number => Some(Failure::ALL.into_iter().find(|known| known.number() == number)?),
        };
        let has = |flag| flags & flag != 0;
        Some(Self {
            floor,
            quarantined: has(QUARANTINED).then_some(quarantined),
            alone: has(ALONE),
            outcome: has(OUTCOME).then_some(Outcome { image, failure }),
        })
    }

    /// Writes the value into `buf`. Its length, or 0 if there is no room.
    pub(super) fn encode(&self, buf: &mut [u8]) -> usize {
        let mut writer = Writer::new(buf);
        if self.emit(&mut writer).is_ok() { writer.len() } else { 0 }
    }

    fn emit(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        let flag = |is: bool, flag| if is { flag } else { 0 };
        let failure = self.outcome.and_then(|outcome| outcome.failure);
        writer.u8(VERSION)?;
        writer.u8(flag(self.alone, ALONE)
            | flag(self.quarantined.is_some(), QUARANTINED)
            | flag(self.outcome.is_some(), OUTCOME))?;
        writer.u8(failure.map_or(0, Failure::number))?;
        writer.u8(0)?;
        writer.u32(self.floor)?;
        writer.u32(self.quarantined.unwrap_or(0))?;
        writer.u32(self.outcome.map_or(0, |outcome| outcome.image))
    }

    /// Image `tried` was rolled back. If it has said itself why, that holds.
    pub(super) fn fall_back(&mut self, tried: u32) {
        self.quarantined = seeded!("quarantine-forgotten", None, Some(tried));
        let said = self.outcome.is_some_and(|is| is.image == tried && is.failure.is_some());
        if !said {
            self.outcome = Some(Outcome { image: tried, failure: Some(Failure::NotStarted) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, LEN, Outcome, Record};

    #[test]
    fn a_record_is_read_back_and_nothing_else_is_taken_for_one() {
        let outcomes =
            [None, Some(None)].into_iter().chain(Failure::ALL.map(|why| Some(Some(why))));
        for outcome in outcomes {
            for (alone, quarantined) in [(false, None), (true, Some(0)), (true, Some(u32::MAX))] {
                let outcome = outcome.map(|failure| Outcome { image: 7, failure });
                let record = Record { floor: 3, quarantined, alone, outcome };
                let mut value = [0; LEN + 1];
                assert_eq!(record.encode(&mut value), LEN);
                assert_eq!(Record::decode(&value[..LEN]), Some(record));
                assert_eq!(Record::decode(&value), Some(record), "who is away follows");
                assert_eq!(record.encode(&mut value[..LEN - 1]), 0);
                assert_eq!(Record::decode(&value[..LEN - 1]), None);
            }
        }
        assert_eq!(Record::decode(&[]), None);
        let mut other = [0; LEN];
        Record::default().encode(&mut other);
        other[2] = 9;
        assert_eq!(Record::decode(&other), None, "a failure that is not known");
        other[0] = 2;
        assert_eq!(Record::decode(&other), None, "of a later format");
    }

    #[test]
    fn what_an_image_has_said_itself_is_believed() {
        let mut record = Record::default();
        let said = Outcome { image: 5, failure: Some(Failure::NoPeer) };
        record.outcome = Some(said);
        record.fall_back(5);
        assert_eq!((record.quarantined, record.outcome), (Some(5), Some(said)));
        record.fall_back(6);
        let silent = Outcome { image: 6, failure: Some(Failure::NotStarted) };
        assert_eq!((record.quarantined, record.outcome), (Some(6), Some(silent)));
    }
}
