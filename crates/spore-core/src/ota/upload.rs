//! An image that comes in over HTTP: who may send one, and how far it is.

use super::{Company, Stage, Updates};
use crate::api::Error;

/// What an image is taken for, for whoever installs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Images with this sequence number or a lower one are refused.
    pub floor: u32,
    /// An image that was rolled back, which is refused.
    pub quarantined: Option<u32>,
    /// It is held for others, and not put on trial.
    pub held: bool,
}

/// Why an image was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is none.
    Malformed,
    /// It is for another board.
    Board,
    /// It is not newer than what is there.
    Older,
    /// It was tried before, and rolled back.
    Quarantined,
    /// It is larger than a slot.
    TooLarge,
    /// The release key has not signed it.
    Unsigned,
    /// It is shorter or longer than it says.
    Length,
    /// It is not what was signed.
    Altered,
    /// What runs is not confirmed.
    Unconfirmed,
    /// The slot does not hold what was written.
    Flash,
    /// It came too slowly, or not to its end.
    Incomplete,
}

/// An image that is coming.
#[derive(Debug, Default)]
pub(super) struct Upload {
    held: Option<bool>,
    progress: Progress,
}

/// How much of an image is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Bytes that have come.
    pub(crate) received: u32,
    /// Bytes of all; 0 if that is not known yet.
    pub(crate) length: u32,
}

impl Progress {
    /// In hundredths, 0 to 100.
    pub(crate) fn percent(self) -> u8 {
        let percent = u64::from(self.received).saturating_mul(100).checked_div(self.length.into());
        u8::try_from(percent.unwrap_or(0).min(100)).unwrap_or(100)
    }
}

impl Updates {
    /// Begins an upload.
    ///
    /// # Errors
    ///
    /// On a body without slots, while another upload is under way, and while the image that runs is not confirmed.
    pub(crate) fn begin_upload(&mut self, held: bool, company: Company) -> Result<(), Error> {
        match self.running.map(|running| running.stage) {
            None => return Err(Error::NoSlots),
            Some(Stage::Confirmed) => (),
            Some(Stage::Trial | Stage::Fallback { .. }) => return Err(Error::NotConfirmed),
        }
        if self.upload.held.is_some() {
            return Err(Error::UpdateUnderWay);
        }
        // One that is held comes on trial in a rollout, which prepares for it.
        if !held {
            self.prepare(company);
        }
        self.upload = Upload { held: Some(held), progress: Progress::default() };
        Ok(())
    }

    /// What the upload that is under way is taken for.
    pub(crate) fn wanted(&self) -> Option<Wanted> {
        let held = self.upload.held?;
        let (floor, quarantined) = (self.record.floor, self.record.quarantined);
        Some(Wanted { floor, quarantined, held })
    }

    /// How far the upload is that is under way.
    pub(crate) fn progress(&self) -> Option<Progress> {
        self.upload.held.map(|_| self.upload.progress)
    }

    /// More of it has come: `received` of `length` bytes. Returns the percentage if a quarter more is full.
    pub(crate) fn received(&mut self, received: u32, length: u32) -> Option<u8> {
        let before = self.upload.progress.percent();
        self.upload.progress = Progress { received, length };
        let percent = self.upload.progress.percent();
        let quarters = |percent: u8| percent.checked_div(25);
        (quarters(percent) != quarters(before)).then_some(percent)
    }

    /// The upload has ended. True if its image is to be started now.
    pub(crate) fn end_upload(&mut self, installed: bool) -> bool {
        let held = self.upload.held.take();
        let starts = installed && held == Some(false);
        if !starts {
            self.forget_away();
        }
        starts
    }
}
