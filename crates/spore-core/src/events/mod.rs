//! Events: publish and subscribe by topic, on this node and in the whole cluster.
//!
//! *Cluster events* are kept in a window that becomes the same on all members however they
//! travelled (`window`); [`cluster`](crate::cluster) makes them travel. Here they are put in order:
//! those of one publisher are delivered in the order in which it published them, each at most once
//! in a boot of the receiver, and what cannot be delivered so is reported as missed
//! ([`Event::EventsMissed`]). Every event has a number in its publisher's boot, and every record of
//! a member carries the highest one that is known, so no gap goes unnoticed.
//!
//! An event that came ahead of its turn waits for those before it, at most [`PATIENCE`], or until
//! one more large event would push it out of the window. A publisher that has rebooted is waited
//! for [`SETTLING`], in case that events of its former boot are still under way; those that come
//! later are reported, with all before them that nothing was said of (`ended`). A node that has
//! just started delivers nothing of others before it has caught up: until its window was equal to
//! somebody's, at most [`CATCHING_UP`]; what it lacks then has been before its time.
//!
//! *The local bus* (`bus`) counts all that is delivered on this node: cluster events, local events,
//! and the system's own.

mod bus;
mod ended;
mod local;
mod order;
mod publishers;
mod topic;
mod window;

pub use bus::{Delivery, Payload, SYSTEM_PAYLOAD, Scope};
pub use ended::ENDED;
pub(crate) use ended::EndedBoots;
pub use local::LocalEvent;
pub use order::{PATIENCE, SETTLING};
pub use publishers::Publisher;
pub use topic::{Filter, InvalidFilter, InvalidTopic, Topic};
pub use window::{ORDINARY, ORDINARY_BYTES, RETAINED, WINDOW};
pub(crate) use window::{Part, Window};

use crate::log::Log;
use crate::node::Event;
use crate::profile::{EventStorage, List as _, Profile};
use crate::time::{Duration, Instant};
use crate::wire::{EventKey, EventRecord, Full, Hostname, MessageWriter, NodeId, U24};
use bus::Bus;
use heapless::VecView;
use local::Local;
use publishers::{Publishers, Since};
use window::{Entry, Offer};

/// For so long a node that has started waits for a window that is equal to another one.
pub const CATCHING_UP: Duration = Duration::from_secs(3);

/// An event that came less than so long ago is not pushed out by one that is published here: others
/// may not have it yet. Of those that came as this node started, that holds for the newer half alone.
pub const GUARDED: Duration = Duration::from_secs(4);

/// So many of this node's own events may be younger than that.
const OWN_GUARDED: usize = 8;

/// An event that was told to nobody for so long is not made newer than what others know, or a node
/// that was alone would push out what the cluster has.
const RENEWABLE: Duration = Duration::from_secs(30);

/// A tick of the clock that events are stamped with, as a power of two of microseconds: 66 ms.
const TICK: u32 = 16;

/// `now` in ticks. 32 bits of them are 8.9 years.
fn ticks(now: Instant) -> u32 {
    u32::try_from(now.as_micros() >> TICK).unwrap_or(u32::MAX)
}

/// So many ticks are no less than `span`.
fn ticks_in(span: Duration) -> u32 {
    u32::try_from(span.as_micros() >> TICK).unwrap_or(u32::MAX).saturating_add(1)
}

/// Why an event was not published. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishError {
    /// The topic is none.
    Topic,
    /// The topic is one of the system's own.
    Reserved,
    /// The payload has more than [`EventRecord::MAX_PAYLOAD`] bytes.
    Payload,
    /// A local event cannot be retained.
    Retained,
    /// The node has no cluster key, so there is no cluster to publish for.
    Unclaimed,
    /// The node is starting, or leaving.
    NotReady,
    /// More events than the cluster can carry: this one would push out one that others may not have
    /// yet. In [`GUARDED`] at the latest there is room.
    TooMany,
}

/// Whether this node has the events that were published before it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not yet; it waits until then at most, from when it first hears somebody.
    CatchingUp(Option<Instant>),
    /// It has, and what is missing among them is being reported.
    CaughtUp,
    /// Nothing of that is left.
    Settled,
}

/// This node, as a publisher.
#[derive(Clone, Copy, Debug)]
struct Own {
    id: NodeId,
    epoch: U24,
    /// The number of its last event in this epoch.
    seq: U24,
}

/// What is to be done with entries that the window drops at the logical time `clock`.
fn dropped<'p>(publishers: &'p mut Publishers<'_>, clock: u32) -> impl FnMut(&Entry) + 'p {
    move |entry| publishers.heard_of(entry.key, entry.is_pending(), clock)
}

/// The events of one node.
#[derive(Debug)]
pub(crate) struct Events<'a> {
    pub(crate) bus: Bus<'a>,
    window: &'a mut Window,
    publishers: Publishers<'a>,
    own: Own,
    /// The highest logical time that was heard of.
    clock: u32,
    phase: Phase,
    /// When to look at what waits.
    check: Option<Instant>,
}

impl<'a> Events<'a> {
    /// The events of a node that has none yet, and is `id` in its boot `epoch`.
    pub(crate) fn new<P: Profile>(
        id: NodeId,
        epoch: U24,
        storage: &'a mut EventStorage<P>,
    ) -> Self {
        let EventStorage { log, window, publishers, ended, local, local_bytes } = storage;
        window.clear();
        let publishers: &mut VecView<Publisher> = publishers.view();
        Self {
            bus: Bus::new(Log::new(log.view()), Local::new(local.view(), local_bytes.view())),
            window,
            publishers: Publishers::new(publishers, ended),
            own: Own { id, epoch, seq: U24::ZERO },
            clock: 0,
            phase: Phase::CatchingUp(None),
            check: None,
        }
    }

    /// The node is `id` in its boot `epoch` from now on.
    pub(crate) fn set_own(&mut self, id: NodeId, epoch: U24) {
        if (self.own.id, self.own.epoch) != (id, epoch) {
            self.own = Own { id, epoch, seq: U24::ZERO };
        }
    }

    /// The number of the latest delivery.
    pub(crate) const fn last(&self) -> u32 {
        self.bus.last()
    }

    /// The highest logical time that was heard of.
    pub(crate) const fn clock(&self) -> u32 {
        self.clock
    }

    /// The window in 32 bits.
    pub(crate) fn digest(&self) -> u32 {
        self.window.digest()
    }

    /// The keys of the events in the window, the newest first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = EventKey> {
        self.window.entries().iter().map(|entry| entry.key)
    }

    /// When [`deliver`](Self::deliver) is to be called next.
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        self.check
    }

    /// So many events are known of that boot of a node.
    pub(crate) fn published(&self, id: NodeId, epoch: U24) -> U24 {
        if (id, epoch) == (self.own.id, self.own.epoch) {
            return self.own.seq;
        }
        let row = self.publishers.get(id).filter(|row| row.epoch == epoch);
        row.map_or(U24::ZERO, |row| row.known)
    }

    /// See [`Node::next_event`](crate::Node::next_event).
    pub(crate) fn after<'s>(
        &'s self,
        after: u32,
        filter: Filter<'_>,
        started: Instant,
        hostname: impl Fn(NodeId) -> Option<&'s Hostname>,
    ) -> Option<Delivery<'s>> {
        let hostname = |event: Event| event.member().and_then(&hostname);
        self.bus.after(self.window, after, filter, started, hostname)
    }

    /// Publishes an event on this node alone. Returns its number.
    pub(crate) fn publish_here(&mut self, now: Instant, topic: Topic<'_>, payload: &[u8]) -> u32 {
        self.bus.publish(now, topic, payload)
    }

    /// Publishes an event for the cluster, to be passed on `news` times. Returns its number here,
    /// where it is delivered at once.
    pub(crate) fn publish(
        &mut self,
        now: Instant,
        event: (Topic<'_>, &[u8], bool),
        news: u8,
        gone: &impl Fn(NodeId) -> bool,
    ) -> Result<u32, PublishError> {
        let (topic, payload, retained) = event;
        let (arrived, guarded) = (ticks(now), ticks_in(GUARDED));
        let old = self.window.old_of_replay();
        let young = |entry: &Entry| {
            let is_old = entry.is_replayed() && old.is_some_and(|old| entry.key <= old);
            arrived.saturating_sub(entry.arrived) < guarded && !is_old
        };
        let own = |entry: &&Entry| entry.key.publisher == self.own.id && young(entry);
        let mine = self.window.entries().iter().filter(own).count();
        let room = self.window.has_room(retained, topic.as_str(), payload.len(), young);
        if mine >= OWN_GUARDED || !room {
            return Err(PublishError::TooMany);
        }
        let seq = self.own.seq.next().ok_or(PublishError::NotReady)?;
        let clock = self.clock.saturating_add(1);
        let Own { id: publisher, epoch, .. } = self.own;
        let key = EventKey { clock, publisher, epoch, seq };
        let record = EventRecord { key, retained, topic, payload };
        if self.offer(&record, arrived) != Offer::Taken {
            return Err(PublishError::NotReady);
        }
        (self.own.seq, self.clock) = (seq, clock);
        let number = self.bus.count();
        if let Some(entry) = self.entry_mut(&key) {
            (entry.number, entry.news) = (number, news);
        }
        if let Some((row, ended)) = self.publishers.enrol((publisher, epoch, seq), clock, gone) {
            if row.epoch < epoch {
                row.reboot(epoch, ended, clock);
            }
            row.advance(seq);
        }
        Ok(number)
    }

    fn entry_mut(&mut self, key: &EventKey) -> Option<&mut Entry> {
        self.window.entries_mut().iter_mut().find(|entry| entry.key == *key)
    }

    /// Offers an event to the window. That it is there is known now, also if it is dropped.
    fn offer(&mut self, record: &EventRecord<'_>, arrived: u32) -> Offer {
        let Self { window, publishers, clock, .. } = self;
        let offer = window.offer(record, arrived, dropped(publishers, *clock));
        if offer == Offer::Refused {
            publishers.heard_of(record.key, false, *clock);
        }
        offer
    }

    /// Takes note of the logical time of somebody who is trusted. What this node has published and
    /// told nobody yet becomes newer than that, or it would count as old.
    pub(crate) fn hear(&mut self, now: Instant, clock: u32) {
        if clock <= self.clock {
            return;
        }
        self.clock = clock;
        let (at, renewable, own) = (ticks(now), ticks_in(RENEWABLE), self.own);
        let mut renamed = false;
        // Each one renamed goes to the front, and the others keep their order behind it.
        for _ in 0..WINDOW {
            let Some(entry) = self.oldest_untold(own, clock) else { break };
            if at.saturating_sub(entry.arrived) >= renewable {
                // It stays what it is: old. Later ones are younger, so their order is kept.
                if let Some(entry) = self.entry_mut(&entry.key) {
                    entry.told();
                }
                continue;
            }
            self.clock = self.clock.saturating_add(1);
            self.window.rename(&entry.key, EventKey { clock: self.clock, ..entry.key });
            renamed = true;
        }
        if renamed {
            let Self { window, publishers, clock, .. } = self;
            window.settle(dropped(publishers, *clock));
            self.check = Some(now);
        }
    }

    /// The oldest of this node's events that nobody knows of, up to the logical time `clock`.
    fn oldest_untold(&self, own: Own, clock: u32) -> Option<Entry> {
        let untold = |entry: &&Entry| {
            let mine = (entry.key.publisher, entry.key.epoch) == (own.id, own.epoch);
            mine && !entry.is_told() && entry.key.clock <= clock
        };
        self.window.entries().iter().rev().find(untold).copied()
    }

    /// Takes in an event that somebody who is trusted has told, to be passed on `news` times if it
    /// is new. Whether it is.
    pub(crate) fn take_in(&mut self, now: Instant, record: &EventRecord<'_>, news: u8) -> bool {
        let key = record.key;
        self.hear(now, key.clock);
        self.check = Some(now);
        if self.offer(record, ticks(now)) != Offer::Taken {
            return false;
        }
        let own = (key.publisher, key.epoch) == (self.own.id, self.own.epoch);
        let replayed = matches!(self.phase, Phase::CatchingUp(_));
        if let Some(entry) = self.entry_mut(&key) {
            entry.news = news;
            entry.told();
            if replayed {
                entry.replayed();
            }
            if own {
                // Delivered when it was published.
                entry.pass_over();
            }
        }
        true
    }

    /// Takes note that so many events of a boot of another node are known to somebody.
    pub(crate) fn learn(
        &mut self,
        now: Instant,
        (id, epoch, published): (NodeId, U24, U24),
        gone: &impl Fn(NodeId) -> bool,
    ) {
        if published == U24::ZERO || id == self.own.id || self.phase != Phase::Settled {
            return;
        }
        let of_it = |entry: &Entry| entry.key.publisher == id && entry.is_pending();
        let pending = self.window.entries().iter().any(of_it);
        let first = published.next().unwrap_or(U24::MAX);
        let clock = self.clock;
        let enrolled = self.publishers.enrol((id, epoch, first), clock, gone);
        let Some((row, ended)) = enrolled else { return };
        if epoch > row.epoch && !row.lacks() && !pending {
            row.reboot(epoch, ended, clock);
        }
        if row.epoch == epoch && published > row.known {
            row.known = published;
            self.check = Some(now);
        }
    }

    /// Compares the digest of this window with that of somebody who is trusted.
    pub(crate) fn compare(&mut self, now: Instant, digest: u32) -> bool {
        let equal = digest == self.digest();
        if let Phase::CatchingUp(until) = &mut self.phase {
            let until = *until.get_or_insert(now + CATCHING_UP);
            if equal || now >= until {
                self.phase = Phase::CaughtUp;
            }
            self.check = Some(if equal { now } else { until });
        }
        equal
    }

    /// Whether there are events that belong into such a message.
    pub(crate) fn has(&self, part: Part) -> bool {
        self.window.has(part)
    }

    /// Nothing is passed on any more.
    pub(crate) fn forget_news(&mut self) {
        self.window.entries_mut().iter_mut().for_each(|entry| entry.news = 0);
    }

    /// Adds events to a message, as many as fit. Whether there is one.
    pub(crate) fn write(&mut self, writer: &mut MessageWriter<'_>, part: Part) -> bool {
        self.window.write(writer, part)
    }

    /// Adds the horizon and the keys of the window to a message.
    pub(crate) fn write_keys(&self, writer: &mut MessageWriter<'_>) -> Result<(), Full> {
        writer.push_key(&self.window.horizon())?;
        self.keys().try_for_each(|key| writer.push_key(&key))
    }

    /// Joins the horizon of another window, and compares its keys with those of this one: whether
    /// that has something new for this one, and whether this one has something for that. What it
    /// has is marked as wanted. That there are such events is known from now on: the others may drop them
    /// before this node gets them, and nobody may tell of them again.
    pub(crate) fn match_keys(
        &mut self,
        now: Instant,
        horizon: EventKey,
        keys: &[EventKey],
    ) -> (bool, bool) {
        let Self { window, publishers, clock, .. } = self;
        let former = window.horizon();
        let behind = horizon < former;
        window.raise(horizon, dropped(publishers, *clock));
        for key in keys.iter().filter(|key| !window.contains(key)) {
            publishers.told_of(*key, *clock);
        }
        // If it is the same, this has been noted.
        if horizon != former && !window.contains(&horizon) {
            publishers.told_of_drop(horizon, Since::new(now.as_micros()), *clock);
        }
        self.check = Some(now);
        for entry in self.window.entries_mut() {
            entry.want(!keys.contains(&entry.key));
        }
        let lacks = behind || keys.iter().any(|key| !self.window.contains(key));
        (lacks, self.window.has(Part::Wanted))
    }
}
