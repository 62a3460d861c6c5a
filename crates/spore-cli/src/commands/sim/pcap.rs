//! Captures for Wireshark: each datagram as it was sent, whether it arrives or not.
//!
//! The format is that of libpcap's files, version 2.4 (draft-ietf-opsawg-pcap), with Ethernet, IPv4 (RFC 791) and UDP (RFC 768) around what
//! nodes send, checksums included. A node's hardware address is `02:00` and its IPv4 address. The beginning of the world is the epoch.

use spore_core::Destination;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// What every file begins with: microseconds, at most 64 KB a frame, Ethernet.
pub(super) fn begin(out: &mut impl Write) -> io::Result<()> {
    out.write_all(&0xA1B2_C3D4_u32.to_le_bytes())?;
    for version in [2_u16, 4] {
        out.write_all(&version.to_le_bytes())?;
    }
    for word in [0_u32, 0, 65_535, 1] {
        out.write_all(&word.to_le_bytes())?;
    }
    Ok(())
}

/// One datagram.
pub(super) fn write(
    out: &mut impl Write,
    at: Duration,
    from: SocketAddrV4,
    to: Destination,
    bytes: &[u8],
) -> io::Result<()> {
    let frame = frame(from, to, bytes);
    let seconds = u32::try_from(at.as_secs()).unwrap_or(u32::MAX);
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    for word in [seconds, at.subsec_micros(), length, length] {
        out.write_all(&word.to_le_bytes())?;
    }
    out.write_all(&frame)
}

fn frame(from: SocketAddrV4, to: Destination, payload: &[u8]) -> Vec<u8> {
    let (to, everyone) = match to {
        Destination::Unicast(to) => (to, [2, 0].to_vec()),
        Destination::Broadcast => (SocketAddrV4::new(Ipv4Addr::BROADCAST, from.port()), vec![]),
    };
    let hardware = |address: SocketAddrV4| [&[2, 0], &address.ip().octets()[..]].concat();
    let receiver = if everyone.is_empty() { vec![0xFF; 6] } else { hardware(to) };
    let length = |header: usize| u16::try_from(header + payload.len()).unwrap_or(u16::MAX);
    let mut ip = vec![0x45, 0];
    ip.extend(length(28).to_be_bytes());
    // No fragments; 64 hops; UDP.
    ip.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    ip.extend(from.ip().octets());
    ip.extend(to.ip().octets());
    let sum = checksum(&[&ip]);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut udp = Vec::new();
    for field in [from.port(), to.port(), length(8), 0] {
        udp.extend(field.to_be_bytes());
    }
    let pseudo = [&ip[12..20], &[0, 17], &length(8).to_be_bytes()].concat();
    let sum = checksum(&[&pseudo, &udp, payload]);
    // Zero would say that there is none.
    let sum = if sum == 0 { u16::MAX } else { sum };
    udp[6..8].copy_from_slice(&sum.to_be_bytes());
    [&receiver[..], &hardware(from), &[8, 0], &ip, &udp, payload].concat()
}

/// The checksum of RFC 1071 over parts, of which all but the last have an even number of bytes.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u32 =
        words.map(|word| u32::from(word[0]) << 8 | word.get(1).copied().map_or(0, u32::from)).sum();
    let folded = (sum & 0xFFFF) + (sum >> 16);
    !u16::try_from((folded & 0xFFFF) + (folded >> 16)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{begin, checksum, frame, write};
    use spore_core::Destination;
    use std::time::Duration;

    #[test]
    fn headers_have_the_lengths_and_checksums_that_receivers_look_at() {
        let (from, to) = ("10.0.0.1:4210".parse().unwrap(), "10.0.0.2:4210".parse().unwrap());
        let frame = frame(from, Destination::Unicast(to), b"odd");
        assert_eq!(frame.len(), 14 + 28 + 3);
        assert_eq!(frame[..14], [2, 0, 10, 0, 0, 2, 2, 0, 10, 0, 0, 1, 8, 0]);
        let (ip, udp) = (&frame[14..34], &frame[34..]);
        // A right checksum makes the sum over all of it zero.
        assert_eq!(checksum(&[ip]), 0);
        assert_eq!(ip[2..4], [0, 31]);
        assert_eq!(udp[4..6], [0, 11]);
        let pseudo = [&ip[12..20], &[0, 17, 0, 11]].concat();
        assert_eq!(checksum(&[&pseudo, udp]), 0);
        // The example of RFC 1071, section 3.
        assert_eq!(checksum(&[&[0, 1, 0xF2, 3, 0xF4, 0xF5, 0xF6, 0xF7]]), !0xDDF2);
    }

    #[test]
    fn a_file_has_its_header_and_each_frame_its_time() {
        let mut out = Vec::new();
        begin(&mut out).unwrap();
        assert_eq!(out.len(), 24);
        let from = "10.0.0.1:4210".parse().unwrap();
        write(&mut out, Duration::from_micros(3_000_007), from, Destination::Broadcast, &[9])
            .unwrap();
        assert_eq!(out[24..32], [3, 0, 0, 0, 7, 0, 0, 0]);
        assert_eq!(out[32..36], 43_u32.to_le_bytes());
        assert_eq!(out[40..46], [0xFF; 6]);
        assert_eq!(out.len(), 24 + 16 + 43);
    }
}
