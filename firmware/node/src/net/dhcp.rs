//! A DHCP client (RFC 2131), below the IP stack: it makes and takes whole Ethernet frames, so it needs no socket, and none
//! of the stack's rules about an address that it does not have yet.
//!
//! Like the engine it does no I/O and reads no clock: frames and the time, in milliseconds from any origin, go in and
//! come out. It asks to be answered by unicast, to the node's MAC address: this chip loses half of all broadcasts.
//! It does not look by ARP whether somebody else has the address (section 2.2 says SHOULD).

use core::net::{Ipv4Addr, SocketAddrV4};

use spore_core::network::Lease;
use spore_node::dhcp::{
    ACK, CHADDR, CIADDR, CLIENT_PORT, COOKIE, DISCOVER, END, KIND, MAGIC, MESSAGE_MIN, NAK, OFFER,
    OPTIONS, REPLY, REQUEST, REQUEST_HEAD, REQUESTED, ROUTER, SERVER, SERVER_PORT, SUBNET_MASK,
    Said, WANTED, XID, YIADDR, address_at,
};

use super::ethernet::{BROADCAST, HEADER_LEN, Header, MacAddress, TYPE_IPV4};
use super::ipv4::{self, PAYLOAD};

/// Where a message begins in a frame.
const MESSAGE: usize = HEADER_LEN + PAYLOAD;
/// The length of the frames that [`Client::transmit`] makes.
pub const FRAME_LEN: usize = MESSAGE + MESSAGE_MIN;

/// The first pause before a message is repeated; each next one is twice as long, up to the second. RFC 2131 begins at
/// 4 s, which on a radio that loses much is too long for the 15 s that the network manager gives an attempt.
const PAUSE: u64 = 1_000;
const PAUSE_MAX: u64 = 8_000;
/// After so many requests without an answer, servers are looked for again.
const REQUESTS: u8 = 4;
/// The least pause between two attempts to prolong a lease (RFC 2131, section 4.4.5).
const PAUSE_RENEW: u64 = 60_000;
/// No lease is taken to be shorter, in seconds.
const LEASE_MIN: u32 = 120;

/// What has come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// There is an address, a new one or the same for longer.
    Address(Lease),
    /// The address may no longer be used.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Off,
    /// Looks for servers.
    Selecting,
    /// Has asked the server for what that has offered.
    Requesting,
    /// Has an address: to be prolonged with the server that gave it until `rebind`, then with any, and lost at `end`.
    Bound {
        rebind: u64,
        end: u64,
    },
}

/// What a server's message says.
struct Answer {
    kind: u8,
    server: Ipv4Addr,
    lease: Lease,
    seconds: u32,
}

/// The client.
#[derive(Debug)]
pub struct Client {
    mac: MacAddress,
    xid: u32,
    state: State,
    /// When the next message is due.
    next: u64,
    /// How many were sent in this state.
    tries: u8,
    address: Ipv4Addr,
    server: Ipv4Addr,
    server_mac: MacAddress,
    change: Option<Change>,
}

impl Client {
    /// A client that is off.
    #[must_use]
    pub const fn new(mac: MacAddress) -> Self {
        Self {
            mac,
            xid: 0,
            state: State::Off,
            next: 0,
            tries: 0,
            address: Ipv4Addr::UNSPECIFIED,
            server: Ipv4Addr::UNSPECIFIED,
            server_mac: BROADCAST,
            change: None,
        }
    }

    /// The link is up: looks for an address. `xid` must be another one each time, and hard to guess.
    pub fn start(&mut self, now: u64, xid: u32) {
        *self = Self { xid, state: State::Selecting, next: now, ..Self::new(self.mac) };
    }

    /// The link is down: what it had is of the past, and is not reported as lost.
    pub fn stop(&mut self) {
        *self = Self::new(self.mac);
    }

    /// When [`transmit`](Self::transmit) has something to do.
    #[must_use]
    pub fn due(&self) -> Option<u64> {
        match self.state {
            State::Off => None,
            State::Selecting | State::Requesting => Some(self.next),
            State::Bound { end, .. } => Some(self.next.min(end)),
        }
    }

    /// What has come of it since it was last asked.
    pub fn take_change(&mut self) -> Option<Change> {
        self.change.take()
    }

    /// Writes the frame that is due into `frame`, of [`FRAME_LEN`] bytes or more; returns its length, or 0 if there is
    /// none.
    pub fn transmit(&mut self, now: u64, frame: &mut [u8]) -> usize {
        if let State::Bound { end, .. } = self.state
            && end <= now
        {
            self.change = Some(Change::Lost);
            self.restart(now);
        }
        if self.state == State::Requesting && self.tries == REQUESTS {
            self.restart(now);
        }
        if self.due().is_none_or(|due| due > now) {
            return 0;
        }
        let backoff = (PAUSE << self.tries.min(3)).min(PAUSE_MAX);
        self.next = match self.state {
            State::Bound { rebind, end } => {
                let until = if now < rebind { rebind } else { end };
                now + (until.saturating_sub(now) / 2).max(PAUSE_RENEW)
            }
            State::Off | State::Selecting | State::Requesting => now + backoff,
        };
        self.tries = self.tries.saturating_add(1);
        self.write(now, frame)
    }

    /// Takes an IP packet that came from `sender`; returns whether it was for this client.
    pub fn handle(&mut self, now: u64, packet: &[u8], sender: MacAddress) -> bool {
        if self.state == State::Off {
            return false;
        }
        let Some(message) = message_of(packet) else { return false };
        if let Some(answer) = self.read(message) {
            self.take(now, &answer, sender);
        }
        true
    }

    fn restart(&mut self, now: u64) {
        (self.state, self.tries, self.next) = (State::Selecting, 0, now);
        (self.address, self.server) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED);
    }

    fn take(&mut self, now: u64, answer: &Answer, sender: MacAddress) {
        match (self.state, answer.kind) {
            (State::Selecting, OFFER) => {
                (self.address, self.server) = (answer.lease.address, answer.server);
                (self.state, self.tries, self.next) = (State::Requesting, 0, now);
            }
            (State::Requesting | State::Bound { .. }, ACK) => {
                let span = u64::from(answer.seconds.max(LEASE_MIN)) * 1000;
                // RFC 2131, section 4.4.5: a half and seven eighths of it.
                let (rebind, end) = (now + span / 8 * 7, now + span);
                (self.state, self.tries, self.next) =
                    (State::Bound { rebind, end }, 0, now + span / 2);
                (self.address, self.server_mac) = (answer.lease.address, sender);
                if !answer.server.is_unspecified() {
                    self.server = answer.server;
                }
                self.change = Some(Change::Address(answer.lease));
            }
            (State::Requesting | State::Bound { .. }, NAK) => {
                if self.state != State::Requesting {
                    self.change = Some(Change::Lost);
                }
                self.restart(now);
                self.next = now + PAUSE;
            }
            _ => (),
        }
    }

    fn write(&self, now: u64, frame: &mut [u8]) -> usize {
        let Some(frame) = frame.first_chunk_mut::<FRAME_LEN>() else { return 0 };
        frame.fill(0);
        let (bound, rebinding) = match self.state {
            State::Bound { rebind, .. } => (true, now >= rebind),
            _ => (false, false),
        };
        let known = bound && !rebinding;
        let receiver = if known { self.server_mac } else { BROADCAST };
        let header = Header { receiver, sender: self.mac, kind: TYPE_IPV4 };
        frame[..HEADER_LEN].copy_from_slice(&header.to_bytes());
        let own = if bound { self.address } else { Ipv4Addr::UNSPECIFIED };
        let to = if known { self.server } else { Ipv4Addr::BROADCAST };
        let (from, to) = (SocketAddrV4::new(own, CLIENT_PORT), SocketAddrV4::new(to, SERVER_PORT));
        ipv4::write_udp(&mut frame[HEADER_LEN..], from, to, MESSAGE_MIN);
        let message = &mut frame[MESSAGE..];
        message[..3].copy_from_slice(&REQUEST_HEAD);
        message[XID..XID + 4].copy_from_slice(&self.xid.to_be_bytes());
        message[CIADDR..CIADDR + 4].copy_from_slice(&own.octets());
        message[CHADDR..CHADDR + 6].copy_from_slice(&self.mac);
        message[COOKIE..OPTIONS].copy_from_slice(&MAGIC);
        let kind = if self.state == State::Selecting { DISCOVER } else { REQUEST };
        #[rustfmt::skip]
        let mut options = [
            KIND, 1, kind,
            WANTED, 2, SUBNET_MASK, ROUTER,
            END, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, END,
        ];
        if self.state == State::Requesting {
            // Which address, from which server.
            options[7..9].copy_from_slice(&[REQUESTED, 4]);
            options[9..13].copy_from_slice(&self.address.octets());
            options[13..15].copy_from_slice(&[SERVER, 4]);
            options[15..19].copy_from_slice(&self.server.octets());
        }
        message[OPTIONS..OPTIONS + options.len()].copy_from_slice(&options);
        FRAME_LEN
    }

    /// What `message` says, if it answers this client.
    fn read(&self, message: &[u8]) -> Option<Answer> {
        let said = Said::by(message)?;
        let ours = message[0] == REPLY
            && message[XID..XID + 4] == self.xid.to_be_bytes()
            && message[CHADDR..CHADDR + 6] == self.mac;
        if !ours {
            return None;
        }
        let address = address_at(message, YIADDR)?;
        let prefix_len = said.mask.map_or(Some(24), prefix_len)?;
        let usable =
            !address.is_unspecified() && !address.is_broadcast() && !address.is_multicast();
        (usable || said.kind == NAK).then_some(Answer {
            kind: said.kind,
            server: said.server.unwrap_or(Ipv4Addr::UNSPECIFIED),
            lease: Lease { address, prefix_len, gateway: said.router },
            seconds: said.seconds,
        })
    }
}

/// The bits of a network with this mask; `None` if that is no mask, or leaves no room for two hosts.
fn prefix_len(mask: u32) -> Option<u8> {
    let ones = mask.leading_ones();
    let is_mask = mask.checked_shl(ones).unwrap_or(0) == 0;
    u8::try_from(ones).ok().filter(|ones| is_mask && (1..=30).contains(ones))
}

/// What `packet` carries, if that is a whole UDP datagram from a DHCP server to a client.
fn message_of(packet: &[u8]) -> Option<&[u8]> {
    let datagram = ipv4::udp(packet)?;
    let ports = (datagram.from.port(), datagram.to.port());
    (ports == (SERVER_PORT, CLIENT_PORT)).then_some(datagram.payload)
}

#[cfg(test)]
#[path = "dhcp_tests.rs"]
mod tests;
