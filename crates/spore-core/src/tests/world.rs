//! A handful of nodes on a perfect network: what one sends, the others have at once.
//!
//! `spore-sim` is the real simulator; this is just enough to talk to the engine from its own crate.

use crate::api::Assets;
use crate::ota::{Cut, Done, Found, Job};
use crate::profile::Host;
use crate::security::{ClusterKey, Identity, Seed};
use crate::store::MAX_VALUE;
use crate::tasks::Tasks;
use crate::time::Instant;
use crate::wire::{Hostname, MAX_DATAGRAM};
use crate::{
    Action, Catalogue, Completion, Config, Destination, Facts, FetchFailed, Node, Storage, Stored,
};
use core::net::{Ipv4Addr, SocketAddrV4};
use std::boxed::Box;
use std::format;
use std::vec::Vec;

pub(super) const PORT: u16 = crate::config::DEFAULT_PORT;

pub(super) fn facts() -> Facts {
    Facts {
        board: "sim",
        version: "0.0.0",
        chip_id: 1,
        flash_size: 0,
        reset_reason: "power-on",
        crashes: 0,
        image: None,
    }
}

pub(super) fn config(n: u8) -> Config {
    Config {
        hostname: Hostname::new(&format!("node-{n}")).unwrap(),
        address: Ipv4Addr::new(10, 0, 0, n),
        port: PORT,
        http_port: 80,
        key: Some(ClusterKey::from_bytes([7; 32])),
        services: Catalogue::EMPTY,
        assets: Assets::NONE,
        tasks: Tasks::EMPTY,
        sprockets: &[],
        timing: Default::default(),
        radio: None,
    }
}

pub(super) fn address(n: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, n), PORT)
}

/// A node whose storage lives as long as the test program.
pub(super) fn node(now: Instant, n: u8, stored: Option<Identity>) -> Node<'static> {
    let mut value = [0; MAX_VALUE];
    let len = stored.map_or(0, |identity| identity.encode(&mut value));
    let stored = Stored { identity: &value[..len], ..Stored::default() };
    configured(now, n, &config(n), &stored)
}

/// Node number `n` with another configuration.
pub(super) fn configured(
    now: Instant,
    n: u8,
    config: &Config,
    stored: &Stored<'_>,
) -> Node<'static> {
    let storage = Box::leak(Box::new(Storage::<Host>::NEW));
    let micros = now.as_micros().to_be_bytes();
    let mut seed = [n; 32];
    seed[..8].copy_from_slice(&micros);
    Node::new(now, config, facts(), stored, &Seed(seed), storage)
}

/// Grants every action but fetches, which fail.
pub(super) fn act(node: &mut Node<'_>, now: Instant) {
    while let Some(action) = node.poll_action(now) {
        complete(node, now, action);
    }
}

/// Does this.
pub(super) fn complete(node: &mut Node<'_>, now: Instant, action: Action) {
    let completion = match action {
        Action::Restart | Action::Radio(_) => return,
        Action::Verify(subject) => {
            Completion::Verify(subject, node.question(subject).unwrap().judge())
        }
        Action::Store(key) => Completion::Store(key, Ok(())),
        Action::RunTask(index) => Completion::Ran(index),
        Action::Update(step) => Completion::Update(step, Ok(())),
        Action::Exchange(job) => Completion::Exchange(done(job)),
        Action::Fetch(_) => Completion::Fetch(Err(FetchFailed)),
    };
    node.handle_completion(now, completion);
}

/// What a body says that has every image already.
pub(super) fn done(job: Job) -> Done {
    match job {
        Job::Prepare(_) => Done::Prepared(Ok(Found::Manifest(Cut { manifest: 2, count: 5 }))),
        Job::Check(_) => Done::Checked(Some(true)),
        other => other.failed(),
    }
}

/// The datagrams that `node` wants to send now.
pub(super) fn sent(node: &mut Node<'_>, now: Instant) -> Vec<(Destination, Vec<u8>)> {
    let mut sent = Vec::new();
    let mut buf = [0; MAX_DATAGRAM];
    while let Some(transmit) = node.poll_transmit(now, &mut buf) {
        sent.push((transmit.destination, buf[..transmit.len].to_vec()));
    }
    sent
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) nodes: Vec<(u8, Node<'static>)>,
    /// Every datagram that was ever on the air.
    pub(super) air: Vec<(SocketAddrV4, Destination, Vec<u8>)>,
}

impl World {
    pub(super) fn new(count: u8) -> Self {
        let now = Instant::ZERO;
        let nodes = (1..=count).map(|n| (n, node(now, n, None))).collect();
        Self { now, nodes, air: Vec::new() }
    }

    /// Lets `millis` milliseconds pass, in steps of one.
    pub(super) fn run(&mut self, millis: u64) {
        for _ in 0..millis {
            self.now = self.now + crate::time::Duration::from_millis(1);
            self.step();
        }
    }

    fn step(&mut self) {
        let mut air = Vec::new();
        for (n, node) in &mut self.nodes {
            act(node, self.now);
            if node.poll_timeout().is_some_and(|at| at <= self.now) {
                node.handle_timeout(self.now);
            }
            let from = address(*n);
            air.extend(sent(node, self.now).into_iter().map(|(to, bytes)| (from, to, bytes)));
        }
        for (from, to, bytes) in &air {
            self.deliver(*from, *to, bytes);
        }
        self.air.extend(air);
    }

    pub(super) fn deliver(&mut self, from: SocketAddrV4, to: Destination, bytes: &[u8]) {
        for (n, node) in &mut self.nodes {
            let hears = match to {
                Destination::Broadcast => true,
                Destination::Unicast(to) => to == address(*n),
            };
            if hears {
                node.handle_datagram(self.now, from, &mut bytes.to_vec());
            }
        }
    }

    pub(super) fn node(&mut self, n: u8) -> &mut Node<'static> {
        &mut self.nodes.iter_mut().find(|(number, _)| *number == n).unwrap().1
    }

    pub(super) fn kill(&mut self, n: u8) {
        self.nodes.retain(|(number, _)| *number != n);
    }
}
