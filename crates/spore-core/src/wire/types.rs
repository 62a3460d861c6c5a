//! The small values that messages are made of.

use crate::text::hex;
use core::fmt;
use core::str::FromStr;

/// A number of 24 bits, in three bytes, so that a table of members stays small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct U24([u8; 3]);

impl U24 {
    /// Zero.
    pub const ZERO: Self = Self([0; 3]);
    /// The largest value, 2^24 - 1.
    pub const MAX: Self = Self([0xFF; 3]);

    /// `value`, if it has no more than 24 bits.
    pub const fn new(value: u32) -> Option<Self> {
        match value.to_be_bytes() {
            [0, a, b, c] => Some(Self([a, b, c])),
            _ => None,
        }
    }

    /// The value.
    pub const fn get(self) -> u32 {
        let [a, b, c] = self.0;
        u32::from_be_bytes([0, a, b, c])
    }

    /// The next value, or `None` after the largest.
    pub const fn next(self) -> Option<Self> {
        Self::new(self.get().saturating_add(1))
    }

    /// Three bytes, most significant first.
    pub const fn to_be_bytes(self) -> [u8; 3] {
        self.0
    }

    /// The value of three bytes, most significant first.
    pub const fn from_be_bytes(bytes: [u8; 3]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for U24 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// A node's id: 48 random bits, drawn when the node first starts, and kept. Twelve hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; 6]);

/// The text is not a node id, which is twelve hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidNodeId;

impl fmt::Display for InvalidNodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node id has exactly twelve hexadecimal digits")
    }
}

impl core::error::Error for InvalidNodeId {}

impl NodeId {
    /// The bytes of an id.
    pub const LEN: usize = 6;
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::<12>(&self.0))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NodeId {
    type Err = InvalidNodeId;

    fn from_str(text: &str) -> Result<Self, InvalidNodeId> {
        parse_hex(text).map(Self).ok_or(InvalidNodeId)
    }
}

impl serde::Serialize for NodeId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::<12>(&self.0))
    }
}

/// Exactly `2 * N` hexadecimal digits as bytes.
pub(crate) fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    read_hex(text, &mut bytes).map(|()| bytes)
}

/// Once for all lengths.
fn read_hex(text: &str, bytes: &mut [u8]) -> Option<()> {
    let mut digits = text.bytes().map(|digit| char::from(digit).to_digit(16));
    for byte in bytes {
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    digits.next().is_none().then_some(())
}

/// Exactly `2 * N` hexadecimal digits in lower case as bytes: each value has one spelling only.
pub(crate) fn parse_lower_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let lower = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    parse_hex(text).filter(|_| text.bytes().all(lower))
}

/// 32 bits of some bytes: FNV-1a with a final mix, so that the XOR of many does not cancel out.
pub(crate) fn mixed_fnv<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    let mut hash = 0x811C_9DC5_u32;
    for &byte in bytes {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85EB_CA6B);
    hash ^ hash >> 13
}

/// The same with the whole final mix of MurmurHash3, so that bytes that differ little have numbers that differ much.
pub(crate) fn well_mixed_fnv<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    let hash = mixed_fnv(bytes).wrapping_mul(0xC2B2_AE35);
    hash ^ hash >> 16
}

/// How new a statement about a member is (SWIM, section 4.2): of two, the larger one holds.
///
/// The boot epoch leads, so that a restarted node outranks every rumour about its former life; the
/// second half counts the rumours that the member has refuted since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation {
    /// The boot epoch of the member.
    pub epoch: U24,
    /// How often it had to refute its suspicion or death in this epoch.
    pub refutation: U24,
}

impl Incarnation {
    /// The first incarnation of a boot.
    pub const fn first(epoch: U24) -> Self {
        Self { epoch, refutation: U24::ZERO }
    }

    /// The smallest incarnation that outranks this one; the largest has none and returns itself.
    pub fn next(self) -> Self {
        match (self.refutation.next(), self.epoch.next()) {
            (Some(refutation), _) => Self { refutation, ..self },
            (None, Some(epoch)) => Self::first(epoch),
            (None, None) => self,
        }
    }
}

/// The name of a node: 1 to 32 letters, digits and hyphens, no hyphen at either end (RFC 1123,
/// section 2.1, one label).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Hostname(heapless::String<{ Hostname::MAX }, u8>);

/// A hostname has a wrong length (1 to 32) or a character other than letter, digit or inner hyphen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidHostname;

impl fmt::Display for InvalidHostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a hostname has 1 to 32 letters, digits and hyphens, no hyphen at either end")
    }
}

impl core::error::Error for InvalidHostname {}

impl Hostname {
    /// The most bytes of a hostname.
    pub const MAX: usize = 32;

    /// `name`, if it is a hostname.
    pub fn new(name: &str) -> Result<Self, InvalidHostname> {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if name.is_empty() || name.starts_with('-') || name.ends_with('-') {
            return Err(InvalidHostname);
        }
        if !name.bytes().all(inner) {
            return Err(InvalidHostname);
        }
        heapless::String::try_from(name).map(Self).map_err(|_| InvalidHostname)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Hostname {
    type Err = InvalidHostname;

    fn from_str(name: &str) -> Result<Self, InvalidHostname> {
        Self::new(name)
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::U24;

    #[test]
    fn numbers_of_24_bits_are_ordered_and_counted_as_numbers_and_take_three_bytes() {
        let n = |value| U24::new(value).unwrap();
        assert!(n(0x00_00FF) < n(0x00_0100) && n(0x00_FFFF) < n(0x01_0000));
        assert_eq!(n(0x00_FFFF).next(), Some(n(0x01_0000)));
        assert_eq!(U24::MAX.next(), None);
        assert_eq!((U24::new(0x0100_0000), U24::new(0x00FF_FFFF)), (None, Some(U24::MAX)));
        assert_eq!(size_of::<U24>(), 3);
    }
}
