//! What the rules of a rollout need to know of nodes.

use super::state::{Reason, State, UpdateState};
use crate::cluster::Status;
use crate::security::ReleaseKey;
use crate::time::{Duration, Instant};
use crate::wire::NodeId;

/// A member that goes silent on trial may be back within so long: five minutes of trial, and some restarts. After that it
/// has failed.
pub(super) const TRIAL: Duration = Duration::from_secs(600);

/// What the rules need to know of this node's body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own {
    pub(crate) id: NodeId,
    pub(crate) board: &'static str,
    /// The sequence number of the image that runs; `None` if the node cannot be updated.
    pub(crate) sequence: Option<u32>,
    /// Whether that is confirmed.
    pub(crate) confirmed: bool,
    /// Whether nothing else comes into the other slot.
    pub(crate) free: bool,
    /// The sequence number of an image that was rolled back, and why it was.
    pub(crate) quarantined: Option<(u32, Reason)>,
    /// Who signs plans.
    pub(crate) key: Option<ReleaseKey>,
}

/// What they need to know of another member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) id: NodeId,
    pub(crate) status: Status,
    /// Since when that is so.
    pub(crate) since: Instant,
    pub(crate) update: UpdateState,
}

impl Own {
    /// Why the image with this number was rolled back, if it was.
    pub(super) fn has_tried(&self, sequence: u32) -> Option<Reason> {
        self.quarantined.filter(|(tried, _)| *tried == sequence).map(|(_, reason)| reason)
    }
}

impl Peer {
    /// Whether it runs the image, confirmed, and answers.
    pub(super) fn is_well(&self, tag: u16) -> bool {
        self.status == Status::Active && self.update.of(tag) == Some(State::Updated)
    }

    /// Whether it has failed: it says so, or it has gone silent on trial and is not back in time.
    pub(super) fn has_failed(&self, now: Instant, tag: u16) -> bool {
        match self.update.of(tag) {
            Some(State::Failed(_)) => true,
            Some(State::OnTrial) => self.status == Status::Dead && now.since(self.since) >= TRIAL,
            _ => false,
        }
    }

    /// Whether nobody need wait for it: it is updated, takes no part, has failed, which is counted, or is away. Who has not heard of
    /// a rollout that is `old`, or holds to another one, never will.
    pub(super) fn is_through(&self, now: Instant, tag: u16, old: bool) -> bool {
        let state = self.update.of(tag);
        let away = !self.status.is_live() && state != Some(State::OnTrial);
        let out = self.update.state() == State::Out && (self.update.tag() == 0 || state.is_some());
        let deaf = old && state.is_none();
        away || out || deaf || state == Some(State::Updated) || self.has_failed(now, tag)
    }
}
