//! Ethernet II framing: the 14 bytes in front of an IP packet.

/// A MAC address.
pub type MacAddress = [u8; 6];

/// Everyone on the network.
pub const BROADCAST: MacAddress = [0xFF; 6];

/// Length of the header: receiver, sender, type.
pub const HEADER_LEN: usize = 14;

/// The type of an IPv4 packet.
pub const TYPE_IPV4: u16 = 0x0800;
/// The type of an ARP packet.
pub const TYPE_ARP: u16 = 0x0806;

/// A header, read or to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Who the frame is for.
    pub receiver: MacAddress,
    /// Who sent it.
    pub sender: MacAddress,
    /// What is in it.
    pub kind: u16,
}

impl Header {
    /// Takes the header off a frame; the payload is what is left. `None` if there is no whole
    /// header.
    #[must_use]
    pub fn split(frame: &[u8]) -> Option<(Self, &[u8])> {
        let (header, payload) = frame.split_first_chunk::<HEADER_LEN>()?;
        let [r0, r1, r2, r3, r4, r5, s0, s1, s2, s3, s4, s5, k0, k1] = *header;
        let header = Self {
            receiver: [r0, r1, r2, r3, r4, r5],
            sender: [s0, s1, s2, s3, s4, s5],
            kind: u16::from_be_bytes([k0, k1]),
        };
        Some((header, payload))
    }

    /// The same for a payload that is to be changed.
    #[must_use]
    pub fn split_mut(frame: &mut [u8]) -> Option<(Self, &mut [u8])> {
        let (header, _) = Self::split(frame)?;
        Some((header, frame.get_mut(HEADER_LEN..)?))
    }

    /// The header's bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..6].copy_from_slice(&self.receiver);
        bytes[6..12].copy_from_slice(&self.sender);
        bytes[12..].copy_from_slice(&self.kind.to_be_bytes());
        bytes
    }
}

/// Whether an address is that of one machine, not of a group or of nobody.
#[must_use]
pub fn is_unicast(address: MacAddress) -> bool {
    address[0] & 1 == 0 && address != [0; 6]
}
