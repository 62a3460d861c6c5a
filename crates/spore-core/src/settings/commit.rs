//! A change that is in force when it is durable, and not before: what all such changes have in
//! common, whatever is changed.

use crate::api::Error;
use crate::time::{Duration, Instant};

/// How long the outcome of a change is kept for whoever asked for it.
const KEPT: Duration = Duration::from_secs(1);

/// From one attempt to put back what is in force to the next.
const PUT_BACK_PAUSE: Duration = Duration::from_secs(10);

/// Which change an answer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u32);

/// The way of a change into the store, one at a time. Its owner keeps what is in force, and what is
/// to be.
#[derive(Debug)]
pub(crate) struct Commit {
    stage: Stage,
    last: Ticket,
    put_back: PutBack,
}

/// A store that failed may have left the new value all the same, which would be in force after
/// a restart. So what is in force is stored once more, until that succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PutBack {
    /// What is stored is in force.
    No,
    /// It is to be asked for then.
    Due(Instant),
    /// The body is at it.
    Asked,
}

#[derive(Debug)]
enum Stage {
    /// There is no change.
    Idle,
    /// It is not to be stored yet.
    Held,
    /// The body is to store it.
    ToStore { asked: bool },
    /// It has ended, for whoever waits for it.
    Ended { how: Ending, at: Instant },
}

/// How a change has ended, in less room than a result takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Stored,
    NotStored,
    Refused(Refusal),
}

/// Why a change was refused without having been stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The release key is none.
    NoKey,
    /// The old release key has not signed it.
    Unsigned,
}

impl Ending {
    const fn result(self) -> Result<(), Error> {
        match self {
            Self::Stored => Ok(()),
            Self::NotStored => Err(Error::StoreFailed),
            Self::Refused(Refusal::NoKey) => Err(Error::InvalidField("release_key")),
            Self::Refused(Refusal::Unsigned) => Err(Error::ReleaseKeyUnsigned),
        }
    }
}

impl Commit {
    pub(crate) const fn new() -> Self {
        Self { stage: Stage::Idle, last: Ticket(0), put_back: PutBack::No }
    }

    /// Begins a change, which is stored at once unless it is `held`.
    pub(crate) const fn begin(&mut self, held: bool) -> Ticket {
        self.last = Ticket(self.last.0.wrapping_add(1));
        self.stage = if held { Stage::Held } else { Stage::ToStore { asked: false } };
        self.last
    }

    /// Whether a change is under way, or has an outcome that is still to be fetched.
    pub(crate) fn is_busy(&self, now: Instant) -> bool {
        match self.stage {
            Stage::Ended { at, .. } => now.since(at) < KEPT,
            Stage::Held | Stage::ToStore { .. } => true,
            Stage::Idle => false,
        }
    }

    /// Whether a change is under way.
    pub(crate) const fn is_changing(&self) -> bool {
        matches!(self.stage, Stage::Held | Stage::ToStore { .. })
    }

    /// Whether a change waits for [`release`](Self::release).
    pub(crate) const fn is_held(&self) -> bool {
        matches!(self.stage, Stage::Held)
    }

    /// Whether what is to be stored is what is in force, rather than the change.
    pub(crate) fn is_putting_back(&self) -> bool {
        self.put_back == PutBack::Asked
    }

    /// Whether what is to be stored is the change.
    pub(crate) fn is_storing(&self) -> bool {
        !self.is_putting_back() && matches!(self.stage, Stage::ToStore { .. })
    }

    /// A change that was held is to be stored now.
    pub(crate) const fn release(&mut self) {
        if self.is_held() {
            self.stage = Stage::ToStore { asked: false };
        }
    }

    /// The change ends without having been stored. Returns how.
    pub(crate) const fn refuse(&mut self, now: Instant, why: Refusal) -> Result<(), Error> {
        let how = Ending::Refused(why);
        self.stage = Stage::Ended { how, at: now };
        how.result()
    }

    /// Whether the body is to store the value now. It is asked once, and for one at a time.
    pub(crate) fn poll_store(&mut self, now: Instant) -> bool {
        match (self.put_back, &mut self.stage) {
            (PutBack::Asked, _) | (_, Stage::Held) => false,
            (_, Stage::ToStore { asked }) => !core::mem::replace(asked, true),
            (PutBack::Due(at), Stage::Idle | Stage::Ended { .. }) if at <= now => {
                self.put_back = PutBack::Asked;
                true
            }
            (PutBack::Due(_) | PutBack::No, Stage::Idle | Stage::Ended { .. }) => false,
        }
    }

    /// When to ask again whether something is to be stored, if nothing else happens.
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        match self.put_back {
            PutBack::Due(at) => Some(at),
            PutBack::No | PutBack::Asked => None,
        }
    }

    /// The store was tried. Returns how the change ended, if one waited for that.
    pub(crate) fn stored(&mut self, now: Instant, success: bool) -> Option<Result<(), Error>> {
        if self.put_back == PutBack::Asked {
            let again = PutBack::Due(now + PUT_BACK_PAUSE);
            self.put_back = if success { PutBack::No } else { again };
            return None;
        }
        if !matches!(self.stage, Stage::ToStore { asked: true }) {
            return None;
        }
        let how = if success { Ending::Stored } else { Ending::NotStored };
        self.put_back = if success { PutBack::No } else { PutBack::Due(now) };
        self.stage = Stage::Ended { how, at: now };
        Some(how.result())
    }

    /// Fetches the outcome of a change: `None` while it is under way. One that nobody fetched in
    /// time is not known any more; the state tells.
    pub(crate) fn outcome(&mut self, ticket: Ticket) -> Option<Result<(), Error>> {
        if ticket != self.last {
            return Some(Err(Error::Unfinished));
        }
        match self.stage {
            Stage::Idle => Some(Err(Error::Unfinished)),
            Stage::Held | Stage::ToStore { .. } => None,
            Stage::Ended { how, .. } => {
                self.stage = Stage::Idle;
                Some(how.result())
            }
        }
    }
}
