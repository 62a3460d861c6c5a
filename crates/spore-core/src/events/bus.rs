//! The local bus: everything that happens on this node, under one count.

use super::local::Local;
use super::window::Window;
use super::{Filter, Topic, ticks};
use crate::log::Log;
use crate::node::Event;
use crate::ota::Outcome;
use crate::text::hex;
use crate::time::Instant;
use crate::wire::{EventKey, Hostname};
use heapless::Vec;

/// Who gets an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// This node alone.
    Local,
    /// Every member of the cluster.
    Cluster,
}

impl Scope {
    /// The scope as the API names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Cluster => "cluster",
        }
    }
}

/// The most bytes that a system event's payload has.
pub const SYSTEM_PAYLOAD: usize = 96;

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// As it was published.
    Published(&'a [u8]),
    /// Made of a system event: a JSON object.
    System(Vec<u8, SYSTEM_PAYLOAD, u8>),
}

impl core::ops::Deref for Payload<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Published(bytes) => bytes,
            Self::System(bytes) => bytes,
        }
    }
}

/// An event as it was delivered on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// Its number on this node in this boot: all that is delivered here is counted, from 1.
    pub seq: u32,
    /// So many numbers before it, and after the one that was asked for, are gone, whatever events
    /// they were.
    pub lost: u32,
    /// When it came, in milliseconds since the node started; those of others within 66 ms.
    pub uptime_ms: u64,
    /// Its topic.
    pub topic: &'a str,
    /// What it says.
    pub payload: Payload<'a>,
    /// Who got it.
    pub scope: Scope,
    /// Whether it keeps its place until there is a newer one of its topic.
    pub retained: bool,
    /// Which of its publisher's events it is, if it was published for the cluster.
    pub key: Option<EventKey>,
    /// What has happened, if the system itself says so.
    pub system: Option<Event>,
}

/// The numbers of this node's deliveries, and those that only this node keeps.
#[derive(Debug)]
pub(crate) struct Bus<'a> {
    pub(crate) log: Log<'a>,
    pub(super) local: Local<'a>,
    last: u32,
}

impl<'a> Bus<'a> {
    pub(super) const fn new(log: Log<'a>, local: Local<'a>) -> Self {
        Self { log, local, last: 0 }
    }

    /// The number of the latest delivery; 0 if there was none.
    pub(super) const fn last(&self) -> u32 {
        self.last
    }

    /// The number of a delivery that happens now.
    pub(super) const fn count(&mut self) -> u32 {
        self.last = self.last.saturating_add(1);
        self.last
    }

    /// A system event has happened.
    pub(crate) fn note(&mut self, now: Instant, event: Event) {
        if !self.log.merge(now, event) {
            let number = self.count();
            self.log.add(number, now, event);
        }
    }

    pub(super) fn publish(&mut self, now: Instant, topic: Topic<'_>, payload: &[u8]) -> u32 {
        let number = self.count();
        self.local.add(number, ticks(now), topic, payload);
        number
    }

    /// The first delivery whose number is above `after` and whose topic `filter` matches, of a node
    /// that started at `started`. `hostname` knows those of members.
    pub(super) fn after<'s>(
        &'s self,
        window: &'s Window,
        after: u32,
        filter: Filter<'_>,
        started: Instant,
        hostname: impl Fn(Event) -> Option<&'s Hostname>,
    ) -> Option<Delivery<'s>> {
        let (mut found, mut best): (Option<Found<'s>>, u32) = (None, u32::MAX);
        let mut consider = |number: u32, topic: &str, this: Found<'s>| {
            if number > after && number < best && filter.matches(topic) {
                (found, best) = (Some(this), number);
            }
        };
        for (index, entry) in window.entries().iter().enumerate() {
            consider(entry.number, window.content(entry).0, Found::Window(index));
        }
        for (entry, topic, payload) in self.local.iter() {
            consider(entry.number, topic, Found::Local(entry.at, topic, payload));
        }
        for entry in self.log.entries() {
            consider(entry.number, entry.event.topic(), Found::System(entry.at, entry.event));
        }
        let found = found?;
        let numbers = window.entries().iter().map(|entry| entry.number);
        let numbers = numbers.chain(self.local.iter().map(|(entry, ..)| entry.number));
        let numbers = numbers.chain(self.log.entries().iter().map(|entry| entry.number));
        let held = numbers.filter(|number| *number > after && *number < best).count();
        let between = best.saturating_sub(after).saturating_sub(1);
        let lost = between.saturating_sub(u32::try_from(held).unwrap_or(u32::MAX));
        let of_ticks = |ticks: u32| Instant::from_micros(u64::from(ticks) << super::TICK);
        let system = match found {
            Found::System(_, event) => Some(event),
            _ => None,
        };
        let (at, topic, payload, key, retained) = match found {
            Found::Window(index) => {
                let entry = window.entries().get(index)?;
                let (topic, payload) = window.content(entry);
                let payload = Payload::Published(payload);
                (of_ticks(entry.arrived), topic, payload, Some(entry.key), entry.is_retained())
            }
            Found::Local(at, topic, payload) => {
                (of_ticks(at), topic, Payload::Published(payload), None, false)
            }
            Found::System(at, event) => {
                let payload = Payload::System(system_payload(event, hostname(event)));
                (at, event.topic(), payload, None, false)
            }
        };
        let scope = if key.is_some() { Scope::Cluster } else { Scope::Local };
        let uptime_ms = at.since(started).as_millis();
        Some(Delivery { seq: best, lost, uptime_ms, topic, payload, scope, retained, key, system })
    }
}

/// Where a delivery is kept.
#[derive(Clone, Copy)]
enum Found<'a> {
    Window(usize),
    Local(u32, &'a str, &'a [u8]),
    System(Instant, Event),
}

/// What a system event says, as a JSON object: written by hand, since nothing in it needs escapes.
fn system_payload(event: Event, hostname: Option<&Hostname>) -> Vec<u8, SYSTEM_PAYLOAD, u8> {
    let mut object = Object(Vec::new());
    match event {
        Event::MemberJoined(id)
        | Event::MemberSuspected(id)
        | Event::MemberReturned(id)
        | Event::MemberDied(id)
        | Event::MemberLeft(id)
        | Event::MemberForgotten(id) => {
            object.text("id", &hex::<12>(&id.0));
            if let Some(hostname) = hostname {
                object.text("hostname", hostname.as_str());
            }
        }
        Event::NetworkDisconnected(reason) => object.text("reason", reason.name()),
        Event::SettingsChanged
        | Event::RestartAsked
        | Event::SafeMode
        | Event::NetworkConnected
        | Event::AccessPointOpened
        | Event::AccessPointClosed
        | Event::CredentialsKept
        | Event::CredentialsReturned
        | Event::UpdateStarted
        | Event::UpdateRefused => (),
        Event::RequestsRefused(count) => object.number("count", count),
        Event::UpdateProgress(percent) => object.number("percent", percent.into()),
        Event::UpdateInstalled(image) => object.number("image", image),
        Event::Rollout(number, _) => object.number("number", number),
        Event::UpdateEnded(Outcome { image, failure }) => {
            object.number("image", image);
            if let Some(failure) = failure {
                object.text("reason", failure.name());
            }
        }
        Event::TaskOverrun { task, micros } => {
            object.text("task", task.name());
            object.number("us", micros);
        }
        Event::EventsMissed { publisher, epoch, from, to } => {
            object.text("publisher", &hex::<12>(&publisher.0));
            object.number("epoch", epoch.get());
            object.number("from", from.get());
            object.number("to", to.get());
        }
    }
    object.finish()
}

/// A JSON object being written. It always fits.
struct Object(Vec<u8, SYSTEM_PAYLOAD, u8>);

impl Object {
    fn put(&mut self, bytes: &[u8]) {
        let _ = self.0.extend_from_slice(bytes);
    }

    fn name(&mut self, name: &str) {
        self.put(if self.0.is_empty() { b"{\"" } else { b",\"" });
        self.put(name.as_bytes());
        self.put(b"\":");
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.put(b"\"");
        self.put(value.as_bytes());
        self.put(b"\"");
    }

    fn number(&mut self, name: &str, value: u32) {
        self.name(name);
        let (mut digits, mut rest) = ([0_u8; 10], value);
        let mut count = 0_usize;
        for digit in digits.iter_mut().rev() {
            *digit = u8::try_from(rest % 10).unwrap_or(0).saturating_add(b'0');
            rest /= 10;
            count = count.saturating_add(1);
            if rest == 0 {
                break;
            }
        }
        self.put(digits.get(10_usize.saturating_sub(count)..).unwrap_or_default());
    }

    fn finish(mut self) -> Vec<u8, SYSTEM_PAYLOAD, u8> {
        self.put(if self.0.is_empty() { b"{}" } else { b"}" });
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{SYSTEM_PAYLOAD, system_payload};
    use crate::node::Event;
    use crate::tasks::{TaskKind, TaskSpec};
    use crate::time::Duration;
    use crate::wire::{Hostname, NodeId, U24};
    use serde_json::{Value, json};
    use std::boxed::Box;

    fn payload(event: Event, hostname: Option<&Hostname>) -> Value {
        let payload = system_payload(event, hostname);
        assert!(payload.len() < SYSTEM_PAYLOAD);
        serde_json::from_slice(&payload).unwrap()
    }

    #[test]
    fn system_events_say_what_they_are_about_and_always_fit() {
        let id = NodeId([0xAB; 6]);
        let name = Hostname::new(&"a".repeat(32)).unwrap();
        assert_eq!(
            payload(Event::MemberDied(id), Some(&name)),
            json!({ "id": "abababababab", "hostname": name.as_str() })
        );
        assert_eq!(payload(Event::MemberForgotten(id), None), json!({ "id": "abababababab" }));
        assert_eq!(payload(Event::SettingsChanged, None), json!({}));
        for count in [0, 9, 10, 305, u32::MAX] {
            assert_eq!(payload(Event::RequestsRefused(count), None), json!({ "count": count }));
        }
        let task = "abcdefghijklmnopqrstuvwx";
        let kind = TaskKind::OneShot { after: Duration::from_secs(1) };
        let spec = Box::leak(Box::new(TaskSpec::new(task, "", kind).unwrap()));
        assert_eq!(
            payload(Event::TaskOverrun { task: spec, micros: u32::MAX }, None),
            json!({ "task": task, "us": u32::MAX })
        );
        let missed =
            Event::EventsMissed { publisher: id, epoch: U24::MAX, from: U24::ZERO, to: U24::MAX };
        assert_eq!(
            payload(missed, None),
            json!({ "publisher": "abababababab", "epoch": 0xFF_FFFF, "from": 0, "to": 0xFF_FFFF })
        );
    }
}
