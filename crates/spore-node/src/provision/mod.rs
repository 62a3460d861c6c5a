//! What a node serves on its access point besides the API: addresses, names, and the page with which
//! it is told the name and the password of a network.
//!
//! Who joins the access point is given an address ([`lease_addresses`], DHCP), and is told the node's
//! address for every name he asks for ([`answer_names`], DNS). So whatever his phone asks for to learn where
//! the network leads, it asks the node, which sends it to [`PAGE`] (see `spore_core::api`).
//!
//! Both run only while the access point is open; drop the futures when it closes. Their buffers are the caller's,
//! [`DHCP_BUFFER_LEN`] and [`DNS_BUFFER_LEN`] bytes: on a board they come out of memory that is not used at
//! the same time, and both together fit the buffer for the pieces of an update, or [`BODY_MAX`](crate::http::BODY_MAX).

mod dhcp;
mod dns;
mod page;

pub use dhcp::{CLIENTS, DHCP_BUFFER_LEN, DHCP_PORT, Leases, lease_addresses};
pub use dns::{DNS_BUFFER_LEN, DNS_PORT, answer_names};
pub use page::PAGE;

use embassy_time::Duration;

/// Pause after a failed receive: the network is down, and time must bring it back.
const RECEIVE_PAUSE: Duration = Duration::from_millis(100);

const _: () = assert!(DHCP_BUFFER_LEN + DNS_BUFFER_LEN <= crate::http::BODY_MAX);
