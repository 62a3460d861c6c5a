//! SPORE behind [`Engine`]: its membership alone, without HTTP, flash or radio.

use super::{Change, Engine, Output};
use crate::address;
use self_cell::{MutBorrow, self_cell};
use spore_core::api::Assets;
use spore_core::config::Timing;
use spore_core::profile::{Esp01, Host, Storage};
use spore_core::tasks::Tasks;
use spore_core::time::Instant;
use spore_core::wire::MAX_DATAGRAM;
use spore_core::{
    Action, Catalogue, ClusterKey, Completion, Config, Event, Facts, FetchFailed, Hostname, Node,
    NodeId, Seed, Stored,
};
use std::collections::HashMap;
use std::net::SocketAddrV4;
use std::time::Duration;

type Rows = MutBorrow<Storage<Host>>;

self_cell!(
    struct Cell {
        owner: Box<Rows>,
        #[covariant]
        dependent: Node,
    }
);

/// A node, and who it knows under which id.
pub(super) struct Spore {
    cell: Cell,
    known: HashMap<NodeId, usize>,
}

/// How many bytes a node reserves, all components included, and for how many members: on a Linux machine and on an ESP-01.
pub(crate) fn sizes() -> [(usize, usize); 2] {
    [(size_of::<Storage<Host>>(), 512), (size_of::<Storage<Esp01>>(), 64)]
}

impl Spore {
    pub(super) fn start(now: Duration, node: usize, seed: u64) -> Self {
        let mut bytes = [0; 32];
        fastrand::Rng::with_seed(seed).fill(&mut bytes);
        let hostname = format!("spore-{node:06}");
        let config = Config {
            hostname: Hostname::new(&hostname).expect("letters, digits and a hyphen"),
            address: *address::of(node).ip(),
            port: address::PORT,
            http_port: 80,
            key: Some(ClusterKey::from_bytes([7; 32])),
            services: Catalogue::EMPTY,
            assets: Assets::NONE,
            tasks: Tasks::EMPTY,
            sprockets: &[],
            timing: Timing::DEFAULT,
            radio: None,
        };
        let facts = Facts {
            board: "host",
            version: env!("CARGO_PKG_VERSION"),
            chip_id: u32::try_from(node).unwrap_or(u32::MAX),
            flash_size: 0,
            reset_reason: "power-on",
            crashes: 0,
            image: None,
        };
        let (local, seed) = (local(now), Seed(bytes));
        let cell = Cell::new(Box::new(MutBorrow::new(Storage::NEW)), |rows| {
            Node::new(local, &config, facts, &Stored::default(), &seed, rows.borrow_mut())
        });
        Self { cell, known: HashMap::new() }
    }

    /// Fetches all that the engine has to give.
    fn drain(&mut self, now: Duration, out: &mut Output) {
        let (local, known) = (local(now), &mut self.known);
        self.cell.with_dependent_mut(|_, node| {
            while let Some(action) = node.poll_action(local) {
                match action {
                    // As a body without flash does.
                    Action::Store(key) => {
                        node.handle_completion(local, Completion::Store(key, Ok(())));
                    }
                    // Membership does without HTTP; what the others offer stays unknown.
                    Action::Fetch(_) => {
                        node.handle_completion(local, Completion::Fetch(Err(FetchFailed)));
                    }
                    other => unreachable!("{other:?} of a node without tasks, radio and slots"),
                }
            }
            let mut buf = [0; MAX_DATAGRAM];
            while let Some(transmit) = node.poll_transmit(local, &mut buf) {
                out.datagrams.push((transmit.destination, buf[..transmit.len].to_vec()));
            }
            while let Some(event) = node.poll_event() {
                out.changes.extend(change(known, node, event));
            }
        });
    }
}

/// What an event means for the list of members.
fn change(known: &mut HashMap<NodeId, usize>, node: &Node<'_>, event: Event) -> Option<Change> {
    match event {
        Event::MemberJoined(id) => {
            let index = address::node(node.member(id)?.address())?;
            known.insert(id, index);
            Some(Change::Up(index))
        }
        Event::MemberReturned(id) => known.get(&id).copied().map(Change::Up),
        Event::MemberDied(id) | Event::MemberLeft(id) | Event::MemberForgotten(id) => {
            known.get(&id).copied().map(Change::Down)
        }
        _ => None,
    }
}

fn local(now: Duration) -> Instant {
    Instant::from_micros(u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
}

impl Engine for Spore {
    fn receive(&mut self, now: Duration, from: SocketAddrV4, bytes: &mut [u8], out: &mut Output) {
        self.cell.with_dependent_mut(|_, node| node.handle_datagram(local(now), from, bytes));
        self.drain(now, out);
    }

    fn wake(&mut self, now: Duration, out: &mut Output) {
        self.cell.with_dependent_mut(|_, node| node.handle_timeout(local(now)));
        self.drain(now, out);
    }

    fn deadline(&self) -> Option<Duration> {
        let deadline = self.cell.borrow_dependent().poll_timeout()?;
        Some(Duration::from_micros(deadline.as_micros()))
    }

    fn members(&self) -> Vec<usize> {
        let members = self.cell.borrow_dependent().members().iter();
        let live = members.filter(|member| member.status().is_live());
        live.filter_map(|member| address::node(member.address())).collect()
    }
}
