//! The emulated board as the body of a node.

use spore_core::node::StoreFailed;
use spore_core::{Event, Facts, Identity, Key, Node, NodeId, Resources, Seed};
use spore_node::System;

use super::retained::{self, ResetReason};
use super::stack;
use crate::log_line;

/// The flash window of the board and of an ESP-01, in bytes.
const FLASH_SIZE: u32 = 1 << 20;

/// The part of the chip's data memory that the vendor's SDK takes for itself, without its IP
/// stack, in bytes.
const SDK_STATICS: u32 = 24_668;

/// The emulated board.
pub struct EmulatedSystem {
    /// The board's number: there is no chip that has one.
    pub chip_id: u32,
    /// Why the board starts.
    pub reset_reason: ResetReason,
    /// Random bytes for this start.
    pub seed: [u8; 32],
}

impl System for EmulatedSystem {
    fn facts(&self) -> Facts {
        Facts {
            board: "emulated",
            version: env!("CARGO_PKG_VERSION"),
            chip_id: self.chip_id,
            flash_size: FLASH_SIZE,
            reset_reason: self.reset_reason.as_str(),
        }
    }

    fn resources(&self) -> Resources {
        // What the chip would have for the SDK's heap.
        let free = stack::unused_memory().saturating_sub(SDK_STATICS);
        Resources { free_memory: u64::from(free) }
    }

    fn seed(&self) -> Seed {
        Seed(self.seed)
    }

    async fn store(&self, key: Key, value: &[u8]) -> Result<(), StoreFailed> {
        // The memory that survives a reset has no room for more.
        let Key::Identity = key else { return Ok(()) };
        let identity = Identity::decode(value).ok_or(StoreFailed)?;
        // Switching the machine off loses it, and then the node takes a new id: a pair of id and
        // epoch never comes twice.
        retained::store_identity(identity);
        Ok(())
    }

    fn report(&self, event: Event, node: &Node<'_>) {
        let (what, id) = match event {
            Event::MemberJoined(id) => ("joined", id),
            Event::MemberSuspected(id) => ("is suspected", id),
            Event::MemberReturned(id) => ("is back", id),
            Event::MemberDied(id) => ("is dead", id),
            Event::MemberLeft(id) => ("has left", id),
            Event::MemberForgotten(id) => ("is forgotten", id),
        };
        log_line!("MEMBER {} {what}", name(node, &id));
    }
}

/// The host name of a member, or nothing for one that is not listed any more.
fn name<'n>(node: &'n Node<'_>, id: &NodeId) -> &'n str {
    node.members()
        .iter()
        .find(|member| member.id() == *id)
        .map_or("", |member| member.hostname().as_str())
}
