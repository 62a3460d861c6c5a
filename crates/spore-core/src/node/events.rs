//! Publishing on a [`Node`], and reading what was delivered on it.

use super::{Event, Node};
use crate::cluster::Member;
use crate::events::{Delivery, Filter, PublishError, Scope, Topic};
use crate::time::{Duration, Instant};
use crate::wire::{EventKey, EventRecord};

/// Refused requests, and when they were last told of.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    noted: Option<Instant>,
    since: u32,
}

/// Between two events about refused requests.
const REFUSALS_PAUSE: Duration = Duration::from_secs(10);

impl Node<'_> {
    /// The next thing that has happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.cluster.poll_event()
    }

    /// Publishes an event on this node alone, or in the whole cluster. Returns its number on this
    /// node, where it is delivered at once. Its topic must be none of the system's own, and its
    /// payload have at most [`EventRecord::MAX_PAYLOAD`] bytes; if `retained`, it stays until there
    /// is a newer one of its topic, or retained ones of four other topics.
    ///
    /// Call the `poll_*` verbs afterwards, as after a `handle_*` verb.
    pub fn publish(
        &mut self,
        now: Instant,
        scope: Scope,
        topic: &str,
        payload: &[u8],
        retained: bool,
    ) -> Result<u32, PublishError> {
        let topic = Topic::new(topic).map_err(|_| PublishError::Topic)?;
        if topic.is_reserved() {
            return Err(PublishError::Reserved);
        }
        if payload.len() > EventRecord::MAX_PAYLOAD {
            return Err(PublishError::Payload);
        }
        match scope {
            Scope::Local if retained => Err(PublishError::Retained),
            Scope::Local => Ok(self.cluster.events.publish_here(now, topic, payload)),
            Scope::Cluster if !self.is_claimed() => Err(PublishError::Unclaimed),
            Scope::Cluster if !self.epochs.is_ready() || self.cluster.is_leaving() => {
                Err(PublishError::NotReady)
            }
            Scope::Cluster => self.cluster.publish(now, topic, payload, retained),
        }
    }

    /// The first event that was delivered on this node with a number above `after`, and whose topic
    /// `filter` matches. Begin with 0 for all that is still there, and go on with the
    /// [`seq`](Delivery::seq) of the last one.
    pub fn next_event(&self, after: u32, filter: Filter<'_>) -> Option<Delivery<'_>> {
        let hostname = |id| self.cluster.member(id).map(Member::hostname);
        self.cluster.events.after(after, filter, self.started, hostname)
    }

    /// The window of events in 32 bits: equal on members that have the same one.
    pub fn window_digest(&self) -> u32 {
        self.cluster.events.digest()
    }

    /// The keys of the events in the window, the newest first; those that wait for their turn
    /// among them.
    pub fn window_keys(&self) -> impl Iterator<Item = EventKey> {
        self.cluster.events.keys()
    }

    /// The number of the event that was delivered last on this node; 0 if there was none. Begin
    /// [`next_event`](Self::next_event) with it for what is to come.
    pub const fn last_event(&self) -> u32 {
        self.cluster.events.last()
    }

    /// Notes that a request was refused for its credentials: the first at once, what follows
    /// counted together, so that a flood neither fills the log nor wears out the body's.
    pub(crate) fn note_refusal(&mut self, now: Instant) {
        let Refusals { noted, since } = &mut self.refusals;
        *since = since.saturating_add(1);
        if noted.is_none_or(|noted| now.since(noted) >= REFUSALS_PAUSE) {
            let count = core::mem::take(since);
            *noted = Some(now);
            self.cluster.notify(now, Event::RequestsRefused(count));
        }
    }
}
