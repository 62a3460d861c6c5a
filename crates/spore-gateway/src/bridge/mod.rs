//! Keeps the broker like the cluster, and passes on what is said on either side. No I/O, no clock.

mod orders;

use crate::api::Frame;
use crate::cluster::Cluster;
use crate::events::{Outbox, Outgoing, Sent};
use crate::home_assistant;
use crate::retained::Shelf;
use crate::role::Role;
use crate::state;
use crate::topics::{Name, Source, Topics};
use log::warn;
use orders::Undecided;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A message that the broker has answered so often by ending the connection is left out.
const ATTEMPTS: u8 = 5;

/// Who stands by keeps events for so long: when it takes over, the broker may not have had the last ones. Until it knows that it is to, 18 s may go by.
const STAND_BY: Duration = Duration::from_secs(30);

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

#[derive(Debug, PartialEq)]
enum UnderWay {
    Question,
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
    role: Role,
    undecided: Undecided,
    /// Whether it is to be asked who speaks.
    asks: bool,
    /// Who was thought to when it was asked last.
    asked: Option<String>,
    /// The speaker that the operator was told is of another cluster.
    warned_of: Option<String>,
    under_way: Option<UnderWay>,
    /// What was under way when the connection ended, and how often it was.
    doubtful: Option<(UnderWay, u8)>,
    counters: Counters,
}

impl Bridge {
    /// A bridge that has `sent` these events before.
    pub(crate) fn new(name: Name, sources: Vec<Source>, home_assistant: bool, sent: Sent) -> Self {
        Self {
            topics: Topics::new(name).with(sources),
            cluster: Cluster::default(),
            home_assistant,
            shelf: Shelf::default(),
            outbox: Outbox::new(sent.clone()),
            sent,
            inbox: VecDeque::new(),
            answers: VecDeque::new(),
            connected: false,
            role: Role::new(),
            undecided: Undecided::default(),
            asks: false,
            asked: None,
            warned_of: None,
            under_way: None,
            doubtful: None,
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

    /// Whether it is this gateway that speaks to the broker.
    pub(crate) fn speaks(&self) -> bool {
        self.role.speaks()
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
        wanted.insert(self.topics.speaker(), self.role.own().to_owned());
        self.shelf.want(wanted);
    }

    /// There is a connection to the broker, of which nothing is known; `own` is the id of the gateway's node.
    pub(crate) fn connected(&mut self, own: &str, now: Instant) {
        self.shelf.forget(|_| true);
        (self.connected, self.under_way) = (true, None);
        self.counters.connections += 1;
        self.role.connected(own, now);
        self.learn(|_| ());
    }

    /// There is none any more.
    pub(crate) fn disconnected(&mut self) {
        self.connected = false;
        self.undecided.disconnected();
        self.role.disconnected();
        let Some(lost) = self.under_way.take() else { return };
        let before = self.doubtful.take().filter(|(before, _)| *before == lost);
        let attempts = before.map_or(1, |(_, attempts)| attempts + 1);
        if attempts < ATTEMPTS {
            self.doubtful = Some((lost, attempts));
        } else {
            self.give_up(lost);
        }
    }

    /// Leaves out a message that a broker does not bear: else nothing behind it would ever come through.
    fn give_up(&mut self, message: UnderWay) {
        let what = match message {
            UnderWay::Question => "a question".to_owned(),
            UnderWay::Answer => {
                self.answers.pop_front();
                "an answer".to_owned()
            }
            UnderWay::Event(event) => {
                self.outbox.give_up(&event);
                event.topic
            }
            UnderWay::Retained(topic, payload) => {
                self.shelf.refuse(topic.clone(), payload);
                topic
            }
        };
        warn!("the broker has ended the connection at each of {ATTEMPTS} attempts to send {what}");
    }

    fn change_role(&mut self, change: impl FnOnce(&mut Role)) {
        let before = self.role.speaks();
        change(&mut self.role);
        if self.role.speaks() && !before {
            // Another one may have spoken since.
            self.shelf.doubt();
            self.refuse_undecided();
        } else if self.role.stands_by() {
            // Who speaks has taken them.
            self.undecided = Undecided::default();
        }
    }

    /// Looks at the clock: whether it is this gateway that speaks.
    pub(crate) fn look(&mut self, now: Instant) {
        let mut asks = None;
        self.change_role(|role| asks = role.look(now).map(ToOwned::to_owned));
        if asks.is_some() && self.asked != asks {
            let other = asks.as_deref().unwrap_or_default();
            warn!("{other} is the gateway that speaks to the broker; this one stands by");
        }
        if asks.is_some() {
            (self.asked, self.asks) = (asks, true);
        }
        if let Some(stranger) = self.stranger().filter(|it| self.warned_of.as_deref() != Some(*it))
        {
            let cluster = self.topics.name();
            warn!(
                "{stranger}, which speaks to the broker for {cluster}, is no member of this cluster: two clusters on one broker need two names (--cluster)"
            );
            self.warned_of = Some(stranger.to_owned());
        }
        if self.role.stands_by() {
            // Who speaks gives them.
            self.answers.clear();
            while let Some(identity) = self.outbox.skip(Some(now - STAND_BY)) {
                self.sent.note(&identity);
            }
        }
    }

    /// Who speaks in place of this gateway, if it is known that it is of another cluster.
    fn stranger(&self) -> Option<&str> {
        let speaker = self.role.speaker().filter(|_| self.role.stands_by())?;
        (self.cluster.is_settled() && self.cluster.node(speaker).is_none()).then_some(speaker)
    }

    /// The message that is to be sent now, if there is one.
    pub(crate) fn next(&mut self) -> Option<Message> {
        if !self.connected || self.under_way.is_some() {
            return None;
        }
        if std::mem::take(&mut self.asks) {
            self.under_way = Some(UnderWay::Question);
            let (topic, payload) = (self.topics.question(), self.role.own().into());
            return Some(Message { topic, payload, retained: false });
        }
        if !self.role.speaks() {
            return None;
        }
        // Before all else, so that no other one speaks as well.
        let speaker = self.topics.speaker();
        if let Some(own) = self.shelf.missing(&speaker) {
            let message =
                Message { topic: speaker.clone(), payload: own.clone().into(), retained: true };
            self.under_way = Some(UnderWay::Retained(speaker, own));
            return Some(message);
        }
        if let Some(answer) = self.answers.front() {
            self.under_way = Some(UnderWay::Answer);
            return Some(answer.clone());
        }
        while let Some(identity) = self.outbox.skip(None) {
            self.sent.note(&identity);
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
        let taken = self.under_way.take();
        self.doubtful.take_if(|(doubtful, _)| Some(&*doubtful) == taken.as_ref());
        match taken {
            Some(UnderWay::Question) => (),
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
    pub(crate) fn event(&mut self, frame: &Frame, now: Instant) {
        self.outbox.take(frame, now);
    }
}

#[cfg(test)]
mod tests;
