//! Ethernet frames, as far as a cluster's datagrams need them: UDP over IPv4, and ARP.

use std::net::{Ipv4Addr, SocketAddrV4};

/// A MAC address.
pub(super) type Mac = [u8; 6];

/// Everyone on the network.
pub(super) const EVERYONE: Mac = [0xFF; 6];

/// Types of Ethernet frames (IEEE 802 numbers, IANA).
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
/// UDP as a protocol of IPv4 (protocol numbers, IANA).
const PROTOCOL_UDP: u8 = 17;
/// Bytes in front of the Ethernet type, and with it.
const ETHERNET_ADDRESSES: usize = 12;
const ETHERNET_HEADER: usize = 14;
const IPV4_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
/// Shorter frames are padded (IEEE 802.3), here without the checksum at their end.
const FRAME_MIN: usize = 60;
/// RFC 826: Ethernet addresses of 6 bytes for IPv4 addresses of 4.
const ARP_ETHERNET_FOR_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];
const ARP_REQUEST: u16 = 1;
const ARP_REPLY: u16 = 2;

/// A UDP datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Datagram {
    /// Where it comes from.
    pub(crate) from: SocketAddrV4,
    /// Where it goes.
    pub(crate) to: SocketAddrV4,
    /// What is in it.
    pub(crate) bytes: Vec<u8>,
}

/// Someone on the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) mac: Mac,
    pub(super) ip: Ipv4Addr,
}

/// What an ARP packet does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arp {
    /// `End` asks who has the address.
    Request(End, Ipv4Addr),
    /// `End` answers the other one.
    Reply(End, End),
}

/// The MAC address that sent a frame.
pub(super) fn sender_of(frame: &[u8]) -> Option<Mac> {
    frame.get(6..ETHERNET_ADDRESSES)?.try_into().ok()
}

/// The MAC address that a frame is for.
pub(super) fn receiver_of(frame: &[u8]) -> Option<Mac> {
    frame.get(..6)?.try_into().ok()
}

/// The UDP datagram in an Ethernet frame, if there is a whole one.
pub(crate) fn datagram_in(frame: &[u8]) -> Option<Datagram> {
    if short(frame, ETHERNET_ADDRESSES)? != ETHERTYPE_IPV4 {
        return None;
    }
    // RFC 791: the first byte's low half is the header's length in words.
    let packet = frame.get(ETHERNET_HEADER..)?;
    let header = usize::from(packet.first()? & 0x0F) * 4;
    if *packet.get(9)? != PROTOCOL_UDP {
        return None;
    }
    // RFC 768: ports of the sender and the receiver, length with the header, checksum.
    let udp = packet.get(header..)?;
    let end = usize::from(short(udp, 4)?);
    Some(Datagram {
        from: SocketAddrV4::new(address(packet, 12)?, short(udp, 0)?),
        to: SocketAddrV4::new(address(packet, 16)?, short(udp, 2)?),
        bytes: udp.get(UDP_HEADER..end)?.to_vec(),
    })
}

/// The frame that carries `datagram` from one MAC address to another. Datagrams of the cluster are
/// short enough for one frame.
pub(super) fn with_datagram(sender: Mac, receiver: Mac, datagram: &Datagram) -> Vec<u8> {
    let length = |header: usize| u16::try_from(header + datagram.bytes.len()).unwrap_or(u16::MAX);
    let mut frame = [receiver, sender].concat();
    frame.extend(ETHERTYPE_IPV4.to_be_bytes());
    // RFC 791: version and header length, service, total length, identification, fragment, time
    // to live, protocol, checksum, addresses.
    let mut header = vec![0x45, 0];
    header.extend(length(IPV4_HEADER + UDP_HEADER).to_be_bytes());
    header.extend([0, 0, 0, 0, 64, PROTOCOL_UDP, 0, 0]);
    header.extend(datagram.from.ip().octets());
    header.extend(datagram.to.ip().octets());
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    frame.extend(header);
    frame.extend(datagram.from.port().to_be_bytes());
    frame.extend(datagram.to.port().to_be_bytes());
    frame.extend(length(UDP_HEADER).to_be_bytes());
    // RFC 768: no checksum.
    frame.extend([0, 0]);
    frame.extend(&datagram.bytes);
    pad(frame)
}

/// The ARP packet in a frame, if there is one.
pub(super) fn arp_in(frame: &[u8]) -> Option<Arp> {
    if short(frame, ETHERNET_ADDRESSES)? != ETHERTYPE_ARP {
        return None;
    }
    let packet = frame.get(ETHERNET_HEADER..)?;
    let end = |at: usize| {
        let mac = packet.get(at..at + 6)?.try_into().ok()?;
        Some(End { mac, ip: address(packet, at + 6)? })
    };
    let (sender, target) = (end(8)?, end(18)?);
    match (packet.get(..6)? == ARP_ETHERNET_FOR_IPV4, short(packet, 6)?) {
        (true, ARP_REQUEST) => Some(Arp::Request(sender, target.ip)),
        (true, ARP_REPLY) => Some(Arp::Reply(sender, target)),
        _ => None,
    }
}

/// The frame of an ARP packet.
pub(super) fn with_arp(arp: Arp) -> Vec<u8> {
    let (operation, sender, target, receiver) = match arp {
        Arp::Request(sender, ip) => (ARP_REQUEST, sender, End { mac: [0; 6], ip }, EVERYONE),
        Arp::Reply(sender, target) => (ARP_REPLY, sender, target, target.mac),
    };
    let mut frame = [receiver, sender.mac].concat();
    frame.extend(ETHERTYPE_ARP.to_be_bytes());
    frame.extend(ARP_ETHERNET_FOR_IPV4);
    frame.extend(operation.to_be_bytes());
    for End { mac, ip } in [sender, target] {
        frame.extend(mac);
        frame.extend(ip.octets());
    }
    pad(frame)
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
}

fn address(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    let bytes: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(Ipv4Addr::from(bytes))
}

/// RFC 1071, over an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xFFFF) + (sum >> 16);
    !u16::try_from((folded & 0xFFFF) + (folded >> 16)).unwrap_or(0)
}

fn pad(mut frame: Vec<u8>) -> Vec<u8> {
    frame.resize(frame.len().max(FRAME_MIN), 0);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY: Mac = [2, 0, 0, 0, 0, 1];
    const TO: Mac = [2, 0, 0, 0, 0, 2];

    /// A frame with a datagram of three bytes, padded as Ethernet pads.
    fn frame() -> Vec<u8> {
        let mut frame = [TO, BY].concat();
        frame.extend([0x08, 0x00]);
        frame.extend([0x45, 0, 0, 31, 0, 0, 0, 0, 64, PROTOCOL_UDP, 0x63, 0xC5]);
        frame.extend([10, 0, 1, 11, 10, 0, 1, 255]);
        frame.extend([0x10, 0x73, 0x10, 0x72, 0, 11, 0, 0]);
        frame.extend(b"abc");
        frame.resize(60, 0);
        frame
    }

    fn datagram() -> Datagram {
        Datagram {
            from: SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, 11), 4211),
            to: SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, 255), 4210),
            bytes: b"abc".to_vec(),
        }
    }

    #[test]
    fn a_datagram_is_taken_out_of_its_frame_and_put_into_one() {
        assert_eq!(datagram_in(&frame()), Some(datagram()));
        assert_eq!(with_datagram(BY, TO, &datagram()), frame());
        assert_eq!((sender_of(&frame()), receiver_of(&frame())), (Some(BY), Some(TO)));
    }

    #[test]
    fn a_checksum_makes_the_sum_of_all_words_zero() {
        // RFC 1071: what is received with its checksum sums up to all ones.
        let header = &with_datagram(BY, TO, &datagram())[ETHERNET_HEADER..][..IPV4_HEADER];
        assert_eq!(checksum(header), 0);
    }

    #[test]
    fn arp_goes_there_and_back() {
        let [one, two] = [(BY, 1), (TO, 2)].map(|(mac, n)| End { mac, ip: [10, 0, 1, n].into() });
        for arp in [Arp::Request(one, two.ip), Arp::Reply(two, one)] {
            let frame = with_arp(arp);
            assert_eq!((arp_in(&frame), frame.len()), (Some(arp), FRAME_MIN));
            assert_eq!(datagram_in(&frame), None);
        }
        assert_eq!(arp_in(&frame()), None);
    }

    #[test]
    fn other_and_truncated_frames_are_nothing() {
        let mut tcp = frame();
        tcp[ETHERNET_HEADER + 9] = 6;
        assert_eq!(datagram_in(&tcp), None);
        for len in 0..ETHERNET_HEADER + IPV4_HEADER + UDP_HEADER + 3 {
            assert_eq!(datagram_in(&frame()[..len]), None, "{len} bytes");
        }
        let arp = with_arp(Arp::Request(End { mac: BY, ip: [10, 0, 1, 1].into() }, [0; 4].into()));
        for len in 0..42 {
            assert_eq!(arp_in(&arp[..len]), None, "{len} bytes");
        }
    }
}
