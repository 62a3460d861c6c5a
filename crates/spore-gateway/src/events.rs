//! Events, from the cluster to the broker and back.
//!
//! The two ways have topics of their own, so the gateway does not hear what it says. What came from the broker is known by publisher, boot and
//! number, which the node tells when it takes an event, and is not sent there again: two clusters that a broker joins do not repeat each other.

use crate::api::Frame;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use spore_core::Topic;
use spore_core::wire::EventRecord;
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

/// So many events wait for the broker; of more, the oldest are lost, and counted. The cluster itself keeps 16.
pub(crate) const WAITING: usize = 1_024;

/// Of so many publishers it is known what was sent.
const PUBLISHERS: usize = 512;

/// So many events that came from the broker are known again.
const OWN: usize = 64;

/// Local events of the gateway's node that are about the cluster.
const ABOUT_THE_CLUSTER: [&str; 3] = ["cluster/", "events/", "ota/rollout/"];

/// What a node says in its stream, in place of an event, of those that it had no more room for.
const LOST: &str = "events/lost";

/// An event, as nodes tell of it.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Event {
    pub(crate) topic: String,
    pub(crate) publisher: Option<String>,
    pub(crate) retained: bool,
    epoch: Option<u32>,
    number: Option<u32>,
    pub(crate) payload: Option<Value>,
    pub(crate) payload_hex: Option<String>,
}

impl Event {
    /// Which one of the cluster it is; none for what happened on the gateway's node alone.
    pub(crate) fn identity(&self) -> Option<Identity> {
        Identity::new(self.publisher.clone()?, self.epoch, self.number)
    }
}

/// What a frame of a node's stream tells of.
pub(crate) fn parse(frame: &Frame) -> Option<Event> {
    if frame.event == LOST {
        let payload = serde_json::from_str(&frame.data).ok();
        return Some(Event { topic: LOST.to_owned(), payload, ..Event::default() });
    }
    serde_json::from_str(&frame.data).ok()
}

/// What a node answers who publishes.
#[derive(Debug, Deserialize)]
struct Published {
    publisher: String,
    epoch: Option<u32>,
    number: Option<u32>,
}

/// Which event of the cluster it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    publisher: String,
    epoch: u32,
    number: u32,
}

impl Identity {
    fn new(publisher: String, epoch: Option<u32>, number: Option<u32>) -> Option<Self> {
        Some(Self { publisher, epoch: epoch?, number: number? })
    }

    /// The publisher, and which of its events it is: its boot, and its number in that.
    pub(crate) fn parts(&self) -> (&str, (u32, u32)) {
        (&self.publisher, (self.epoch, self.number))
    }
}

/// An event on its way to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) retained: bool,
    /// None for what happened on the gateway's node alone.
    pub(crate) identity: Option<Identity>,
    /// Whether it came from the broker, and does not go back.
    foreign: bool,
    /// When the gateway heard of it.
    at: Option<Instant>,
}

/// The last event of each publisher that was sent: its boot, and its number in that. A publisher's events come in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sent(BTreeMap<String, (u32, u32)>);

impl Sent {
    pub(crate) fn has(&self, event: &Identity) -> bool {
        let last = self.0.get(&event.publisher);
        last.is_some_and(|last| (event.epoch, event.number) <= *last)
    }

    /// Notes an event. Which publisher is forgotten for that, if one is.
    pub(crate) fn note(&mut self, event: &Identity) -> Option<String> {
        let is_full = self.0.len() >= PUBLISHERS && !self.0.contains_key(&event.publisher);
        let forgotten = is_full.then(|| self.0.pop_first()).flatten();
        self.0.insert(event.publisher.clone(), (event.epoch, event.number));
        forgotten.map(|(publisher, _)| publisher)
    }
}

impl FromIterator<(String, (u32, u32))> for Sent {
    fn from_iter<T: IntoIterator<Item = (String, (u32, u32))>>(last: T) -> Self {
        Self(last.into_iter().collect())
    }
}

/// The events that wait for the broker.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: VecDeque<Outgoing>,
    /// What was taken from the stream, sent or not.
    taken: Sent,
    /// What came from the broker lately.
    own: VecDeque<Identity>,
    /// So many had to go, and nobody was told yet.
    lost: u64,
}

impl Outbox {
    /// An outbox that takes nothing of what was `sent`.
    pub(crate) fn new(sent: Sent) -> Self {
        Self { taken: sent, ..Self::default() }
    }

    /// Takes an event from the stream, unless it was taken before, or is nobody's business.
    pub(crate) fn take(&mut self, frame: &Frame, now: Instant) {
        if let Some(event) = self.outgoing(frame, now) {
            if self.waiting.len() == WAITING {
                let first = self.waiting.pop_front();
                self.lost += u64::from(first.is_some_and(|first| !first.foreign));
            }
            self.waiting.push_back(event);
        }
    }

    fn outgoing(&mut self, frame: &Frame, at: Instant) -> Option<Outgoing> {
        let event = parse(frame)?;
        let identity = event.identity();
        let Event { topic, retained, payload, payload_hex, .. } = event;
        let foreign = identity.as_ref().is_some_and(|event| self.own.contains(event));
        match &identity {
            None if !ABOUT_THE_CLUSTER.iter().any(|start| topic.starts_with(start)) => return None,
            None => (),
            Some(event) if self.taken.has(event) => return None,
            Some(event) => drop(self.taken.note(event)),
        }
        let payload = match (payload, payload_hex) {
            (_, Some(digits)) => bytes(&digits)?,
            (payload, None) => payload.unwrap_or_default().to_string().into_bytes(),
        };
        Some(Outgoing { topic, payload, retained, identity, foreign, at: Some(at) })
    }

    /// Notes the answer to an event that came from the broker.
    pub(crate) fn published(&mut self, answer: &str) {
        let Ok(Published { publisher, epoch, number }) = serde_json::from_str(answer) else {
            return;
        };
        if let Some(event) = Identity::new(publisher, epoch, number) {
            if self.own.len() == OWN {
                self.own.pop_front();
            }
            self.own.push_back(event);
        }
    }

    /// The next event of the cluster that does not go to the broker, since it came from there, or is from before a time: so the next gateway knows it, too.
    pub(crate) fn skip(&mut self, before: Option<Instant>) -> Option<Identity> {
        let goes = |event: &mut Outgoing| {
            event.foreign || event.at.zip(before).is_some_and(|(at, before)| at < before)
        };
        loop {
            let event = self.waiting.pop_front_if(goes)?;
            if event.identity.is_some() {
                return event.identity;
            }
        }
    }

    /// Leaves out the first event, and counts it as lost.
    pub(crate) fn give_up(&mut self, event: &Outgoing) {
        if self.waiting.front() == Some(event) {
            self.waiting.pop_front();
            self.lost += 1;
        }
    }

    /// The next event for the broker, which stays until it was sent.
    pub(crate) fn first(&mut self) -> Option<Outgoing> {
        if self.lost > 0 {
            let payload = json!({ "count": self.lost }).to_string().into_bytes();
            let topic = LOST.to_owned();
            let (retained, identity, foreign, at) = (false, None, false, None);
            return Some(Outgoing { topic, payload, retained, identity, foreign, at });
        }
        self.waiting.front().cloned()
    }

    /// The broker has the one that was the first.
    pub(crate) fn sent(&mut self, event: &Outgoing) {
        if self.waiting.front() == Some(event) {
            self.waiting.pop_front();
        } else if event.topic == LOST {
            self.lost = 0;
        }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// The request that publishes what came from the broker: JSON as it is, and text as a JSON string. Or what is wrong with it.
pub(crate) fn incoming(topic: &str, payload: &[u8]) -> Result<String, String> {
    let checked = Topic::new(topic).map_err(|error| error.to_string())?;
    if checked.is_reserved() {
        return Err("the topic is the system's own".to_owned());
    }
    let payload = match serde_json::from_slice(payload) {
        _ if payload.is_empty() => Value::Null,
        Ok(json) => json,
        Err(_) => std::str::from_utf8(payload).map_err(|_| "it is neither JSON nor text")?.into(),
    };
    let (length, limit) = (payload.to_string().len(), EventRecord::MAX_PAYLOAD);
    if length > limit {
        return Err(format!("it has {length} bytes of JSON, and an event has at most {limit}"));
    }
    Ok(json!({ "topic": topic, "payload": payload, "scope": "cluster" }).to_string())
}

#[cfg(test)]
mod tests {
    use super::{Outbox, Sent, WAITING, incoming};
    use crate::api::Frame;
    use serde_json::{Value, json};
    use std::time::Instant;

    fn frame(topic: &str, number: Option<u32>, payload: &Value) -> Frame {
        let epoch = number.map(|_| 3);
        let data = json!({ "topic": topic, "publisher": "a", "retained": false, "epoch": epoch,
                           "number": number, "payload": payload });
        Frame { id: None, event: topic.to_owned(), data: data.to_string() }
    }

    /// What is sent until nothing waits.
    fn all(outbox: &mut Outbox) -> Vec<(String, String)> {
        let next = || {
            while outbox.skip(None).is_some() {}
            let event = outbox.first()?;
            outbox.sent(&event);
            Some((event.topic, String::from_utf8(event.payload).unwrap()))
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn an_event_is_sent_once_however_often_it_is_told() {
        let mut outbox = Outbox::default();
        for number in [1, 2, 1, 2, 3, 2] {
            outbox.take(&frame("x/y", Some(number), &json!({ "n": number })), Instant::now());
        }
        let sent: Vec<_> = all(&mut outbox).into_iter().map(|(_, payload)| payload).collect();
        assert_eq!(sent, [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#]);
    }

    #[test]
    fn what_was_sent_before_a_restart_is_known() {
        let mut sent = Sent::default();
        let mut outbox = Outbox::default();
        outbox.take(&frame("x", Some(5), &json!(1)), Instant::now());
        sent.note(outbox.first().unwrap().identity.as_ref().unwrap());
        let stored = serde_json::to_string(&sent).unwrap();
        let mut again = Outbox::new(serde_json::from_str(&stored).unwrap());
        for number in [4, 5, 6] {
            again.take(&frame("x", Some(number), &json!(number)), Instant::now());
        }
        assert_eq!(all(&mut again), [("x".to_owned(), "6".to_owned())]);
    }

    #[test]
    fn what_came_from_the_broker_does_not_go_back() {
        let mut outbox = Outbox::default();
        outbox.published(r#"{"seq":9,"publisher":"a","epoch":3,"number":7}"#);
        for number in [6, 7, 8] {
            outbox.take(&frame("x", Some(number), &json!(number)), Instant::now());
        }
        assert!(outbox.skip(None).is_none(), "the sixth one comes first");
        let sent: Vec<_> = all(&mut outbox).into_iter().map(|(_, payload)| payload).collect();
        assert_eq!(sent, ["6", "8"]);
    }

    #[test]
    fn of_the_gateways_own_node_only_what_is_about_the_cluster_is_told() {
        let mut outbox = Outbox::default();
        for topic in
            ["node/restart/asked", "cluster/member/died", "events/missed", "a/b", "ota/started"]
        {
            outbox.take(&frame(topic, None, &json!({})), Instant::now());
        }
        outbox.take(
            &Frame { event: "events/lost".into(), data: r#"{"count":3}"#.into(), id: None },
            Instant::now(),
        );
        let topics: Vec<_> = all(&mut outbox).into_iter().map(|(topic, _)| topic).collect();
        assert_eq!(topics, ["cluster/member/died", "events/missed", "events/lost"]);
    }

    #[test]
    fn what_the_broker_missed_for_too_long_is_counted() {
        let mut outbox = Outbox::default();
        for number in 1..=u32::try_from(WAITING).unwrap() + 2 {
            outbox.take(&frame("x", Some(number), &json!(number)), Instant::now());
        }
        let sent = all(&mut outbox);
        assert_eq!(sent[0], ("events/lost".to_owned(), r#"{"count":2}"#.to_owned()));
        assert_eq!((sent.len(), &*sent[1].1), (WAITING + 1, "3"));
    }

    #[test]
    fn bytes_that_are_no_json_travel_as_they_are() {
        let mut outbox = Outbox::default();
        let data = r#"{"topic":"x","publisher":"a","retained":true,"epoch":1,"number":1,"payload_hex":"00ff"}"#;
        outbox.take(&Frame { event: "x".into(), data: data.into(), id: None }, Instant::now());
        let event = outbox.first().unwrap();
        assert_eq!((event.payload, event.retained), (vec![0, 255], true));
    }

    #[test]
    fn what_comes_from_the_broker_is_checked() {
        for (payload, says) in [
            (&b"on"[..], json!("on")),
            (b"{\"a\": [1]}", json!({ "a": [1] })),
            (b"7", json!(7)),
            (b"", Value::Null),
        ] {
            let body: Value = serde_json::from_str(&incoming("a/b", payload).unwrap()).unwrap();
            assert_eq!(body, json!({ "topic": "a/b", "payload": says, "scope": "cluster" }));
        }
        for topic in ["node/x", "a//b", "", &"x".repeat(49)] {
            assert!(incoming(topic, b"1").is_err(), "{topic}");
        }
        assert!(incoming("a", b"\xFF").unwrap_err().contains("neither JSON nor text"));
        assert!(incoming("a", &[b'x'; 255]).unwrap_err().contains("257 bytes"));
    }
}
