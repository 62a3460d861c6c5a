//! The status poller: fetches what members say of themselves beyond their record.
//!
//! A member's status version, which is part of its record, changes with the stable part of its
//! `GET /api/node/status`. Where it is another one than that of the last fetch, or the member has
//! booted since, the poller has the status fetched again ([`Action::Fetch`](crate::Action::Fetch)):
//! what it runs, and the names of its services. In between it fetches nothing.
//!
//! # Never a storm
//!
//! A node fetches one status at a time, at least [`PACE`] apart. All members hear of a change at about
//! the same time, and a board serves three connections: so a node that has had nothing to fetch
//! waits a random time first, up to [`SPREAD`] for each member, so that the one that changed is
//! asked about twice a second, however large the cluster is. After a failed fetch the member is asked again after
//! those that have not failed, at growing intervals ([`RETRY`], doubled up to [`RETRY_MAX`]); after
//! [`ATTEMPTS`] it is left alone until its status changes, or for a [`ROUND`], after which it has one more chance.
//! Only active members are asked: suspects and dead ones have other worries.
//!
//! # Trust
//!
//! The fetch is plain HTTP: who can alter traffic can alter what is shown for `board`, `version` and the
//! names. Nothing else depends on it. A document that is not the asked member's, or malformed, or beyond a limit
//! changes nothing.

use super::Directory;
use super::status::StatusReader;
use crate::cluster::{Member, Status};
use crate::random;
use crate::time::{Duration, Instant};
use crate::wire::{NodeId, U24};
use core::net::SocketAddrV4;

/// The least time between two fetches.
const PACE: Duration = Duration::from_secs(1);
/// The fetches that follow a change are spread over so much time for each member.
const SPREAD: Duration = Duration::from_millis(500);
/// The pause before the second attempt. It doubles with each further one…
const RETRY: Duration = Duration::from_secs(2);
/// …up to this.
const RETRY_MAX: Duration = Duration::from_secs(64);
/// So many attempts fail before the member is left alone.
const ATTEMPTS: u8 = 8;
/// After so long, those that were left alone have one more chance.
const ROUND: Duration = Duration::from_secs(600);

/// A status to fetch: `GET /api/node/status` at `address`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Whose.
    pub member: NodeId,
    /// Where its HTTP API is.
    pub address: SocketAddrV4,
}

/// The fetch did not bring a whole answer with status 200. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchFailed;

/// The fetch under way.
#[derive(Debug)]
struct Asking {
    member: NodeId,
    /// The boot and the status version that it had when it was asked.
    epoch: U24,
    version: u16,
    /// `None` after a piece that made no sense.
    reader: Option<StatusReader>,
}

/// Decides whose status is fetched when.
#[derive(Debug)]
pub(crate) struct Poller {
    asking: Option<Asking>,
    /// When to fetch next, if there is something to fetch.
    next: Option<Instant>,
    /// Nothing is fetched before.
    pause: Instant,
    /// When those that were left alone have one more chance.
    round: Instant,
    /// Whether nothing is to be fetched at all.
    silent: bool,
    /// The least time between two fetches.
    interval: Duration,
    rng: fastrand::Rng,
}

impl Poller {
    pub(crate) fn new(now: Instant, rng: fastrand::Rng) -> Self {
        let round = now + ROUND;
        Self { asking: None, next: None, pause: now, round, silent: false, interval: PACE, rng }
    }

    /// Sets whether anything is fetched, and the least time between two fetches, if not [`PACE`].
    pub(crate) fn pace(&mut self, enabled: bool, interval: Option<Duration>) {
        self.silent = !enabled;
        self.interval = interval.unwrap_or(PACE);
    }

    /// The least time between two fetches.
    pub(crate) const fn interval(&self) -> Duration {
        self.interval
    }

    /// Looks now for what is to be fetched, and gives those that were left alone one more chance.
    /// Nothing is fetched twice.
    pub(crate) fn look_now(&mut self, now: Instant, directory: &mut Directory<'_>) {
        directory.forgive(ATTEMPTS.saturating_sub(1));
        self.next = Some(now);
    }

    /// When to call [`poll`](Self::poll) next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.next.filter(|_| self.asking.is_none() && !self.silent)
    }

    /// Takes note of what others have told.
    pub(crate) fn notice(
        &mut self,
        now: Instant,
        directory: &mut Directory<'_>,
        members: &[Member],
    ) {
        if now >= self.round {
            self.round = now + ROUND;
            directory.forgive(ATTEMPTS.saturating_sub(1));
        }
        if self.asking.is_some() || self.next.is_some() || !directory.take_changed() {
            return;
        }
        let size = u64::try_from(members.len()).unwrap_or(u64::MAX);
        let spread = SPREAD.times(size.saturating_add(1)).as_micros();
        let due = now + Duration::from_micros(random::up_to(&mut self.rng, spread));
        self.next = Some(due.max(self.pause));
    }

    /// The next fetch, if it is time for one.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        directory: &mut Directory<'_>,
        members: &[Member],
    ) -> Option<Fetch> {
        if self.poll_timeout().is_none_or(|next| now < next) {
            return None;
        }
        // Whatever has changed until now is looked at.
        directory.take_changed();
        self.next = None;
        let failures = least_failures(directory, members)?;
        let among = || due(directory, members).filter(|(_, failed)| *failed == failures);
        let nth = random::below(&mut self.rng, among().count());
        let (member, _) = among().nth(nth)?;
        self.asking = Some(Asking {
            member: member.id(),
            epoch: member.incarnation().epoch,
            version: member.status_version(),
            reader: Some(StatusReader::new()),
        });
        Some(Fetch { member: member.id(), address: member.api() })
    }

    /// A piece of the status has come; false if it makes no sense, so that no more is wanted.
    pub(crate) fn read(&mut self, piece: &[u8]) -> bool {
        let Some(asking) = &mut self.asking else { return false };
        let read = asking.reader.as_mut().is_some_and(|reader| reader.read(piece).is_ok());
        if !read {
            asking.reader = None;
        }
        read
    }

    /// The fetch has ended.
    pub(crate) fn finish(
        &mut self,
        now: Instant,
        result: Result<(), FetchFailed>,
        directory: &mut Directory<'_>,
        members: &[Member],
    ) {
        let Some(Asking { member, epoch, version, reader }) = self.asking.take() else { return };
        let row = find(members, member).filter(|row| row.incarnation().epoch == epoch);
        let status = reader.filter(|_| result.is_ok()).and_then(|it| it.finish(member).ok());
        match (row, status) {
            (Some(_), Some((build, names))) => directory.fetched(member, version, &build, &names),
            (Some(_), None) => directory.failed(member),
            // It has gone, or has booted meanwhile.
            (None, _) => (),
        }
        self.pause = now + self.jitter(self.interval);
        self.next =
            least_failures(directory, members).map(|failures| match failures.checked_sub(1) {
                None => self.pause,
                Some(doublings) => {
                    let factor = 1u64.checked_shl(doublings.into()).unwrap_or(u64::MAX);
                    now + self.jitter(RETRY.times(factor).min(RETRY_MAX))
                }
            });
    }

    /// Between one and one and a half times `span`, so that nodes do not fall into step.
    fn jitter(&mut self, span: Duration) -> Duration {
        span + Duration::from_micros(random::up_to(&mut self.rng, span.as_micros() / 2))
    }
}

fn find(members: &[Member], id: NodeId) -> Option<&Member> {
    let index = members.binary_search_by_key(&id, Member::id).ok()?;
    members.get(index)
}

/// The members whose status is to be fetched, with the failures so far.
fn due<'m>(
    directory: &Directory<'_>,
    members: &'m [Member],
) -> impl Iterator<Item = (&'m Member, u8)> {
    directory.polled().filter(|(_, _, failures)| *failures < ATTEMPTS).filter_map(
        move |(id, version, failures)| {
            let member = find(members, id)?;
            let due = member.status() == Status::Active && member.status_version() != version;
            due.then_some((member, failures))
        },
    )
}

fn least_failures(directory: &Directory<'_>, members: &[Member]) -> Option<u8> {
    due(directory, members).map(|(_, failures)| failures).min()
}
