//! Whose turn it is in a rollout, when it stops, and how far this node is.

use super::announcement::Ended;
use super::around::{Own, Peer};
use super::fetch::Fetch;
use super::plan::RolloutId;
use super::rollout::Rollout;
use super::state::{State, UpdateState};
use crate::api::Error;
use crate::time::{Duration, Instant};
use crate::wire::NodeId;

/// Between two looks at the members while a rollout is under way.
pub(super) const LOOK: Duration = Duration::from_millis(500);

/// Who hears of a rollout that is older was away when it began, in minutes. Who is there and has not heard of it by then is not
/// waited for.
pub(super) const LATE: u16 = 10;

impl Rollout {
    /// Whether it is time to look at the members.
    pub(crate) fn is_to_look(&self, now: Instant) -> bool {
        self.look.is_some_and(|look| now >= look)
    }

    /// Looks at the members, when it is time to; how far this node is then, if it has looked.
    pub(crate) fn review(
        &mut self,
        now: Instant,
        own: &Own,
        peers: impl Iterator<Item = Peer> + Clone,
    ) -> Option<UpdateState> {
        if !self.is_to_look(now) {
            return None;
        }
        self.look = None;
        if let Some(current) = &mut self.current {
            let minutes = current.told.signed.plan.expiry.saturating_mul(60);
            if current.age(now) >= minutes {
                self.end(now, Ended::Expired);
            }
        }
        if self.current.as_ref().is_some_and(|it| it.told.ended == Ended::No) {
            self.judge(now, own, peers);
        }
        let running = self.current.as_ref().is_some_and(|it| it.told.ended == Ended::No);
        self.look = running.then_some(now + LOOK);
        Some(self.state(own))
    }

    /// Halts the rollout if too many have failed; else sees whether all are well that come before this node.
    fn judge(&mut self, now: Instant, own: &Own, peers: impl Iterator<Item = Peer> + Clone) {
        let Some(current) = &self.current else { return };
        let plan = &current.told.signed.plan;
        let tag = plan.id.tag();
        let failed = peers.clone().filter(|peer| peer.has_failed(now, tag)).count();
        let own_failure = usize::from(matches!(self.state(own).state(), State::Failed(_)));
        if failed.saturating_add(own_failure) >= usize::from(plan.max_failures) {
            self.end(now, Ended::Halted);
            return;
        }
        let turn = plan.wave(own.id);
        let well = |id: NodeId| peers.clone().any(|peer| peer.id == id && peer.is_well(tag));
        let canaries = turn == 0 || plan.canaries.iter().all(|canary| well(*canary));
        let others = || peers.clone().filter(|peer| !plan.canaries.contains(&peer.id));
        let mut before = others().filter(|peer| plan.wave(peer.id) < turn);
        let old = self.is_old(now);
        let open = canaries && before.all(|peer| peer.is_through(now, tag, old));
        self.open = if open { self.open.or(Some(now)) } else { None };
    }

    /// Something that this node tells of itself may have changed.
    pub(crate) const fn look_again(&mut self, now: Instant) {
        self.look = Some(now);
    }

    /// Whether the rollout is so old that who is there and has not heard of it is not waited for.
    pub(crate) fn is_old(&self, now: Instant) -> bool {
        self.current.as_ref().is_some_and(|current| current.age(now) >= LATE)
    }

    /// Whether it is this node's turn to restart.
    pub(super) fn is_due(&self, now: Instant, own: &Own) -> bool {
        let Some(plan) = self.current().map(|current| &current.signed.plan) else { return false };
        let gate = Duration::from_secs(plan.gate.into());
        let is_canary = plan.canaries.contains(&own.id);
        is_canary || self.open.is_some_and(|open| now >= open + gate)
    }

    /// The plan that the others follow and this node does not, since its release key has not signed it. As long as one goes on
    /// that it has signed, that one counts.
    fn declined(&self) -> Option<RolloutId> {
        let (id, _) = self.refused().filter(|(_, why)| *why == Error::RolloutUnsigned)?;
        let newer = self.current().is_none_or(|it| it.ended != Ended::No && it.id() < id);
        newer.then_some(id)
    }

    /// How far this node is.
    pub(super) fn state(&self, own: &Own) -> UpdateState {
        let Some(sequence) = own.sequence.filter(|_| own.key.is_some()) else {
            return UpdateState::new(State::Out, 0);
        };
        if let Some(id) = self.declined() {
            return UpdateState::new(State::Out, id.tag());
        }
        let Some(current) = &self.current else { return UpdateState::NONE };
        let plan = &current.told.signed.plan;
        let state = match plan.image(own.board) {
            None => State::Out,
            Some(image) if image.sequence == sequence && own.confirmed => State::Updated,
            Some(image) if image.sequence == sequence => State::OnTrial,
            Some(image) if image.sequence < sequence => State::Out,
            Some(image) => match self.fetch {
                _ if own.has_tried(image.sequence).is_some() => {
                    own.has_tried(image.sequence).map_or(State::Idle, State::Failed)
                }
                Fetch::Failed(reason) => State::Failed(reason),
                Fetch::Arming | Fetch::Armed => State::OnTrial,
                _ if current.told.ended != Ended::No => State::Idle,
                _ if current.stays_out => State::Out,
                Fetch::No => State::Fetching(0),
                Fetch::UnderWay(quarters) => State::Fetching(quarters),
                Fetch::Done => State::Ready,
            },
        };
        UpdateState::new(state, plan.id.tag())
    }
}
