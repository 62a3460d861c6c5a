//! A rollout on one node: which plan holds, whose turn it is, and when it stops.
//!
//! *Which plan*: the one with the highest id that the release key has signed. It is in force when it is stored. Plans
//! spread with the messages of the cluster ([`cluster`](crate::cluster)): each tells a digest of the sender's plan, and
//! who sees that it differs sends his own.
//!
//! *Whose turn*: canaries restart into the image as soon as they have it. Any other node waits until all canaries, and
//! all that are there of the waves before its own, have been well for as long as the plan's gate asks, as this node sees
//! it. There is no coordinator: each member tells how far it is ([`UpdateState`]) in its own record.
//!
//! *When it stops*: for good, when so many members have failed as the plan allows for less than, when the operator says
//! so, or when it expires. Whoever notices tells all others with the plan.

use super::announcement::{Announcement, Ended};
use super::around::Own;
use super::fetch::Fetch;
use super::plan::{Image, RolloutId, SignedPlan};
use super::turn::LATE;
use crate::api::Error;
use crate::security::{ReleaseKey, Verdict};
use crate::store::Storing;
use crate::time::{Duration, Instant};
use crate::wire::{Reader, Writer};

/// What is to be done for a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Judge the plan that [`Rollout::to_verify`] returns.
    Verify,
    /// Store [`Rollout::value`].
    Store,
    /// Fetch this image from other members.
    Fetch([u8; Image::DIGEST]),
    /// Give this image on to them.
    Serve([u8; Image::DIGEST]),
    /// Put the image on trial that was fetched.
    Arm,
}

/// Until another plan of other members is looked at, after one that was not taken: verifying takes a chip a fifth of a
/// second.
const REST: Duration = Duration::from_secs(2);

/// Between two attempts to store.
const RETRY: Duration = Duration::from_secs(5);

/// The plan in force.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) told: Announcement,
    /// Since when `told` holds as for its age.
    since: Instant,
    /// Whether this node was away when it began, and does not catch up.
    pub(super) stays_out: bool,
}

/// A plan that is not in force: not yet, or never.
#[derive(Debug)]
struct Candidate {
    current: Current,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    ToVerify,
    Verifying,
    ToStore,
    Storing,
    /// It was not taken. The last such plan is kept, so that nothing is verified twice.
    Refused(Error),
}

/// What a node knows of rollouts, and does about them.
#[derive(Debug)]
pub(crate) struct Rollout {
    pub(super) current: Option<Current>,
    candidate: Option<Candidate>,
    /// The storing of the plan in force, when it has ended.
    storing: Storing,
    /// No plan of other members is verified before.
    rested: Instant,
    pub(super) fetch: Fetch,
    /// Whether this node was asked to give the image on that it runs.
    serves: bool,
    /// Since when all are well that came before this node.
    pub(super) open: Option<Instant>,
    /// When to look at the members again.
    pub(super) look: Option<Instant>,
    /// What is to be told of on this node.
    news: Option<Ended>,
}

impl Rollout {
    const VERSION: u8 = 1;
    const STAYS_OUT: u8 = 1;

    /// No rollout.
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            current: None,
            candidate: None,
            storing: Storing::Idle,
            rested: now,
            fetch: Fetch::No,
            serves: false,
            open: None,
            look: Some(now),
            news: None,
        }
    }

    /// What was stored as `value`; nothing if it is no such value.
    pub(crate) fn restore(&mut self, now: Instant, value: &[u8]) {
        self.current = Self::decode(now, value);
    }

    fn decode(now: Instant, value: &[u8]) -> Option<Current> {
        let mut reader = Reader::new(value);
        if reader.u8().ok()? != Self::VERSION {
            return None;
        }
        let flags = reader.u8().ok().filter(|flags| flags & !Self::STAYS_OUT == 0)?;
        let told = Announcement::parse(reader.rest())?;
        Some(Current { told, since: now, stays_out: flags & Self::STAYS_OUT != 0 })
    }

    /// Writes the value to be stored into `buf`. Returns its length; 0 if there is no plan.
    pub(crate) fn value(&self, buf: &mut [u8]) -> usize {
        let storing = self.candidate.as_ref().filter(|it| it.stage == Stage::Storing);
        let Some(current) = storing.map(|it| &it.current).or(self.current.as_ref()) else {
            return 0;
        };
        let mut writer = Writer::new(buf);
        let written = writer
            .u8(Self::VERSION)
            .and_then(|()| writer.u8(if current.stays_out { Self::STAYS_OUT } else { 0 }))
            .and_then(|()| current.told.emit(&mut writer));
        if written.is_ok() { writer.len() } else { 0 }
    }

    /// The plan in force, with its age of now.
    pub(crate) fn announcement(&self, now: Instant) -> Option<Announcement> {
        self.current.as_ref().map(|current| current.announcement(now))
    }

    /// The plan in force, and how it has ended.
    pub(crate) fn current(&self) -> Option<&Announcement> {
        self.current.as_ref().map(|current| &current.told)
    }

    /// What every message tells of it; 0 without a plan.
    pub(crate) fn digest(&self) -> u32 {
        self.current().map_or(0, Announcement::digest)
    }

    /// Whether the plan that `digest` stands for is in force here, or may soon be.
    pub(crate) fn knows(&self, digest: u32) -> bool {
        let candidate = self.open_candidate().map(|it| it.current.told.digest());
        self.digest() == digest || candidate == Some(digest)
    }

    /// Takes in what a trusted member tells.
    pub(crate) fn hear(&mut self, now: Instant, told: Announcement) {
        let id = told.id();
        if let Some(current) = self.current.as_mut().filter(|it| it.told.id() >= id) {
            if current.told.id() == id {
                current.grow_to(now, told.age);
                self.end(now, told.ended);
            }
        } else if let Some(candidate) =
            self.candidate.as_mut().filter(|it| it.is_open() && it.id() >= id)
        {
            if candidate.id() == id {
                let known = &mut candidate.current.told;
                known.ended = known.ended.max(told.ended);
            }
        } else if now >= self.rested && !self.is_unsigned(&told.signed) {
            self.consider(now, told);
        }
    }

    /// Whether it is known that the release key has not signed this.
    fn is_unsigned(&self, signed: &SignedPlan) -> bool {
        let last = self.candidate.as_ref().map(|it| (it.stage, &it.current.told.signed));
        last == Some((Stage::Refused(Error::RolloutUnsigned), signed))
    }

    /// The settings have changed, the release key perhaps: what was refused may be taken now.
    pub(crate) fn reconsider(&mut self, now: Instant) {
        self.candidate.take_if(|candidate| !candidate.is_open());
        self.look_again(now);
    }

    /// Begins a rollout at the operator's wish. [`outcome`](Self::outcome) tells what comes of it.
    ///
    /// # Errors
    /// If there is a newer one, another is just being taken, or there is no release key to hold it against.
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        key: Option<ReleaseKey>,
        signed: SignedPlan,
    ) -> Result<RolloutId, Error> {
        let id = signed.plan.id;
        if self.is_changing() {
            return Err(Error::ChangeUnderWay);
        }
        if key.is_none() {
            return Err(Error::NoReleaseKey);
        }
        match self.current().map(|current| (current.id().cmp(&id), current.signed == signed)) {
            // The client has not heard the first answer.
            Some((_, true)) => return Ok(id),
            Some((core::cmp::Ordering::Less, false)) | None => (),
            Some(_) => return Err(Error::RolloutOutdated),
        }
        self.consider(now, Announcement { signed, ended: Ended::No, age: 0 });
        Ok(id)
    }

    /// What has come of a rollout: `None` while that is not known.
    pub(crate) fn outcome(&self, id: RolloutId) -> Option<Result<(), Error>> {
        if let Some(candidate) = self.candidate.as_ref().filter(|it| it.id() == id) {
            return candidate.refusal().map(Err);
        }
        let known = self.current().is_some_and(|current| current.id() == id);
        match known {
            true => matches!(self.storing, Storing::Idle).then_some(Ok(())),
            false => Some(Err(Error::RolloutOutdated)),
        }
    }

    /// Halts the rollout at the operator's wish; which one that is.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn halt(&mut self, now: Instant) -> Result<RolloutId, Error> {
        let id = self.current().ok_or(Error::NoRollout)?.id();
        self.end(now, Ended::Halted);
        Ok(id)
    }

    fn consider(&mut self, now: Instant, told: Announcement) {
        let stays_out = told.age >= LATE && !told.signed.plan.catches_up;
        let current = Current { told, since: now, stays_out };
        self.candidate = Some(Candidate { current, stage: Stage::ToVerify });
    }

    /// The rollout has ended in this way, if it has not in a later one.
    pub(super) fn end(&mut self, now: Instant, ended: Ended) {
        let Some(current) = self.current.as_mut().filter(|it| it.told.ended < ended) else {
            return;
        };
        current.told.ended = ended;
        self.news = Some(ended);
        self.storing.want();
        self.look = Some(now);
    }

    /// What is to be done next; each thing once.
    pub(crate) fn poll(&mut self, now: Instant, own: &Own) -> Option<Task> {
        if let Some(candidate) = &mut self.candidate {
            match candidate.stage {
                Stage::ToVerify if own.key.is_none() => self.refuse(now, Error::NoReleaseKey),
                Stage::ToVerify => {
                    candidate.stage = Stage::Verifying;
                    return Some(Task::Verify);
                }
                Stage::ToStore if !matches!(self.storing, Storing::UnderWay { .. }) => {
                    candidate.stage = Stage::Storing;
                    return Some(Task::Store);
                }
                _ => (),
            }
        }
        if !self.is_adopting() && self.storing.poll(now) {
            if let Some(current) = &mut self.current {
                current.grow_to(now, current.age(now));
            }
            return Some(Task::Store);
        }
        if let Some(image) = self.runs(own).filter(|_| !self.serves) {
            self.serves = true;
            return Some(Task::Serve(image.digest));
        }
        let image = self.wanted(own)?;
        match self.fetch {
            Fetch::No => {
                self.fetch = Fetch::UnderWay(0);
                Some(Task::Fetch(image.digest))
            }
            Fetch::Done if self.is_due(now, own) => {
                self.fetch = Fetch::Arming;
                self.look = Some(now);
                Some(Task::Arm)
            }
            _ => None,
        }
    }

    /// Whether a new plan is being stored. It ends with a completion; nothing else of this is stored meanwhile.
    fn is_adopting(&self) -> bool {
        self.candidate.as_ref().is_some_and(|it| it.stage == Stage::Storing)
    }

    /// When to call again, if nothing else happens.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let storing = self.storing.poll_timeout().filter(|_| !self.is_adopting());
        storing.into_iter().chain(self.look).min()
    }

    /// The plan that is to be verified.
    pub(crate) fn to_verify(&self) -> Option<&SignedPlan> {
        let candidate = self.candidate.as_ref().filter(|it| it.stage == Stage::Verifying)?;
        Some(&candidate.current.told.signed)
    }

    /// The plan was verified.
    pub(crate) fn verified(&mut self, now: Instant, verdict: Verdict) {
        let Some(candidate) = self.candidate.as_mut().filter(|it| it.stage == Stage::Verifying)
        else {
            return;
        };
        if verdict == Verdict::Genuine {
            candidate.stage = Stage::ToStore;
        } else {
            self.refuse(now, Error::RolloutUnsigned);
        }
    }

    /// The store was tried.
    pub(crate) fn stored(&mut self, now: Instant, success: bool) {
        match self.candidate.as_ref().map(|candidate| candidate.stage) {
            Some(Stage::Storing) if success => self.adopt(now),
            Some(Stage::Storing) => {
                self.refuse(now, Error::StoreFailed);
                // Perhaps it was stored all the same.
                self.storing.want();
            }
            _ => {
                self.storing.finish(now, success, RETRY);
            }
        }
    }

    fn refuse(&mut self, now: Instant, why: Error) {
        self.rested = now + REST;
        if let Some(candidate) = &mut self.candidate {
            candidate.stage = Stage::Refused(why);
        }
        self.look = Some(now);
    }

    /// The candidate is in force from now on.
    fn adopt(&mut self, now: Instant) {
        let Some(Candidate { current, .. }) = self.candidate.take() else { return };
        self.news = Some(current.told.ended);
        self.current = Some(current);
        // What was stored last is this one.
        self.storing = Storing::Idle;
        (self.fetch, self.serves) = (Fetch::No, false);
        (self.open, self.look) = (None, Some(now));
    }

    /// Has a plan in force at once, whoever has signed it.
    #[cfg(test)]
    pub(crate) fn adopt_unverified(&mut self, now: Instant, told: Announcement) {
        self.consider(now, told);
        self.adopt(now);
    }

    /// What has become of the plan in force since this was last asked.
    pub(crate) fn take_news(&mut self) -> Option<Ended> {
        self.news.take()
    }

    /// Whether a plan is being taken.
    pub(crate) fn is_changing(&self) -> bool {
        self.open_candidate().is_some()
    }

    fn open_candidate(&self) -> Option<&Candidate> {
        self.candidate.as_ref().filter(|candidate| candidate.is_open())
    }

    /// The last plan that was not taken, and why; `None` if another one was looked at since.
    pub(super) fn refused(&self) -> Option<(RolloutId, Error)> {
        let candidate = self.candidate.as_ref()?;
        Some((candidate.id(), candidate.refusal()?))
    }
}

impl Candidate {
    const fn id(&self) -> RolloutId {
        self.current.told.id()
    }

    /// Whether it may still come into force.
    const fn is_open(&self) -> bool {
        self.refusal().is_none()
    }

    const fn refusal(&self) -> Option<Error> {
        match self.stage {
            Stage::Refused(why) => Some(why),
            _ => None,
        }
    }
}

impl Current {
    /// Minutes since the rollout began, as far as this node knows.
    pub(super) fn age(&self, now: Instant) -> u16 {
        let minutes = now.since(self.since).as_secs() / 60;
        self.told.age.saturating_add(u16::try_from(minutes).unwrap_or(u16::MAX))
    }

    /// Somebody else knows that it is so old.
    fn grow_to(&mut self, now: Instant, age: u16) {
        if age >= self.age(now) {
            (self.told.age, self.since) = (age, now);
        }
    }

    fn announcement(&self, now: Instant) -> Announcement {
        Announcement { age: self.age(now), ..self.told.clone() }
    }
}

#[cfg(test)]
#[path = "rollout_tests.rs"]
mod tests;
