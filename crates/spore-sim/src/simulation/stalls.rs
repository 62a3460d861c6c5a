//! Nodes that stand still, and what they cannot know when they go on.

use super::Simulation;
use crate::body::Stall;
use crate::ledger::Name;
use crate::log::Entry;
use crate::queue::{Event, Input};
use crate::scenario::{Command, Memory};
use spore_core::security::{Header, Sealer};
use spore_core::wire::{EventKey, Kind, Message, Record};
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

/// How long the watchdog of a board waits.
const WATCHDOG: Duration = Duration::from_secs(5);
/// When an image that hangs does so at the latest, in milliseconds after its start: none is confirmed before ten seconds of its node's
/// clock.
const HANGS_WITHIN: u64 = 9_000;

fn is_request(input: &Input) -> bool {
    matches!(input, Input::Asked { .. })
}

impl Simulation {
    /// The image that a node has just started hangs, some time.
    pub(super) fn will_hang(&mut self, node: usize) {
        let after = Duration::from_millis(self.rng.u64(..=HANGS_WITHIN));
        self.will_hang_at(node, self.now + after);
    }

    fn will_hang_at(&mut self, node: usize, at: Duration) {
        let body = &mut self.bodies[node];
        let Some(life) = &mut body.life else { return };
        life.hangs = Some(at);
        self.queue.push(at, Event::Hang { node, boot: body.boot });
    }

    /// The clock of a node has jumped forward by `span`. By that one, its image hangs when it would have.
    pub(super) fn hang_sooner(&mut self, node: usize, span: Duration) {
        if let Some(at) = self.bodies[node].life.as_ref().and_then(|life| life.hangs) {
            self.will_hang_at(node, at.saturating_sub(span).max(self.now));
        }
    }

    pub(super) fn hang(&mut self, node: usize, boot: u32) {
        let body = &mut self.bodies[node];
        let Some(life) = body.life.as_mut().filter(|_| body.boot == boot) else { return };
        if life.hangs.take_if(|at| *at <= self.now).is_some() {
            self.stall(node, 2 * WATCHDOG);
            self.queue.push(self.now + WATCHDOG, Event::Bite { node, boot });
        }
    }

    pub(super) fn bite(&mut self, node: usize, boot: u32) {
        if self.bodies[node].life.is_some() && self.bodies[node].boot == boot {
            self.obey(Command::Restart(node, Memory::Kept));
        }
    }

    pub(super) fn stall(&mut self, node: usize, span: Duration) {
        let body = &mut self.bodies[node];
        let Some(life) = &mut body.life else { return };
        let (since, until) = (self.now, self.now + span);
        match &mut life.stall {
            Some(stall) => stall.until = stall.until.max(until),
            None => life.stall = Some(Stall { since, until }),
        }
        let (asked, rest) = std::mem::take(&mut life.inbox).into_iter().partition(is_request);
        life.inbox = rest;
        self.log.add(self.now, &Entry::Stalled(node));
        self.queue.push(until, Event::Resume { node, boot: body.boot });
        self.hang_up(asked);
    }

    /// A stalled node goes on at once.
    pub(super) fn end_stall(&mut self, node: usize) {
        let body = &mut self.bodies[node];
        let Some(stall) = body.life.as_mut().and_then(|life| life.stall.as_mut()) else { return };
        stall.until = self.now;
        self.queue.push(self.now, Event::Resume { node, boot: body.boot });
    }

    pub(super) fn resume(&mut self, node: usize, boot: u32) {
        let body = &mut self.bodies[node];
        let Some(life) = body.life.as_mut().filter(|_| body.boot == boot) else { return };
        let Some(stall) = life.stall.take_if(|stall| stall.until <= self.now) else { return };
        for event in std::mem::take(&mut life.put_off) {
            self.queue.push(self.now, event);
        }
        self.log.add(self.now, &Entry::Resumed(node));
        self.excuse(node, stall.since);
        self.go_on(node);
    }

    /// Notes which events a node that goes on can learn of from nobody any more: they were
    /// published while it stood still, their publisher's boot is over, they are in the window of no
    /// node that runs and does not stand still itself, and nothing that waits for it tells of them.
    fn excuse(&mut self, node: usize, since: Duration) {
        for name in self.ledger.ended_since(since) {
            let is_it = |key: EventKey| (key.publisher, key.epoch, key.seq) == name;
            let is_kept = self.awake().any(|node| node.window_keys().any(is_it));
            let waits = self.bodies[node].life.iter().flat_map(|life| &life.inbox);
            let waits = waits.filter_map(|input| match input {
                Input::Datagram { bytes, .. } => Some(bytes),
                _ => None,
            });
            if !is_kept && !self.tells(node, waits, name) {
                self.ledger.excuse(node, name);
            }
        }
    }

    /// A node is about to get a datagram. If it tells of events that the node is excused for, since a
    /// node that stood still as well had kept them, it is so no more.
    pub(super) fn hold_to(&mut self, node: usize, bytes: &Rc<[u8]>) {
        for name in self.ledger.excused(node) {
            if self.tells(node, [bytes].into_iter(), name) {
                self.ledger.hold_to(node, name);
            }
        }
    }

    /// Whether one of these datagrams brings an event to a node, or tells it that there was one: by its
    /// key, or in the records of its publisher, which say how many there are. A node believes nobody who has not proved
    /// to be fresh in that boot, which only an ack can do.
    fn tells<'b>(
        &self,
        node: usize,
        mut datagrams: impl Iterator<Item = &'b Rc<[u8]>>,
        (publisher, epoch, seq): Name,
    ) -> bool {
        let sealer = Sealer::new(&self.key);
        let counts = |record: &Record| {
            let known = (record.id, record.incarnation.epoch) == (publisher, epoch);
            known && record.published >= seq
        };
        let mut proved = HashSet::new();
        datagrams.any(|bytes| {
            let mut bytes = bytes.to_vec();
            let Ok((Header { sender, epoch: boot, .. }, bytes)) = sealer.open(&mut bytes) else {
                return false;
            };
            let Ok(message) = Message::parse(bytes, sender) else { return false };
            if matches!(message.kind, Kind::Ack(_)) {
                proved.insert((sender, boot));
            }
            let member = self.node(node).and_then(|node| node.member(sender));
            if !member.is_some_and(|it| it.has_proved(boot)) && !proved.contains(&(sender, boot)) {
                return false;
            }
            let mut keys = message.events().map(|event| event.key).chain(message.keys());
            keys.any(|key| (key.publisher, key.epoch, key.seq) == (publisher, epoch, seq))
                || counts(&message.own)
                || message.records().any(|record| counts(&record))
        })
    }
}
