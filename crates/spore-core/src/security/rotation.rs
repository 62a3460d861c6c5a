//! Replacing the cluster key: what is sealed for one node alone, and how a node shows what it has.
//!
//! Operator and node share this module, so that they cannot disagree. See `docs/protocol.md` and decision 23.

use super::ClusterKey;
use super::request::{Mac, SigningKey};
use crate::wire::{NodeId, Reader, Writer};
use chacha20poly1305::aead::AeadInPlace as _;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};
use core::fmt;

/// What a node and its operator share, and nobody else: 128 random bits. Never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u8; Self::LEN]);

impl Secret {
    /// The bytes of a secret.
    pub const LEN: usize = 16;
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What is in a [`Sealed`]: a cluster key, or a secret and zeros.
pub type Content = [u8; 32];

/// Something for one node alone.
///
/// | bytes | what |
/// |---|---|
/// | 4 | number of the rotation, most significant byte first |
/// | 12 | nonce, random |
/// | 32 | content, encrypted |
/// | 16 | tag, over the number, too |
pub type Sealed = [u8; 64];

/// What a [`Sealed`] is sealed and opened with. Never shown.
#[derive(Debug)]
pub struct Lock(SigningKey);

impl Lock {
    /// That of secrets for nodes that have none yet.
    pub fn enrolment(key: &ClusterKey) -> Self {
        Self(SigningKey::from_secret(key.as_bytes(), b"SPORE enrolment 1"))
    }

    /// That of cluster keys for the node with this secret.
    pub fn rotation(secret: &Secret) -> Self {
        Self(SigningKey::from_secret(&secret.0, b"SPORE key rotation 1"))
    }

    /// Seals `content`. The nonce must come from a cryptographic source.
    pub fn seal(&self, number: u32, nonce: [u8; 12], content: &Content) -> Sealed {
        let (mut sealed, mut content) = ([0; 64], *content);
        let number = number.to_be_bytes();
        let tag = self.cipher().encrypt_in_place_detached(&nonce.into(), &number, &mut content);
        let mut writer = Writer::new(&mut sealed);
        // It fits, and sealing fails for more than 256 GB only.
        let _ = writer.put(&number).and_then(|()| writer.put(&nonce));
        let _ = writer.put(&content).and_then(|()| writer.put(&tag.unwrap_or_default()));
        sealed
    }

    /// The number and the content; `None` if it is not sealed with this, or was altered.
    pub fn open(&self, sealed: &Sealed) -> Option<(u32, Content)> {
        let mut reader = Reader::new(sealed);
        let number: [u8; 4] = reader.array().ok()?;
        let nonce: [u8; 12] = reader.array().ok()?;
        let (mut content, tag): (Content, [u8; 16]) = (reader.array().ok()?, reader.array().ok()?);
        let cipher = self.cipher();
        cipher.decrypt_in_place_detached(&nonce.into(), &number, &mut content, &tag.into()).ok()?;
        Some((u32::from_be_bytes(number), content))
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(self.0.as_bytes().into())
    }
}

/// What stands before id, number and key in the text by which a node shows what it has.
const PROOF: &[u8; 17] = b"SPORE key proof 1";

/// The proof that the node with this id and secret has this key as its newest one, by the rotation of this number: an HMAC-SHA256
/// under the secret.
pub fn proof(secret: &Secret, id: NodeId, number: u32, newest: &ClusterKey) -> Mac {
    let mut text = [0; PROOF.len().saturating_add(42)];
    let mut writer = Writer::new(&mut text);
    // It fits.
    let _ = writer.put(PROOF).and_then(|()| writer.put(&id.0));
    let _ = writer.u32(number).and_then(|()| writer.put(newest.as_bytes()));
    Mac::from_bytes(*SigningKey::from_secret(&secret.0, &text).as_bytes())
}

/// What a node was given when it was enrolled, and by rotations since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// What it shares with its operator.
    pub secret: Secret,
    /// The number of the last rotation that it has heard of. What has a lower one is refused.
    pub number: u32,
    /// The key that is to replace the present one.
    pub next: Option<ClusterKey>,
}

#[cfg(test)]
mod tests {
    use super::{ClusterKey, Lock, NodeId, Secret, proof};
    use std::string::ToString as _;

    const SECRET: Secret = Secret([9; 16]);

    #[test]
    fn what_is_sealed_is_opened_by_its_lock_alone_and_whole() {
        let lock = Lock::rotation(&SECRET);
        let sealed = lock.seal(7, [3; 12], &[5; 32]);
        assert_eq!(lock.open(&sealed), Some((7, [5; 32])));
        for other in [
            Lock::rotation(&Secret([8; 16])),
            Lock::enrolment(&ClusterKey::from_bytes([9; 32])),
            Lock(super::SigningKey::derive(&ClusterKey::from_bytes([9; 32]))),
        ] {
            assert_eq!(other.open(&sealed), None);
        }
        for bit in 0..512 {
            let mut altered = sealed;
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(lock.open(&altered), None, "bit {bit}");
        }
    }

    #[test]
    fn a_proof_is_of_one_secret_id_number_and_key() {
        let (id, key) = (NodeId([1; 6]), ClusterKey::from_bytes([7; 32]));
        let all = [
            proof(&SECRET, id, 3, &key),
            proof(&Secret([8; 16]), id, 3, &key),
            proof(&SECRET, NodeId([2; 6]), 3, &key),
            proof(&SECRET, id, 4, &key),
            proof(&SECRET, id, 3, &ClusterKey::from_bytes([6; 32])),
        ];
        let texts: std::collections::BTreeSet<_> = all.iter().map(|mac| mac.to_string()).collect();
        assert_eq!(texts.len(), all.len());
    }

    #[test]
    fn secrets_are_not_in_debug_output() {
        let lock = Lock::rotation(&SECRET);
        assert_eq!(std::format!("{SECRET:?} {lock:?}"), "Secret(…) Lock(SigningKey(…))");
    }
}
