//! The Address Resolution Protocol (RFC 826) for IPv4 on Ethernet: packets and the table.

use core::net::Ipv4Addr;

use super::ethernet::{self, BROADCAST, Header, MacAddress, TYPE_ARP};

/// Length of an ARP packet with its Ethernet header.
pub const FRAME_LEN: usize = ethernet::HEADER_LEN + PACKET_LEN;

const PACKET_LEN: usize = 28;

/// Ethernet addresses of 6 bytes for IPv4 addresses of 4.
const ETHERNET_FOR_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];

const REQUEST: u16 = 1;
const REPLY: u16 = 2;

/// Who is asked for, or who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Who has the target's address?
    Request,
    /// The sender has.
    Reply,
}

/// One end of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Its hardware address; of no meaning for the target of a request.
    pub mac: MacAddress,
    /// Its protocol address.
    pub ip: Ipv4Addr,
}

/// A packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// What is wanted.
    pub operation: Operation,
    /// Who sends.
    pub sender: End,
    /// Who is meant.
    pub target: End,
}

impl Packet {
    /// Reads the payload of an ARP frame; padding behind it is ignored. `None` if it is short or
    /// speaks of anything but IPv4 on Ethernet.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let packet: &[u8; PACKET_LEN] = payload.first_chunk()?;
        if packet[..6] != ETHERNET_FOR_IPV4 {
            return None;
        }
        let operation = match u16::from_be_bytes([packet[6], packet[7]]) {
            REQUEST => Operation::Request,
            REPLY => Operation::Reply,
            _ => return None,
        };
        let end = |at: usize| {
            let [a, b, c, d, e, f, g, h, i, j] = *packet[at..].first_chunk::<10>()?;
            Some(End { mac: [a, b, c, d, e, f], ip: Ipv4Addr::new(g, h, i, j) })
        };
        Some(Self { operation, sender: end(8)?, target: end(18)? })
    }

    /// The frame: a request goes to everyone, a reply to its target.
    #[must_use]
    pub fn to_frame(self) -> [u8; FRAME_LEN] {
        let (operation, receiver) = match self.operation {
            Operation::Request => (REQUEST, BROADCAST),
            Operation::Reply => (REPLY, self.target.mac),
        };
        let header = Header { receiver, sender: self.sender.mac, kind: TYPE_ARP };
        let mut frame = [0; FRAME_LEN];
        frame[..14].copy_from_slice(&header.to_bytes());
        frame[14..20].copy_from_slice(&ETHERNET_FOR_IPV4);
        frame[20..22].copy_from_slice(&operation.to_be_bytes());
        frame[22..28].copy_from_slice(&self.sender.mac);
        frame[28..32].copy_from_slice(&self.sender.ip.octets());
        frame[32..38].copy_from_slice(&self.target.mac);
        frame[38..].copy_from_slice(&self.target.ip.octets());
        frame
    }
}

/// A point in time, or a time, in whole seconds modulo 2¹⁶, which is 18 hours.
pub type Seconds = u16;

/// How long a neighbour is believed to be where it was last heard (RFC 1122, 2.3.2.1).
pub const LIFETIME: Seconds = 60;

#[derive(Clone, Copy)]
struct Neighbor {
    ip: Ipv4Addr,
    mac: MacAddress,
    heard: Seconds,
}

/// The neighbours that were heard last, at most `N` of them, 12 bytes each.
pub struct Neighbors<const N: usize> {
    /// The one heard last comes first.
    rows: [Neighbor; N],
    len: usize,
}

impl<const N: usize> Neighbors<N> {
    /// Nobody was heard.
    #[must_use]
    pub const fn new() -> Self {
        let nobody = Neighbor { ip: Ipv4Addr::UNSPECIFIED, mac: [0; 6], heard: 0 };
        Self { rows: [nobody; N], len: 0 }
    }

    /// `ip` was heard from `mac`. When the table is full, the one that was silent longest goes.
    pub fn heard(&mut self, ip: Ipv4Addr, mac: MacAddress, now: Seconds) {
        let known = self.rows[..self.len].iter().position(|row| row.ip == ip);
        let place = match known {
            Some(place) => place,
            None if self.len < N => {
                self.len += 1;
                self.len - 1
            }
            None => N - 1,
        };
        self.rows[..=place].rotate_right(1);
        self.rows[0] = Neighbor { ip, mac, heard: now };
    }

    /// Where `ip` is, if it was heard within [`LIFETIME`]. After 18 hours of silence a neighbour
    /// seems fresh for a minute once more; what is sent there is lost, as it would be on the air.
    #[must_use]
    pub fn find(&self, ip: Ipv4Addr, now: Seconds) -> Option<MacAddress> {
        let row = self.rows[..self.len].iter().find(|row| row.ip == ip)?;
        (now.wrapping_sub(row.heard) <= LIFETIME).then_some(row.mac)
    }
}

impl<const N: usize> Default for Neighbors<N> {
    fn default() -> Self {
        Self::new()
    }
}
