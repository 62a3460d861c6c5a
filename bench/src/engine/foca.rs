//! foca behind [`Engine`], as its own example of an agent drives it: identities that renew themselves, timers in
//! the order that it asks for, errors of single datagrams ignored.

use super::{Change, Engine, Output};
use crate::address;
use crate::contender::RETRY;
use foca::{
    AccumulatingRuntime, Config, Identity, NoCustomBroadcast, OwnedNotification, PostcardCodec,
    Timer,
};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use spore_core::Destination;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddrV4;
use std::time::Duration;

/// An address, and how often who has it was taken for dead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Id {
    address: SocketAddrV4,
    bump: u16,
}

impl Identity for Id {
    type Addr = SocketAddrV4;

    fn renew(&self) -> Option<Self> {
        Some(Self { address: self.address, bump: self.bump.wrapping_add(1) })
    }

    fn addr(&self) -> SocketAddrV4 {
        self.address
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.bump > adversary.bump
    }
}

/// A timer that runs. Those of the same time are in foca's own order, then in that in which they were asked for.
type Running = Reverse<(Duration, Timer<Id>, u64)>;

/// A node.
pub(super) struct Foca {
    foca: foca::Foca<Id, PostcardCodec, StdRng, NoCustomBroadcast>,
    runtime: AccumulatingRuntime<Id>,
    timers: BinaryHeap<Running>,
    sequence: u64,
    seeds: Vec<SocketAddrV4>,
    /// Whether some member is known to know it by its present identity.
    active: bool,
    /// Whether that is so, and it lists a seed.
    has_met: bool,
    /// When it asks them again, unless it has met one by then.
    retry: Duration,
}

impl Foca {
    pub(super) fn start(now: Duration, node: usize, config: Config, seed: u64) -> Self {
        let identity = Id { address: address::of(node), bump: 0 };
        Self {
            foca: foca::Foca::new(identity, config, StdRng::seed_from_u64(seed), PostcardCodec),
            runtime: AccumulatingRuntime::new(),
            timers: BinaryHeap::new(),
            sequence: 0,
            seeds: address::seeds(node),
            active: false,
            has_met: false,
            retry: now,
        }
    }

    fn drain(&mut self, now: Duration, out: &mut Output) {
        while let Some((to, bytes)) = self.runtime.to_send() {
            out.datagrams.push((Destination::Unicast(to.address), bytes.to_vec()));
        }
        while let Some((after, timer)) = self.runtime.to_schedule() {
            self.sequence += 1;
            self.timers.push(Reverse((now + after, timer, self.sequence)));
        }
        while let Some(notification) = self.runtime.to_notify() {
            let change = match notification {
                OwnedNotification::MemberUp(id) => address::node(*id.address.ip()).map(Change::Up),
                OwnedNotification::MemberDown(id) => {
                    address::node(*id.address.ip()).map(Change::Down)
                }
                // Who has renewed its identity is stuck if all that tells of it gets lost, unless it asks again.
                OwnedNotification::Rejoin(_) | OwnedNotification::Idle => {
                    (self.active, self.retry) = (false, now + RETRY);
                    None
                }
                OwnedNotification::Active => {
                    self.active = true;
                    None
                }
                _ => continue,
            };
            out.changes.extend(change);
            let is_seed = |id: &Id| self.seeds.contains(&id.address);
            self.has_met = self.active && self.foca.iter_members().any(|it| is_seed(it.id()));
        }
    }
}

impl Engine for Foca {
    fn receive(&mut self, now: Duration, _: SocketAddrV4, bytes: &mut [u8], out: &mut Output) {
        // It is to be expected that some datagrams are refused, says foca.
        let _ = self.foca.handle_data(bytes, &mut self.runtime);
        self.drain(now, out);
    }

    fn wake(&mut self, now: Duration, out: &mut Output) {
        while self.timers.peek().is_some_and(|Reverse((at, _, _))| *at <= now) {
            let Some(Reverse((_, timer, _))) = self.timers.pop() else { break };
            let _ = self.foca.handle_timer(timer, &mut self.runtime);
            self.drain(now, out);
        }
        if !self.has_met && self.retry <= now {
            self.retry = now + RETRY;
            for seed in &self.seeds {
                let _ = self.foca.announce(Id { address: *seed, bump: 0 }, &mut self.runtime);
            }
            self.drain(now, out);
        }
    }

    fn deadline(&self) -> Option<Duration> {
        let timer = self.timers.peek().map(|Reverse((at, _, _))| *at);
        let retry = (!self.has_met).then_some(self.retry);
        timer.into_iter().chain(retry).min()
    }

    fn members(&self) -> Vec<usize> {
        self.foca
            .iter_members()
            .filter_map(|member| address::node(*member.id().address.ip()))
            .collect()
    }
}
