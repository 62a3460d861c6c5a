//! Between the radio or network card of a board and the IP stack.
//!
//! The board side moves whole Ethernet frames and knows no protocol; the stack side is an
//! [`embassy_net_driver::Driver`]. They meet in one [`Link`](link::Link), whose memory is
//! counted among the firmware's own: nothing stays in the card's memory longer than it takes the
//! main loop to come round.

pub mod access_point;
pub mod arp;
pub mod datagrams;
pub mod dhcp;
pub mod driver;
pub mod ethernet;
pub mod frame_queue;
pub mod interface;
pub mod ipv4;
pub mod link;

#[cfg(test)]
mod tests;
