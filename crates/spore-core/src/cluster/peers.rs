//! Warm start: a node remembers some members over restarts, and tries them by unicast when it
//! starts, since broadcasts get lost.
//!
//! They are stored soon after the first ones were met, again when there are more and fewer than
//! [`MAX`] are remembered, and later when half of them have gone. Those of the first seconds are
//! drawn anew once: all nodes of a new cluster would remember those that started first.
//!
//! What it remembers proves nothing: a peer that has gone does not answer, one that has got a new
//! id answers and is met as any other node, and who has a peer's address now does not open the
//! ping unless he has the key.

use super::Cluster;
use super::member::Member;
use crate::store::Storing;
use crate::time::{Duration, Instant};
use crate::wire::{NodeId, Reader, Writer};
use core::net::{Ipv4Addr, SocketAddrV4};
use heapless::Vec;

/// The most peers that are remembered.
const MAX: usize = 8;

/// Between two looks at whether other peers should be remembered.
const LOOK: Duration = Duration::from_secs(30);

/// So long after a member was met: others will be met meanwhile.
const SETTLING: Duration = Duration::from_secs(1);

/// No sooner is something stored again, the first time in a boot; then each time twice as long…
const REST: Duration = Duration::from_secs(2);
/// …up to so many times that, 512 s: flash wears out. Even if peers came and went so that each rest
/// ended with a storing, those 62,000 a year would erase each of a board's 8 sectors 600 times, of
/// the 10,000 that it bears (docs/decisions/0005-settings.md, with three full values to keep).
const REST_MAX: u16 = 256;

/// How long to wait after a failed attempt to store them.
const RETRY: Duration = Duration::from_secs(30);

/// Between the calls of two peers.
const CALL: Duration = Duration::from_millis(50);

/// Between the first two rounds of calls; then each time twice as long…
const ROUND: Duration = Duration::from_secs(1);
/// …up to so many times that.
const ROUND_MAX: u8 = 64;

/// Until the pause is so long, peers are called even if others have answered: who stopped at the
/// first answer could be left with it alone, after a power cut of the whole cluster.
const ROUND_ALL: u8 = 8;

/// A member as it is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Peer {
    id: NodeId,
    address: Ipv4Addr,
}

/// The peers that are remembered, and the state of calling and of storing them.
#[derive(Debug)]
pub(super) struct Peers {
    list: Vec<Peer, MAX, u8>,
    storing: Storing,
    look: Instant,
    /// From then on, whoever starts with this node has been met.
    settled: Instant,
    /// Whether some were drawn before that.
    early: bool,
    /// No look before that.
    rested: Instant,
    /// How long to rest after the next storing, in [`REST`].
    rest: u16,
    /// When to call the next one; `None` if there is nobody to call, or somebody has answered.
    call: Option<Instant>,
    /// Which one that is.
    turn: u8,
    /// How many rounds there were, as a power of two.
    backoff: u8,
}

impl Peers {
    const VERSION: u8 = 1;

    /// The peers that were stored as `value`; none if it is no such value.
    pub(super) fn new(now: Instant, value: &[u8]) -> Self {
        let list = Self::decode(value).unwrap_or_default();
        let call = (!list.is_empty()).then_some(now);
        Self {
            list,
            storing: Storing::Idle,
            look: now + LOOK,
            settled: now + LOOK,
            early: false,
            rested: now,
            rest: 1,
            call,
            turn: 0,
            backoff: 1,
        }
    }

    fn decode(value: &[u8]) -> Option<Vec<Peer, MAX, u8>> {
        let mut reader = Reader::new(value);
        if reader.u8().ok()? != Self::VERSION {
            return None;
        }
        let mut list = Vec::new();
        while !reader.is_empty() {
            let id = NodeId(reader.array().ok()?);
            let address = Ipv4Addr::from(reader.array::<4>().ok()?);
            list.push(Peer { id, address }).ok()?;
        }
        Some(list)
    }

    /// Writes the value to be stored into `buf`. Returns its length, or 0 if there is no room.
    fn encode(&self, buf: &mut [u8]) -> usize {
        let mut writer = Writer::new(buf);
        let mut written = writer.u8(Self::VERSION);
        for Peer { id, address } in &self.list {
            written = written
                .and_then(|()| writer.put(&id.0))
                .and_then(|()| writer.put(&address.octets()));
        }
        if written.is_ok() { writer.len() } else { 0 }
    }

    /// Begins to call them, as at the start.
    pub(super) fn call_again(&mut self, now: Instant) {
        self.call = (!self.list.is_empty()).then_some(now);
        (self.turn, self.backoff) = (0, 1);
    }

    /// A member was met.
    pub(super) fn met(&mut self, now: Instant) {
        self.look = self.look.min((now + SETTLING).max(self.rested));
    }

    pub(super) fn next(&self) -> Instant {
        self.call.map_or(self.look, |call| call.min(self.look))
    }

    /// When to try again to store them.
    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        self.storing.poll_timeout()
    }
}

impl Member {
    /// Whether it is worth being remembered.
    fn is_reliable(&self) -> bool {
        self.status.is_live() && self.is_verified()
    }
}

impl Cluster<'_> {
    /// Pings one remembered peer after the other, round after round: those who have not proved to
    /// be fresh a few times, and all of them until one has.
    pub(super) fn call_peers(&mut self, now: Instant) {
        if self.peers.call.is_none_or(|call| now < call) {
            return;
        }
        let met = self.table.rows().iter().any(Member::is_verified);
        if met && self.peers.backoff > ROUND_ALL {
            self.peers.call = None;
            return;
        }
        let Some(Peer { id, address }) = self.peers.list.get(usize::from(self.peers.turn)) else {
            let pause = self.jitter(ROUND.times(self.peers.backoff.into()));
            self.peers.backoff = self.peers.backoff.saturating_mul(2).min(ROUND_MAX);
            self.peers.turn = 0;
            self.peers.call = Some(now + pause);
            return;
        };
        let (id, to) = (*id, SocketAddrV4::new(*address, self.port));
        if !self.table.get(id).is_some_and(Member::is_verified) {
            self.ping(now, id, to);
        }
        self.peers.turn = self.peers.turn.saturating_add(1);
        self.peers.call = Some(now + self.jitter(CALL));
    }

    /// Looks whether other peers should be remembered: more than there are, or instead of half of
    /// them.
    pub(super) fn review_peers(&mut self, now: Instant) {
        if now < self.peers.look {
            return;
        }
        self.peers.look = now + LOOK;
        let early = now < self.peers.settled;
        if self.peers.early && !early {
            self.peers.early = false;
            self.peers.list.clear();
        }
        let rows = self.table.rows();
        let possible = rows.iter().filter(|row| row.is_reliable()).count().min(MAX);
        let table = &self.table;
        let kept = |peer: &Peer| {
            let row = table.get(peer.id).filter(|row| row.is_reliable());
            row.is_some_and(|row| row.address == peer.address)
        };
        let good = self.peers.list.iter().filter(|peer| kept(peer)).count();
        let enough = self.peers.list.len() >= possible;
        if possible == 0 || enough && good.saturating_mul(2) > possible {
            return;
        }
        self.peers.list.retain(kept);
        for _ in good..possible {
            let listed = &self.peers.list;
            let wanted =
                |row: &Member| row.is_reliable() && listed.iter().all(|peer| peer.id != row.id);
            let Some(row) = self.table.choose(&mut self.rng, wanted) else { break };
            // There is room for as many as are possible.
            let _ = self.peers.list.push(Peer { id: row.id, address: row.address });
        }
        self.peers.early |= early;
        self.peers.storing.want();
        self.peers.rested = now + REST.times(self.peers.rest.into());
        self.peers.rest = self.peers.rest.saturating_mul(2).min(REST_MAX);
        self.peers.look = self.peers.look.max(self.peers.rested);
    }

    /// Whether the peers are to be stored now.
    pub(crate) fn poll_store_peers(&mut self, now: Instant) -> bool {
        self.peers.storing.poll(now)
    }

    /// The storing of the peers was tried.
    pub(crate) fn stored_peers(&mut self, now: Instant, success: bool) {
        self.peers.storing.finish(now, success, RETRY);
    }

    /// Writes the peers to be stored into `buf`. Returns the length.
    pub(crate) fn peers_value(&self, buf: &mut [u8]) -> usize {
        self.peers.encode(buf)
    }
}

#[cfg(test)]
mod tests {
    use super::{Instant, MAX, NodeId, Peer, Peers};
    use crate::store::MAX_VALUE;

    #[test]
    fn peers_are_read_back_and_nothing_else_is_taken_for_some() {
        let mut peers = Peers::new(Instant::ZERO, &[]);
        assert_eq!(peers.call, None, "there is nobody to call");
        for n in 1..=8 {
            peers.list.push(Peer { id: NodeId([n; 6]), address: [10, 0, 0, n].into() }).unwrap();
        }
        let mut value = [0; MAX_VALUE];
        let len = peers.encode(&mut value);
        assert_eq!(len, 1 + MAX * 10);
        let read = Peers::new(Instant::ZERO, &value[..len]);
        assert_eq!(read.list, peers.list);
        assert_eq!(read.call, Some(Instant::ZERO));
        for cut in 0..len {
            let whole = cut > 0 && (cut - 1) % 10 == 0;
            assert_eq!(Peers::decode(&value[..cut]).is_some(), whole, "cut at {cut}");
            assert_eq!(peers.encode(&mut [0; 81][..cut]), 0);
        }
        assert!(Peers::decode(&value[..len + 10]).is_none(), "more than there can be");
        value[0] = 2;
        assert!(Peers::decode(&value[..len]).is_none(), "of a later format");
    }
}
