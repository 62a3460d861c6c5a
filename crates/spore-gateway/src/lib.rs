//! A cluster as its owner's other programs see it: on an MQTT broker, in Home Assistant, in Prometheus, by names in the network.
//!
//! The gateway asks its own node, through the HTTP API, what the cluster is; what every member is made of it asks the members, one after the
//! other, at a slow pace. What is published is a function of what is known (`cluster`); the `bridge` keeps the broker like it,
//! and does no I/O; [`run`] gives it sockets, threads and a clock.
//!
//! Beside that, and without a cluster, the [`Flasher`] serves a page that flashes boards to the browser of this machine.

mod api;
mod bridge;
mod broker;
mod cluster;
mod documents;
mod events;
mod feeds;
mod flasher;
pub mod history;
mod home_assistant;
mod http;
mod mdns;
mod metrics;
mod pace;
mod remembered;
mod retained;
mod role;
mod run;
mod scrape;
mod state;
mod tls;
mod topics;

pub use api::{Answer, Api, Frame, Frames};
pub use broker::{Broker, Version};
pub use flasher::{Desk, Flasher, Images, Memory, Wanted};
pub use remembered::Remembered;
pub use run::{Gateway, run};
pub use tls::Tls;
pub use topics::{InvalidName, Name, Source};
