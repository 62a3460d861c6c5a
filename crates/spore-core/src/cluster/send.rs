//! What waits to be sent, and the making of messages.
//!
//! The queue holds intentions, not bytes: a message is made when it is sent, in the caller's
//! buffer, and says what is true then.

use super::Cluster;
use super::member::Member;
use crate::node::Destination;
use crate::security::Token;
use crate::time::Instant;
use crate::wire::{Kind, MessageWriter, NodeId, Record};
use core::mem::{Discriminant, discriminant};
use core::net::{Ipv4Addr, SocketAddrV4};
use heapless::VecView;

/// A datagram that waits to be made and sent.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    due: Instant,
    task: Task,
}

/// What to send.
#[derive(Clone, Copy, Debug)]
pub(super) enum Task {
    /// This node's announcement, to everyone.
    Announce,
    /// A ping.
    Ping { peer: NodeId, to: SocketAddrV4 },
    /// The answer to a ping, with the XOR of the two nodes' digests: 0 if their views are equal.
    Ack { peer: NodeId, to: SocketAddrV4, token: Token, difference: u32 },
    /// The answer to a ping that may be a recording, sent from somebody else's address: it tells
    /// nothing of others.
    BareAck { to: SocketAddrV4, token: Token },
    /// A request to ping `target`.
    PingReq { peer: NodeId, to: SocketAddrV4, target: NodeId },
    /// A ping for `origin`, with its token. The address is a member's, with the cluster's port.
    RelayPing { peer: NodeId, address: Ipv4Addr, origin: NodeId, token: Token },
    /// The answer to such a ping, whoever sent it.
    RelayAck { to: SocketAddrV4, origin: NodeId, token: Token },
    /// What `target` answered, for `peer`, whose token it is.
    IndirectAck { peer: NodeId, address: Ipv4Addr, target: NodeId, token: Token },
    /// This node's announcement, to one member alone.
    Tell { to: SocketAddrV4 },
    /// Events that are news.
    News { to: SocketAddrV4 },
    /// Events that `peer` lacks.
    Wanted { peer: NodeId, to: SocketAddrV4 },
    /// The keys of this window, and perhaps the question for those of the other one.
    Keys { to: SocketAddrV4, asks: bool },
    /// The plan of a rollout.
    Rollout { to: SocketAddrV4 },
}

/// What a [`Task`] consists of; what it does not have is nothing.
#[derive(PartialEq, Eq)]
struct Parts {
    kind: Discriminant<Task>,
    ids: [NodeId; 2],
    to: SocketAddrV4,
    token: Token,
    number: u32,
}

impl Task {
    fn parts(&self) -> Parts {
        const NOBODY: NodeId = NodeId([0; 6]);
        const NOTHING: (Token, u32) = (Token::from_bytes([0; Token::LEN]), 0);
        let (ids, to, (token, number)) = match *self {
            Self::Announce => ([NOBODY; 2], SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0), NOTHING),
            Self::Tell { to } | Self::News { to } | Self::Rollout { to } => {
                ([NOBODY; 2], to, NOTHING)
            }
            Self::Keys { to, asks } => ([NOBODY; 2], to, (NOTHING.0, asks.into())),
            Self::BareAck { to, token } => ([NOBODY; 2], to, (token, 0)),
            Self::Ping { peer, to } | Self::Wanted { peer, to } => ([peer, NOBODY], to, NOTHING),
            Self::Ack { peer, to, token, difference } => ([peer, NOBODY], to, (token, difference)),
            Self::PingReq { peer, to, target } => ([peer, target], to, NOTHING),
            Self::RelayAck { to, origin, token } => ([NOBODY, origin], to, (token, 0)),
            Self::RelayPing { peer, address, origin: other, token }
            | Self::IndirectAck { peer, address, target: other, token } => {
                ([peer, other], SocketAddrV4::new(address, 0), (token, 0))
            }
        };
        Parts { kind: discriminant(self), ids, to, token, number }
    }
}

// Part by part: derived, it would compare each kind in code of its own, a kilobyte and a half on a board.
impl PartialEq for Task {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

/// The outgoing queue.
#[derive(Debug)]
pub(super) struct Queue<'a> {
    entries: &'a mut VecView<Outgoing>,
    overflows: u32,
    /// Where in the member list the next message goes on telling.
    cursor: usize,
}

impl<'a> Queue<'a> {
    /// A queue in `entries`, emptied.
    pub(super) fn new(entries: &'a mut VecView<Outgoing>) -> Self {
        entries.clear();
        Self { entries, overflows: 0, cursor: 0 }
    }

    /// Adds a task. If the same one waits already, the earlier time holds. What does not fit is
    /// dropped and counted.
    pub(super) fn push(&mut self, due: Instant, task: Task) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.task == task) {
            entry.due = entry.due.min(due);
            return;
        }
        if self.entries.push(Outgoing { due, task }).is_err() {
            self.overflows = self.overflows.saturating_add(1);
        }
    }

    /// Drops all that waits.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.entries.iter().map(|entry| entry.due).min()
    }

    pub(super) const fn overflows(&self) -> u32 {
        self.overflows
    }

    /// Takes the task that is due longest.
    fn pop(&mut self, now: Instant) -> Option<Task> {
        let (index, entry) = self.entries.iter().enumerate().min_by_key(|(_, entry)| entry.due)?;
        if entry.due > now {
            return None;
        }
        Some(self.entries.remove(index).task)
    }
}

impl Cluster<'_> {
    /// Makes the next message that is due in `message`: where it goes, and its length.
    pub(crate) fn poll_message(
        &mut self,
        now: Instant,
        message: &mut [u8],
    ) -> Option<(Destination, usize)> {
        loop {
            // Whatever keeps the cluster together goes first.
            let Some(task) = self.queue.pop(now) else { return self.write_pieces(now, message) };
            let (kind, peer, to) = self.letter(now, task);
            // Every message has room for its head, whose size is bounded.
            let own = self.own_record();
            let mut writer = MessageWriter::new(message, kind, self.head(), &own).ok()?;
            match (task, peer) {
                (Task::News { .. } | Task::Wanted { .. }, _) => {
                    if !self.write_events(now, &mut writer, task) {
                        // What was to be told is of no interest any more.
                        continue;
                    }
                }
                (Task::Keys { .. }, _) => self.events.write_keys(&mut writer).ok()?,
                (Task::Rollout { .. }, _) => match self.rollout.announcement(now) {
                    Some(told) => writer.push_rollout(&told).ok()?,
                    None => continue,
                },
                (_, Some(peer)) => {
                    let difference = match task {
                        Task::Ack { difference, .. } => difference,
                        _ => 0,
                    };
                    self.tell_of_itself(&mut writer, peer);
                    self.tell_of_others(&mut writer, peer, difference);
                }
                (_, None) => (),
            }
            let destination = to.map_or(Destination::Broadcast, Destination::Unicast);
            return Some((destination, writer.finish()));
        }
    }

    /// What the message of `task` asks, whom it may tell of others, and where it goes, if not to
    /// everyone.
    fn letter(&self, now: Instant, task: Task) -> (Kind, Option<NodeId>, Option<SocketAddrV4>) {
        let member = |address| Some(SocketAddrV4::new(address, self.port));
        match task {
            Task::Announce => (Kind::Announce, None, None),
            Task::Tell { to } => (Kind::Announce, None, Some(to)),
            Task::News { to } | Task::Wanted { to, .. } => (Kind::Events, None, Some(to)),
            Task::Keys { to, asks } => (Kind::Window { asks }, None, Some(to)),
            Task::Rollout { to } => (Kind::Rollout, None, Some(to)),
            Task::Ping { peer, to } => {
                (Kind::Ping(self.tokens.make(now, peer)), Some(peer), Some(to))
            }
            Task::Ack { peer, to, token, .. } => (Kind::Ack(token), Some(peer), Some(to)),
            Task::BareAck { to, token } => (Kind::Ack(token), None, Some(to)),
            Task::PingReq { peer, to, target } => {
                let token = self.tokens.make(now, peer);
                (Kind::PingReq { token, target }, Some(peer), Some(to))
            }
            Task::RelayPing { peer, address, origin, token } => {
                (Kind::RelayPing { token, origin }, Some(peer), member(address))
            }
            Task::RelayAck { to, origin, token } => {
                (Kind::RelayAck { token, origin }, None, Some(to))
            }
            Task::IndirectAck { peer, address, target, token } => {
                (Kind::IndirectAck { token, target }, Some(peer), member(address))
            }
        }
    }

    /// Adds what `peer` should know. A peer that has not proved to be fresh may be a recording,
    /// sent from somebody else's address: it gets no more than it sent.
    fn tell_of_others(&mut self, writer: &mut MessageWriter<'_>, peer: NodeId, difference: u32) {
        if !self.table.get(peer).is_some_and(Member::is_verified) {
            return;
        }
        let lacking = self.tell_the_difference(writer, difference);
        self.tell(writer, |row| row.news > 0 && row.id != peer && Some(row.id) != lacking);
        if difference != 0 {
            self.tell(writer, |row| row.news == 0 && row.id != peer && Some(row.id) != lacking);
        }
    }

    /// Tells `peer` first that it is held for suspect or dead, so that it can refute.
    fn tell_of_itself(&self, writer: &mut MessageWriter<'_>, peer: NodeId) {
        let row = self.table.get(peer).filter(|row| row.status != super::Status::Active);
        if let Some(row) = row {
            // It is the first record of a message that has room for several.
            let _ = writer.push(&self.record_of(row));
        }
    }

    /// What this node says of a member to others.
    fn record_of(&self, row: &Member) -> Record {
        row.record(&self.directory, self.events.published(row.id, row.incarnation.epoch))
    }

    /// If the views differ in just one member, its digest is the whole difference: who it is. It
    /// may be one that the peer lacks, or one that is gone and that the peer holds for live.
    fn tell_the_difference(
        &self,
        writer: &mut MessageWriter<'_>,
        difference: u32,
    ) -> Option<NodeId> {
        let lacks = |row: &&Member| difference != 0 && row.hash() == difference;
        let row = self.table.rows().iter().find(lacks)?;
        // It is one of the first two records of a message that has room for several.
        writer.push(&self.record_of(row)).ok().map(|()| row.id)
    }

    /// Adds records of `wanted` members, going round the list from one message to the next.
    fn tell(&mut self, writer: &mut MessageWriter<'_>, wanted: impl Fn(&Member) -> bool) {
        let len = self.table.rows().len();
        let start = self.queue.cursor;
        for step in 0..len {
            if !writer.has_room() {
                break;
            }
            let index = start.wrapping_add(step).checked_rem(len).unwrap_or(0);
            let Some(row) = self.table.rows_mut().get_mut(index) else { break };
            if wanted(row) {
                // The next message begins with the one that does not fit into this one.
                self.queue.cursor = index;
                let published = self.events.published(row.id, row.incarnation.epoch);
                if writer.push(&row.record(&self.directory, published)).is_err() {
                    break;
                }
                row.news = row.news.saturating_sub(1);
                self.queue.cursor = index.wrapping_add(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Outgoing;

    #[test]
    fn what_waits_to_be_sent_takes_at_most_40_bytes() {
        assert!(size_of::<Outgoing>() <= 40, "{}", size_of::<Outgoing>());
    }
}
