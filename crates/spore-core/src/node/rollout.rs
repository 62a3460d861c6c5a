//! What a [`Node`] does about a rollout through the cluster.

use super::{Action, Event, Node};
use crate::api::Error;
use crate::ota::announcement::Announcement;
use crate::ota::around::Own;
use crate::ota::plan::{Image, RolloutId, SignedPlan};
use crate::ota::rollout::Task;
use crate::ota::state::Reason;
use crate::ota::{Failure, Fetched, Outcome, Refused, Step, StepFailed};
use crate::security::Subject;
use crate::store::Key;
use crate::time::Instant;

impl Node<'_> {
    /// The plan in force, and how it has ended; `None` if there was none yet.
    pub fn rollout(&self) -> Option<&Announcement> {
        self.cluster.rollout.current()
    }

    /// The image that [`Step::Arm`] is about; `None` if this node is to have none.
    pub fn rollout_image(&self) -> Option<Image> {
        self.cluster.rollout.wanted(&self.own_update())
    }

    /// Begins a rollout.
    pub(crate) fn begin_rollout(
        &mut self,
        now: Instant,
        signed: SignedPlan,
    ) -> Result<RolloutId, Error> {
        let key = self.settings.current().release_key;
        self.cluster.rollout.begin(now, key, signed)
    }

    /// What there is to know of this node for a rollout.
    pub(crate) fn own_update(&self) -> Own {
        let updates = &self.updates;
        let failure = updates.outcome().map(|outcome| (outcome.image, reason(outcome)));
        let quarantined = updates.quarantined().map(|image| {
            failure.filter(|(failed, _)| *failed == image).unwrap_or((image, Reason::NOT_STARTED))
        });
        Own {
            id: self.own().id,
            board: self.facts.board,
            sequence: updates.running().map(|running| running.sequence),
            confirmed: updates.is_confirmed(),
            free: updates.wanted().is_none(),
            quarantined,
            key: self.settings.current().release_key,
        }
    }

    /// Looks at how far the others are, and tells how far this node is.
    pub(super) fn follow_rollout(&mut self, now: Instant) {
        if !self.cluster.rollout.is_to_look(now) {
            return;
        }
        let own = self.own_update();
        if let Some((missing, of)) = self.cluster.exchange.progress() {
            self.cluster.rollout.fetching(missing, of);
        }
        self.cluster.review_rollout(now, &own);
        let number = self.rollout().map_or(0, |told| told.signed.plan.id.number);
        if let Some(ended) = self.cluster.rollout.take_news() {
            self.cluster.notify(now, Event::Rollout(number, ended));
            // What the next plan wants is asked for anew.
            self.cluster.exchange.stop();
        }
    }

    /// What the body is to do next for a rollout.
    pub(super) fn poll_rollout(&mut self, now: Instant) -> Option<Action> {
        if self.cluster.is_leaving() {
            return None;
        }
        let own = self.own_update();
        if self.cluster.rollout.is_about_to_arm(now, &own) {
            self.updates.prepare(self.company());
            if !self.updates.is_prepared() {
                return self.updates.poll_store(now).then_some(Action::Store(Key::Update));
            }
        }
        loop {
            match self.cluster.rollout.poll(now, &own)? {
                Task::Verify => return Some(Action::Verify(Subject::Plan)),
                Task::Store => return Some(Action::Store(Key::Rollout)),
                Task::Arm => return Some(Action::Update(Step::Arm)),
                Task::Fetch(image) => self.cluster.exchange.fetch(now, image),
                Task::Serve(image) => self.cluster.exchange.serve(now, image),
            }
        }
    }

    /// The store of the plan was tried.
    pub(super) fn stored_rollout(&mut self, now: Instant, success: bool) {
        let changing = self.cluster.rollout.is_changing();
        self.cluster.rollout.stored(now, success);
        self.put_off_restart(now, changing);
        self.follow_rollout(now);
    }

    /// The image that was fetched for a rollout is there, or will not be.
    pub(super) fn fetched_image(&mut self, now: Instant, fetched: Fetched) {
        let result = match fetched {
            Fetched::Whole => Ok(()),
            Fetched::Refused(Refused::Flash) => Err(Reason::FLASH),
            Fetched::Refused(_) => Err(Reason::REFUSED),
        };
        self.cluster.rollout.fetched(now, result);
        self.follow_rollout(now);
    }

    /// The body has put the image of a rollout on trial, or could not.
    pub(super) fn armed_image(&mut self, now: Instant, result: Result<(), StepFailed>) {
        if self.cluster.rollout.armed(now, result.map_err(|StepFailed| Reason::FLASH)) {
            self.restart(now);
        }
        self.follow_rollout(now);
    }
}

/// Why an image was rolled back.
fn reason(outcome: Outcome) -> Reason {
    match outcome.failure {
        Some(Failure::NoNetwork) => Reason::NO_NETWORK,
        Some(Failure::NoPeer) => Reason::NO_PEER,
        Some(Failure::NotStarted) | None => Reason::NOT_STARTED,
    }
}
