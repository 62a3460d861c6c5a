//! Whether the image that runs is kept.
//!
//! On trial, it is when a peer has acknowledged it, or, if the node had no peers before, when its network is up; but not
//! before [`SETTLING`] has passed, in which an image that crashes soon has the time to. After [`TRIAL`] it is given up.
//! The start of one that the selector does not name is written there, so that there is something to go back to.

use super::record::{Failure, Outcome};
use super::{RETRY, Running, Stage, Step, StepFailed, Updates};
use crate::time::{Duration, Instant};

/// How long an image on trial has to prove itself.
pub(super) const TRIAL: Duration = Duration::from_secs(300);

/// How long it must run before it is confirmed.
pub(super) const SETTLING: Duration = Duration::from_secs(10);

/// What goes on around the image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Around {
    /// The node has an address in its network.
    pub(crate) connected: bool,
    /// A peer has answered a ping of this boot.
    pub(crate) acknowledged: bool,
}

/// How far the trial is.
#[derive(Debug)]
pub(super) enum Trial {
    /// Nothing is to be done.
    Over,
    /// The image is on trial since then, and has settled by now or not.
    Running { since: Instant, settled: bool },
    /// The body is to do this step, from then on.
    Due { step: Step, at: Instant },
    /// The body is at it.
    Asked { step: Step },
}

impl Trial {
    pub(super) fn new(now: Instant, running: Option<Running>) -> Self {
        match running.map(|running| running.stage) {
            None => Self::Over,
            Some(Stage::Trial) => Self::Running { since: now, settled: false },
            // The second sector may still say something else.
            Some(Stage::Confirmed | Stage::Fallback { .. }) => {
                Self::Due { step: Step::Confirm, at: now }
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Over | Self::Asked { .. } => None,
            Self::Running { since, settled: false } => Some(*since + SETTLING),
            Self::Running { since, settled: true } => Some(*since + TRIAL),
            Self::Due { at, .. } => Some(*at),
        }
    }
}

impl Updates {
    /// Decides about the image on trial, as far as that can be done now.
    pub(crate) fn advance(&mut self, now: Instant, around: Around) {
        let Trial::Running { since, settled } = &mut self.trial else { return };
        let since = *since;
        *settled = now.since(since) >= SETTLING;
        let passed = around.acknowledged || (self.record.alone && around.connected);
        if passed && *settled {
            self.trial = Trial::Due { step: Step::Confirm, at: now };
        } else if now.since(since) >= TRIAL {
            let why = if around.connected { Failure::NoPeer } else { Failure::NoNetwork };
            let image = self.running.map_or(0, |running| running.sequence);
            self.record.outcome = Some(Outcome { image, failure: Some(why) });
            self.storing.want();
            self.trial = Trial::Due { step: Step::GiveUp, at: now };
        }
    }

    /// What the body is to do with its slots. What is remembered of an image is stored before.
    pub(crate) fn poll_step(&mut self, now: Instant) -> Option<Step> {
        let Trial::Due { step, at } = self.trial else { return None };
        if now < at || !self.is_prepared() {
            return None;
        }
        self.trial = Trial::Asked { step };
        Some(step)
    }

    /// The body has done a step, or could not. Returns what has become of an update with that.
    pub(crate) fn stepped(
        &mut self,
        now: Instant,
        step: Step,
        result: Result<(), StepFailed>,
    ) -> Option<Outcome> {
        let Trial::Asked { step: asked } = self.trial else { return None };
        if step != asked {
            return None;
        }
        if result.is_err() || step == Step::GiveUp {
            self.trial = Trial::Due { step, at: now + RETRY };
            return None;
        }
        self.trial = Trial::Over;
        self.forget_away();
        let running = self.running.as_mut()?;
        let stage = core::mem::replace(&mut running.stage, Stage::Confirmed);
        match stage {
            Stage::Confirmed => None,
            Stage::Trial => {
                let outcome = Outcome { image: running.sequence, failure: None };
                self.record.outcome = Some(outcome);
                self.record.floor = self.record.floor.max(running.sequence);
                self.storing.want();
                Some(outcome)
            }
            Stage::Fallback { tried } => self.record.outcome.filter(|_| tried.is_some()),
        }
    }
}
