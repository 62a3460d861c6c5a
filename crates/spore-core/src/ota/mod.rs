//! Updates over the air of this node: what is taken, and what becomes of it after the restart.
//!
//! The body has two slots for images, of which one runs. A new image comes into the other one and is started *on trial*: it
//! is confirmed when the cluster has heard of it, and else the one before comes back. The engine decides; the body installs,
//! and writes the selector, when it is asked to with [`Action::Update`](crate::Action::Update).
//! `docs/image.md` has the flash, `docs/decisions/0018-updates.md` the reasons.
//!
//! | module | what it knows |
//! |---|---|
//! | [`plan`] | what the operator has signed: a rollout through the cluster |
//! | [`announcement`] | what nodes tell each other of it |
//! | `rollout`, `turn`, `around`, `fetch` | which plan holds; whose turn it is, and when it stops; this node's image for it |
//! | [`state`] | how far a node is with it, as its record tells |
//! | `record` | what is remembered over restarts: floor, quarantine, outcome |
//! | `trial` | whether the image that runs is kept |
//! | `upload` | an image that comes in over HTTP |
//! | `exchange` | an image that nodes fetch from each other |

pub mod announcement;
pub(crate) mod around;
mod bits;
mod exchange;
mod fetch;
pub mod plan;
mod record;
pub(crate) mod rollout;
pub mod state;
mod trial;
mod turn;
mod upload;

pub use exchange::{Cut, Done, Found, ImageId, Job, PIECE};
pub use record::{Failure, Outcome};
pub use upload::{Refused, Wanted};

pub(crate) use bits::Bits;
pub(crate) use exchange::{Exchange, Fetched, Letter, Page};
pub(crate) use trial::Around;

use crate::store::Storing;
use crate::time::{Duration, Instant};
use record::Record;
use trial::Trial;
use upload::Upload;

/// The image that runs, as the body found it at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its sequence number.
    pub sequence: u32,
    /// What the selector says of it.
    pub stage: Stage,
}

/// How the image that runs came to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is the one that is confirmed.
    Confirmed,
    /// It is on trial.
    Trial,
    /// The selector names the other slot, which could not be started, or did not pass its trial.
    Fallback {
        /// The image that was on trial there; `None` if there was no trial.
        tried: Option<u32>,
    },
}

impl Stage {
    /// The stage as the API names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Trial => "trial",
            Self::Fallback { .. } => "fallback",
        }
    }
}

/// What the body is to do with its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write into both sectors of the selector that the slot that runs is confirmed. If another one was on trial, erase its header first.
    Confirm,
    /// Use up the starts that the image which runs has left, so that the other one is started next, and restart. Completed
    /// only if that failed.
    GiveUp,
    /// Put [`Node::rollout_image`](crate::Node::rollout_image) on trial, which is whole in the slot that does not run, so that it is
    /// started next.
    Arm,
}

/// The body could not write its slots, or is not sure of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepFailed;

/// Who is there when an image is about to be put on trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Company {
    /// Nobody is.
    pub(crate) alone: bool,
    /// 32 bits that stand for the members that are away; 0 if none is.
    pub(crate) away: u32,
}

/// Between two attempts of the body.
const RETRY: Duration = Duration::from_secs(5);

/// What a node knows of its image and of updates.
#[derive(Debug)]
pub(crate) struct Updates {
    running: Option<Running>,
    record: Record,
    storing: Storing,
    /// The members whose being away is remembered behind the record, as [`Company`] has them.
    away: u32,
    trial: Trial,
    upload: Upload,
}

impl Updates {
    /// At a start. `stored` is the value of [`Key::Update`](crate::Key::Update).
    pub(crate) fn new(now: Instant, running: Option<Running>, stored: &[u8]) -> Self {
        let mut record = Record::decode(stored).unwrap_or_default();
        let mut storing = Storing::default();
        let before = record;
        if let Some(Running { sequence, stage }) = running {
            match stage {
                Stage::Confirmed => record.floor = record.floor.max(sequence),
                Stage::Trial => (),
                Stage::Fallback { tried } => {
                    record.floor = record.floor.max(sequence);
                    if let Some(tried) = tried {
                        record.fall_back(tried);
                    }
                }
            }
        }
        if record != before {
            storing.want();
        }
        // Which ones that are is of no account: it is not remembered for ever.
        let away = if Record::away(stored).is_empty() { 0 } else { u32::MAX };
        let trial = Trial::new(now, running);
        Self { running, record, storing, away, trial, upload: Upload::default() }
    }

    /// Who was away when `stored` was made, as [`cluster`](crate::cluster) has written it.
    pub(crate) fn away(stored: &[u8]) -> &[u8] {
        Record::away(stored)
    }

    /// The image that runs; `None` on a body without slots.
    pub(crate) const fn running(&self) -> Option<Running> {
        self.running
    }

    /// Images with this number or a lower one are refused.
    pub(crate) const fn floor(&self) -> u32 {
        self.record.floor
    }

    /// The image that was rolled back last, which is not taken again.
    pub(crate) const fn quarantined(&self) -> Option<u32> {
        self.record.quarantined
    }

    /// What became of the last update; `None` if there was none.
    pub(crate) const fn outcome(&self) -> Option<Outcome> {
        self.record.outcome
    }

    /// Whether the image that runs is neither on trial nor one that the selector does not name.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.running.is_some_and(|running| running.stage == Stage::Confirmed)
    }

    /// An image is about to be put on trial: whether this node has peers now is remembered, so that a deaf one cannot think itself
    /// alone afterwards; and who is away, whom nobody would tell it of. Done when [`is_prepared`](Self::is_prepared).
    pub(crate) fn prepare(&mut self, company: Company) {
        if company != (Company { alone: self.record.alone, away: self.away }) {
            (self.record.alone, self.away) = (company.alone, company.away);
            self.storing.want();
        }
    }

    /// There is no trial, or none any more: who is away now is not to be known at a later start.
    fn forget_away(&mut self) {
        if core::mem::take(&mut self.away) != 0 {
            self.storing.want();
        }
    }

    /// Whether what is to be remembered is stored.
    pub(crate) fn is_prepared(&self) -> bool {
        self.storing == Storing::Idle
    }

    /// Writes the record, the beginning of the value of [`Key::Update`](crate::Key::Update). Its length.
    pub(crate) fn value(&self, buf: &mut [u8]) -> usize {
        self.record.encode(buf)
    }

    /// Whether who is away is to follow it.
    pub(crate) const fn remembers_away(&self) -> bool {
        self.away != 0
    }

    pub(crate) fn poll_store(&mut self, now: Instant) -> bool {
        self.storing.poll(now)
    }

    pub(crate) fn stored(&mut self, now: Instant, success: bool) {
        self.storing.finish(now, success, RETRY);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        // Steps wait until what is remembered is stored, which ends with an action of its own.
        let trial = self.trial.poll_timeout().filter(|_| self.is_prepared());
        [self.storing.poll_timeout(), trial].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
