//! [`NodeContext`]: what a sprocket's handler gets in hand.

use super::crew::Engine;
use core::net::SocketAddrV4;
use spore_core::NodeId;
use spore_core::ServiceId;
use spore_core::cluster::Member;
use spore_core::events::Scope;
use spore_core::sprockets::{Refused, Value};
use spore_core::tasks::RunId;
use spore_core::time::{Duration, Instant};
use spore_core::wire::EventRecord;

/// The node, as a sprocket's handler sees it.
pub struct NodeContext<'c> {
    pub(super) engine: &'c mut (dyn Engine + 'c),
    pub(super) place: usize,
    pub(super) now: Instant,
    pub(super) run: Option<RunId>,
}

/// The most bytes of a payload.
const PAYLOAD_MAX: usize = EventRecord::MAX_PAYLOAD;

impl NodeContext<'_> {
    /// Publishes an event to all members, this node included: whether it was taken. It is refused, and counted in the node's
    /// status, if the topic is none or the system's, if the payload is longer than 256 bytes, if the node
    /// has no key, and if there are too many: a sprocket may publish eight events at once and then one in
    /// 500 ms, and the cluster carries two in a second.
    pub fn publish<'v>(&mut self, topic: &str, value: impl Into<Value<'v>>) -> bool {
        self.try_publish(topic, &value.into(), Scope::Cluster, false).is_ok()
    }

    /// As [`publish`](Self::publish), and the value stays the topic's current one, which members
    /// that come later are told. The cluster keeps the last four topics with such values.
    pub fn publish_retained<'v>(&mut self, topic: &str, value: impl Into<Value<'v>>) -> bool {
        self.try_publish(topic, &value.into(), Scope::Cluster, true).is_ok()
    }

    /// As [`publish`](Self::publish), but on this node alone, with or without a key.
    pub fn publish_locally<'v>(&mut self, topic: &str, value: impl Into<Value<'v>>) -> bool {
        self.try_publish(topic, &value.into(), Scope::Local, false).is_ok()
    }

    /// Publishes an event: its number on this node.
    ///
    /// # Errors
    ///
    /// Says why it was refused.
    pub fn try_publish(
        &mut self,
        topic: &str,
        value: &Value<'_>,
        scope: Scope,
        retained: bool,
    ) -> Result<u32, Refused> {
        let mut payload = [0; PAYLOAD_MAX];
        // What is too long is refused as such by the engine.
        let len = value.write(&mut payload);
        let payload = len.and_then(|len| payload.get(..len));
        self.engine.publish(self.now, self.place, (scope, retained), topic, payload)
    }

    /// What its setting `name`, a truth value, is.
    pub fn flag(&self, name: &str) -> bool {
        let value = self.engine.setting(self.place, name);
        debug_assert!(matches!(value, Some(Value::Bool(_))), "{name} is no flag of the manifest");
        matches!(value, Some(Value::Bool(true)))
    }

    /// What its setting `name`, a number, is.
    pub fn number(&self, name: &str) -> i32 {
        let value = self.engine.setting(self.place, name);
        debug_assert!(
            matches!(value, Some(Value::Number(_))),
            "{name} is no number of the manifest"
        );
        if let Some(Value::Number(number)) = value { number } else { 0 }
    }

    /// What its setting `name`, a text, is.
    pub fn text(&self, name: &str) -> &str {
        let value = self.engine.setting(self.place, name);
        debug_assert!(matches!(value, Some(Value::Text(_))), "{name} is no text of the manifest");
        if let Some(Value::Text(text)) = value { text } else { "" }
    }

    /// The node's id.
    pub fn id(&self) -> NodeId {
        self.engine.id()
    }

    /// The node's name.
    pub fn hostname(&self) -> &str {
        self.engine.hostname()
    }

    /// The other members that this node knows of, dead ones among them, in the order of their ids.
    pub fn members(&self) -> &[Member] {
        self.engine.members()
    }

    /// Whether `id` is this node, or another member that is active.
    pub fn is_active(&self, id: NodeId) -> bool {
        let member = self.members().iter().find(|member| member.id() == id);
        let active =
            member.is_some_and(|member| member.status() == spore_core::cluster::Status::Active);
        active || id == self.id()
    }

    /// The active members that offer the service `name`, with the addresses of their HTTP API.
    pub fn providers(&self, name: &str) -> impl Iterator<Item = (NodeId, SocketAddrV4)> {
        let id = ServiceId::of(name);
        (0..).map_while(move |place| self.engine.provider(id, place))
    }

    /// The time, in microseconds since some point before the node started. It never runs backwards.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// How long the node has been up.
    pub fn uptime(&self) -> Duration {
        self.engine.uptime(self.now)
    }

    /// In a run of a clustered task, its id, which no other run has; else `None`.
    pub const fn run_id(&self) -> Option<RunId> {
        self.run
    }
}

impl core::fmt::Debug for NodeContext<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("NodeContext").field("place", &self.place).finish_non_exhaustive()
    }
}
