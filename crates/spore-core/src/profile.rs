//! Profiles: the capacities that are fixed when the program is built.
//!
//! A [`Profile`] names the size of everything in the engine that can grow, and [`Storage`] is that
//! much memory. It is the caller's, who puts it into a static on a board, where it would not fit
//! on the stack. What happens at each limit stands with the part that has the limit.

use crate::cluster::{self, Member, Outgoing};
use crate::events::{EndedBoots, LocalEvent, Publisher, Window};
use crate::log::LogEntry;
use crate::network::{Network, Seen};
use crate::ota::Page;
use crate::ota::rollout::Rollout;
use crate::place::Place;
use crate::security::RequestNonces;
use crate::services::poller::Poller;
use crate::services::{Build, Known, Slot};
use crate::settings::change::Keeper;
use crate::sprockets::SprocketStorage;
use crate::tasks::scheduler::TaskStorage;
use crate::time::Duration;
use heapless::{Vec, VecView};

/// A bounded list of `T`, without the capacity in the type of whoever uses it.
pub trait List<T> {
    /// The empty list.
    const NEW: Self;
    /// The list.
    fn view(&mut self) -> &mut VecView<T>;
}

impl<T, const N: usize> List<T> for Vec<T, N> {
    const NEW: Self = Self::new();

    fn view(&mut self) -> &mut VecView<T> {
        self.as_mut_view()
    }
}

/// The capacities of one kind of body.
pub trait Profile {
    /// The member list, without the node itself. Beyond it the view is partial (see
    /// [`cluster`]), which is no error.
    type Members: List<Member>;
    /// Datagrams that wait to be sent. One more is dropped and counted, as if lost on the air.
    type Outgoing: List<Outgoing>;
    /// What is known of each other member besides its row: one place for each of
    /// [`Members`](Self::Members).
    type Slots: List<Slot>;
    /// Different services in the cluster, each with its name. Beyond it, catalogues are partial
    /// (see [`services`](crate::services)), which is no error.
    type Services: List<Known>;
    /// Who offers what: for each of [`Slots`](Self::Slots) as many bits as there are
    /// [`Services`](Self::Services), in whole bytes.
    type Offers: List<u8>;
    /// Different kinds of bodies and versions of programs. Beyond it, some are shown as unknown.
    type Builds: List<Build>;
    /// What happened lately. The oldest entry makes room for one more.
    type Log: List<LogEntry>;
    /// What networks a scan has found. Beyond it the weakest are left out.
    type Networks: List<Seen>;
    /// Who publishes events for the cluster: whoever is gone makes room. Beyond it, events are
    /// delivered in the order in which they come, and gaps are not noticed.
    type Publishers: List<Publisher>;
    /// Events of this node alone. The oldest makes room for one more.
    type LocalEvents: List<LocalEvent>;
    /// Their topics and payloads: at least 304 bytes.
    type LocalBytes: List<u8>;
    /// The pieces of an image that are to come, a bit each. An image that has more is refused.
    type Pieces: List<u8>;
    /// How long a node that gives an image on pauses after each piece, so that it has time for other things, and those that
    /// get it have time to write.
    const PIECE_PAUSE: Duration;
}

/// An ESP-01: 64 members, itself included, of at most 96 bytes each.
#[derive(Debug)]
pub struct Esp01;

impl Profile for Esp01 {
    type Members = Vec<Member, 63>;
    type Outgoing = Vec<Outgoing, 24>;
    type Slots = Vec<Slot, 63>;
    type Services = Vec<Known, 16>;
    type Offers = Vec<u8, { 63 * 2 }>;
    type Builds = Vec<Build, 8>;
    type Log = Vec<LogEntry, 16>;
    type Networks = Vec<Seen, 8>;
    type Publishers = Vec<Publisher, 64>;
    type LocalEvents = Vec<LocalEvent, 4>;
    type LocalBytes = Vec<u8, 400>;
    // 1,919 pieces at most; one page is written within 4.3 ms, and half of all broadcasts get lost anyway. A tenth of a megabyte a second
    // leaves a third of a shared channel of 5 Mbit/s to others.
    type Pieces = Vec<u8, 240>;
    const PIECE_PAUSE: Duration = Duration::from_millis(2);
}

/// A Linux machine, or a simulated one: 512 members, itself included.
#[derive(Debug)]
pub struct Host;

impl Profile for Host {
    type Members = Vec<Member, 511>;
    type Outgoing = Vec<Outgoing, 128>;
    type Slots = Vec<Slot, 511>;
    type Services = Vec<Known, 256>;
    type Offers = Vec<u8, { 511 * 32 }>;
    type Builds = Vec<Build, 64>;
    type Networks = Vec<Seen, 32>;
    type Log = Vec<LogEntry, 64>;
    type Publishers = Vec<Publisher, 512>;
    type LocalEvents = Vec<LocalEvent, 64>;
    type LocalBytes = Vec<u8, 16_384>;
    type Pieces = Vec<u8, 8192>;
    const PIECE_PAUSE: Duration = Duration::from_micros(250);
}

/// The memory of one node, for [`Node::new`](crate::Node::new).
pub struct Storage<P: Profile> {
    pub(crate) cluster: ClusterStorage<P>,
    pub(crate) events: EventStorage<P>,
    pub(crate) network: Place<Network>,
    pub(crate) networks: P::Networks,
    pub(crate) poller: Place<Poller>,
    pub(crate) settings: Place<Keeper>,
    pub(crate) request_nonces: Place<RequestNonces>,
    pub(crate) tasks: TaskStorage,
    pub(crate) sprockets: SprocketStorage,
}

/// The part of it that the member list needs.
pub(crate) struct ClusterStorage<P: Profile> {
    pub(crate) members: P::Members,
    pub(crate) outgoing: P::Outgoing,
    pub(crate) slots: P::Slots,
    pub(crate) services: P::Services,
    pub(crate) offers: P::Offers,
    pub(crate) builds: P::Builds,
    pub(crate) parts: Place<cluster::Parts>,
    pub(crate) rollout: Place<Rollout>,
    pub(crate) pieces: P::Pieces,
    pub(crate) page: Page,
}

/// The part of it that events need.
pub(crate) struct EventStorage<P: Profile> {
    pub(crate) log: P::Log,
    pub(crate) window: Window,
    pub(crate) publishers: P::Publishers,
    pub(crate) ended: EndedBoots,
    pub(crate) local: P::LocalEvents,
    pub(crate) local_bytes: P::LocalBytes,
}

impl<P: Profile> core::fmt::Debug for Storage<P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Storage").finish_non_exhaustive()
    }
}

impl<P: Profile> Storage<P> {
    /// Empty storage.
    pub const NEW: Self = Self {
        cluster: ClusterStorage::NEW,
        events: EventStorage::NEW,
        network: Place::Empty,
        networks: P::Networks::NEW,
        poller: Place::Empty,
        settings: Place::Empty,
        request_nonces: Place::Empty,
        tasks: TaskStorage::NEW,
        sprockets: SprocketStorage::NEW,
    };
}

impl<P: Profile> ClusterStorage<P> {
    const NEW: Self = Self {
        members: P::Members::NEW,
        outgoing: P::Outgoing::NEW,
        slots: P::Slots::NEW,
        services: P::Services::NEW,
        offers: P::Offers::NEW,
        builds: P::Builds::NEW,
        parts: Place::Empty,
        rollout: Place::Empty,
        pieces: P::Pieces::NEW,
        page: Page::NEW,
    };
}

impl<P: Profile> EventStorage<P> {
    const NEW: Self = Self {
        log: P::Log::NEW,
        window: Window::NEW,
        publishers: P::Publishers::NEW,
        ended: EndedBoots::NEW,
        local: P::LocalEvents::NEW,
        local_bytes: P::LocalBytes::NEW,
    };
}

impl<P: Profile> Default for Storage<P> {
    fn default() -> Self {
        Self::NEW
    }
}
