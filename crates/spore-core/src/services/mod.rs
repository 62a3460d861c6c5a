//! The service registry: what this node offers, and who in the cluster offers what.
//!
//! A *service* has a name, and is called over HTTP at `/api/services/NAME`. What a node offers is
//! fixed by its program ([`Catalogue`]). Each node tells the others the ids of its services in its
//! own [`Record`](crate::wire::Record), so that "who offers X" is answered from memory
//! ([`Node::providers`](crate::Node::providers)); names and builds are fetched over HTTP when a
//! node's status version says that there is something new (see `poller`).
//!
//! # Ids
//!
//! A [`ServiceId`] is the 32-bit FNV-1a hash of the name, with the highest bit cleared: where it is
//! set, the id is that of a clustered [task](crate::tasks). Two names can have the same id, by chance
//! for one pair in two billion. One node cannot offer both ([`Catalogue::new`] refuses it).
//! If two nodes do, both count as providers of the id, listings show the name that was confirmed
//! last, and a provider answers 404 to a call of a name that it does not have: names are compared there,
//! whatever the ids are.

mod catalogue;
mod directory;
mod id;
pub(crate) mod json;
pub(crate) mod poller;
mod status;

pub use catalogue::{Catalogue, IDENTIFY, InvalidCatalogue, InvalidService, Service};
pub(crate) use catalogue::{check, is_name, is_summary};
pub use directory::{Build, Known, Slot};
pub(crate) use directory::{Directory, Renewal};
pub(crate) use id::fnv;
pub use id::{ServiceId, ServiceIds};
pub(crate) use poller::OneAtATime;
pub use poller::{Fetch, FetchFailed};
pub(crate) use status::Figures;

/// The most services that a node can offer.
pub const MAX_SERVICES: usize = 8;
