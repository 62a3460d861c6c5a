//! The async shell around the engine: it owns the sockets and the clock, and decides nothing.
//!
//! The body (a board, a Linux process) makes a [`Shell`], gives it sockets that speak the
//! ecosystem's own traits (`edge-nal`), and runs these futures side by side on one thread:
//!
//! | future | how many | what it does |
//! |---|---|---|
//! | [`Shell::drive`] | one | sends, keeps the deadlines, does what the engine asks for |
//! | [`Shell::listen`] | one for each UDP socket | hands datagrams to the engine |
//! | [`Shell::converse`] | one, in place of these two | does what they do, with one buffer |
//! | [`Shell::install`] | one, where there are slots for images | installs the image that comes over HTTP |
//! | [`Shell::fetch`] | one | fetches what the engine wants to know of other members |
//! | [`provision::lease_addresses`], [`provision::answer_names`] | one each, while the access point is open | lead who joins it to the node's page |
//! | [`http::Server::worker`] | one for each HTTP connection, and one | serves the API |
//!
//! What only the body knows (its memory, its flash, its log) it tells through [`System`].
#![no_std]
#![warn(clippy::as_conversions)]

#[cfg(test)]
extern crate std;

mod body;
pub mod client;
mod dashboard;
pub mod dhcp;
pub mod exchange;
mod feed;
pub mod http;
mod images;
pub mod provision;
mod service;
mod shell;
pub mod slots;
pub mod sprocket;
pub mod store;
mod system;

pub use dashboard::DASHBOARD;
pub use service::ServiceReply;
pub use shell::Shell;
pub use slots::Slots;
pub use system::{Named, System};
