//! How events travel: rumors, and the comparison of windows.
//!
//! *Spreading* is rumor mongering (Demers and others: "Epidemic Algorithms for Replicated Database
//! Maintenance", PODC 1987, section 1.4): a node that has something new tells it to random members,
//! one message at a time, [`NEWS`] times. That reaches almost all of them.
//!
//! *Repair* is for the rest, for what got lost, and for those who come later. Every message carries
//! a digest of the sender's window. Who sees in a question that it differs from its own sends the
//! keys of its window. The other one sends back what is not among them, and its own keys if it
//! lacks some. As long as windows are equal, nothing of this is sent.
//!
//! Events are told to members alone that have proved to be fresh, and believed from those.

use super::Cluster;
use super::member::{Member, Status};
use super::send::Task;
use super::table::Table;
use crate::events::{Part, PublishError, Topic, WINDOW};
use crate::random;
use crate::time::{Duration, Instant};
use crate::wire::{EventKey, Head, Kind, Message, MessageWriter, NodeId, Rumor};
use core::net::SocketAddrV4;
use heapless::Vec;

/// So often a node passes on an event that is new to it.
pub(super) const NEWS: u8 = 4;

/// From one message with news to the next: at least so long…
const PAUSE: Duration = Duration::from_millis(50);
/// …and up to so much longer.
const PAUSE_SPREAD: Duration = Duration::from_millis(50);

/// Between two questions for the keys of others.
const ASK_PAUSE: Duration = Duration::from_millis(250);

/// The same while this node has news, which would settle most of it.
const ASK_PAUSE_NEWS: Duration = Duration::from_secs(1);

/// To so many members a node that leaves tells what it has not told yet.
const LAST_TOLD: usize = 3;

/// What is to be told to whom, and when.
#[derive(Debug)]
pub(super) struct Spread {
    /// When to pass on news.
    next: Option<Instant>,
    /// When the keys of others were last asked for.
    asked: Option<Instant>,
    /// Who lacks the events that are marked as wanted.
    lacking: Option<NodeId>,
}

impl Spread {
    pub(super) const NEW: Self = Self { next: None, asked: None, lacking: None };

    pub(super) const fn next(&self) -> Option<Instant> {
        self.next
    }
}

/// Whether `id` is no live member.
pub(super) fn is_gone(table: &Table<'_>, id: NodeId) -> bool {
    table.get(id).is_none_or(|row| !row.status.is_live())
}

impl Cluster<'_> {
    /// Publishes an event for the cluster. Returns its number on this node.
    pub(crate) fn publish(
        &mut self,
        now: Instant,
        topic: Topic<'_>,
        payload: &[u8],
        retained: bool,
    ) -> Result<u32, PublishError> {
        let Self { events, table, .. } = self;
        let gone = |id| is_gone(table, id);
        let number = events.publish(now, (topic, payload, retained), NEWS, &gone)?;
        self.spread.next = Some(now);
        Ok(number)
    }

    /// What this node knows, as every message tells it.
    pub(super) fn head(&self) -> Head {
        Head {
            members: self.digest(),
            events: self.events.digest(),
            clock: self.events.clock(),
            rollout: self.rollout.digest(),
        }
    }

    /// Passes on news when it is time to.
    pub(super) fn spread_news(&mut self, now: Instant) {
        if self.spread.next.is_none_or(|next| now < next) {
            return;
        }
        self.spread.next = None;
        if !self.events.has(Part::News) {
            return;
        }
        if self.tell_news(now, &[]).is_some() {
            let pause = random::up_to(&mut self.rng, PAUSE_SPREAD.as_micros());
            self.spread.next = Some(now + PAUSE + Duration::from_micros(pause));
        } else {
            // Nobody is there. Who comes later sees that the windows differ.
            self.events.forget_news();
        }
    }

    /// Tells the news to a random member that is not one of `others`. Returns which.
    fn tell_news(&mut self, now: Instant, others: &[NodeId]) -> Option<NodeId> {
        let able = |member: &Member| {
            let met = member.status == Status::Active && member.is_verified();
            met && !others.contains(&member.id)
        };
        let (peer, to) = self.table.choose(&mut self.rng, able)?.contact(self.port);
        self.queue.push(now, Task::News { to });
        Some(peer)
    }

    /// Tells some members what was published here shortly before this node leaves.
    pub(super) fn tell_last_news(&mut self, now: Instant) {
        let mut told = Vec::<NodeId, LAST_TOLD, u8>::new();
        while self.events.has(Part::News) && !told.is_full() {
            let Some(peer) = self.tell_news(now, &told) else { return };
            // There is room.
            let _ = told.push(peer);
        }
    }

    /// Takes in what a trusted message says of events, and delivers what has its turn.
    pub(super) fn hear_events(
        &mut self,
        now: Instant,
        sender: NodeId,
        from: SocketAddrV4,
        message: &Message<'_>,
    ) {
        self.events.hear(now, message.head.clock);
        let mut news = false;
        for record in message.events() {
            news |= self.events.take_in(now, &record, NEWS);
        }
        if news && self.spread.next.is_none() {
            let pause = random::up_to(&mut self.rng, PAUSE.as_micros());
            self.spread.next = Some(now + Duration::from_micros(pause));
        }
        if let Kind::Window { asks } = message.kind {
            self.answer_keys(now, sender, from, message, asks);
        }
        let equal = self.events.compare(now, message.head.events);
        let asking = matches!(
            message.kind,
            Kind::Ping(_) | Kind::PingReq { .. } | Kind::RelayPing { .. } | Kind::Events
        );
        if asking && !equal && message.own.rumor != Rumor::Left {
            self.ask_for_keys(now, from);
        }
        self.deliver_events(now);
    }

    /// Delivers events that have their turn.
    pub(super) fn deliver_events(&mut self, now: Instant) {
        let Self { events, table, .. } = self;
        events.deliver(now, &|id| is_gone(table, id));
    }

    /// Sends the keys of this window, and asks for those of the other one.
    fn ask_for_keys(&mut self, now: Instant, to: SocketAddrV4) {
        let pause = if self.events.has(Part::News) { ASK_PAUSE_NEWS } else { ASK_PAUSE };
        if self.spread.asked.is_none_or(|asked| now.since(asked) >= pause) {
            self.spread.asked = Some(now);
            self.queue.push(now, Task::Keys { to, asks: true });
        }
    }

    /// Sends what is not among the keys in `message`, and perhaps this node's own.
    fn answer_keys(
        &mut self,
        now: Instant,
        sender: NodeId,
        from: SocketAddrV4,
        message: &Message<'_>,
        asks: bool,
    ) {
        let mut keys = message.keys();
        let horizon = keys.next().unwrap_or(EventKey::LEAST);
        let keys: Vec<EventKey, WINDOW, u8> = keys.collect();
        let (lacks, wanted) = self.events.match_keys(now, horizon, &keys);
        if wanted {
            self.spread.lacking = Some(sender);
            self.queue.push(now, Task::Wanted { peer: sender, to: from });
        }
        if asks && lacks {
            self.queue.push(now, Task::Keys { to: from, asks: false });
        }
    }

    /// Adds events to a message. Whether there is one. What does not fit follows.
    pub(super) fn write_events(
        &mut self,
        now: Instant,
        writer: &mut MessageWriter<'_>,
        task: Task,
    ) -> bool {
        match task {
            Task::Wanted { peer, .. } if self.spread.lacking == Some(peer) => {
                let any = self.events.write(writer, Part::Wanted);
                if self.events.has(Part::Wanted) {
                    self.queue.push(now, task);
                } else {
                    self.spread.lacking = None;
                }
                any
            }
            // Somebody else has asked meanwhile.
            Task::Wanted { .. } => false,
            _ => self.events.write(writer, Part::News),
        }
    }
}
