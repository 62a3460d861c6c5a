//! The failure detector: one member at a time, in random order, each once a round.

use super::Cluster;
use super::member::{Member, Status};
use super::relay::Relays;
use crate::node::Event;
use crate::random;
use crate::time::Instant;
use crate::wire::{NodeId, Record, Rumor, U24};

/// At each step so many suspects are asked whose time is almost over: a quarter of what waits to be
/// sent on a board. After a split there are many, and they share one channel.
const DYING_PINGS: usize = 6;

/// In so many intervals before its death a suspect is asked by all who would declare it dead, four times in each. At 30 % loss
/// half of all pings are answered: after one interval one in fifteen would have heard nothing, and one of a hundred members is enough.
const DYING_INTERVALS: u64 = 2;

/// About so many members ping the same suspect in each interval, to hear its refutation.
const SUSPECT_PINGS: usize = 4;

/// From this try on, relays are asked too. The first ones are for what was lost on the way.
const RELAYED_TRY: u8 = 3;

/// The probe under way.
#[derive(Debug)]
pub(super) struct Probe {
    /// Who has not answered yet.
    target: Option<NodeId>,
    /// When it was first asked.
    pub(super) asked: Instant,
    /// How often it was asked.
    tries: u8,
    /// When those who have not answered are asked again.
    again: Option<Instant>,
    /// Who else was asked to ask it.
    pub(super) relays: Relays,
    /// When this probe ends and the next one begins.
    end: Instant,
}

impl Probe {
    pub(super) const fn new(now: Instant) -> Self {
        Self { target: None, asked: now, tries: 0, again: None, relays: Relays::NONE, end: now }
    }

    pub(super) fn next(&self) -> Instant {
        self.again.map_or(self.end, |again| again.min(self.end))
    }
}

impl Cluster<'_> {
    /// Asks again, or ends one probe and begins the next, when it is time to.
    pub(super) fn probe(&mut self, now: Instant) {
        if now >= self.probe.end {
            self.end_probe(now);
            self.begin_probe(now);
            self.ping_a_suspect(now);
            self.ping_the_dying(now);
        } else if self.probe.again.is_some_and(|again| now >= again) {
            self.try_again(now);
            self.ping_the_dying(now);
        }
    }

    fn begin_probe(&mut self, now: Instant) {
        let pace = self.pace();
        self.probe.end = now + self.jitter(pace.probe_interval);
        self.probe.asked = now;
        self.probe.tries = 1;
        self.probe.relays = Relays::NONE;
        self.probe.target = self.next_target();
        self.probe.again = self.next_try(now);
        self.relayed = 0;
        self.past_acks = 0;
        let target = self.probe.target.and_then(|target| self.table.get_mut(target));
        if let Some(member) = target {
            member.probed = true;
            let (id, address) = member.contact(self.port);
            self.ping(now, id, address);
        } else {
            // Nobody is there to tell good from bad: what spoke against this node is of the past.
            self.health.improve();
        }
    }

    fn try_again(&mut self, now: Instant) {
        self.probe.again = self.next_try(now);
        self.probe.tries = self.probe.tries.saturating_add(1);
        let Some(member) = self.probe.target.and_then(|target| self.table.get(target)) else {
            return;
        };
        let (id, address) = member.contact(self.port);
        self.ping(now, id, address);
        if self.probe.tries >= RELAYED_TRY || self.probe.again.is_none() {
            self.probe.relays.asked = self.ask_relays(now, id);
        }
    }

    /// Judges one who has not answered, and the judge.
    fn end_probe(&mut self, now: Instant) {
        let Some(silent) = self.probe.target.take() else { return };
        if self.table.get(silent).is_none_or(|row| !row.status.is_live()) {
            return;
        }
        self.health.worsen(1);
        if self.probe.relays.are_silent() {
            self.health.worsen(1);
        }
        self.suspect(now, silent);
    }

    /// A live member that was not probed in this round, or the first one of a new round.
    fn next_target(&mut self) -> Option<NodeId> {
        let due = |member: &Member| member.status.is_live() && !member.probed;
        if let Some(member) = self.table.choose(&mut self.rng, due) {
            return Some(member.id);
        }
        for member in self.table.rows_mut() {
            // For the dead it means something else.
            member.probed &= !member.status.is_live();
        }
        self.table.choose(&mut self.rng, due).map(Member::id)
    }

    fn next_try(&self, now: Instant) -> Option<Instant> {
        let timeout = self.pace().probe_timeout;
        let again = now + timeout;
        (again + timeout <= self.probe.end).then_some(again)
    }

    /// Takes note that `id` answered a ping that was made at `made`, by itself or through others.
    pub(super) fn answered(&mut self, id: NodeId, made: Instant) {
        if self.probe.target == Some(id) && made >= self.probe.asked {
            self.probe.target = None;
            self.health.improve();
        }
    }

    fn suspect(&mut self, now: Instant, id: NodeId) {
        let Some(member) = self.table.get(id) else { return };
        let (incarnation, published) = (member.incarnation, U24::ZERO);
        let record = Record { id, incarnation, published, rumor: Rumor::Suspect };
        let (id, address) = member.contact(self.port);
        self.learn(now, &record);
        // It should be the first to hear of it.
        self.ping(now, id, address);
    }

    /// Gives a suspect another chance to be heard.
    fn ping_a_suspect(&mut self, now: Instant) {
        if random::below(&mut self.rng, self.table.live()) >= SUSPECT_PINGS {
            return;
        }
        self.ping_one(now, |member| member.status == Status::Suspect);
    }

    /// Asks suspects whose time is almost over, whoever suspected them: the refutation of a rumour
    /// may have been lost on its way here, and nobody is to die of that.
    fn ping_the_dying(&mut self, now: Instant) {
        let pace = self.pace();
        let dying_within = |intervals: u64| {
            let soon = now + pace.probe_interval.times(intervals);
            move |member: &Member| {
                let expiry = member.expiry(&pace);
                member.status == Status::Suspect && expiry.is_some_and(|expiry| expiry <= soon)
            }
        };
        let dying = dying_within(DYING_INTERVALS);
        let count = self.table.rows().iter().filter(|member| dying(member)).count();
        for _ in 0..count.min(DYING_PINGS) {
            // One that is drawn twice is asked once: the queue takes no duplicates.
            self.ping_one(now, dying);
        }
        // Whoever can hear one of them brings the refutation along. That is ten datagrams, so only at the end.
        if let Some(id) = self.table.choose(&mut self.rng, dying_within(1)).map(Member::id) {
            self.ask_relays(now, id);
        }
    }

    /// The time for which this node was itself held up does not count: neither against suspects,
    /// whose refutations may be waiting, nor against the target of the probe, whose answer may be.
    ///
    /// It was if a step of its probe is overdue by a whole interval or more. Whichever verb is
    /// called first afterwards notices.
    pub(super) fn make_up_for_delay(&mut self, now: Instant) {
        let late = now.since(self.probe.next());
        if late < self.timing.probe_interval {
            return;
        }
        self.health.worsen(1);
        for member in self.table.rows_mut() {
            if member.status == Status::Suspect {
                member.since = member.since + late;
            }
        }
        // The same target has a whole interval again, with all its tries.
        let pace = self.pace();
        self.probe.tries = 0;
        self.probe.again = Some(now);
        self.probe.end = now + pace.probe_interval;
    }

    /// Declares suspects dead whose time is over, and forgets the dead whose time is over.
    pub(super) fn bury(&mut self, now: Instant) {
        let pace = self.pace();
        let over = |member: &Member| member.expiry(&pace).is_some_and(|expiry| expiry <= now);
        while let Some(member) =
            self.table.rows().iter().find(|member| member.status == Status::Suspect && over(member))
        {
            let (id, incarnation) = (member.id, member.incarnation);
            let (published, rumor) = (U24::ZERO, Rumor::Dead);
            self.learn(now, &Record { id, incarnation, published, rumor });
        }
        while let Some(id) = self.table.rows().iter().find(|row| over(row)).map(Member::id) {
            self.table.remove(|member| member.id == id);
            self.directory.forget(id);
            self.notify(now, Event::MemberForgotten(id));
        }
    }
}
