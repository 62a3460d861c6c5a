//! The IP stack's view of a [`Link`]: an [`embassy_net_driver::Driver`] that carries IP packets,
//! with Ethernet framing and address resolution done here.
//!
//! smoltcp could do both itself, but its way does not fit a cluster on a lossy radio. It holds a
//! UDP socket's whole queue back until the neighbour of the first datagram has answered an ARP
//! request: one dead member would silence the node for good. It asks for one neighbour per second
//! at most, and an ARP request is a broadcast, of which this chip loses half. Here, every packet
//! that comes in tells where its sender is, so almost nobody needs to be asked for; and a packet
//! to a neighbour that nobody knows is replaced by the request. UDP's users and TCP repeat what
//! was lost.

use core::net::Ipv4Addr;
use core::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};

use super::arp::{self, End, Neighbors, Operation, Packet, Seconds};
use super::ethernet::{self, BROADCAST, HEADER_LEN, Header, MacAddress, TYPE_ARP, TYPE_IPV4};
use super::interface::Interface;
use super::link::{Link, TRANSMIT_MAX};

/// Neighbours to remember: a full cluster, and a few machines that ask.
pub const NEIGHBORS: usize = 72;

/// Who this node is on its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The MAC address.
    pub mac: MacAddress,
    /// The IP address.
    pub ip: Ipv4Addr,
    /// The bits of the network, 1 to 30; 0 as long as there is no address.
    pub prefix_len: u8,
}

impl Identity {
    fn host_mask(&self) -> u32 {
        u32::MAX.checked_shr(u32::from(self.prefix_len)).unwrap_or(0)
    }

    /// Whether `ip` is one machine in this network, and not this one.
    fn is_neighbor(&self, ip: Ipv4Addr) -> bool {
        let mask = self.host_mask();
        let (ip, own) = (ip.to_bits(), self.ip.to_bits());
        (ip ^ own) & !mask == 0 && ip != own && ip & mask != 0 && ip & mask != mask
    }

    fn is_broadcast(&self, ip: Ipv4Addr) -> bool {
        ip.is_broadcast() || ip.to_bits() == self.ip.to_bits() | self.host_mask()
    }
}

/// Lets embassy-net send and receive IP packets through a [`Link`].
pub struct LinkDriver<'a, const QUEUE_BYTES: usize> {
    link: &'a Link<QUEUE_BYTES>,
    interface: &'a Interface,
    neighbors: &'a mut Neighbors<NEIGHBORS>,
    clock: fn() -> Seconds,
}

/// What is to be done with a received frame.
enum Verdict {
    /// It holds an IP packet for the stack.
    Packet,
    /// It has been dealt with, or is for others.
    Discard,
    /// It asks for this node's MAC address.
    Answer(Packet),
}

impl<'a, const QUEUE_BYTES: usize> LinkDriver<'a, QUEUE_BYTES> {
    /// The driver of `link`, for a node that is who `interface` says. A link has one driver at most, for it
    /// remembers one waker. `clock` tells the seconds that have passed since any point in time.
    #[must_use]
    pub fn new(
        link: &'a Link<QUEUE_BYTES>,
        interface: &'a Interface,
        neighbors: &'a mut Neighbors<NEIGHBORS>,
        clock: fn() -> Seconds,
    ) -> Self {
        Self { link, interface, neighbors, clock }
    }

    fn judge(&mut self, frame: &[u8]) -> Verdict {
        let Some((header, payload)) = Header::split(frame) else { return Verdict::Discard };
        let for_us =
            header.receiver == self.interface.identity().mac || header.receiver == BROADCAST;
        if !for_us || !ethernet::is_unicast(header.sender) {
            return Verdict::Discard;
        }
        match header.kind {
            TYPE_IPV4 if self.interface.takes(payload, header.sender) => Verdict::Discard,
            _ if self.interface.identity().ip.is_unspecified() => Verdict::Discard,
            TYPE_IPV4 => {
                // The sender's address stands in every IPv4 header at byte 12 (RFC 791). The stack
                // must not see less than a whole header: smoltcp reads its first byte unasked.
                let Some(&[.., a, b, c, d, _, _, _, _]) = payload.first_chunk::<20>() else {
                    return Verdict::Discard;
                };
                self.heard(Ipv4Addr::new(a, b, c, d), header.sender);
                Verdict::Packet
            }
            TYPE_ARP => self.judge_arp(payload),
            _ => Verdict::Discard,
        }
    }

    fn judge_arp(&mut self, payload: &[u8]) -> Verdict {
        let Some(packet) = Packet::parse(payload) else { return Verdict::Discard };
        let Identity { mac, ip, .. } = self.interface.identity();
        if packet.target.ip != ip || !ethernet::is_unicast(packet.sender.mac) {
            return Verdict::Discard;
        }
        self.heard(packet.sender.ip, packet.sender.mac);
        match packet.operation {
            Operation::Reply => Verdict::Discard,
            Operation::Request => Verdict::Answer(Packet {
                operation: Operation::Reply,
                sender: End { mac, ip },
                target: packet.sender,
            }),
        }
    }

    fn heard(&mut self, ip: Ipv4Addr, mac: MacAddress) {
        if self.interface.identity().is_neighbor(ip) {
            self.neighbors.heard(ip, mac, (self.clock)());
        }
    }
}

/// The right to read the oldest received packet.
pub struct Received<'a, const QUEUE_BYTES: usize>(&'a Link<QUEUE_BYTES>);

impl<const QUEUE_BYTES: usize> RxToken for Received<'_, QUEUE_BYTES> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, read: F) -> R {
        self.0.take_received(|frame| read(frame.get_mut(HEADER_LEN..).unwrap_or_default()))
    }
}

/// The right to write the next packet.
pub struct Transmit<'a, const QUEUE_BYTES: usize> {
    link: &'a Link<QUEUE_BYTES>,
    identity: Identity,
    neighbors: &'a Neighbors<NEIGHBORS>,
    now: Seconds,
}

/// How a packet leaves.
enum Way {
    /// To this MAC address.
    To(MacAddress),
    /// Not yet: this neighbour must be asked for.
    Ask(Ipv4Addr),
    /// Not at all: there is no way out of this network.
    Nowhere,
}

impl<const QUEUE_BYTES: usize> Transmit<'_, QUEUE_BYTES> {
    fn way(&self, packet: &[u8]) -> Way {
        // The receiver's address stands in every IPv4 header at byte 16 (RFC 791).
        let Some(&[a, b, c, d]) = packet.get(16..20) else { return Way::Nowhere };
        let ip = Ipv4Addr::new(a, b, c, d);
        if self.identity.is_broadcast(ip) {
            Way::To(BROADCAST)
        } else if self.identity.is_neighbor(ip) {
            self.neighbors.find(ip, self.now).map_or(Way::Ask(ip), Way::To)
        } else {
            Way::Nowhere
        }
    }
}

impl<const QUEUE_BYTES: usize> TxToken for Transmit<'_, QUEUE_BYTES> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        self.link.write_transmit(|frame| {
            let result = write(&mut frame[HEADER_LEN..HEADER_LEN + len]);
            let Identity { mac, ip, .. } = self.identity;
            let frame_len = match self.way(&frame[HEADER_LEN..HEADER_LEN + len]) {
                Way::To(receiver) => {
                    let header = Header { receiver, sender: mac, kind: TYPE_IPV4 };
                    frame[..HEADER_LEN].copy_from_slice(&header.to_bytes());
                    HEADER_LEN + len
                }
                Way::Ask(neighbor) => {
                    let request = Packet {
                        operation: Operation::Request,
                        sender: End { mac, ip },
                        target: End { mac: [0; 6], ip: neighbor },
                    };
                    frame[..arp::FRAME_LEN].copy_from_slice(&request.to_frame());
                    arp::FRAME_LEN
                }
                Way::Nowhere => 0,
            };
            (frame_len, result)
        })
    }
}

impl<const QUEUE_BYTES: usize> Driver for LinkDriver<'_, QUEUE_BYTES> {
    type RxToken<'t>
        = Received<'t, QUEUE_BYTES>
    where
        Self: 't;
    type TxToken<'t>
        = Transmit<'t, QUEUE_BYTES>
    where
        Self: 't;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        self.link.register(cx.waker());
        let link = self.link;
        // A frame may call for an answer, so there must be room for one.
        while link.can_transmit() {
            match link.peek_received(|frame| self.judge(frame))? {
                Verdict::Packet => {
                    let transmit = self.transmit(cx)?;
                    return Some((Received(link), transmit));
                }
                Verdict::Discard => link.take_received(|_| ()),
                Verdict::Answer(packet) => {
                    link.take_received(|_| ());
                    link.write_transmit(|frame| {
                        frame[..arp::FRAME_LEN].copy_from_slice(&packet.to_frame());
                        (arp::FRAME_LEN, ())
                    });
                }
            }
        }
        None
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Self::TxToken<'_>> {
        self.link.register(cx.waker());
        self.link.can_transmit().then(|| Transmit {
            link: self.link,
            identity: self.interface.identity(),
            neighbors: self.neighbors,
            now: (self.clock)(),
        })
    }

    fn link_state(&mut self, cx: &mut Context<'_>) -> LinkState {
        self.link.register(cx.waker());
        if self.link.is_up() { LinkState::Up } else { LinkState::Down }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = TRANSMIT_MAX - HEADER_LEN;
        capabilities.max_burst_size = Some(1);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        // The stack sees plain IP.
        HardwareAddress::Ip
    }
}
