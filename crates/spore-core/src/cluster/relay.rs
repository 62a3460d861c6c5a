//! Indirect probes (SWIM, section 3.1): a member that does not answer is asked by others, too.
//!
//! So one that can be reached by anybody is not taken for dead by somebody who happens not to reach
//! it, or not to hear it. Relay and target remember nothing: see [`Kind`](crate::wire::Kind) for
//! how the origin's token travels round.
//!
//! *Nobody is used as a reflector.* A relay works for senders only who have proved to be fresh,
//! sends to addresses in its member list only, one datagram for one, and pings for others at most
//! [`RELAYED_MAX`] times in one of its own probe intervals. A target answers a relay as it answers
//! a ping, with a datagram that is not longer.

use super::Cluster;
use super::member::{Member, Status};
use super::send::Task;
use crate::security::Token;
use crate::time::Instant;
use crate::wire::NodeId;
use core::net::SocketAddrV4;
use heapless::Vec;

/// So many members are asked to probe another one: SWIM's k.
pub(super) const RELAYS: usize = 3;

/// So many pings of others a node passes on within one of its own probe intervals; more requests
/// are acked, and that is all. Of two halves of a cluster each of which takes the other one for dead,
/// a node is asked about three times.
const RELAYED_MAX: u8 = 8;

/// The relays of one probe.
#[derive(Debug)]
pub(super) struct Relays {
    /// Those that were asked last.
    pub(super) asked: Vec<NodeId, RELAYS, u8>,
    /// Whether one has answered in this probe.
    heard: bool,
}

impl Relays {
    /// Nobody was asked.
    pub(super) const NONE: Self = Self { asked: Vec::new(), heard: false };

    /// Whether relays were asked, and none of them answered.
    pub(super) fn are_silent(&self) -> bool {
        !self.heard && !self.asked.is_empty()
    }
}

impl Cluster<'_> {
    /// Asks some active members to ping `target`. Returns which.
    pub(super) fn ask_relays(&mut self, now: Instant, target: NodeId) -> Vec<NodeId, RELAYS, u8> {
        let mut asked = Vec::new();
        for _ in 0..RELAYS {
            let able = |member: &Member| {
                let other = member.id != target && !asked.contains(&member.id);
                other && member.status == Status::Active && member.is_verified()
            };
            let Some(relay) = self.table.choose(&mut self.rng, able) else { break };
            let (peer, to) = relay.contact(self.port);
            self.queue.push(now, Task::PingReq { peer, to, target });
            // There is room for as many as are asked.
            let _ = asked.push(peer);
        }
        asked
    }

    /// Asks relays for a test; whether there are any.
    #[cfg(test)]
    pub(crate) fn ask_for_test(&mut self, now: Instant, target: NodeId) -> bool {
        !self.ask_relays(now, target).is_empty()
    }

    /// Takes note that `sender` answered a request of this probe.
    pub(super) fn relay_answered(&mut self, sender: NodeId, made: Instant) {
        let relays = &mut self.probe.relays;
        if made >= self.probe.asked && relays.asked.contains(&sender) {
            relays.heard = true;
        }
    }

    /// Whether one more ping may be passed on in this interval. Takes one off.
    fn may_relay(&mut self) -> bool {
        let allowed = self.relayed < RELAYED_MAX;
        self.relayed = self.relayed.saturating_add(u8::from(allowed));
        allowed
    }

    /// *Relay*: pings `target`, if this node knows it, for `origin`.
    pub(super) fn relay_ping(
        &mut self,
        now: Instant,
        origin: NodeId,
        target: NodeId,
        token: Token,
    ) {
        if origin == target {
            return;
        }
        let Some(member) = self.table.get(target) else { return };
        let (peer, address) = (member.id, member.address);
        if self.may_relay() {
            self.queue.push(now, Task::RelayPing { peer, address, origin, token });
        }
    }

    /// *Target*: answers a relay.
    pub(super) fn relay_ack(
        &mut self,
        now: Instant,
        to: SocketAddrV4,
        origin: NodeId,
        token: Token,
    ) {
        self.queue.push(now, Task::RelayAck { to, origin, token });
    }

    /// *Relay*: tells `origin`, if this node knows and trusts it, that `target` is there.
    pub(super) fn indirect_ack(
        &mut self,
        now: Instant,
        origin: NodeId,
        target: NodeId,
        token: Token,
    ) {
        if let Some(member) = self.table.get(origin).filter(|member| member.is_verified()) {
            let (peer, address) = (member.id, member.address);
            self.queue.push(now, Task::IndirectAck { peer, address, target, token });
        }
    }

    /// *Origin*: `relay` says that `target` is there, which is news if this node asked it in this
    /// probe.
    pub(super) fn heard_indirectly(
        &mut self,
        now: Instant,
        relay: NodeId,
        target: NodeId,
        token: &Token,
    ) {
        if self.tokens.check(now, relay, token).is_some() {
            self.answered(target, token.made());
        }
    }
}
