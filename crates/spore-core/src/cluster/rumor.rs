//! What a piece of news changes: the precedence rules of SWIM, section 4.2.

use super::Cluster;
use super::member::{Member, Status};
use super::spread::is_gone;
use crate::node::Event;
use crate::seeded::seeded;
use crate::services::Renewal;
use crate::time::Instant;
use crate::wire::{Record, Rumor};

impl Cluster<'_> {
    /// Takes note of `record`, which came in a fresh message, and of what follows from it.
    pub(crate) fn learn(&mut self, now: Instant, record: &Record) {
        if self.is_own(record.id) {
            return self.refute(now, record);
        }
        let Self { events, table, .. } = self;
        let published = (record.id, record.incarnation.epoch, record.published);
        events.learn(now, published, &|id| is_gone(table, id));
        if self.table.get(record.id).is_some() {
            self.update(now, record);
        } else {
            self.enlist(now, record);
        }
    }

    /// Contradicts news of this node that is wrong, by outranking it.
    ///
    /// News of an epoch that this node has not reached is not to be outranked: somebody else has
    /// spoken under this id in that epoch, or this node itself before its memory was set back. If
    /// it went on it would come to use nonces that were used before.
    fn refute(&mut self, now: Instant, record: &Record) {
        if record.incarnation.epoch > self.own.incarnation.epoch {
            self.doubled = true;
            return;
        }
        let alive = matches!(record.rumor, Rumor::Alive { .. });
        if seeded!("never-refutes", false, !alive && record.incarnation >= self.own.incarnation) {
            // Every message carries this node's own record, so the news spreads by itself.
            self.own.incarnation = record.incarnation.next();
            self.health.worsen(1);
            if record.rumor == Rumor::Dead {
                // So this node was cut off, and those it took for dead meanwhile may not be.
                self.doubt_deaths(now);
            }
        }
    }

    fn enlist(&mut self, now: Instant, record: &Record) {
        let Some(mut member) = Member::new(record, now) else { return };
        member.news = self.spread();
        if !self.table.has_room_for(record.id, now) && !self.make_room(now, record) {
            return;
        }
        if self.table.insert(member, now) {
            self.note_services(record);
            self.notify(now, Event::MemberJoined(record.id));
            self.expect_greeting(now);
        }
    }

    fn update(&mut self, now: Instant, record: &Record) {
        let news = self.spread();
        let Some(member) = self.table.get_mut(record.id) else { return };
        if !overrides(record, member) {
            return;
        }
        let before = member.status;
        let renewal = renewal(record, member);
        let raised = record.incarnation > member.incarnation;
        let rebooted = record.incarnation.epoch > member.incarnation.epoch;
        if let Rumor::Alive { address, http_port, status_version, update, hostname, .. } =
            &record.rumor
        {
            member.address = *address;
            member.http_port = *http_port;
            member.status_version = *status_version;
            member.update = *update;
            member.hostname.clone_from(hostname);
        }
        member.incarnation = record.incarnation;
        member.status = status(&record.rumor);
        member.news = news;
        // A suspicion of another incarnation has all its time before it.
        if member.status != before || raised {
            member.since = now;
        }
        let after = member.status;
        member.probed |= after == Status::Dead;
        if after == Status::Active {
            self.note_services(record);
        }
        // Of a boot one may hear first that it is suspected.
        if after == Status::Active || renewal == Renewal::Boot {
            self.directory.renewed(record.id, renewal);
        }
        if after != before {
            self.notify(now, event(after, record));
        }
        if before == Status::Dead && after == Status::Active && !rebooted {
            self.doubt_deaths(now);
        }
    }

    /// Takes note of what a member offers.
    fn note_services(&mut self, record: &Record) {
        let Rumor::Alive { services, .. } = &record.rumor else { return };
        let table = &self.table;
        self.directory.set(record.id, services, |id| table.get(id).is_some());
    }

    /// Takes note of what the sender of a message says of its own services, if that is the state
    /// that is known: those who told of it may have had no room for all of them.
    pub(super) fn confirm_services(&mut self, own: &Record) {
        let Rumor::Alive { status_version, .. } = own.rumor else { return };
        let known = self.table.get(own.id).is_some_and(|row| {
            row.status == Status::Active
                && row.incarnation == own.incarnation
                && row.status_version == status_version
        });
        if known {
            self.note_services(own);
        }
    }
}

/// Whether `record` is to be believed rather than what is known of `member`.
fn overrides(record: &Record, member: &Member) -> bool {
    let newer = seeded!(
        "incarnation-backwards",
        record.incarnation < member.incarnation,
        record.incarnation > member.incarnation
    );
    let as_new = record.incarnation >= member.incarnation;
    match &record.rumor {
        Rumor::Alive { status_version, .. } => {
            let changed = *status_version != member.status_version
                && status_version.wrapping_sub(member.status_version) < u16::MAX / 2;
            newer || as_new && member.status == Status::Active && changed
        }
        Rumor::Suspect => newer || as_new && member.status == Status::Active,
        Rumor::Dead | Rumor::Left => as_new && member.status.is_live(),
    }
}

/// What is new about `member` if `record` holds.
fn renewal(record: &Record, member: &Member) -> Renewal {
    match &record.rumor {
        _ if record.incarnation.epoch != member.incarnation.epoch => Renewal::Boot,
        Rumor::Alive { status_version, .. } if *status_version != member.status_version => {
            Renewal::Version
        }
        _ => Renewal::Returned,
    }
}

const fn status(rumor: &Rumor) -> Status {
    match rumor {
        Rumor::Alive { .. } => Status::Active,
        Rumor::Suspect => Status::Suspect,
        Rumor::Dead => Status::Dead,
        Rumor::Left => Status::Left,
    }
}

const fn event(status: Status, record: &Record) -> Event {
    match status {
        Status::Active => Event::MemberReturned(record.id),
        Status::Suspect => Event::MemberSuspected(record.id),
        Status::Dead => Event::MemberDied(record.id),
        Status::Left => Event::MemberLeft(record.id),
    }
}
