//! What a message does: *listen for discovery*, answers, and what they tell.

use super::Cluster;
use super::member::{Member, Seen, Status};
use super::relay::RELAYS;
use super::send::Task;
use crate::random;
use crate::security::{Header, ReplayWindow, Token};
use crate::time::{Duration, Instant};
use crate::wire::{Incarnation, Kind, Message, NodeId, Rumor};
use core::net::SocketAddrV4;

/// The answers to one announcement are spread over so much time for each member, since all of them
/// go to one node with one radio…
const ANSWER_SPREAD: Duration = Duration::from_millis(4);
/// …up to this much.
const ANSWER_SPREAD_MAX: Duration = Duration::from_millis(250);

/// So many pings of an epoch that is over are acked within one of the node's own probe intervals.
/// Whoever plays recordings draws no more, and one is enough for a node whose memory was set back.
const PAST_ACKS_MAX: u8 = 2;

/// About so many members answer an announcement of a node whose view differs from theirs.
const DIGEST_ANSWERS: usize = 3;

/// Why a genuine message was not believed. Nothing was learned from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is this node's own.
    Own,
    /// It was received before, or is too old to tell.
    Replayed,
    /// Its sender has not yet proved to be fresh. It was asked to.
    Unverified,
}

impl Cluster<'_> {
    /// Takes in a message that was opened with the cluster key.
    pub(crate) fn handle_message(
        &mut self,
        now: Instant,
        header: &Header,
        from: SocketAddrV4,
        message: &Message<'_>,
    ) -> Result<(), Refused> {
        let sender = header.sender;
        if self.is_own(sender) {
            return Err(Refused::Own);
        }
        self.make_up_for_delay(now);
        let before = self.own.incarnation;
        let mut known = None;
        if let Some(Member { seen: Some(seen), doubted, .. }) = self.table.get_mut(sender) {
            // It has restarted, or this is a recording of a start that was missed here.
            let missed = seen.window.is_before(header.epoch);
            *doubted |= missed;
            known = (!missed).then_some((seen, doubted));
        }
        match known {
            Some((seen, doubted)) => {
                if !seen.window.accept(header.epoch, header.counter) {
                    if seen.window.is_after(header.epoch) {
                        self.answer_the_past(now, from, message);
                    }
                    return Err(Refused::Replayed);
                }
                seen.last = now;
                *doubted = false;
                self.learn(now, &message.own);
            }
            None => self.verify(now, header, from, message)?,
        }
        self.confirm_services(&message.own);
        for record in message.records() {
            self.learn(now, &record);
        }
        self.react(now, sender, from, message);
        self.hear_events(now, sender, from, message);
        self.hear_rollout(now, from, message);
        if self.own.incarnation != before {
            self.spread_refutation(now, sender, from);
        }
        Ok(())
    }

    /// Tells whoever held this node for suspect or dead, and some others, that it is not. The
    /// sender may not hear this node, and its time is short.
    fn spread_refutation(&mut self, now: Instant, sender: NodeId, from: SocketAddrV4) {
        self.ping(now, sender, from);
        for _ in 0..RELAYS {
            self.ping_one(now, |member| member.status.is_live() && member.id != sender);
        }
    }

    /// Lets in a sender that returns a token which this node has just made for it. Everyone else
    /// is asked to do so, and nothing they say is believed meanwhile.
    fn verify(
        &mut self,
        now: Instant,
        header: &Header,
        from: SocketAddrV4,
        message: &Message<'_>,
    ) -> Result<(), Refused> {
        let sender = header.sender;
        match message.kind {
            Kind::Ack(token) if self.tokens.check(now, sender, &token).is_some() => {
                self.learn(now, &message.own);
                // Without a row there is no room for it: the view is partial.
                let member = self.table.get_mut(sender).ok_or(Refused::Unverified)?;
                let window = ReplayWindow::starting_at(header.epoch, header.counter);
                member.seen = Some(Seen { last: now, window });
                member.doubted = false;
                self.peers.met(now);
                return Ok(());
            }
            Kind::Ack(_) | Kind::IndirectAck { .. } => (),
            Kind::RelayAck { .. } => self.challenge(now, now, sender, from),
            Kind::Ping(token) | Kind::PingReq { token, .. } => {
                self.ack(now, sender, from, token, message.head.members ^ self.digest());
                self.challenge(now, now, sender, from);
            }
            Kind::RelayPing { token, origin } => {
                self.relay_ack(now, from, origin, token);
                self.challenge(now, now, sender, from);
            }
            // Whoever goes has nothing to prove.
            _ if message.own.rumor == Rumor::Left => (),
            Kind::Events | Kind::Window { .. } | Kind::Want { .. } | Kind::Rollout => {
                self.challenge(now, now, sender, from);
            }
            // There are too many of them.
            Kind::Piece { .. } => (),
            Kind::Announce => {
                let due = self.answer_time(now);
                self.challenge(now, due, sender, from);
            }
        }
        Err(Refused::Unverified)
    }

    /// Acks a ping of an epoch that is over. It is a recording, or the sender's memory was set back:
    /// then the ack lets it trust this node, and so hear that it has an id which was used before.
    /// Few are acked, apart from what is relayed: recordings must not use that up.
    fn answer_the_past(&mut self, now: Instant, from: SocketAddrV4, message: &Message<'_>) {
        if let Kind::Ping(token) = message.kind
            && self.past_acks < PAST_ACKS_MAX
        {
            self.past_acks = self.past_acks.saturating_add(1);
            self.queue.push(now, Task::BareAck { to: from, token });
        }
    }

    fn react(&mut self, now: Instant, sender: NodeId, from: SocketAddrV4, message: &Message<'_>) {
        let difference = message.head.members ^ self.digest();
        match message.kind {
            Kind::Ping(token) => self.ack(now, sender, from, token, difference),
            Kind::Ack(token) => self.measure(now, sender, &token),
            Kind::PingReq { token, target } => {
                self.ack(now, sender, from, token, difference);
                self.relay_ping(now, sender, target, token);
            }
            Kind::RelayPing { token, origin } => self.relay_ack(now, from, origin, token),
            Kind::RelayAck { token, origin } => self.indirect_ack(now, origin, sender, token),
            Kind::IndirectAck { token, target } => {
                self.heard_indirectly(now, sender, target, &token);
            }
            Kind::Events | Kind::Window { .. } | Kind::Rollout => (),
            Kind::Want { .. } | Kind::Piece { .. } => self.hear_pieces(now, from, message),
            Kind::Announce if message.own.rumor == Rumor::Left => (),
            Kind::Announce => {
                let gone = self.table.get(sender).is_some_and(|row| !row.status.is_live());
                let chosen = random::below(&mut self.rng, self.table.live()) < DIGEST_ANSWERS;
                if gone || difference != 0 && chosen {
                    let due = self.answer_time(now);
                    self.ping(due, sender, from);
                }
            }
        }
    }

    /// Takes the round-trip time of a ping, and ends the probe that it was part of.
    fn measure(&mut self, now: Instant, sender: NodeId, token: &Token) {
        let Some(rtt) = self.tokens.check(now, sender, token) else { return };
        if let Some(member) = self.table.get_mut(sender) {
            member.rtt = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX).max(1);
        }
        self.answered(sender, token.made());
        self.relay_answered(sender, token.made());
    }

    /// Asks an unverified sender for a proof, if that could be of use: two nodes with full lists
    /// would ask each other for ever.
    fn challenge(&mut self, now: Instant, due: Instant, sender: NodeId, from: SocketAddrV4) {
        if self.table.has_room_for(sender, now) {
            self.ping(due, sender, from);
        }
    }

    /// Who uses the cluster key that was replaced is to hear the new one, which it knows unless it is left out.
    pub(crate) fn tell_of_key(&mut self, now: Instant, sender: NodeId, from: SocketAddrV4) {
        if !self.is_own(sender) {
            self.challenge(now, now, sender, from);
        }
    }

    /// The cluster key was replaced. What was heard until then may be lies of somebody who is left out, who hears nobody any more: so any
    /// word of those who are held for suspect, dead or left outranks that.
    pub(crate) fn doubt_ends(&mut self) {
        for row in self.table.rows_mut() {
            if row.status != Status::Active {
                row.incarnation = Incarnation::default();
            }
        }
    }

    /// When to answer an announcement: a little later, each node at another time.
    fn answer_time(&mut self, now: Instant) -> Instant {
        let members = u64::try_from(self.table.live()).unwrap_or(u64::MAX);
        let spread = ANSWER_SPREAD.times(members).min(ANSWER_SPREAD_MAX);
        now + Duration::from_micros(random::up_to(&mut self.rng, spread.as_micros()))
    }

    /// Pings one of the members for whom `wanted` holds; whether there was one.
    pub(super) fn ping_one(&mut self, now: Instant, wanted: impl Fn(&Member) -> bool) -> bool {
        let chosen = self.table.choose(&mut self.rng, wanted);
        match chosen.map(|member| member.contact(self.port)) {
            Some((id, address)) => {
                self.ping(now, id, address);
                true
            }
            None => false,
        }
    }

    /// Queues a ping to `peer` for `due`.
    pub(super) fn ping(&mut self, due: Instant, peer: NodeId, to: SocketAddrV4) {
        self.queue.push(due, Task::Ping { peer, to });
    }

    fn ack(&mut self, now: Instant, peer: NodeId, to: SocketAddrV4, token: Token, difference: u32) {
        self.queue.push(now, Task::Ack { peer, to, token, difference });
    }
}
