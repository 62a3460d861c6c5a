//! Sealing and opening datagrams, in place.

use super::ClusterKey;
use crate::wire::{NodeId, U24};
use chacha20poly1305::aead::AeadInPlace as _;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};

/// The version of the protocol, the first byte of every datagram.
pub const VERSION: u8 = 1;

const HEADER: usize = 13;
const TAG: usize = 16;

/// The bytes that sealing adds to a message.
pub const OVERHEAD: usize = HEADER + TAG;

/// The readable start of a datagram. After the version it is the nonce, whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who sealed it.
    pub sender: NodeId,
    /// In which of its boots.
    pub epoch: U24,
    /// Its number in that boot.
    pub counter: U24,
}

impl Header {
    fn parse(bytes: &[u8; HEADER]) -> Result<Self, OpenError> {
        let [version, a, b, c, d, e, f, e0, e1, e2, c0, c1, c2] = *bytes;
        if version != VERSION {
            return Err(OpenError::Version);
        }
        Ok(Self {
            sender: NodeId([a, b, c, d, e, f]),
            epoch: U24::from_be_bytes([e0, e1, e2]),
            counter: U24::from_be_bytes([c0, c1, c2]),
        })
    }

    fn emit(&self) -> [u8; HEADER] {
        let [a, b, c, d, e, f] = self.sender.0;
        let [e0, e1, e2] = self.epoch.to_be_bytes();
        let [c0, c1, c2] = self.counter.to_be_bytes();
        [VERSION, a, b, c, d, e, f, e0, e1, e2, c0, c1, c2]
    }
}

/// Why a datagram was not opened. Nothing was changed by it but its own bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// It is too short to be one.
    Truncated,
    /// It is of another version of the protocol.
    Version,
    /// It was not sealed with this key, or was altered.
    Unauthentic,
}

impl core::fmt::Display for OpenError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Truncated => "too short for a datagram",
            Self::Version => "of another version of the protocol",
            Self::Unauthentic => "not sealed with this key, or altered",
        })
    }
}

impl core::error::Error for OpenError {}

/// Seals and opens with one key.
pub struct Sealer(ChaCha20Poly1305);

impl core::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Sealer(…)")
    }
}

impl Sealer {
    /// A sealer with `key`.
    pub fn new(key: &ClusterKey) -> Self {
        Self(ChaCha20Poly1305::new(key.as_bytes().into()))
    }

    /// Where in `datagram` the message to be sealed must be written; empty if there is no room.
    pub fn message(datagram: &mut [u8]) -> &mut [u8] {
        let end = datagram.len().saturating_sub(TAG);
        datagram.get_mut(HEADER..end).unwrap_or_default()
    }

    /// Seals the first `len` bytes of [`Sealer::message`]. Returns the length of the datagram, or
    /// `None` if `len` is more than there is room for.
    pub fn seal(&self, header: &Header, datagram: &mut [u8], len: usize) -> Option<usize> {
        let (head, rest) = datagram.split_first_chunk_mut::<HEADER>()?;
        let (message, rest) = rest.split_at_mut_checked(len)?;
        let tag_space = rest.first_chunk_mut::<TAG>()?;
        *head = header.emit();
        let [_, nonce @ ..] = *head;
        // Fails for messages of more than 256 GB only.
        let tag = self.0.encrypt_in_place_detached(&nonce.into(), head, message).ok()?;
        *tag_space = tag.into();
        HEADER.checked_add(len)?.checked_add(TAG)
    }

    /// Opens `datagram` in place: who sealed it, and the message.
    pub fn open<'a>(&self, datagram: &'a mut [u8]) -> Result<(Header, &'a [u8]), OpenError> {
        self.open_or(None, datagram).map(|(_, header, message)| (header, message))
    }

    /// The same, or else with `other`; whether it was that one.
    pub(super) fn open_or<'a>(
        &self,
        other: Option<&Self>,
        datagram: &'a mut [u8],
    ) -> Result<(bool, Header, &'a [u8]), OpenError> {
        let (head, rest) =
            datagram.split_first_chunk_mut::<HEADER>().ok_or(OpenError::Truncated)?;
        let (message, tag) = rest.split_last_chunk_mut::<TAG>().ok_or(OpenError::Truncated)?;
        let header = Header::parse(head)?;
        let [_, nonce @ ..] = *head;
        // What is not authentic is left as it is.
        let mut opens = |key: &Self| {
            key.0.decrypt_in_place_detached(&nonce.into(), head, message, (&*tag).into()).is_ok()
        };
        let ours = opens(self);
        if !ours && !other.is_some_and(opens) {
            return Err(OpenError::Unauthentic);
        }
        Ok((!ours, header, message))
    }
}
