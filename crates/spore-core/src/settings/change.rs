//! Changing the settings: verified, stored, in force, in this order.

use super::Settings;
use super::document::Wanted;
use crate::api::Error;
use crate::security::{ReleaseKey, Succession, Verdict};
use crate::time::{Duration, Instant};

/// How long the outcome of a change is kept for whoever asked for it.
const KEPT: Duration = Duration::from_secs(1);

/// From one attempt to put back what is in force to the next.
const PUT_BACK_PAUSE: Duration = Duration::from_secs(10);

/// Which change an answer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u32);

/// The settings in force, and the change to them that is under way.
#[derive(Debug)]
pub(crate) struct Keeper {
    current: Settings,
    change: Option<Change>,
    last: Ticket,
    put_back: PutBack,
}

/// A store that failed may have left the new settings all the same, which would be in force after
/// a restart. So those that are in force are stored once more, until that succeeds.
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
struct Change {
    ticket: Ticket,
    settings: Settings,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The new release key must be one, and the old one, if any, must have signed it.
    ToVerify { signature: [u8; Succession::SIGNATURE], asked: bool },
    /// The body is to store it.
    ToStore { asked: bool },
    /// It has ended, for whoever waits for it.
    Ended { result: Result<(), Error>, at: Instant },
}

/// What the body is to do for a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Verify,
    Store,
}

impl Keeper {
    /// Settings as they were stored.
    pub(crate) const fn new(stored: Settings) -> Self {
        Self { current: stored, change: None, last: Ticket(0), put_back: PutBack::No }
    }

    /// The settings in force.
    pub(crate) const fn current(&self) -> &Settings {
        &self.current
    }

    /// Begins a change; `None` if nothing is to be changed.
    ///
    /// # Errors
    ///
    /// If another one is under way, if it is for another version of the settings, if the settings
    /// are damaged and a release key is to be taken, or if one would be replaced without a signature.
    pub(crate) fn begin(&mut self, now: Instant, wanted: Wanted) -> Result<Option<Ticket>, Error> {
        if self.is_busy(now) {
            return Err(Error::ChangeUnderWay);
        }
        if wanted.version.is_some_and(|version| version != self.current.version) {
            return Err(Error::VersionConflict);
        }
        if self.current.damaged && wanted.release_key.is_some() {
            return Err(Error::SettingsDamaged);
        }
        let key = wanted.release_key.filter(|key| self.current.release_key != Some(*key));
        // The configured name is not a setting: to ask for it keeps it, whatever comes.
        let hostname = wanted.hostname.filter(|name| self.current.hostname.as_ref() != Some(name));
        if key.is_none() && hostname.is_none() {
            return Ok(None);
        }
        let stage = match (key, wanted.signature) {
            (None, _) => Stage::ToStore { asked: false },
            (Some(_), None) if self.current.release_key.is_some() => {
                return Err(Error::ReleaseKeyUnsigned);
            }
            (Some(_), signature) => {
                let signature = signature.unwrap_or([0; Succession::SIGNATURE]);
                Stage::ToVerify { signature, asked: false }
            }
        };
        let settings = Settings {
            version: self.current.version.saturating_add(1),
            hostname: hostname.or_else(|| self.current.hostname.clone()),
            release_key: key.or(self.current.release_key),
            damaged: self.current.damaged,
        };
        self.last = Ticket(self.last.0.wrapping_add(1));
        self.change = Some(Change { ticket: self.last, settings, stage });
        Ok(Some(self.last))
    }

    /// Whether a change is under way, or has an outcome that is still to be fetched.
    fn is_busy(&self, now: Instant) -> bool {
        self.change.as_ref().is_some_and(|change| match change.stage {
            Stage::Ended { at, .. } => now.since(at) < KEPT,
            Stage::ToVerify { .. } | Stage::ToStore { .. } => true,
        })
    }

    /// Whether a change is under way.
    pub(crate) fn is_changing(&self) -> bool {
        let ended = |change: &Change| matches!(change.stage, Stage::Ended { .. });
        self.change.as_ref().is_some_and(|change| !ended(change))
    }

    /// What the body is to do next. Each step is asked for once, and one store at a time.
    pub(crate) fn poll_step(&mut self, now: Instant) -> Option<Step> {
        if self.put_back == PutBack::Asked {
            return None;
        }
        let (asked, step) = match self.change.as_mut().map(|change| &mut change.stage) {
            Some(Stage::ToVerify { asked, .. }) => (asked, Step::Verify),
            Some(Stage::ToStore { asked }) => (asked, Step::Store),
            Some(Stage::Ended { .. }) | None => return self.poll_put_back(now),
        };
        (!core::mem::replace(asked, true)).then_some(step)
    }

    fn poll_put_back(&mut self, now: Instant) -> Option<Step> {
        match self.put_back {
            PutBack::Due(at) if at <= now => {
                self.put_back = PutBack::Asked;
                Some(Step::Store)
            }
            _ => None,
        }
    }

    /// When to ask for the next step, if nothing else happens.
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        match self.put_back {
            PutBack::Due(at) => Some(at),
            PutBack::No | PutBack::Asked => None,
        }
    }

    /// The settings that are to be stored.
    pub(crate) fn to_store(&self) -> Option<&Settings> {
        if self.put_back == PutBack::Asked {
            return Some(&self.current);
        }
        let change = self.change.as_ref()?;
        matches!(change.stage, Stage::ToStore { .. }).then_some(&change.settings)
    }

    /// The signature that is to be verified.
    pub(crate) fn to_verify(&self) -> Option<Succession> {
        let change = self.change.as_ref()?;
        let key: Option<ReleaseKey> = self.current.release_key;
        let successor = change.settings.release_key?;
        match change.stage {
            Stage::ToVerify { signature, asked: true } => {
                Some(Succession { key, successor, signature })
            }
            _ => None,
        }
    }

    /// The release key was verified. Returns how the change ended, if it did.
    pub(crate) fn verified(&mut self, now: Instant, verdict: Verdict) -> Option<Result<(), Error>> {
        let change = self.change.as_mut()?;
        if !matches!(change.stage, Stage::ToVerify { asked: true, .. }) {
            return None;
        }
        let result = match verdict {
            Verdict::Genuine => {
                change.stage = Stage::ToStore { asked: false };
                return None;
            }
            Verdict::NoKey => Err(Error::InvalidField("release_key")),
            Verdict::Unsigned => Err(Error::ReleaseKeyUnsigned),
        };
        change.stage = Stage::Ended { result, at: now };
        Some(result)
    }

    /// The store was tried. Returns how the change ended, if one waited for that.
    pub(crate) fn stored(&mut self, now: Instant, success: bool) -> Option<Result<(), Error>> {
        if self.put_back == PutBack::Asked {
            let again = PutBack::Due(now + PUT_BACK_PAUSE);
            self.put_back = if success { PutBack::No } else { again };
            return None;
        }
        let change = self.change.as_mut()?;
        if !matches!(change.stage, Stage::ToStore { asked: true }) {
            return None;
        }
        let result = if success { Ok(()) } else { Err(Error::StoreFailed) };
        self.put_back = if success { PutBack::No } else { PutBack::Due(now) };
        if success {
            self.current = core::mem::take(&mut change.settings);
        }
        change.stage = Stage::Ended { result, at: now };
        Some(result)
    }

    /// Fetches the outcome of a change: `None` while it is under way. One that nobody fetched in
    /// time is not known any more; the settings tell.
    pub(crate) fn outcome(&mut self, ticket: Ticket) -> Option<Result<(), Error>> {
        let change = self.change.take_if(|change| {
            change.ticket != ticket || matches!(change.stage, Stage::Ended { .. })
        });
        match change {
            Some(Change { ticket: found, stage: Stage::Ended { result, .. }, .. })
                if found == ticket =>
            {
                Some(result)
            }
            Some(other) => {
                self.change = Some(other);
                Some(Err(Error::Unfinished))
            }
            None if self.change.is_some() => None,
            None => Some(Err(Error::Unfinished)),
        }
    }
}
