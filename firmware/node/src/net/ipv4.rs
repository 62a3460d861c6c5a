//! IPv4 packets (RFC 791) and UDP datagrams (RFC 768), where they are read and made below the IP stack.

use core::net::{Ipv4Addr, SocketAddrV4};

const IP_LEN: usize = 20;
const UDP_LEN: usize = 8;
/// Where a datagram that [`write_udp`] makes begins in its packet.
pub const PAYLOAD: usize = IP_LEN + UDP_LEN;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// One of the addresses in a packet's header, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Who sends it.
    From = 12,
    /// Who is to get it.
    To = 16,
}

/// The address in the header of a packet; `None` if there is no whole header. The IP stack must not see less than that:
/// smoltcp reads its first byte unasked.
#[must_use]
pub fn address(packet: &[u8], end: End) -> Option<Ipv4Addr> {
    let header = packet.first_chunk::<IP_LEN>()?;
    let &[a, b, c, d] = header.get(end as usize..end as usize + 4)? else { return None };
    Some(Ipv4Addr::new(a, b, c, d))
}

/// Puts `new` in the place of an address, and sets the check sums right: that of the header, and that of UDP or TCP,
/// which covers the addresses, too.
pub fn readdress(packet: &mut [u8], end: End, new: Ipv4Addr) {
    let Some(old) = address(packet, end).filter(|old| *old != new) else { return };
    let at = end as usize;
    packet[at..at + 4].copy_from_slice(&new.octets());
    adjust(packet, 10, old, new);
    let head = usize::from(packet[0] & 0x0F) * 4;
    match packet[9] {
        TCP => adjust(packet, head + 16, old, new),
        // None means that there is none.
        UDP if packet.get(head + 6..head + 8).is_some_and(|sum| sum != [0, 0]) => {
            adjust(packet, head + 6, old, new);
        }
        _ => (),
    }
}

/// Sets the check sum at a place right for an address that has changed (RFC 1624, equation 3).
fn adjust(packet: &mut [u8], at: usize, old: Ipv4Addr, new: Ipv4Addr) {
    let Some([high, low]) = packet.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) else {
        return;
    };
    let words = |address: Ipv4Addr| [address.to_bits() >> 16, address.to_bits() & 0xFFFF];
    let ([a, b], [c, d]) = (words(old), words(new));
    let sum = u32::from(u16::from_be_bytes([*high, *low]));
    [*high, *low] = folded((!sum & 0xFFFF) + (!a & 0xFFFF) + (!b & 0xFFFF) + c + d).to_be_bytes();
}

/// The check sum of words that add up to `sum` (RFC 1071).
const fn folded(sum: u32) -> u16 {
    // Twice, since the first carry may make another one; no more words are added here than make no third.
    let sum = (sum & 0xFFFF) + (sum >> 16);
    !((sum & 0xFFFF) + (sum >> 16)) as u16
}

/// A UDP datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sends it.
    pub from: SocketAddrV4,
    /// Who is to get it.
    pub to: SocketAddrV4,
    /// What it carries.
    pub payload: &'a [u8],
}

/// The datagram that `packet` carries, if that is a whole one. Its check sum is not looked at.
#[must_use]
pub fn udp(packet: &[u8]) -> Option<Datagram<'_>> {
    let (from, to) = (address(packet, End::From)?, address(packet, End::To)?);
    let head = usize::from(packet[0] & 0x0F) * 4;
    // Version 4, not a fragment.
    let whole = packet[0] >> 4 == 4 && packet[6] & 0x3F == 0 && packet[7] == 0;
    if !whole || packet[9] != UDP || head < IP_LEN {
        return None;
    }
    let udp = packet.get(head..)?;
    let number = |at: usize| Some(u16::from_be_bytes([*udp.get(at)?, *udp.get(at + 1)?]));
    Some(Datagram {
        from: SocketAddrV4::new(from, number(0)?),
        to: SocketAddrV4::new(to, number(2)?),
        payload: udp.get(UDP_LEN..usize::from(number(4)?))?,
    })
}

/// Writes the headers of a packet whose datagram of `len` bytes is there already, at [`PAYLOAD`]. UDP needs no check sum.
/// Returns the length of the packet.
pub fn write_udp(packet: &mut [u8], from: SocketAddrV4, to: SocketAddrV4, len: usize) -> usize {
    let whole = PAYLOAD + len;
    packet[..PAYLOAD].fill(0);
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&(whole as u16).to_be_bytes());
    packet[8..10].copy_from_slice(&[64, UDP]);
    packet[12..16].copy_from_slice(&from.ip().octets());
    packet[16..20].copy_from_slice(&to.ip().octets());
    let words = packet[..IP_LEN].as_chunks::<2>().0;
    let sum = folded(words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum());
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet[20..22].copy_from_slice(&from.port().to_be_bytes());
    packet[22..24].copy_from_slice(&to.port().to_be_bytes());
    packet[24..26].copy_from_slice(&((UDP_LEN + len) as u16).to_be_bytes());
    whole
}
