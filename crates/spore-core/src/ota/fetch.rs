//! The image of a rollout on one node: fetched, held, put on trial.

use super::announcement::Ended;
use super::around::Own;
use super::plan::Image;
use super::rollout::Rollout;
use super::state::Reason;
use crate::time::Instant;

/// How far this node is with its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fetch {
    /// It was not asked for.
    No,
    /// So many quarters are there.
    UnderWay(u8),
    /// All of it is there.
    Done,
    /// The body is to put it on trial.
    Arming,
    /// It is on trial; the restart comes.
    Armed,
    /// It will not come, or could not be put on trial.
    Failed(Reason),
}

impl Rollout {
    /// The image that this node is to have; `None` if it is to do nothing for a rollout.
    pub(crate) fn wanted(&self, own: &Own) -> Option<Image> {
        let current = self.current.as_ref()?;
        let image = current.told.signed.plan.image(own.board)?;
        let newer = own.sequence.is_some_and(|sequence| sequence < image.sequence);
        let tried = own.has_tried(image.sequence).is_some();
        let over = current.told.ended != Ended::No || current.stays_out;
        // What is on trial needs the other slot to go back to.
        (newer && !tried && !over && own.confirmed && own.free).then_some(*image)
    }

    /// The image of a rollout that goes on, if this node runs it, confirmed.
    pub(super) fn runs(&self, own: &Own) -> Option<Image> {
        let current = self.current.as_ref().filter(|it| it.told.ended == Ended::No)?;
        let image = current.told.signed.plan.image(own.board)?;
        (own.confirmed && own.sequence == Some(image.sequence)).then_some(*image)
    }

    /// Of the image that is wanted so many pieces are still to come, of so many.
    pub(crate) fn fetching(&mut self, missing: u16, of: u16) {
        if let Fetch::UnderWay(quarters) = &mut self.fetch {
            let there = u32::from(of.saturating_sub(missing)).saturating_mul(4);
            let full = there.checked_div(of.into()).unwrap_or(0).min(3);
            *quarters = u8::try_from(full).unwrap_or(0);
        }
    }

    /// The image that is wanted is there, whole, or will not be.
    pub(crate) fn fetched(&mut self, now: Instant, result: Result<(), Reason>) {
        if matches!(self.fetch, Fetch::UnderWay(_)) {
            self.fetch = result.map_or_else(Fetch::Failed, |()| Fetch::Done);
            self.look = Some(now);
        }
    }

    /// The image was put on trial, or could not be. Whether the node is to restart into it.
    pub(crate) fn armed(&mut self, now: Instant, result: Result<(), Reason>) -> bool {
        if self.fetch != Fetch::Arming {
            return false;
        }
        self.fetch = result.map_or_else(Fetch::Failed, |()| Fetch::Armed);
        self.look = Some(now);
        result.is_ok()
    }

    /// Whether the slot that does not run is needed for a rollout.
    pub(crate) fn needs_slot(&self) -> bool {
        let running = self.current.as_ref().is_some_and(|it| it.told.ended == Ended::No);
        let at_work = matches!(self.fetch, Fetch::UnderWay(_) | Fetch::Done);
        running && at_work || matches!(self.fetch, Fetch::Arming | Fetch::Armed)
    }

    /// Whether the next thing for the body is to put the image on trial.
    pub(crate) fn is_about_to_arm(&self, now: Instant, own: &Own) -> bool {
        self.fetch == Fetch::Done && self.wanted(own).is_some() && self.is_due(now, own)
    }
}
