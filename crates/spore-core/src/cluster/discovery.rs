//! Getting to know each other: announcements by broadcast, and greetings of those known by hearsay.

use super::Cluster;
use super::member::{Member, Status};
use super::send::Task;
use crate::config::Timing;
use crate::random;
use crate::time::{Duration, Instant};

/// So many announcements follow each other at the pace of a node that is alone, whatever it hears:
/// half of them get lost, and two groups that formed at the same time would else stay apart.
const FIRST_ANNOUNCEMENTS: u8 = 5;

/// The size of a cluster up to which [`Timing::announce`] holds as it stands.
const ANNOUNCE_SCALE: u64 = 8;

/// Between two greetings: 20 a second, however many members are new.
const GREETING_INTERVAL: Duration = Duration::from_millis(50);

/// How long a member known by hearsay is greeted. After that its turn comes with the probes.
const GREETING_TIME: Duration = Duration::from_secs(5);

/// When to announce and to greet next.
#[derive(Debug)]
pub(super) struct Announcements {
    announce: Instant,
    greet: Option<Instant>,
    sent: u8,
    /// Whether there are to be none.
    silent: bool,
    /// What an operator has set instead of the interval that fits the cluster.
    interval: Option<Duration>,
}

impl Announcements {
    pub(super) const fn new(now: Instant) -> Self {
        Self { announce: now, greet: None, sent: 0, silent: false, interval: None }
    }

    /// The same pace, from the beginning.
    pub(super) const fn renewed(&self, now: Instant) -> Self {
        Self { silent: self.silent, interval: self.interval, ..Self::new(now) }
    }

    /// When the next announcement is due.
    pub(super) const fn due(&self) -> Instant {
        self.announce
    }

    pub(super) fn next(&self) -> Instant {
        self.greet.map_or(self.announce, |greet| greet.min(self.announce))
    }
}

impl Cluster<'_> {
    /// *Send discovery*: announces this node when it is time to.
    pub(super) fn announce(&mut self, now: Instant) {
        if now < self.announcements.announce {
            return;
        }
        if !self.announcements.silent {
            self.queue.push(now, Task::Announce);
            self.announcements.sent = self.announcements.sent.saturating_add(1);
        }
        self.ping_a_dead(now);
        let interval = self.announce_interval();
        self.announcements.announce = now + self.jitter(interval);
    }

    /// Announces this node at once, whatever its pace.
    pub(crate) fn announce_now(&mut self, now: Instant) {
        self.queue.push(now, Task::Announce);
    }

    /// Sets whether this node announces itself, and how often, if not as fits the cluster. A new
    /// interval begins now.
    pub(crate) fn pace_announcements(
        &mut self,
        now: Instant,
        enabled: bool,
        interval: Option<Duration>,
    ) {
        self.announcements.silent = !enabled;
        if self.announcements.interval != interval {
            self.announcements.interval = interval;
            let span = self.announce_interval();
            self.announcements.announce = now + self.jitter(span);
        }
    }

    /// Asks one who is held for dead: after a split, broadcasts alone may take long to say that
    /// someone is back.
    fn ping_a_dead(&mut self, now: Instant) {
        self.ping_one(now, |member| member.status == Status::Dead);
    }

    pub(super) fn announce_interval(&self) -> Duration {
        if let Some(interval) = self.announcements.interval {
            return interval;
        }
        let Timing { announce_alone, announce, .. } = *self.timing;
        let met = |member: &Member| member.status.is_live() && member.is_verified();
        let alone = !self.table.rows().iter().any(met);
        if alone || self.announcements.sent < FIRST_ANNOUNCEMENTS {
            return announce_alone;
        }
        let size = u64::try_from(self.table.live()).unwrap_or(u64::MAX);
        let stretched = announce.as_micros().saturating_mul(size) / ANNOUNCE_SCALE;
        Duration::from_micros(stretched.max(announce.as_micros()))
    }

    /// Pings members that are known by hearsay alone, so that each side can trust the other, and
    /// dead ones whose death is in doubt.
    pub(super) fn greet(&mut self, now: Instant) {
        match self.announcements.greet {
            Some(due) if now >= due => (),
            _ => return,
        }
        let wanted = |member: &Member| member.is_new(now) || member.is_doubtful();
        let chosen = self.table.choose(&mut self.rng, wanted);
        let contact = chosen.map(|member| member.contact(self.port));
        if let Some((id, address)) = contact {
            self.ping(now, id, address);
            if let Some(member) = self.table.get_mut(id).filter(|member| member.is_doubtful()) {
                member.probed = true;
            }
        }
        self.announcements.greet = contact.map(|_| now + GREETING_INTERVAL);
    }

    /// One that was taken for dead returns in the same boot, or this node itself was: so one of the
    /// two was cut off. Then others may have come back, too, and each of the dead is asked once.
    pub(super) fn doubt_deaths(&mut self, now: Instant) {
        for member in self.table.rows_mut() {
            member.probed &= member.status != Status::Dead;
        }
        self.expect_greeting(now);
    }

    /// Starts greeting, because someone new was heard of.
    pub(super) fn expect_greeting(&mut self, now: Instant) {
        let last = GREETING_INTERVAL.as_micros().saturating_sub(1);
        let pause = Duration::from_micros(random::up_to(&mut self.rng, last));
        self.announcements.greet.get_or_insert(now + pause);
    }

    /// Between three and five quarters of `span`, so that nodes do not fall into step.
    pub(super) fn jitter(&mut self, span: Duration) -> Duration {
        let quarter = span.as_micros() / 4;
        let extra = random::up_to(&mut self.rng, quarter.saturating_mul(2));
        Duration::from_micros(quarter.saturating_mul(3).saturating_add(extra))
    }
}

impl Member {
    /// Whether it has proved to be fresh, and nothing speaks against it since.
    pub(super) const fn is_verified(&self) -> bool {
        self.seen.is_some() && !self.doubted
    }

    fn is_new(&self, now: Instant) -> bool {
        let young = now.since(self.since) < GREETING_TIME;
        self.status == Status::Active && !self.is_verified() && young
    }

    /// Whether it is dead, and is to be asked whether it really is.
    fn is_doubtful(&self) -> bool {
        self.status == Status::Dead && !self.probed
    }
}
