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

use super::access_point::{self, AccessPoint, OWN};
use super::arp::{self, End, Neighbors, Operation, Packet, Seconds};
use super::ethernet::{self, BROADCAST, HEADER_LEN, Header, MacAddress, TYPE_ARP, TYPE_IPV4};
use super::interface::Interface;
use super::ipv4;
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

    /// Whether `ip` is an address of this network.
    #[must_use]
    pub fn has(&self, ip: Ipv4Addr) -> bool {
        (ip.to_bits() ^ self.ip.to_bits()) & !self.host_mask() == 0
    }

    /// Whether `ip` is one machine in this network, and not this one.
    fn is_neighbor(&self, ip: Ipv4Addr) -> bool {
        let mask = self.host_mask();
        let (ip, own) = (ip.to_bits(), self.ip.to_bits());
        self.has(Ipv4Addr::from_bits(ip)) && ip != own && ip & mask != 0 && ip & mask != mask
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
    /// It is for a server of the access point.
    Serve,
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

    fn judge(&mut self, frame: &mut [u8]) -> Verdict {
        let Some((header, payload)) = Header::split_mut(frame) else { return Verdict::Discard };
        if !ethernet::is_unicast(header.sender) {
            return Verdict::Discard;
        }
        let (own, inside) = (self.interface.identity(), self.interface.access_point().identity());
        match inside {
            Some(inside) if header.receiver == inside.mac => {
                self.judge_client(header, payload, inside)
            }
            _ if header.receiver == own.mac || header.receiver == BROADCAST => {
                self.judge_own(header, payload, (own, inside))
            }
            _ => Verdict::Discard,
        }
    }

    /// Judges what has come from the network. Addresses of the access point, which is `inside` while it is open, are nobody's there.
    fn judge_own(
        &mut self,
        header: Header,
        payload: &[u8],
        (own, inside): (Identity, Option<Identity>),
    ) -> Verdict {
        let foreign = |ip| inside.is_none_or(|inside| !inside.has(ip));
        match header.kind {
            TYPE_IPV4 if self.interface.takes(payload, header.sender) => Verdict::Discard,
            _ if own.ip.is_unspecified() => Verdict::Discard,
            TYPE_IPV4 => match ipv4::address(payload, ipv4::End::From) {
                Some(from) if foreign(from) => {
                    self.heard(own, from, header.sender);
                    Verdict::Packet
                }
                _ => Verdict::Discard,
            },
            TYPE_ARP => match Packet::parse(payload) {
                Some(packet) if foreign(packet.sender.ip) => self.judge_arp(packet, own),
                _ => Verdict::Discard,
            },
            _ => Verdict::Discard,
        }
    }

    /// Judges what has come from a client of the access point, where the node is `own`.
    fn judge_client(&mut self, header: Header, payload: &mut [u8], own: Identity) -> Verdict {
        match header.kind {
            TYPE_IPV4 if AccessPoint::serves(payload) => Verdict::Serve,
            TYPE_IPV4 if access_point::is_clients(own, payload) => {
                if let Some(from) = ipv4::address(payload, ipv4::End::From) {
                    self.heard(own, from, header.sender);
                }
                if let Some(stack) = self.interface.stack() {
                    ipv4::readdress(payload, ipv4::End::To, stack.ip);
                }
                Verdict::Packet
            }
            TYPE_ARP => match Packet::parse(payload) {
                Some(packet) => self.judge_arp(packet, own),
                None => Verdict::Discard,
            },
            _ => Verdict::Discard,
        }
    }

    fn judge_arp(&mut self, packet: Packet, own: Identity) -> Verdict {
        if packet.target.ip != own.ip || !ethernet::is_unicast(packet.sender.mac) {
            return Verdict::Discard;
        }
        self.heard(own, packet.sender.ip, packet.sender.mac);
        match packet.operation {
            Operation::Reply => Verdict::Discard,
            Operation::Request => Verdict::Answer(Packet {
                operation: Operation::Reply,
                sender: End { mac: own.mac, ip: own.ip },
                target: packet.sender,
            }),
        }
    }

    fn heard(&mut self, own: Identity, ip: Ipv4Addr, mac: MacAddress) {
        if own.is_neighbor(ip) {
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
    /// Who the node is on its access point, while that is open.
    inside: Option<Identity>,
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
    /// How a packet leaves, and as whose.
    fn way(&self, packet: &[u8]) -> (Way, Identity) {
        let to = ipv4::address(packet, ipv4::End::To);
        let own = self.inside.filter(|inside| to.is_some_and(|ip| inside.has(ip)));
        let own = own.unwrap_or(self.identity);
        let way = match to {
            _ if own.ip.is_unspecified() => Way::Nowhere,
            Some(ip) if own.is_broadcast(ip) => Way::To(BROADCAST),
            Some(ip) if own.is_neighbor(ip) => {
                self.neighbors.find(ip, self.now).map_or(Way::Ask(ip), Way::To)
            }
            _ => Way::Nowhere,
        };
        (way, own)
    }
}

impl<const QUEUE_BYTES: usize> TxToken for Transmit<'_, QUEUE_BYTES> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        self.link.write_transmit(|frame| {
            let packet = &mut frame[HEADER_LEN..HEADER_LEN + len];
            let result = write(packet);
            let (way, Identity { mac, ip, .. }) = self.way(packet);
            let frame_len = match way {
                Way::To(receiver) => {
                    if ip == OWN {
                        ipv4::readdress(packet, ipv4::End::From, ip);
                    }
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
                Verdict::Serve => {
                    let inside = self.interface.access_point();
                    link.take_received(|received| {
                        link.write_transmit(|frame| (inside.serve(received, frame), ()));
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
            inside: self.interface.access_point().identity(),
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
