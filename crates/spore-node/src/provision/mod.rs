//! What a node serves on its access point besides the API: addresses, names, and the page with which
//! it is told the name and the password of a network.
//!
//! Who joins the access point is given an address ([`lease_addresses`], DHCP), and is told the node's
//! address for every name he asks for ([`answer_names`], DNS). So whatever his phone asks for to learn where
//! the network leads, it asks the node, which sends it to [`PAGE`] (see `spore_core::api`).
//!
//! Both run only while the access point is open; drop the futures when it closes. A board has no sockets for them: it hands
//! in single messages ([`Leases::answer`], [`answer_name`]), and makes each answer in the frame that it leaves in.

mod dhcp;
mod dns;
pub(crate) mod page;

pub use dhcp::{CLIENTS, DHCP_BUFFER_LEN, Leases, lease_addresses};
pub use dns::{DNS_BUFFER_LEN, DNS_PORT, answer_name, answer_names};
pub use page::PAGE;

use embassy_time::Duration;

/// Pause after a failed receive: the network is down, and time must bring it back.
const RECEIVE_PAUSE: Duration = Duration::from_millis(100);
