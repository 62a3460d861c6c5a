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
//! # Asked by a client
//!
//! A client of the API may want to know how a member is now ([`ask`](Poller::ask)): its status is fetched at once, one at a time,
//! at least [`ASK_PACE`] apart, and the figures of the last one are kept for [`FRESH`].
//!
//! # Trust
//!
//! The fetch is plain HTTP: who can alter traffic can alter what is shown for `board`, `version`, the
//! names and the figures. Nothing else depends on it. A document that is not the asked member's, or malformed, or beyond a limit
//! changes nothing.

use super::Directory;
use super::status::{Figures, StatusReader};
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

/// The least time from a fetch to one that a client wants.
const ASK_PACE: Duration = Duration::from_millis(250);
/// For so long what a member has said stands for what it would say now.
const FRESH: Duration = Duration::from_secs(1);
/// After so long nobody waits for an answer any more.
const ASK_LIMIT: Duration = Duration::from_secs(10);

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

/// What a client wants to know has to wait: another member is being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OneAtATime;

/// What a member has said, for a client that wanted to know.
#[derive(Debug)]
struct Told {
    member: NodeId,
    at: Instant,
    /// `None` if it has not answered.
    figures: Option<Figures>,
}

/// Decides whose status is fetched when.
#[derive(Debug)]
pub(crate) struct Poller {
    asking: Option<Asking>,
    /// Whose status a client wants to know, since when.
    wanted: Option<(NodeId, Instant)>,
    told: Option<Told>,
    /// When to fetch next, if there is something to fetch.
    next: Option<Instant>,
    /// Nothing is fetched before,
    pause: Instant,
    /// and nothing that a client wants before this.
    rested: Instant,
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
        Self {
            asking: None,
            wanted: None,
            told: None,
            next: None,
            pause: now,
            rested: now,
            round,
            silent: false,
            interval: PACE,
            rng,
        }
    }

    /// A client wants to know how `member` is. Whether that is known when
    /// [`is_known`](Self::is_known) says so.
    pub(crate) fn ask(&mut self, now: Instant, member: NodeId) -> Result<(), OneAtATime> {
        let wanted = self.wanted.filter(|(_, since)| now < *since + ASK_LIMIT);
        let is_fresh = |told: &Told| told.member == member && now < told.at + FRESH;
        match wanted {
            Some((other, _)) if other != member => Err(OneAtATime),
            Some(_) => Ok(()),
            None if self.told.as_ref().is_some_and(is_fresh) => Ok(()),
            None => {
                self.told = None;
                self.wanted = Some((member, now)).filter(|_| !self.silent);
                Ok(())
            }
        }
    }

    /// Whether nothing more will be known of `member`, for now.
    pub(crate) fn is_known(&self, member: NodeId) -> bool {
        self.wanted.is_none_or(|(wanted, _)| wanted != member)
    }

    /// What `member` has said just now, if it was the last that was asked, and has answered.
    pub(crate) fn figures(&self, now: Instant, member: NodeId) -> Option<&Figures> {
        let told = self.told.as_ref()?;
        let just_now = told.member == member && now < told.at + FRESH.times(2);
        told.figures.as_ref().filter(|_| just_now)
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
        if self.asking.is_some() || self.silent {
            return None;
        }
        let wanted = self.wanted.map(|(_, since)| since.max(self.rested));
        wanted.into_iter().chain(self.next).min()
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
        if self.asking.is_some() || self.silent {
            return None;
        }
        let wanted = self.wanted.filter(|(_, since)| now >= *since.max(&self.rested));
        let member = match wanted.and_then(|(wanted, _)| find(members, wanted)) {
            Some(member) => member,
            None => {
                // Whom nobody knows any more cannot be asked.
                self.wanted = self.wanted.filter(|_| wanted.is_none());
                self.next_due(now, directory, members)?
            }
        };
        self.asking = Some(Asking {
            member: member.id(),
            epoch: member.incarnation().epoch,
            version: member.status_version(),
            reader: Some(StatusReader::new()),
        });
        Some(Fetch { member: member.id(), address: member.api() })
    }

    /// One of those members whose status has changed, if it is time for that.
    fn next_due<'m>(
        &mut self,
        now: Instant,
        directory: &mut Directory<'_>,
        members: &'m [Member],
    ) -> Option<&'m Member> {
        self.next.filter(|next| now >= *next)?;
        // Whatever has changed until now is looked at.
        directory.take_changed();
        self.next = None;
        let failures = least_failures(directory, members)?;
        let among = || due(directory, members).filter(|(_, failed)| *failed == failures);
        let nth = random::below(&mut self.rng, among().count());
        among().nth(nth).map(|(member, _)| member)
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
        let mut status = reader.filter(|_| result.is_ok()).and_then(|it| it.finish(member).ok());
        let wanted = self.wanted.take_if(|(wanted, _)| *wanted == member).is_some();
        if wanted {
            let figures = status.as_mut().map(|(.., figures)| core::mem::take(figures));
            self.told = Some(Told { member, at: now, figures });
        }
        match (row, status) {
            (Some(_), Some((build, names, _))) => {
                directory.fetched(member, version, &build, &names);
            }
            // What only a client wanted to know says nothing of what is to be fetched.
            (Some(_), None) if wanted => (),
            (Some(_), None) => directory.failed(member),
            // It has gone, or has booted meanwhile.
            (None, _) => (),
        }
        self.rested = now + ASK_PACE;
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
