//! The SPORE engine: what a node of the cluster knows and decides, and nothing else.
//!
//! The crate is `no_std`, allocates nothing, holds no `unsafe` and does no I/O. Bytes, requests
//! and the time go in through the `handle_*` verbs of [`Node`]; datagrams, answers, deadlines,
//! actions and events come out through its `poll_*` verbs:
//!
//! ```text
//!   handle_datagram ─┐                 ┌─ poll_transmit   a datagram to send
//!   handle_request  ─┤   ┌────────┐    ├─ poll_body       the next piece of an answer
//!   handle_completion┼──▶│  Node  │───▶┼─ poll_action     what the shell must do
//!   handle_fetched  ─┤   │        │    │
//!   handle_resources ┤   └────────┘    ├─ poll_event      what has happened
//!   handle_radio     ┤                 └─ poll_timeout    when to call again
//!   handle_timeout   ┤
//!   publish          ┤
//!   leave           ─┘
//! ```
//!
//! Whoever owns the sockets and the clock drives it: `spore-node` on a board or on Linux,
//! `spore-sim` in virtual time. The modules, from the wire inward:
//!
//! | module | what it is |
//! |---|---|
//! | [`wire`] | the bytes of a datagram: checked views in, a bounded writer out |
//! | [`security`] | cluster key, sealing, boot epochs, replay windows, freshness tokens |
//! | [`cluster`] | the member list: discovery, probing, suspicion, dissemination |
//! | [`services`] | who offers what, and what members say of themselves |
//! | [`events`] | publish and subscribe: topics, the window, order and gaps, the local bus |
//! | [`api`] | the HTTP route table and the answers, as JSON made piece by piece |
//! | [`settings`] | what an operator sets through the API |
//! | [`network`] | the WiFi: station, access point, credentials on trial |
//! | [`improv`] | credentials that come over the serial line |
//! | [`log`] | what happened lately |
//! | [`store`] | what a node remembers over restarts |
//! | [`ota`] | updates: what is taken, whether it is kept |
//! | [`crash`] | the record of its last crash |
//! | [`node`] | [`Node`], which ties them together behind the verbs |
//! | [`config`], [`profile`] | what an operator sets; what is fixed when the program is built |
#![no_std]
// Nothing here may panic on what it is given: no casts that cut, no indexing, no unwrapping.
#![cfg_attr(
    not(test),
    deny(
        clippy::as_conversions,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

#[cfg(test)]
extern crate std;

pub mod api;
pub mod cluster;
pub mod config;
pub mod crash;
pub mod events;
pub mod improv;
pub mod log;
pub mod network;
pub mod node;
mod object;
pub mod ota;
mod place;
pub mod profile;
mod random;
pub mod security;
mod seeded;
pub mod services;
pub mod settings;
pub mod sprockets;
pub mod store;
pub mod tasks;
pub mod text;
pub mod time;
pub mod wire;

#[cfg(test)]
mod tests;

pub use config::{Config, Facts};
pub use events::{Delivery, Filter, PublishError, Scope, Topic};
pub use node::{Action, Completion, Destination, Event, Node, Resources, Transmit};
pub use profile::{Profile, Storage};
pub use security::{ClusterKey, Identity, Seed};
pub use services::{Catalogue, Fetch, FetchFailed, Service, ServiceId};
pub use store::{Key, Stored};
pub use wire::{Hostname, NodeId};
