//! Keeps the broker like the cluster, and passes on what is said on either side. No I/O, no clock.

use crate::api::{Answer, Frame};
use crate::cluster::Cluster;
use crate::events::{self, Outbox, Outgoing, Sent};
use crate::home_assistant;
use crate::retained::Shelf;
use crate::state;
use crate::topics::{Name, Subject, Topics};
use log::warn;
use serde_json::json;
use std::collections::VecDeque;
use std::time::Instant;

/// So many events of the broker wait until the cluster takes them; more are refused.
const INBOX: usize = 64;

/// So many answers of services wait for the broker; more push out the oldest.
const ANSWERS: usize = 64;

/// A message for the broker. One is under way at a time, so that what was not taken is known when the connection breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) retained: bool,
}

/// The call of a service that the broker has asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) member: String,
    pub(crate) service: String,
    /// Where the member's API is.
    pub(crate) api: String,
    pub(crate) body: Vec<u8>,
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Events sent to the broker.
    pub(crate) out: u64,
    /// Events of the broker that the cluster has taken.
    pub(crate) taken: u64,
    /// Events and calls of the broker that were refused.
    pub(crate) refused: u64,
    /// Connections to the broker.
    pub(crate) connections: u64,
}

#[derive(Debug)]
enum UnderWay {
    Answer,
    Event(Outgoing),
    Retained(String, String),
}

/// The bridge between one cluster and one broker.
#[derive(Debug)]
pub(crate) struct Bridge {
    topics: Topics,
    cluster: Cluster,
    home_assistant: bool,
    shelf: Shelf,
    outbox: Outbox,
    sent: Sent,
    inbox: VecDeque<String>,
    answers: VecDeque<Message>,
    connected: bool,
    under_way: Option<UnderWay>,
    counters: Counters,
}

impl Bridge {
    /// A bridge that has `sent` these events before.
    pub(crate) fn new(name: Name, home_assistant: bool, sent: Sent) -> Self {
        Self {
            topics: Topics::new(name),
            cluster: Cluster::default(),
            home_assistant,
            shelf: Shelf::default(),
            outbox: Outbox::new(sent.clone()),
            sent,
            inbox: VecDeque::new(),
            answers: VecDeque::new(),
            connected: false,
            under_way: None,
            counters: Counters::default(),
        }
    }

    pub(crate) fn topics(&self) -> &Topics {
        &self.topics
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connected
    }

    /// Whether a message is under way.
    pub(crate) fn is_waiting(&self) -> bool {
        self.under_way.is_some()
    }

    /// How many events wait for the broker.
    pub(crate) fn waiting(&self) -> usize {
        self.outbox.len()
    }

    /// What was sent, to be remembered.
    pub(crate) fn sent(&self) -> &Sent {
        &self.sent
    }

    /// Changes what is known of the cluster.
    pub(crate) fn learn(&mut self, change: impl FnOnce(&mut Cluster)) {
        change(&mut self.cluster);
        let mut wanted = state::messages(&self.cluster, &self.topics);
        if self.home_assistant {
            wanted.extend(home_assistant::devices(&self.cluster, &self.topics));
        }
        self.shelf.want(wanted);
    }

    /// There is a connection to the broker, of which nothing is known.
    pub(crate) fn connected(&mut self) {
        self.shelf.forget(|_| true);
        (self.connected, self.under_way) = (true, None);
        self.counters.connections += 1;
    }

    /// There is none any more.
    pub(crate) fn disconnected(&mut self) {
        (self.connected, self.under_way) = (false, None);
    }

    /// The message that is to be sent now, if there is one.
    pub(crate) fn next(&mut self) -> Option<Message> {
        if !self.connected || self.under_way.is_some() {
            return None;
        }
        if let Some(answer) = self.answers.front() {
            self.under_way = Some(UnderWay::Answer);
            return Some(answer.clone());
        }
        if let Some(event) = self.outbox.first() {
            let topic = self.topics.event(&event.topic);
            let message =
                Message { topic, payload: event.payload.clone(), retained: event.retained };
            self.under_way = Some(UnderWay::Event(event));
            return Some(message);
        }
        let cluster = &self.cluster;
        let (topic, text) =
            self.shelf.next(|topic| !cluster.is_settled() || cluster.keeps(topic))?;
        let message =
            Message { topic: topic.clone(), payload: text.clone().into_bytes(), retained: true };
        self.under_way = Some(UnderWay::Retained(topic, text));
        Some(message)
    }

    /// The broker has the message that was under way.
    pub(crate) fn acknowledged(&mut self) {
        match self.under_way.take() {
            Some(UnderWay::Answer) => drop(self.answers.pop_front()),
            Some(UnderWay::Event(event)) => {
                self.outbox.sent(&event);
                self.counters.out += 1;
                if let Some(identity) = &event.identity {
                    self.sent.note(identity);
                }
            }
            Some(UnderWay::Retained(topic, payload)) => self.shelf.done(&topic, &payload),
            None => (),
        }
    }

    /// An event of the cluster.
    pub(crate) fn event(&mut self, frame: &Frame) {
        self.outbox.take(frame);
    }

    /// A message of the broker. `stale` is what was retained there: an order from the past is none.
    pub(crate) fn message(
        &mut self,
        topic: &str,
        payload: &[u8],
        stale: bool,
        now: Instant,
    ) -> Option<Call> {
        let topics = self.topics.clone();
        match topics.subject(topic) {
            Subject::Retained => self.shelf.heard(topic, &String::from_utf8_lossy(payload)),
            Subject::Member { id, leaf } => {
                // None of ours has other bytes.
                self.shelf.heard(topic, &String::from_utf8_lossy(payload));
                if let Some(member) =
                    state::member(id, payload).filter(|_| stale && leaf == "state")
                {
                    self.learn(|cluster| cluster.adopt(member, now));
                }
            }
            Subject::Birth if payload == state::ONLINE.as_bytes() && !stale => {
                let start = "homeassistant/";
                self.shelf.forget(|topic| topic.starts_with(start));
            }
            Subject::Publish { .. } | Subject::Call { .. } if stale => {
                self.refuse(topic, "it is retained, and may be of the past");
            }
            Subject::Publish { topic: about } => match events::incoming(about, payload) {
                Ok(_) if self.inbox.len() == INBOX => {
                    self.refuse(topic, "too many events wait for the cluster");
                }
                Ok(body) => self.inbox.push_back(body),
                Err(error) => self.refuse(topic, &error),
            },
            Subject::Call { member, service } => return self.call(topic, member, service, payload),
            Subject::Birth | Subject::Other => (),
        }
        None
    }

    fn refuse(&mut self, topic: &str, why: &str) {
        warn!("{topic} is refused: {why}");
        self.counters.refused += 1;
    }

    fn call(&mut self, topic: &str, member: &str, service: &str, body: &[u8]) -> Option<Call> {
        let node = self.cluster.node(member).filter(|node| node.member.is_live());
        let Some(api) = node.map(|node| node.member.api()) else {
            self.refuse(topic, "no such member is there");
            self.answer(member, service, 404, "no such member is there");
            return None;
        };
        let (member, service) = (member.to_owned(), service.to_owned());
        Some(Call { member, service, api, body: body.to_vec() })
    }

    /// Tells the broker what a service has answered.
    pub(crate) fn answer(&mut self, member: &str, service: &str, status: u16, body: &str) {
        let body = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
        let payload = json!({ "status": status, "body": body }).to_string().into_bytes();
        let topic = self.topics.answer(member, service);
        // The first one may be under way.
        if self.answers.len() == ANSWERS {
            self.answers.remove(1);
        }
        self.answers.push_back(Message { topic, payload, retained: false });
    }

    /// What the gateway's own node is to publish next, as the body of the request.
    pub(crate) fn order(&self) -> Option<&str> {
        self.inbox.front().map(String::as_str)
    }

    /// The node's answer to that. Whether the next one can follow at once: a cluster that is busy, or a node that is, gets the same again.
    pub(crate) fn ordered(&mut self, answer: &Answer) -> bool {
        if matches!(answer.status, 429 | 503) {
            return false;
        }
        self.inbox.pop_front();
        if answer.is_success() {
            self.counters.taken += 1;
            self.outbox.published(&answer.body);
        } else {
            warn!("the cluster refuses an event of the broker: {}", answer.body);
            self.counters.refused += 1;
        }
        true
    }
}

#[cfg(test)]
#[path = "bridge_tests.rs"]
mod tests;
