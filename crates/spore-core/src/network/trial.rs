//! Credentials on trial: kept if they lead to an address, else the old ones return.
//!
//! What is tried is stored before anything is certain, with the credentials that return: so a
//! power cut at any moment leaves the one or the other, and a trial that goes on after a restart is
//! counted, so that it cannot go on for ever.

use super::credentials::{Credentials, Remembered};
use super::station::Station;
use super::{Around, Network, RadioCommand, Reason};
use crate::node::Event;
use crate::time::{Duration, Instant};

/// How long the node may take to get an address with new credentials.
const TRIAL: Duration = Duration::from_secs(60);

/// So often the network may say that the password is wrong.
const WRONG_MAX: u8 = 3;

/// In so many boots credentials are tried, the one in which they were set included.
const BOOTS_MAX: u8 = 3;

/// The credentials, and what is to be found out about them.
#[derive(Debug)]
pub(super) struct Trial {
    /// Of which a part is stored: while a trial is under way, `boots` is above 0.
    remembered: Remembered,
    /// When the trial under way ends. `None` before it has begun.
    until: Option<Instant>,
    /// How often the password was said to be wrong.
    wrong: u8,
    /// Whether the last trial of this boot ended with the return of the old credentials.
    returned: bool,
}

impl Trial {
    /// What was stored as `value`, or else the `initial` credentials. A trial that was under way
    /// goes on, or ends here for good.
    pub(super) fn new(now: Instant, value: &[u8], initial: Option<Credentials>) -> Self {
        let remembered = match Remembered::decode(value) {
            Some(stored) if stored.current.are_some() => stored,
            _ => {
                let current = initial.unwrap_or(Credentials::NONE);
                Remembered { current, previous: Credentials::NONE, boots: 0 }
            }
        };
        let mut trial = Self { remembered, until: None, wrong: 0, returned: false };
        if trial.is_under_way() {
            trial.until = Some(if trial.remembered.boots < BOOTS_MAX { now + TRIAL } else { now });
            trial.remembered.boots = trial.remembered.boots.saturating_add(1);
        }
        trial
    }

    pub(super) const fn is_under_way(&self) -> bool {
        self.remembered.boots > 0
    }

    /// The trial as the API shows it; `None` if there is nothing to tell.
    pub(super) const fn name(&self) -> Option<&'static str> {
        match (self.is_under_way(), self.returned) {
            (true, _) => Some("trial"),
            (false, true) => Some("returned"),
            (false, false) if self.remembered.current.are_some() => Some("kept"),
            (false, false) => None,
        }
    }

    /// Whether there is something to return to.
    pub(super) const fn has_previous(&self) -> bool {
        self.remembered.previous.are_some()
    }

    /// What to connect with.
    pub(super) fn current(&self) -> Option<&Credentials> {
        Some(&self.remembered.current).filter(|credentials| credentials.are_some())
    }

    pub(super) fn value(&self, buf: &mut [u8]) -> usize {
        self.remembered.encode(buf)
    }

    /// When the trial ends.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.until
    }

    /// These credentials are to be tried. Those that return are the last ones that were kept.
    pub(super) fn prepare(&mut self, wanted: Credentials) {
        let Remembered { current, previous, boots } = &mut self.remembered;
        if *boots == 0 {
            *previous = *current;
        }
        *current = wanted;
        *boots = 1;
        (self.until, self.wrong, self.returned) = (None, 0, false);
    }

    /// The trial begins now, if there is one that has not yet begun.
    pub(super) fn begin(&mut self, now: Instant) {
        if self.is_under_way() && self.until.is_none() {
            self.until = Some(now + TRIAL);
        }
    }

    /// Whether it has failed: the time is over, or the password was said to be wrong too often.
    pub(super) fn has_failed(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now >= until || self.wrong >= WRONG_MAX)
    }

    /// The network says that the password is wrong.
    pub(super) const fn note_wrong(&mut self) {
        self.wrong = self.wrong.saturating_add(1);
    }

    /// Ends the trial: the credentials are kept, or those from before return.
    fn end(&mut self, keep: bool) {
        let Remembered { current, previous, boots } = &mut self.remembered;
        if !keep {
            *current = *previous;
        }
        *previous = Credentials::NONE;
        *boots = 0;
        (self.until, self.returned) = (None, !keep);
    }
}

impl Network {
    /// The node has an address: if its credentials were on trial, they have stood it.
    pub(super) fn keep(&mut self, around: &mut Around<'_, '_>) {
        if self.trial.is_under_way() {
            self.trial.end(true);
            self.storing.want();
            around.notify(Event::CredentialsKept);
        }
    }

    /// The trial has failed: goes back to the credentials from before, or to none.
    pub(super) fn give_back(&mut self, around: &mut Around<'_, '_>) {
        self.go_offline(around, Reason::Changed);
        self.trial.end(false);
        self.storing.want();
        around.notify(Event::CredentialsReturned);
        self.commands.add(RadioCommand::Disconnect);
        // They have all the time before the access point opens, if there are any.
        (self.since, self.attempts) = (around.now, 0);
        self.station = match self.trial.current() {
            Some(_) => Station::Waiting { until: around.now },
            None => Station::Off,
        };
    }
}
