//! What a node does about the crash that it starts after.

use super::{Event, Node};
use crate::cluster::Status;
use crate::crash::{CrashRecord, NOTICE_MAX, Notice, SAFE_AFTER};
use crate::events::Topic;
use crate::services::Catalogue;
use crate::store::{Stored, Storing};
use crate::time::{Duration, Instant};

/// Between two attempts to store a record.
const RETRY: Duration = Duration::from_secs(5);

/// What is known of crashes. The record itself is the body's.
#[derive(Debug)]
pub(crate) struct Crashes {
    /// Whether there is a record of one.
    pub(crate) known: bool,
    storing: Storing,
    /// What is yet to be told.
    notice: Option<Notice>,
}

impl Crashes {
    pub(super) fn new(stored: &Stored<'_>, safe: bool) -> Self {
        let earlier = CrashRecord::decode(stored.crash);
        let fresh = CrashRecord::decode(stored.crashed);
        let mut storing = Storing::default();
        if let Some(fresh) = &fresh
            && !earlier.is_some_and(|earlier| fresh.repeats(&earlier))
        {
            storing.want();
        }
        let known = earlier.is_some() || fresh.is_some();
        Self { known, storing, notice: fresh.as_ref().map(|fresh| Notice::of(fresh, safe)) }
    }

    pub(super) fn poll_store(&mut self, now: Instant) -> bool {
        self.storing.poll(now)
    }

    pub(super) fn stored(&mut self, now: Instant, success: bool) {
        self.storing.finish(now, success, RETRY);
    }

    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        self.storing.poll_timeout()
    }
}

impl Node<'_> {
    /// Whether it starts after so many crashes in a row that nothing runs of what its program adds: see [`crash`](crate::crash).
    pub const fn is_safe(&self) -> bool {
        self.facts.crashes >= SAFE_AFTER
    }

    /// Runs nothing of that.
    pub(super) fn enter_safe_mode(&mut self, now: Instant) {
        self.catalogue = Catalogue::EMPTY;
        self.sprockets.suspend();
        self.tasks.stop_all();
        self.offer();
        self.cluster.notify(now, Event::SafeMode);
    }

    /// Tells the cluster of a crash, as soon as there is somebody to hear it.
    pub(super) fn tell_of_crash(&mut self, now: Instant) {
        let Some(notice) = self.crashes.notice else { return };
        let heard = self.members().iter().any(|member| member.status() == Status::Active);
        if !heard || self.cluster.is_leaving() {
            return;
        }
        let mut payload = [0; NOTICE_MAX];
        let len = notice.payload(&mut payload);
        let payload = payload.get(..len).unwrap_or_default();
        // Where the cluster carries no more for now, it is tried again.
        if self.cluster.publish(now, Topic::CRASHED, payload, false).is_ok() {
            self.crashes.notice = None;
        }
    }
}
