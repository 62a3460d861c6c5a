//! The failure detector: one member at a time, in random order, each once a round.

use super::Cluster;
use super::member::{Member, Status};
use super::table::below;
use crate::node::Event;
use crate::time::Instant;
use crate::wire::{NodeId, Record, Rumor};

/// At each step so many suspects are asked whose time is almost over: a quarter of what waits to be
/// sent on a board. After a split there are many, and they share one channel.
const DYING_PINGS: usize = 6;

/// About so many members ping the same suspect in each interval, to hear its refutation.
const SUSPECT_PINGS: usize = 4;

/// The probe under way.
#[derive(Debug)]
pub(super) struct Probe {
    /// Who has not answered yet.
    target: Option<NodeId>,
    /// When it was first asked.
    asked: Instant,
    /// When those who have not answered are asked again.
    again: Option<Instant>,
    /// When this probe ends and the next one begins.
    end: Instant,
}

impl Probe {
    pub(super) const fn new(now: Instant) -> Self {
        Self { target: None, asked: now, again: None, end: now }
    }

    pub(super) fn next(&self) -> Instant {
        self.again.map_or(self.end, |again| again.min(self.end))
    }
}

impl Cluster<'_> {
    /// Asks again, or ends one probe and begins the next, when it is time to.
    pub(super) fn probe(&mut self, now: Instant) {
        if now >= self.probe.end {
            // A node that was itself held up has no right to judge: the answer may be waiting.
            let on_time = now.since(self.probe.end) < self.timing.probe_interval;
            if let Some(silent) = self.probe.target.take().filter(|_| on_time) {
                self.suspect(now, silent);
            }
            self.begin_probe(now);
            self.ping_a_suspect(now);
            self.ping_the_dying(now);
        } else if self.probe.again.is_some_and(|again| now >= again) {
            self.probe.again = self.next_try(now);
            if let Some(member) = self.probe.target.and_then(|target| self.table.get(target)) {
                let (id, address) = member.contact(self.port);
                self.ping(now, id, address);
            }
            self.ping_the_dying(now);
        }
    }

    fn begin_probe(&mut self, now: Instant) {
        self.probe.end = now + self.jitter(self.timing.probe_interval);
        self.probe.asked = now;
        self.probe.target = self.next_target();
        self.probe.again = self.next_try(now);
        let target = self.probe.target.and_then(|target| self.table.get_mut(target));
        if let Some(member) = target {
            member.probed = true;
            let (id, address) = member.contact(self.port);
            self.ping(now, id, address);
        }
    }

    /// A live member that was not probed in this round, or the first one of a new round.
    fn next_target(&mut self) -> Option<NodeId> {
        let due = |member: &Member| member.status.is_live() && !member.probed;
        if let Some(member) = self.table.choose(&mut self.rng, due) {
            return Some(member.id);
        }
        for member in self.table.rows_mut() {
            member.probed = false;
        }
        self.table.choose(&mut self.rng, due).map(Member::id)
    }

    fn next_try(&self, now: Instant) -> Option<Instant> {
        let again = now + self.timing.probe_timeout;
        (again + self.timing.probe_timeout <= self.probe.end).then_some(again)
    }

    /// Takes note that `id` answered a ping that was made at `made`.
    pub(super) fn answered(&mut self, id: NodeId, made: Instant) {
        if self.probe.target == Some(id) && made >= self.probe.asked {
            self.probe.target = None;
        }
    }

    fn suspect(&mut self, now: Instant, id: NodeId) {
        let Some(member) = self.table.get(id) else { return };
        let record = Record { id, incarnation: member.incarnation, rumor: Rumor::Suspect };
        let (id, address) = member.contact(self.port);
        self.learn(now, &record);
        // It should be the first to hear of it.
        self.ping(now, id, address);
    }

    /// Gives a suspect another chance to be heard.
    fn ping_a_suspect(&mut self, now: Instant) {
        if below(&mut self.rng, self.table.live()) >= SUSPECT_PINGS {
            return;
        }
        self.ping_one(now, |member| member.status == Status::Suspect);
    }

    /// Asks suspects whose time is almost over, whoever suspected them: the refutation of a rumour
    /// may have been lost on its way here, and nobody is to die of that.
    fn ping_the_dying(&mut self, now: Instant) {
        let (soon, timing) = (now + self.timing.probe_interval, self.timing);
        let dying = |member: &Member| {
            let expiry = member.expiry(&timing);
            member.status == Status::Suspect && expiry.is_some_and(|expiry| expiry <= soon)
        };
        let count = self.table.rows().iter().filter(|member| dying(member)).count();
        for _ in 0..count.min(DYING_PINGS) {
            // One that is drawn twice is asked once: the queue takes no duplicates.
            self.ping_one(now, dying);
        }
    }

    /// Gives suspects back the time for which this node was itself held up: their refutations may
    /// be waiting.
    pub(super) fn make_up_for_delay(&mut self, now: Instant) {
        let late = now.since(self.probe.next());
        if late < self.timing.probe_interval {
            return;
        }
        for member in self.table.rows_mut() {
            if member.status == Status::Suspect {
                member.since = member.since + late;
            }
        }
    }

    /// Declares suspects dead whose time is over, and forgets the dead whose time is over.
    pub(super) fn bury(&mut self, now: Instant) {
        let timing = self.timing;
        let over = |member: &Member| member.expiry(&timing).is_some_and(|expiry| expiry <= now);
        while let Some(member) =
            self.table.rows().iter().find(|member| member.status == Status::Suspect && over(member))
        {
            let (id, incarnation) = (member.id, member.incarnation);
            self.learn(now, &Record { id, incarnation, rumor: Rumor::Dead });
        }
        while let Some(id) = self.table.rows().iter().find(|row| over(row)).map(Member::id) {
            self.table.remove(|member| member.id == id);
            self.notify(Event::MemberForgotten(id));
        }
    }
}
