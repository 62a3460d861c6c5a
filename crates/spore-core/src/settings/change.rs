//! Changing the settings: verified, stored, in force, in this order.

use super::Settings;
use super::commit::{Commit, Refusal, Ticket};
use super::document::Wanted;
use crate::api::Error;
use crate::security::{Succession, Verdict};
use crate::time::Instant;

/// The settings in force, and the change to them that is under way.
#[derive(Debug)]
pub(crate) struct Keeper {
    current: Settings,
    change: Option<Change>,
    commit: Commit,
}

#[derive(Debug)]
struct Change {
    settings: Settings,
    /// The new release key must be one, and the old one, if any, must have signed it. The change is
    /// held until that is verified.
    signature: [u8; Succession::SIGNATURE],
    /// Whether the body was asked to verify it.
    asked: bool,
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
        Self { current: stored, change: None, commit: Commit::new() }
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
        if self.commit.is_busy(now) {
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
        if key.is_some() && wanted.signature.is_none() && self.current.release_key.is_some() {
            return Err(Error::ReleaseKeyUnsigned);
        }
        let settings = Settings {
            version: self.current.version.saturating_add(1),
            hostname: hostname.or_else(|| self.current.hostname.clone()),
            release_key: key.or(self.current.release_key),
            damaged: self.current.damaged,
        };
        let signature = wanted.signature.unwrap_or([0; Succession::SIGNATURE]);
        self.change = Some(Change { settings, signature, asked: false });
        Ok(Some(self.commit.begin(key.is_some())))
    }

    /// Whether a change is under way.
    pub(crate) const fn is_changing(&self) -> bool {
        self.commit.is_changing()
    }

    /// What the body is to do next. Each step is asked for once, and one store at a time.
    pub(crate) fn poll_step(&mut self, now: Instant) -> Option<Step> {
        if !self.commit.is_held() {
            return self.commit.poll_store(now).then_some(Step::Store);
        }
        if self.commit.is_putting_back() {
            return None;
        }
        let change = self.change.as_mut()?;
        (!core::mem::replace(&mut change.asked, true)).then_some(Step::Verify)
    }

    /// When to ask for the next step, if nothing else happens.
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        self.commit.poll_timeout()
    }

    /// The settings that are to be stored.
    pub(crate) fn to_store(&self) -> Option<&Settings> {
        if self.commit.is_putting_back() {
            return Some(&self.current);
        }
        let change = self.change.as_ref().filter(|_| self.commit.is_storing())?;
        Some(&change.settings)
    }

    /// The signature that is to be verified.
    pub(crate) fn to_verify(&self) -> Option<Succession> {
        let change = self.change.as_ref().filter(|change| self.commit.is_held() && change.asked)?;
        let (key, signature) = (self.current.release_key, change.signature);
        change.settings.release_key.map(|successor| Succession { key, successor, signature })
    }

    /// The release key was verified. Returns how the change ended, if it did.
    pub(crate) fn verified(&mut self, now: Instant, verdict: Verdict) -> Option<Result<(), Error>> {
        self.to_verify()?;
        let why = match verdict {
            Verdict::Genuine => {
                self.commit.release();
                return None;
            }
            Verdict::NoKey => Refusal::NoKey,
            Verdict::Unsigned => Refusal::Unsigned,
        };
        Some(self.commit.refuse(now, why))
    }

    /// The store was tried. Returns how the change ended, if one waited for that.
    pub(crate) fn stored(&mut self, now: Instant, success: bool) -> Option<Result<(), Error>> {
        let ended = self.commit.stored(now, success)?;
        if let Some(change) = self.change.take().filter(|_| ended.is_ok()) {
            self.current = change.settings;
        }
        Some(ended)
    }

    /// Fetches the outcome of a change: `None` while it is under way. One that nobody fetched in
    /// time is not known any more; the settings tell.
    pub(crate) fn outcome(&mut self, ticket: Ticket) -> Option<Result<(), Error>> {
        self.commit.outcome(ticket)
    }
}
