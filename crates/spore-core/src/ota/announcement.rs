//! What nodes tell each other of a rollout.

use super::plan::{RolloutId, SignedPlan};
use crate::wire::{Full, Reader, Writer};

/// How a rollout has ended. The later one holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ended {
    /// It has not.
    #[default]
    No,
    /// Its time is over.
    Expired,
    /// Too many members have failed, or the operator has stopped it.
    Halted,
}

impl Ended {
    /// As the API names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::No => "running",
            Self::Expired => "expired",
            Self::Halted => "halted",
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::No => 0,
            Self::Expired => 1,
            Self::Halted => 2,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::No),
            1 => Some(Self::Expired),
            2 => Some(Self::Halted),
            _ => None,
        }
    }
}

/// A plan, and what became of it so far: what nodes tell each other of a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The plan.
    pub signed: SignedPlan,
    /// Whether it has ended.
    pub ended: Ended,
    /// How long ago it began, as far as is known, in minutes.
    pub age: u16,
}

impl Announcement {
    /// The most bytes that it takes.
    pub const MAX: usize = 3 + SignedPlan::MAX;

    /// Reads one from its first byte to its last; `None` if it is none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let ended = Ended::from_code(reader.u8().ok()?)?;
        let age = reader.u16().ok()?;
        let signed = SignedPlan::decode(reader.rest()).ok()?;
        Some(Self { signed, ended, age })
    }

    /// Appends it.
    pub(crate) fn emit(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u8(self.ended.code())?;
        writer.u16(self.age)?;
        self.signed.write(writer)
    }

    /// 32 bits that stand for the plan and how it has ended; never 0.
    pub(crate) fn digest(&self) -> u32 {
        self.id().hash(&[self.ended.code()]).max(1)
    }

    pub(crate) const fn id(&self) -> RolloutId {
        self.signed.plan.id
    }
}
