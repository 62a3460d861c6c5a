//! The board's own access point: who it is there, and what it answers to those who join it, below the IP stack.
//!
//! There is one IP stack, with one address at a time, and frames of two networks. What comes from the access point is
//! told by its receiver: the access point's own MAC address, also where it was sent to all ([`mark`](AccessPoint::mark)).
//! While the station has an address, that is the stack's, and packets of the access point are readdressed on their way
//! (`driver.rs`); else the stack's is [`OWN`].
//!
//! DHCP and DNS need no socket and no buffer: a client's message is answered in the frame that the answer leaves in.
//! So they take none of the memory of sockets, whether the access point is open or not.

use core::cell::{Cell, RefCell};
use core::net::{Ipv4Addr, SocketAddrV4};

use spore_core::api::Entrance;
use spore_node::{
    dhcp,
    provision::{DHCP_BUFFER_LEN, DNS_PORT, Leases, answer_name},
};

use super::driver::Identity;
use super::ethernet::{BROADCAST, HEADER_LEN, Header, MacAddress, TYPE_IPV4};
use super::ipv4::{self, End, PAYLOAD};
use super::link::TRANSMIT_MAX;

/// The node's address on its access point, which is the SDK's.
pub const OWN: Ipv4Addr = Ipv4Addr::new(192, 168, 4, 1);
/// The same as URLs have it.
const HOST: &str = "192.168.4.1";
const PREFIX_LEN: u8 = 24;

/// Where a message to or from a server begins in its frame.
const MESSAGE: usize = HEADER_LEN + PAYLOAD;
const _: () = assert!(MESSAGE + DHCP_BUFFER_LEN <= TRANSMIT_MAX);

/// The access point.
pub struct AccessPoint {
    /// Its MAC address, while it is open.
    mac: Cell<Option<MacAddress>>,
    leases: RefCell<Leases>,
    /// Seconds since any point in time.
    clock: fn() -> u64,
}

impl AccessPoint {
    /// One that is closed. `clock` tells the seconds since any point in time.
    #[must_use]
    pub fn new(clock: fn() -> u64) -> Self {
        Self { mac: Cell::new(None), leases: RefCell::new(Leases::new(OWN, clock)), clock }
    }

    /// Board: the access point is on the air, with this MAC address.
    pub fn open(&self, mac: MacAddress) {
        self.leases.replace(Leases::new(OWN, self.clock));
        self.mac.set(Some(mac));
    }

    /// Board: it is not on the air any more.
    pub fn close(&self) {
        self.mac.set(None);
    }

    /// Whether it is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.mac.get().is_some()
    }

    /// Board: whether the frame that begins with this header leaves through it.
    #[must_use]
    pub fn sends(&self, frame: &[u8]) -> bool {
        Header::split(frame).is_some_and(|(header, _)| self.mac.get() == Some(header.sender))
    }

    /// Board: whether a frame to `receiver` is let in which has come through the access point or, if `inside` is false, the
    /// station: nobody may come in here as if he were there. Who the receiver is to be then.
    #[must_use]
    pub fn mark(&self, receiver: MacAddress, inside: bool) -> Option<MacAddress> {
        let own = self.mac.get();
        match (inside, Some(receiver) == own) {
            (true, true) => own,
            (true, false) => own.filter(|_| receiver == BROADCAST),
            (false, true) => None,
            (false, false) => Some(receiver),
        }
    }

    /// Who the node is there, while it is open.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.mac.get().map(|mac| Identity { mac, ip: OWN, prefix_len: PREFIX_LEN })
    }

    /// Where a connection from `client` comes in. While it is open, its addresses are nobody else's.
    #[must_use]
    pub fn entrance(&self, client: Ipv4Addr) -> Entrance {
        match self.identity() {
            Some(own) if own.has(client) => Entrance::AccessPoint(HOST),
            _ => Entrance::Network,
        }
    }

    /// Whether a packet that has come through it is for one of its servers.
    pub(super) fn serves(packet: &[u8]) -> bool {
        ipv4::udp(packet).is_some_and(|datagram| match datagram.to.port() {
            // Who has no address yet asks all.
            dhcp::SERVER_PORT => true,
            DNS_PORT => *datagram.to.ip() == OWN,
            _ => false,
        })
    }

    /// Writes the frame that answers a client's message to a server. Returns its length, or 0 if there is no answer.
    pub(super) fn serve(&self, received: &[u8], frame: &mut [u8; TRANSMIT_MAX]) -> usize {
        let Some((header, packet)) = Header::split(received) else { return 0 };
        let (Some(datagram), Some(Identity { mac, .. })) = (ipv4::udp(packet), self.identity())
        else {
            return 0;
        };
        let answer = match datagram.to.port() {
            dhcp::SERVER_PORT => {
                let buf = &mut frame[MESSAGE..MESSAGE + DHCP_BUFFER_LEN];
                // A longer one is not understood.
                let Some(message) = buf.get_mut(..datagram.payload.len()) else { return 0 };
                message.copy_from_slice(datagram.payload);
                self.leases.borrow_mut().answer(buf, datagram.payload.len())
            }
            DNS_PORT => answer_name(OWN, datagram.payload, &mut frame[MESSAGE..])
                .map(|len| (len, datagram.from)),
            _ => None,
        };
        let Some((len, to)) = answer else { return 0 };
        let from = SocketAddrV4::new(OWN, datagram.to.port());
        let len = ipv4::write_udp(&mut frame[HEADER_LEN..], from, to, len);
        // To the client alone, also where the packet is to all: what is sent to all is sent once, and lost easily.
        let header = Header { receiver: header.sender, sender: mac, kind: TYPE_IPV4 };
        frame[..HEADER_LEN].copy_from_slice(&header.to_bytes());
        HEADER_LEN + len
    }
}

/// Whether `packet` is from one of the access point's clients to the node.
pub(super) fn is_clients(own: Identity, packet: &[u8]) -> bool {
    let (from, to) = (ipv4::address(packet, End::From), ipv4::address(packet, End::To));
    to == Some(OWN) && from.is_some_and(|from| own.has(from))
}

#[cfg(test)]
#[path = "access_point_tests.rs"]
mod tests;
