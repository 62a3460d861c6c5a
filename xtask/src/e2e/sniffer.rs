//! The cluster's datagrams as they pass on the bridge, to make junk of.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _};
use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail};
use socket2::{Domain, Protocol, Socket, Type};

/// `ETH_P_ALL` of linux/if_ether.h.
const ALL_PROTOCOLS: u16 = 0x0003;
/// IPv4 as an Ethernet type (IEEE 802 numbers, IANA).
const ETHERTYPE_IPV4: u16 = 0x0800;
/// UDP as a protocol of IPv4 (protocol numbers, IANA).
const PROTOCOL_UDP: u8 = 17;
/// Bytes in front of the Ethernet type, and with it.
const ETHERNET_ADDRESSES: usize = 12;
const ETHERNET_HEADER: usize = 14;
const UDP_HEADER: usize = 8;
/// Longer than any frame on the bridge.
const FRAME_MAX: usize = 2048;

/// The latest datagrams are kept: old recordings are refused by every node without a closer look.
const KEPT: usize = 64;

/// A datagram between two nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heard {
    from: Ipv4Addr,
    to: Ipv4Addr,
    port: u16,
    /// What the nodes sealed.
    pub(super) bytes: Vec<u8>,
}

impl Heard {
    /// Whether it went to one node, and not to all of the test's network.
    pub(super) fn is_unicast(&self) -> bool {
        self.to.octets()[3] != u8::MAX
    }
}

/// Hears every frame in this network namespace.
pub(super) struct Sniffer {
    socket: Socket,
    port: u16,
    /// Whose datagrams are not the cluster's.
    ignored: Ipv4Addr,
    latest: VecDeque<Heard>,
}

impl Sniffer {
    /// Listens for datagrams to UDP port `port` that `ignored` has not sent.
    ///
    /// # Errors
    /// When this process has no right to listen (CAP_NET_RAW in its network namespace).
    pub(super) fn new(port: u16, ignored: Ipv4Addr) -> Result<Self> {
        // packet(7): the protocol is in network byte order, and without an address all
        // interfaces are heard. With less than all protocols the bridge would come first, and
        // take what is not for us.
        let protocol = Protocol::from(i32::from(ALL_PROTOCOLS.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol))
            .context("cannot listen to the test's bridge")?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, port, ignored, latest: VecDeque::new() })
    }

    /// Takes what has passed since the last call. To be called often: the socket's queue holds
    /// the traffic of seconds.
    ///
    /// # Errors
    /// When the socket fails.
    pub(super) fn listen(&mut self) -> Result<()> {
        let mut frame = [0; FRAME_MAX];
        loop {
            let len = match self.socket.read(&mut frame) {
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => bail!("cannot listen to the test's bridge: {error}"),
            };
            let Some(heard) = datagram_in(&frame[..len]) else { continue };
            // A frame passes several interfaces; no two sealed datagrams are the same.
            let is_new = !self.latest.contains(&heard);
            if is_new && heard.port == self.port && heard.from != self.ignored {
                self.latest.push_back(heard);
                if self.latest.len() > KEPT {
                    self.latest.pop_front();
                }
            }
        }
    }

    /// The latest datagrams, oldest first.
    pub(super) fn latest(&self) -> impl Iterator<Item = &Heard> {
        self.latest.iter()
    }
}

/// The UDP datagram in an Ethernet frame, if there is a whole one.
fn datagram_in(frame: &[u8]) -> Option<Heard> {
    let short = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
    };
    if short(frame, ETHERNET_ADDRESSES)? != ETHERTYPE_IPV4 {
        return None;
    }
    // RFC 791: the first byte's low half is the header's length in words.
    let packet = frame.get(ETHERNET_HEADER..)?;
    let header = usize::from(packet.first()? & 0x0F) * 4;
    if *packet.get(9)? != PROTOCOL_UDP {
        return None;
    }
    let address = |at: usize| {
        let bytes: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
        Some(Ipv4Addr::from(bytes))
    };
    // RFC 768: ports of the sender and the receiver, length with the header, checksum.
    let udp = packet.get(header..)?;
    let end = usize::from(short(udp, 4)?);
    let bytes = udp.get(UDP_HEADER..end)?.to_vec();
    Some(Heard { from: address(12)?, to: address(16)?, port: short(udp, 2)?, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with a datagram of three bytes, padded as Ethernet pads.
    fn frame() -> Vec<u8> {
        let mut frame = vec![2; ETHERNET_ADDRESSES];
        frame.extend([0x08, 0x00]);
        frame.extend([0x45, 0, 0, 31, 0, 0, 0, 0, 64, PROTOCOL_UDP, 0, 0]);
        frame.extend([10, 0, 1, 11, 10, 0, 1, 255]);
        frame.extend([0x10, 0x72, 0x10, 0x72, 0, 11, 0, 0]);
        frame.extend(b"abc");
        frame.resize(60, 0);
        frame
    }

    #[test]
    fn a_datagram_is_taken_out_of_its_frame() {
        let heard = datagram_in(&frame()).unwrap();
        assert_eq!((heard.from, heard.port), (Ipv4Addr::new(10, 0, 1, 11), 4210));
        assert_eq!(heard.bytes, b"abc");
        assert!(!heard.is_unicast());
    }

    #[test]
    fn other_and_truncated_frames_are_nothing() {
        let mut tcp = frame();
        tcp[ETHERNET_HEADER + 9] = 6;
        assert_eq!(datagram_in(&tcp), None);
        let mut arp = frame();
        arp[13] = 6;
        assert_eq!(datagram_in(&arp), None);
        for len in 0..ETHERNET_HEADER + 20 + UDP_HEADER + 3 {
            assert_eq!(datagram_in(&frame()[..len]), None, "{len} bytes");
        }
    }
}
