//! How plans of rollouts travel, and what members tell of how far they are.
//!
//! Every message carries a digest of the sender's plan. Who hears another one than its own sends the plan that it has, if it
//! has one: so of two, each gets to see the other's, and the one with the higher id holds
//! ([`ota::rollout`](crate::ota::rollout)). Plans are told to members alone that have proved to be fresh, and taken from
//! those.
//!
//! How far a node is stands in its own record. Each change is a new incarnation, so that it spreads as news and is
//! made good by the comparison of digests.

use super::Cluster;
use super::send::Task;
use crate::ota::Updates;
use crate::ota::around::{Own, Peer};
use crate::ota::state::UpdateState;
use crate::store::Stored;
use crate::time::{Duration, Instant};
use crate::wire::{Message, Rumor};
use core::net::SocketAddrV4;

/// Between two times that the plan is told.
const PAUSE: Duration = Duration::from_millis(50);

impl Cluster<'_> {
    /// At a start: the plan that was in force, and who was away.
    // Apart from what makes a node, and not inlined: a board does that on a stack that has no room for a plan on its way.
    #[inline(never)]
    pub(crate) fn restore_rollout(&mut self, now: Instant, stored: &Stored<'_>) {
        self.rollout.restore(now, stored.rollout);
        self.restore_away_for_update(now, Updates::away(stored.update));
    }

    /// Takes in what a trusted message says of a rollout, and answers with what its sender does not know.
    pub(super) fn hear_rollout(&mut self, now: Instant, from: SocketAddrV4, message: &Message<'_>) {
        if let Some(told) = message.rollout() {
            self.rollout.hear(now, told);
        }
        let lacks = !self.rollout.knows(message.head.rollout) && message.own.rumor != Rumor::Left;
        let rested = self.told.is_none_or(|told| now.since(told) >= PAUSE);
        if lacks && rested && self.rollout.current().is_some() {
            self.told = Some(now);
            self.queue.push(now, Task::Rollout { to: from });
        }
    }

    /// Looks at how far the others are, when it is time to, and tells how far this node is.
    pub(crate) fn review_rollout(&mut self, now: Instant, own: &Own) {
        if let Some(state) = self.look_at_rollout(now, own) {
            self.tell_update(state);
        }
    }

    /// As [`review_rollout`](Self::review_rollout), before anybody was told anything.
    pub(crate) fn start_rollout(&mut self, now: Instant, own: &Own) {
        let state = self.look_at_rollout(now, own);
        if let (Rumor::Alive { update, .. }, Some(state)) = (&mut self.own.rumor, state) {
            *update = state;
        }
    }

    fn look_at_rollout(&mut self, now: Instant, own: &Own) -> Option<UpdateState> {
        let peers = self.table.rows().iter().map(|row| Peer {
            id: row.id,
            status: row.status,
            since: row.since,
            update: row.update,
        });
        self.rollout.review(now, own, peers)
    }

    /// Tells how far this node is with a rollout, with every message from now on.
    fn tell_update(&mut self, state: UpdateState) {
        if let Rumor::Alive { update, .. } = &mut self.own.rumor
            && *update != state
        {
            *update = state;
            self.own.incarnation = self.own.incarnation.next();
        }
    }
}
