//! Leaving on purpose, which is not death.
//!
//! A node that goes says so, by broadcast and to some members by unicast, a few times within a
//! quarter of a second, and is silent from then on: it neither answers nor refutes. The members
//! list it as *left* and pass that on. It comes back by starting: its next epoch outranks the news.

use super::Cluster;
use super::member::Member;
use super::send::Task;
use crate::time::{Duration, Instant};
use crate::wire::{NodeId, Record, Rumor};
use heapless::Vec;

/// So often a leaving node says it.
const ROUNDS: u8 = 3;

/// To so many members, each time to others, besides the broadcast. That one of them hears it is
/// enough; all of them miss it in one case of 10^7 at 50 % loss.
const TOLD: usize = 8;

/// From one time to the next.
const PAUSE: Duration = Duration::from_millis(100);

/// The state of a node that leaves.
#[derive(Debug)]
pub(super) struct Leave {
    next: Instant,
    rounds: u8,
}

impl Leave {
    /// When to say it next; `None` after the last time.
    pub(super) fn next(&self) -> Option<Instant> {
        (self.rounds < ROUNDS).then_some(self.next)
    }
}

impl Cluster<'_> {
    /// Begins to leave. A node that leaves already goes on doing so.
    pub(crate) fn leave(&mut self, now: Instant) {
        if self.leaving.is_none() {
            // What else it had to say is of no use any more, but for events.
            self.queue.clear();
            self.exchange.stop();
            self.tell_last_news(now);
            self.leaving = Some(Leave { next: now, rounds: 0 });
        }
    }

    /// Whether this node has begun to leave.
    pub(crate) const fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// Whether all was said that there was to say.
    pub(crate) fn has_left(&self) -> bool {
        let said = self.leaving.as_ref().is_some_and(|leave| leave.next().is_none());
        said && self.queue.next_due().is_none()
    }

    /// Says that this node goes, when it is time to.
    pub(super) fn say_goodbye(&mut self, now: Instant) {
        let Some(leave) = &mut self.leaving else { return };
        if leave.next().is_none_or(|next| now < next) {
            return;
        }
        leave.rounds = leave.rounds.saturating_add(1);
        leave.next = now + PAUSE;
        self.queue.push(now, Task::Announce);
        let mut told = Vec::<NodeId, TOLD, u8>::new();
        for _ in 0..TOLD {
            let wanted = |member: &Member| member.status.is_live() && !told.contains(&member.id);
            let Some(member) = self.table.choose(&mut self.rng, wanted) else { return };
            let (peer, to) = member.contact(self.port);
            self.queue.push(now, Task::Tell { to });
            // There is room for as many as are told.
            let _ = told.push(peer);
        }
    }

    /// What this node says of itself, in a message.
    pub(super) fn own_record(&self) -> Record {
        let published = self.events.published(self.own.id, self.own.incarnation.epoch);
        let own = Record { published, ..self.own.clone() };
        match self.leaving {
            Some(_) => Record { rumor: Rumor::Left, ..own },
            None => own,
        }
    }
}
