//! Who runs a clustered task: rendezvous hashing (Thaler, Ravishankar: "Using name-based mappings to
//! increase hit rates", IEEE/ACM Transactions on Networking 6(1), 1998).
//!
//! Each carrier of a task has a [`weight`] for it, and the one with the highest runs it. So all who know the same carriers
//! agree without a word, tasks spread over the members, and when one goes, only its own tasks move.

use crate::services::ServiceId;
use crate::wire::{NodeId, well_mixed_fnv};

/// The weight of `node` as the owner of `task`: the higher one owns it; of two equal ones, the
/// higher id does.
///
/// FNV-1a over the id of the node and that of the task, with the final mix of MurmurHash3, so that
/// nodes whose ids differ little have weights that differ much.
pub fn weight(task: ServiceId, node: NodeId) -> u32 {
    well_mixed_fnv(node.0.iter().chain(&task.0))
}

/// The first of `carriers` for `task`: its owner, if these are all that are live.
pub fn first(task: ServiceId, carriers: impl Iterator<Item = NodeId>) -> Option<NodeId> {
    carriers.max_by_key(|node| (weight(task, *node), *node))
}

/// Whether `node` comes before `owner`, the first of the others.
pub(crate) fn is_before(task: ServiceId, node: NodeId, owner: Option<NodeId>) -> bool {
    owner.is_none_or(|owner| (weight(task, node), node) > (weight(task, owner), owner))
}
