//! The cluster manager: who is there.
//!
//! *Discovery*: a node announces itself by broadcast. Who does not know it answers with a ping,
//! and the exchange of ping and ack makes both known to each other. Half of all broadcasts get
//! lost on this hardware, so they only start things.
//!
//! *Liveness* and *dissemination* are SWIM's (Das, Gupta, Motivala: "SWIM: Scalable
//! Weakly-consistent Infection-style Process Group Membership Protocol", DSN 2002): each probe
//! interval every node pings one other member, in random order, each once a round. One that stays
//! silent becomes *suspect*, may refute with a higher [`Incarnation`], and is *dead* if it does
//! not. News travels piggybacked on pings and acks. On top of the paper, every message carries a
//! 32-bit digest of the sender's view, and an ack to a ping whose digest differs is filled up with
//! member records, so that views converge however the news got lost. The digest is an XOR over the
//! members: if a single one is missing, the difference names it, and it is told first.
//!
//! A member that one node does not reach is asked by others before it is suspected (`relay`), and a
//! node that has reason to doubt itself judges more slowly (`health`: Lifeguard). A suspect that is
//! heard is not dead. Leaving on purpose is no death (`leave`). After a split each of the dead is
//! asked whether it is (`discovery`).
//!
//! *Warm start*: remembered members are called by unicast at the start (`peers`).
//!
//! *Trust*: nothing is taken from a sender before it has returned a fresh token in an ack (see
//! [`security`](crate::security)). Members that are known by hearsay alone are greeted with a ping
//! soon, to change that.
//!
//! *Events* spread as rumors, and windows of events are compared (`spread`). So are plans of rollouts (`rollout`). *Images* go
//! from node to node (`exchange`).
//!
//! *Limits*: when the member list is full, the member that has been dead longest makes room for a
//! new one; if none is dead, the new one is not listed, unless it is to run a task that this node
//! carries (`carriers`). The view is then partial: everything else works as before.

mod away;
mod carriers;
mod connected;
mod discovery;
mod exchange;
mod health;
mod leave;
mod member;
mod peers;
mod probe;
mod receive;
mod relay;
mod rollout;
mod rumor;
mod send;
mod spread;
mod table;

pub use member::{Member, Status};
pub(crate) use receive::Refused;
pub use send::Outgoing;

use crate::config::{Config, Timing};
use crate::events::Events;
use crate::node::Event;
use crate::ota::rollout::Rollout;
use crate::ota::state::UpdateState;
use crate::ota::{Bits, Exchange};
use crate::profile::{ClusterStorage, EventStorage, List as _, Profile};
use crate::security::{Identity, Tokens};
use crate::services::{Directory, ServiceIds};
use crate::time::{Duration, Instant, earliest};
use crate::wire::{Hostname, Incarnation, NodeId, Record, Rumor, U24};
use core::net::{Ipv4Addr, SocketAddrV4};
use send::Queue;
use table::Table;

/// The larger parts of a [`Cluster`], which lie in the storage.
pub(crate) struct Parts {
    own: Record,
    timing: Timing,
    announcements: discovery::Announcements,
    probe: probe::Probe,
    peers: peers::Peers,
    spread: spread::Spread,
}

/// The member list of one node, and what keeps it true.
#[derive(Debug)]
pub(crate) struct Cluster<'a> {
    own: &'a mut Record,
    port: u16,
    timing: &'a Timing,
    table: Table<'a>,
    pub(crate) directory: Directory<'a>,
    queue: Queue<'a>,
    tokens: Tokens,
    rng: fastrand::Rng,
    announcements: &'a mut discovery::Announcements,
    probe: &'a mut probe::Probe,
    health: health::Health,
    /// How many pings of others were passed on since this probe began.
    relayed: u8,
    /// How many pings of epochs that are over were acked since this probe began.
    past_acks: u8,
    peers: &'a mut peers::Peers,
    leaving: Option<leave::Leave>,
    /// Whether somebody else was heard of who has this node's id.
    doubled: bool,
    pub(crate) events: Events<'a>,
    spread: &'a mut spread::Spread,
    pub(crate) exchange: Exchange<'a>,
    pub(crate) rollout: &'a mut Rollout,
    /// When the plan was last told.
    told: Option<Instant>,
}

impl<'a> Cluster<'a> {
    /// The cluster of a node that knows nobody yet.
    pub(crate) fn new<P: Profile>(
        now: Instant,
        config: &Config,
        identity: Identity,
        tokens: Tokens,
        rng: fastrand::Rng,
        stored: &[u8],
        (storage, events): (&'a mut ClusterStorage<P>, &'a mut EventStorage<P>),
    ) -> Self {
        let rumor = Rumor::Alive {
            address: config.address,
            http_port: config.http_port,
            status_version: 1,
            update: UpdateState::NONE,
            hostname: config.hostname.clone(),
            services: config.services.ids(),
        };
        let rollout = storage.rollout.put(|| Rollout::new(now));
        let Parts { own, timing, announcements, probe, peers, spread } =
            storage.parts.put(|| Parts {
                own: Record {
                    id: identity.id,
                    incarnation: Incarnation::first(identity.epoch),
                    published: U24::ZERO,
                    rumor,
                },
                timing: config.timing.clamped(),
                announcements: discovery::Announcements::new(now),
                probe: probe::Probe::new(now),
                peers: peers::Peers::new(now, stored),
                spread: spread::Spread::NEW,
            });
        Self {
            own,
            port: config.port,
            timing,
            table: Table::new(storage.members.view()),
            directory: Directory::new::<P>(
                &mut storage.slots,
                &mut storage.services,
                &mut storage.offers,
                &mut storage.builds,
            ),
            queue: Queue::new(storage.outgoing.view()),
            tokens,
            rng,
            announcements,
            probe,
            health: health::Health::default(),
            relayed: 0,
            past_acks: 0,
            peers,
            leaving: None,
            doubled: false,
            events: Events::new::<P>(identity.id, identity.epoch, events),
            spread,
            exchange: Exchange::new(
                Bits::new(storage.pieces.view()),
                &mut storage.page,
                P::PIECE_PAUSE,
            ),
            rollout,
            told: None,
        }
    }

    /// Continues under another identity: the next epoch, or a new id.
    pub(crate) fn set_identity(&mut self, now: Instant, identity: Identity) {
        if !self.is_own(identity.id) {
            // Nobody knows it by this name.
            *self.announcements = self.announcements.renewed(now);
        }
        self.own.id = identity.id;
        self.own.incarnation = Incarnation::first(identity.epoch);
        self.events.set_own(identity.id, identity.epoch);
    }

    /// Offers and carries what these ids stand for from now on, under a new status version.
    pub(crate) fn set_services(&mut self, ids: ServiceIds) {
        if let Rumor::Alive { services, status_version, .. } = &mut self.own.rumor {
            *services = ids;
            // Zero stands for a version that was never fetched.
            *status_version = status_version.wrapping_add(1).max(1);
        }
    }

    /// As [`set_services`](Self::set_services), unless that is so already.
    pub(crate) fn offer(&mut self, ids: ServiceIds) {
        let known = matches!(&self.own.rumor, Rumor::Alive { services, .. } if *services == ids);
        if !known {
            self.set_services(ids);
        }
    }

    /// Takes another name, and tells the others with every message from now on: the status version
    /// makes the record newer than what they know.
    pub(crate) fn set_hostname(&mut self, name: &Hostname) {
        if let Rumor::Alive { hostname, status_version, .. } = &mut self.own.rumor
            && hostname != name
        {
            hostname.clone_from(name);
            *status_version = status_version.wrapping_add(1).max(1);
        }
    }

    /// What this node says of itself.
    pub(crate) const fn own(&self) -> &Record {
        self.own
    }

    /// The other members, in the order of their ids.
    pub(crate) fn members(&self) -> &[Member] {
        self.table.rows()
    }

    /// The member with this id.
    pub(crate) fn member(&self, id: NodeId) -> Option<&Member> {
        self.table.get(id)
    }

    /// What is known of the members besides their rows, and these.
    pub(crate) fn directory(&mut self) -> (&mut Directory<'a>, &[Member]) {
        (&mut self.directory, self.table.rows())
    }

    /// Where this node's HTTP API is.
    pub(crate) fn own_api(&self) -> SocketAddrV4 {
        match self.own.rumor {
            Rumor::Alive { address, http_port, .. } => SocketAddrV4::new(address, http_port),
            // It is always alive.
            _ => SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0),
        }
    }

    /// The next thing that has happened.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.bus.log.poll()
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.is_leaving() {
            return self.say_goodbye(now);
        }
        self.make_up_for_delay(now);
        self.call_peers(now);
        self.review_peers(now);
        self.announce(now);
        self.greet(now);
        self.probe(now);
        self.bury(now);
        self.spread_news(now);
        self.deliver_events(now);
    }

    /// When something is due next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let queued = self.queue.next_due();
        if let Some(leave) = &self.leaving {
            return earliest(&[leave.next(), queued]);
        }
        let pace = self.pace();
        earliest(&[
            Some(self.announcements.next()),
            Some(self.probe.next()),
            queued,
            Some(self.peers.next()),
            self.peers.poll_timeout(),
            self.spread.next(),
            self.events.poll_timeout(),
            self.exchange.poll_timeout(),
            self.table.rows().iter().filter_map(|member| member.expiry(&pace)).min(),
        ])
    }

    /// When this node is to be announced next, and when the failure detector goes on.
    pub(crate) fn due(&self) -> (Instant, Instant) {
        (self.announcements.due(), self.probe.next())
    }

    /// The present intervals of the two.
    pub(crate) fn intervals(&self) -> (Duration, Duration) {
        (self.announce_interval(), self.pace().probe_interval)
    }

    /// Drops of the outgoing queue so far.
    pub(crate) const fn overflows(&self) -> u32 {
        self.queue.overflows()
    }

    /// Records an event; the oldest one makes room for it.
    pub(crate) fn notify(&mut self, now: Instant, event: Event) {
        self.events.bus.note(now, event);
    }

    /// This node's view in 32 bits. Equal views have equal digests; unequal ones differ but for
    /// one case in four billion.
    fn digest(&self) -> u32 {
        self.table.digest() ^ self.own.digest()
    }

    /// How often each piece of news is passed on, at a cluster of this size: SWIM's λ log n, with
    /// λ = 3.
    fn spread(&self) -> u8 {
        let n = self.table.rows().len().saturating_add(2);
        u8::try_from(n.ilog2().saturating_mul(3)).unwrap_or(u8::MAX)
    }

    /// The pace at this node's health.
    fn pace(&self) -> Timing {
        self.health.pace(self.timing)
    }

    /// Whether somebody else was heard of who has this node's id. Tells it once.
    pub(crate) const fn take_doubled(&mut self) -> bool {
        core::mem::replace(&mut self.doubled, false)
    }

    /// Whether the local health is at its best.
    #[cfg(test)]
    pub(crate) fn is_well(&self) -> bool {
        self.health.is_good()
    }

    /// Makes the local health as bad as can be.
    #[cfg(test)]
    pub(crate) fn fall_ill(&mut self) {
        self.health.worsen(u8::MAX);
    }

    pub(crate) fn is_own(&self, id: NodeId) -> bool {
        self.own.id == id
    }
}
