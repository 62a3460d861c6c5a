//! The two kinds of keys, and the text that carries them from one place to another.
//!
//! ```text
//! SPORE key 1
//! kind: cluster
//! key: 64 hexadecimal digits
//! checksum: 8 hexadecimal digits
//! ```
//!
//! The checksum is the start of SHA-256 over the lines before it, so that a digit that was copied
//! wrongly is found before it locks somebody out.

use crate::signing::hex;
use anyhow::{Context as _, Result, anyhow, bail};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use spore_core::ClusterKey;
use std::fmt;

const HEADER: &str = "SPORE key 1";

/// What a replacement of the release key is signed for.
const REPLACEMENT: &[u8] = b"SPORE release key 1";

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// The secret that all members share: whoever has it is one
    Cluster,
    /// The pair of keys for update images: the private part signs them, nodes have the public one
    Release,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cluster => "cluster",
            Self::Release => "release",
        })
    }
}

/// An Ed25519 key pair (RFC 8032). Never shown by `Debug`.
#[derive(Clone)]
pub(crate) struct ReleaseKey(SigningKey);

impl fmt::Debug for ReleaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReleaseKey(…)")
    }
}

impl ReleaseKey {
    /// The pair to a seed, which must come from a cryptographic source.
    pub(crate) fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// The public part.
    pub(crate) fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// The signature that makes nodes take the public key `new` in place of this one.
    pub(crate) fn sign_replacement(&self, new: &[u8; 32]) -> [u8; 64] {
        self.0.sign(&[REPLACEMENT, new].concat()).to_bytes()
    }

    /// The signature that makes nodes take the image with this head.
    pub(crate) fn sign_image(&self, head: &spore_image::Head) -> [u8; 64] {
        self.0.sign(&head.message()).to_bytes()
    }

    /// The signature that makes nodes follow the plan whose text this is.
    pub(crate) fn sign_plan(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// A public key of 64 hexadecimal digits; one of small order would take anyone's signature.
    pub(crate) fn parse_public(text: &str) -> Result<[u8; 32]> {
        let bytes = digits(text)
            .with_context(|| format!("{text:?} is no public key of 64 hexadecimal digits"))?;
        let key = VerifyingKey::from_bytes(&bytes).ok().filter(|key| !key.is_weak());
        key.map(|_| bytes).ok_or_else(|| anyhow!("{text} is no Ed25519 public key"))
    }
}

/// A key that was read.
#[derive(Debug)]
pub(crate) enum Key {
    Cluster(ClusterKey),
    Release(ReleaseKey),
    ReleasePublic([u8; 32]),
}

impl Key {
    /// What it is for.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Cluster(_) => Kind::Cluster,
            Self::Release(_) | Self::ReleasePublic(_) => Kind::Release,
        }
    }

    fn parts(&self) -> (&'static str, String) {
        match self {
            Self::Cluster(key) => ("cluster", key.to_hex().to_string()),
            Self::Release(key) => ("release", hex(key.0.as_bytes())),
            Self::ReleasePublic(key) => ("release-public", hex(key)),
        }
    }

    /// The text that carries it.
    pub(crate) fn to_text(&self) -> String {
        let (kind, key) = self.parts();
        let text = format!("{HEADER}\nkind: {kind}\nkey: {key}\n");
        format!("{text}checksum: {}\n", checksum(kind, &key))
    }

    /// Reads that text. White space at the ends of lines and empty lines do not count, nor does
    /// the case of digits.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        match lines.next() {
            Some(HEADER) => (),
            Some(line) if line.starts_with("SPORE key ") => {
                bail!("it is of a later version than this command knows: {line:?}")
            }
            _ => bail!("it does not start with the line {HEADER:?}"),
        }
        let mut field = |name: &str| {
            let line = lines.next().unwrap_or_default();
            let value = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(':'));
            value.map(|value| value.trim().to_ascii_lowercase()).with_context(|| {
                format!("it must have the lines kind, key and checksum; {name} is missing")
            })
        };
        let (kind, key, sum) = (field("kind")?, field("key")?, field("checksum")?);
        if lines.next().is_some() {
            bail!("something follows the checksum");
        }
        if checksum(&kind, &key) != sum {
            bail!("the checksum does not fit: a character is wrong, or missing");
        }
        let bytes = digits(&key).context("the key is not 64 hexadecimal digits")?;
        match kind.as_str() {
            "cluster" => Ok(Self::Cluster(ClusterKey::from_bytes(bytes))),
            "release" => Ok(Self::Release(ReleaseKey::from_seed(bytes))),
            "release-public" => Ok(Self::ReleasePublic(ReleaseKey::parse_public(&key)?)),
            _ => bail!("a key of kind {kind:?} is not known to this command"),
        }
    }
}

/// The start of the digest of all that stands before it.
fn checksum(kind: &str, key: &str) -> String {
    let digest = Sha256::digest(format!("{HEADER}\nkind: {kind}\nkey: {key}\n"));
    hex(&digest[..4])
}

/// 32 bytes of 64 hexadecimal digits.
fn digits(text: &str) -> Option<[u8; 32]> {
    let bytes = text.as_bytes();
    if bytes.len() != 64 {
        return None;
    }
    let mut key = [0; 32];
    for (byte, pair) in key.iter_mut().zip(bytes.chunks(2)) {
        let nibble = |digit: u8| char::from(digit).to_digit(16);
        let value = nibble(pair[0])? * 16 + nibble(pair[1])?;
        *byte = u8::try_from(value).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::{ClusterKey, Key, ReleaseKey, hex};
    use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};

    fn keys() -> [Key; 3] {
        let release = ReleaseKey::from_seed([7; 32]);
        let public = Key::ReleasePublic(release.public());
        [Key::Cluster(ClusterKey::from_bytes([0xA5; 32])), Key::Release(release), public]
    }

    #[test]
    fn each_kind_comes_back_from_its_text() {
        for key in keys() {
            let text = key.to_text();
            assert_eq!(Key::parse(&text).unwrap().to_text(), text);
            let messy = format!("\n  {} \r\n\r\n", text.replace('\n', " \r\n"));
            assert_eq!(Key::parse(&messy).unwrap().to_text(), text);
        }
    }

    #[test]
    fn each_wrong_character_is_found() {
        for key in keys() {
            let text = key.to_text();
            for at in 0..text.len() {
                for wrong in ["0", "f", "x", ""] {
                    let mut typo = text.clone();
                    typo.replace_range(at..=at, wrong);
                    let same = typo.split_whitespace().eq(text.split_whitespace());
                    let read = Key::parse(&typo).map(|key| key.to_text());
                    assert!(read.is_err() || same || read.unwrap() == text, "{typo}");
                }
            }
            for end in 0..text.len() - 1 {
                assert!(Key::parse(&text[..end]).is_err(), "cut to {end}");
            }
            assert!(Key::parse(&format!("{text}more\n")).is_err());
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |text: &str| format!("{:#}", Key::parse(text).unwrap_err());
        assert!(error("abc").contains("SPORE key 1"));
        assert!(error("SPORE key 2\n").contains("later version"));
        assert!(error("SPORE key 1\nkind: cluster\n").contains("key is missing"));
        let text = keys()[0].to_text();
        assert!(error(&text.replacen("a5", "a6", 1)).contains("checksum"));
    }

    #[test]
    fn the_pair_is_that_of_rfc_8032() {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let key = ReleaseKey::from_seed(super::digits(seed).unwrap());
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(hex(&key.public()), public);
        assert_eq!(ReleaseKey::parse_public(public).unwrap(), key.public());
    }

    #[test]
    fn a_replacement_is_signed_for_that_and_nothing_else() {
        let (old, new) = (ReleaseKey::from_seed([1; 32]), ReleaseKey::from_seed([2; 32]).public());
        let signature = Signature::from_bytes(&old.sign_replacement(&new));
        let verifier = VerifyingKey::from_bytes(&old.public()).unwrap();
        let text = [b"SPORE release key 1".as_slice(), &new].concat();
        assert!(verifier.verify(&text, &signature).is_ok());
        assert!(verifier.verify(&new, &signature).is_err());
    }

    #[test]
    fn public_keys_that_are_none_are_refused() {
        for wrong in ["", "00", &"0".repeat(64), &"g".repeat(64), &format!("01{}", "0".repeat(62))]
        {
            assert!(ReleaseKey::parse_public(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn secrets_are_not_in_debug_output() {
        let [cluster, release, _] = keys();
        assert!(!format!("{cluster:?} {release:?}").to_lowercase().contains("a5a5"));
        assert_eq!(format!("{release:?}"), "Release(ReleaseKey(…))");
    }
}
