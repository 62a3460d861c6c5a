//! A Linux process as the body of a node.

use crate::identity::{IdentityError, IdentityFile};
use crate::memory;
use log::{info, warn};
use spore_core::node::StoreFailed;
use spore_core::store::MAX_VALUE;
use spore_core::{Event, Facts, Identity, Key, Node, NodeId, Resources, Seed};
use spore_node::System;
use std::net::Ipv4Addr;

pub(crate) struct HostSystem {
    pub(crate) hostname: String,
    pub(crate) address: Ipv4Addr,
    /// Where the identity is kept; without it the node has a new one at each start.
    pub(crate) identity: Option<IdentityFile>,
    pub(crate) seed: Seed,
}

impl System for HostSystem {
    fn facts(&self) -> Facts {
        Facts {
            board: "host",
            version: env!("CARGO_PKG_VERSION"),
            // A machine has no chip id; the address tells its nodes apart.
            chip_id: self.address.to_bits(),
            flash_size: 0,
            reset_reason: "start",
        }
    }

    fn resources(&self) -> Resources {
        Resources { free_memory: memory::available() }
    }

    fn seed(&self) -> Seed {
        self.seed.clone()
    }

    async fn store(&self, key: Key, value: &[u8]) -> Result<(), StoreFailed> {
        let Some(file) = &self.identity else { return Ok(()) };
        let stored = match key {
            Key::Identity => file.store(Identity::decode(value).ok_or(StoreFailed)?),
            Key::Peers => file.store_value(key, value),
        };
        stored.map_err(|error| {
            let name = key.name();
            warn!("{}: cannot store the {name} ({error}); trying again", self.hostname);
            StoreFailed
        })
    }

    fn report(&self, event: Event, node: &Node<'_>) {
        let (id, change) = match event {
            Event::MemberJoined(id) => (id, "joined"),
            Event::MemberSuspected(id) => (id, "is suspected"),
            Event::MemberReturned(id) => (id, "is back"),
            Event::MemberDied(id) => (id, "is dead"),
            Event::MemberLeft(id) => (id, "has left"),
            Event::MemberForgotten(id) => (id, "is forgotten"),
        };
        info!("{}: {} {change}", self.hostname, name(node, id));
    }
}

impl HostSystem {
    /// The value of the identity that was stored last, or nothing.
    pub(crate) fn load_identity(&self, buf: &mut [u8; MAX_VALUE]) -> usize {
        let identity = self.identity.as_ref().and_then(|file| self.load(file));
        identity.map_or(0, |identity| identity.encode(buf))
    }

    /// The other value that was stored last for `key`, or nothing.
    pub(crate) fn load_value(&self, key: Key) -> Vec<u8> {
        let Some(file) = &self.identity else { return Vec::new() };
        file.load_value(key).unwrap_or_else(|error| {
            warn!("{}: cannot read the {} ({error})", self.hostname, key.name());
            Vec::new()
        })
    }

    fn load(&self, file: &IdentityFile) -> Option<Identity> {
        match file.load() {
            Ok(identity) => Some(identity),
            Err(IdentityError::Missing) => None,
            Err(IdentityError::Io(error)) => {
                warn!("{}: cannot read the identity ({error}); taking a new one", self.hostname);
                None
            }
            Err(IdentityError::Damaged) => {
                warn!("{}: the identity is damaged; taking a new one", self.hostname);
                None
            }
        }
    }
}

fn name(node: &Node<'_>, id: NodeId) -> String {
    match node.members().iter().find(|member| member.id() == id) {
        Some(member) => format!("{} ({})", member.hostname(), member.address()),
        None => id.to_string(),
    }
}
