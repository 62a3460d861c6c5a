//! The key that all members share.

use crate::text;
use crate::wire;
use core::fmt;
use core::str::FromStr;

/// The cluster key: 256 random bits. Never shown by `Debug`; [`ClusterKey::to_hex`] shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterKey([u8; 32]);

/// The text is not a cluster key, which is 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidKey;

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cluster key has exactly 64 hexadecimal digits")
    }
}

impl core::error::Error for InvalidKey {}

impl ClusterKey {
    /// A key of `bytes`, which must come from a cryptographic source.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret itself.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The secret as 64 hexadecimal digits.
    pub fn to_hex(&self) -> heapless::String<64, u8> {
        text::hex(&self.0)
    }
}

impl FromStr for ClusterKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        wire::parse_hex(text).map(Self).ok_or(InvalidKey)
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(…)")
    }
}
