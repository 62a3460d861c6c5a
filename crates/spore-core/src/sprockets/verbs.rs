//! The verbs of a node for whoever runs the code of its sprockets.

use super::{Manifest, State, Value};
use crate::api::Response;
use crate::events::{PublishError, Scope};
use crate::node::Node;
use crate::time::{Duration, Instant};

/// Why an event of a sprocket was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It has published too many lately: see [`EVENTS_AT_ONCE`](super::EVENTS_AT_ONCE).
    TooOften,
    /// The payload is too long.
    TooLong,
    /// It cannot be published, or not now.
    Event(PublishError),
}

impl Node<'_> {
    /// How long the node has been up.
    pub fn uptime(&self, now: Instant) -> Duration {
        now.since(self.started)
    }

    /// The sprocket at `place`, if it may be called.
    pub fn running_sprocket(&self, place: usize) -> Option<&'static Manifest> {
        let (manifest, state, _) = self.sprockets.get(place)?;
        (state == State::Running).then_some(manifest)
    }

    /// What the setting `name` of the sprocket at `place` is.
    pub fn sprocket_setting(&self, place: usize, name: &str) -> Option<Value<'_>> {
        self.sprockets.setting(place, name)
    }

    /// Sets what `body` says of the sprocket at `place`, as
    /// `PUT /api/sprockets/{name}/config` does, without credentials: for those who run the node.
    pub fn set_sprocket(&mut self, now: Instant, place: u8, body: &[u8]) -> Response {
        let ticket = self.sprockets.begin(now, usize::from(place), body);
        Response::set(place, ticket)
    }

    /// Publishes an event of the sprocket at `place`: its number in this boot. No payload stands for one that was too
    /// long to be written down.
    ///
    /// # Errors
    ///
    /// Those of [`publish`](Self::publish), and if the sprocket publishes too often. Either is counted.
    pub fn publish_for(
        &mut self,
        now: Instant,
        place: usize,
        (scope, retained): (Scope, bool),
        topic: &str,
        payload: Option<&[u8]>,
    ) -> Result<u32, Refused> {
        let published = match payload {
            None => Err(Refused::TooLong),
            Some(_) if !self.sprockets.may_publish(now, place) => Err(Refused::TooOften),
            Some(payload) => {
                self.publish(now, scope, topic, payload, retained).map_err(Refused::Event)
            }
        };
        if published.is_err() {
            self.sprockets.refused(place);
        }
        published
    }

    /// A handler of the sprocket at `place` has ended, which took so long.
    pub fn handle_sprocket(&mut self, place: usize, span: Duration) {
        self.sprockets.ran(place, span);
    }

    /// The node had to be restarted so often in a row because of the sprocket at `place`. At
    /// [`MAX_RESTARTS`](super::MAX_RESTARTS), it is not called any more.
    pub fn blame_sprocket(&mut self, place: usize, restarts: u8) {
        if self.sprockets.blamed(place, restarts) {
            self.stop_all(place);
        }
    }

    /// A handler of the sprocket at `place` has panicked with this message, so that it is not called any more. The message has
    /// at most [`State::MESSAGE_MAX`] bytes.
    pub fn fail_sprocket(&mut self, place: usize, message: &'static str) {
        self.sprockets.failed(place, message);
        self.stop_all(place);
    }

    /// Its services are offered no more, its tasks are not run, and others take over those that are clustered.
    fn stop_all(&mut self, place: usize) {
        let Some((manifest, ..)) = self.sprockets.get(place) else { return };
        for task in manifest.tasks() {
            self.tasks.stop(task.name());
        }
        self.offer();
    }
}
