//! The sprockets of a node at work.

use super::{AnySprocket, Event, NodeContext, SprocketSet};
use crate::Named;
use core::cell::{Cell, RefCell};
use core::net::SocketAddrV4;
use spore_core::cluster::Member;
use spore_core::events::{Filter, Scope, Topic};
use spore_core::sprockets::{Manifest, Refused, Roster, Value};
use spore_core::tasks::RunId;
use spore_core::time::{Duration, Instant};
use spore_core::wire::EventRecord;
use spore_core::{Node, NodeId, ServiceId};

/// The sprockets of a node, for its [`Shell`](crate::Shell).
pub struct Crew<'a> {
    roster: &'static Roster,
    /// Borrowed between two awaits only.
    set: RefCell<&'a mut dyn SprocketSet>,
    /// The number of the last event that they were handed.
    heard: Cell<u32>,
}

impl core::fmt::Debug for Crew<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Crew").field("roster", &self.roster).finish_non_exhaustive()
    }
}

impl<'a> Crew<'a> {
    /// The sprockets in `set`, which stand in `roster` in the same order: for a tuple of them,
    /// [`Sprockets::ROSTER`](super::Sprockets::ROSTER).
    pub fn new(roster: &'static Roster, set: &'a mut dyn SprocketSet) -> Self {
        Self { roster, set: RefCell::new(set), heard: Cell::new(0) }
    }

    /// As [`new`](Self::new), where the event with the number `heard` was the last.
    pub(super) fn resumed(
        roster: &'static Roster,
        set: &'a mut dyn SprocketSet,
        heard: u32,
    ) -> Self {
        Self { roster, set: RefCell::new(set), heard: Cell::new(heard) }
    }

    /// The number of the last event that they were handed.
    pub(super) const fn heard(&self) -> u32 {
        self.heard.get()
    }

    /// What they bring.
    pub const fn roster(&self) -> &'static Roster {
        self.roster
    }
}

/// Who calls the handlers.
pub(crate) trait Caller {
    /// The time.
    fn now(&self) -> Instant;

    /// Calls `handler`, which is of `sprocket`. Returns what it said when it panicked, where that can be told.
    fn guard(&self, sprocket: Named, handler: &mut dyn FnMut()) -> Result<(), &'static str>;
}

/// What is done with a sprocket.
pub(crate) type Handler<'h> = &'h mut dyn FnMut(&mut dyn AnySprocket, &mut NodeContext<'_>);

/// What became of something that a sprocket was to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entered {
    /// It was done.
    Done,
    /// It has panicked over it, and is stopped from now on.
    Failed,
    /// It was stopped before, and not asked.
    Stopped,
}

impl Crew<'_> {
    /// Has the sprocket at `place` do something, if it is running.
    pub(crate) fn enter(
        &self,
        node: &mut Node<'_>,
        (place, run): (usize, Option<RunId>),
        caller: &dyn Caller,
        handler: Handler<'_>,
    ) -> Entered {
        let mut set = self.set.borrow_mut();
        let (Some(manifest), Some(sprocket)) = (node.running_sprocket(place), set.get(place))
        else {
            return Entered::Stopped;
        };
        let begun = caller.now();
        let mut context = NodeContext { engine: node, place, now: begun, run };
        let named = Named { place, name: manifest.name() };
        let outcome = caller.guard(named, &mut || handler(sprocket, &mut context));
        node.handle_sprocket(place, caller.now().since(begun));
        let Err(message) = outcome else { return Entered::Done };
        node.fail_sprocket(place, message);
        Entered::Failed
    }

    /// Hands the events that have come since the last call to those who subscribed to them.
    pub(crate) fn hand_events(&self, node: &RefCell<Node<'_>>, caller: &dyn Caller) {
        let (mut topic, mut payload) = ([0; Topic::MAX], [0; PAYLOAD_MAX]);
        loop {
            // The borrow must end before the handlers are called.
            let next = copy(&node.borrow(), self.heard.get(), &mut topic, &mut payload);
            let Some(next) = next else { break };
            self.heard.set(next.seq);
            let topic = str::from_utf8(&topic[..next.topic]).unwrap_or_default();
            let Next { publisher, retained, .. } = next;
            let event = Event { topic, payload: &payload[..next.payload], publisher, retained };
            for (place, manifest) in self.roster.sprockets().iter().enumerate() {
                if hears(manifest, topic) {
                    let mut node = node.borrow_mut();
                    let hand: Handler<'_> =
                        &mut |sprocket, context| sprocket.event(&event, context);
                    self.enter(&mut node, (place, None), caller, hand);
                }
            }
        }
    }

    /// Whether nobody subscribes to anything.
    pub(crate) fn is_deaf(&self) -> bool {
        self.roster.sprockets().iter().all(|sprocket| sprocket.subscriptions().is_empty())
    }
}

/// The most bytes of a payload.
const PAYLOAD_MAX: usize = EventRecord::MAX_PAYLOAD;

/// An event that was copied, and the lengths of its parts.
struct Next {
    seq: u32,
    topic: usize,
    payload: usize,
    publisher: NodeId,
    retained: bool,
}

/// Copies the first event after number `after`: the node cannot be lent out while a handler looks at it.
fn copy(node: &Node<'_>, after: u32, topic: &mut [u8], payload: &mut [u8]) -> Option<Next> {
    let event = node.next_event(after, Filter::ALL)?;
    let put = |to: &mut [u8], from: &[u8]| {
        let len = from.len().min(to.len());
        to[..len].copy_from_slice(&from[..len]);
        len
    };
    Some(Next {
        seq: event.seq,
        topic: put(topic, event.topic.as_bytes()),
        payload: put(payload, &event.payload),
        // What is of this node alone, it has published itself.
        publisher: event.key.map_or(node.own().id, |key| key.publisher),
        retained: event.retained,
    })
}

fn hears(manifest: &Manifest, topic: &str) -> bool {
    let matches = |filter: &&str| Filter::new(filter).is_ok_and(|filter| filter.matches(topic));
    manifest.subscriptions().iter().any(matches)
}

/// What [`NodeContext`] needs of a [`Node`], without the lifetime of its memory.
pub(super) trait Engine {
    fn publish(
        &mut self,
        now: Instant,
        place: usize,
        how: (Scope, bool),
        topic: &str,
        payload: Option<&[u8]>,
    ) -> Result<u32, Refused>;
    fn setting(&self, place: usize, name: &str) -> Option<Value<'_>>;
    fn id(&self) -> NodeId;
    fn hostname(&self) -> &str;
    fn members(&self) -> &[Member];
    fn provider(&self, service: ServiceId, place: usize) -> Option<(NodeId, SocketAddrV4)>;
    fn uptime(&self, now: Instant) -> Duration;
}

impl Engine for Node<'_> {
    fn publish(
        &mut self,
        now: Instant,
        place: usize,
        how: (Scope, bool),
        topic: &str,
        payload: Option<&[u8]>,
    ) -> Result<u32, Refused> {
        self.publish_for(now, place, how, topic, payload)
    }

    fn setting(&self, place: usize, name: &str) -> Option<Value<'_>> {
        self.sprocket_setting(place, name)
    }

    fn id(&self) -> NodeId {
        self.own().id
    }

    fn hostname(&self) -> &str {
        self.hostname().map_or("", |name| name.as_str())
    }

    fn members(&self) -> &[Member] {
        self.members()
    }

    fn provider(&self, service: ServiceId, place: usize) -> Option<(NodeId, SocketAddrV4)> {
        self.providers(service).nth(place)
    }

    fn uptime(&self, now: Instant) -> Duration {
        self.uptime(now)
    }
}
