//! The release key: who may sign update images, and who may name a successor.

use crate::ota::plan::SignedPlan;
use crate::text;
use crate::wire;
use core::fmt;
use core::str::FromStr;

/// An Ed25519 public key (RFC 8032): 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ReleaseKey(pub [u8; Self::LEN]);

/// The text is not a release key, which is 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidReleaseKey;

impl fmt::Display for InvalidReleaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a release key has exactly 64 hexadecimal digits")
    }
}

impl core::error::Error for InvalidReleaseKey {}

impl ReleaseKey {
    /// The bytes of a key.
    pub const LEN: usize = spore_signature::KEY;

    /// The key as 64 hexadecimal digits.
    pub fn to_hex(&self) -> heapless::String<64, u8> {
        text::hex(&self.0)
    }

    /// Whether its owner has signed `message`. Weak keys and signatures that are not canonical are refused, so that all
    /// implementations agree.
    pub(crate) fn has_signed(
        &self,
        message: &[u8],
        signature: &[u8; Succession::SIGNATURE],
    ) -> bool {
        spore_signature::is_genuine(&self.0, message, signature)
    }
}

impl FromStr for ReleaseKey {
    type Err = InvalidReleaseKey;

    fn from_str(text: &str) -> Result<Self, InvalidReleaseKey> {
        wire::parse_hex(text).map(Self).ok_or(InvalidReleaseKey)
    }
}

impl fmt::Display for ReleaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for ReleaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What stands before the new key in the text that the old one signs.
const DOMAIN: &[u8; 19] = b"SPORE release key 1";

/// Whether a release key may be replaced: is `successor` a key, and did the one in force sign its naming?
///
/// It is the body's, since verifying takes more stack and time than the engine may on a chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Succession {
    /// The key that is in force; `None` if there is none yet, so that no signature is needed.
    pub key: Option<ReleaseKey>,
    /// The one that is to replace it.
    pub successor: ReleaseKey,
    /// The Ed25519 signature.
    pub signature: [u8; Self::SIGNATURE],
}

/// The answer to a [`Succession`], or to whether a plan is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The successor may be taken.
    Genuine,
    /// The successor is no key, or one of small order: nothing could ever be signed with it, or
    /// anybody could sign.
    NoKey,
    /// The key in force has not signed it.
    Unsigned,
}

impl Succession {
    /// The bytes of an Ed25519 signature.
    pub const SIGNATURE: usize = spore_signature::SIGNATURE;

    /// The bytes of the text that is signed.
    pub const MESSAGE: usize = DOMAIN.len().saturating_add(ReleaseKey::LEN);

    /// The text that is signed: `SPORE release key 1` and the bytes of the successor.
    pub fn message(&self) -> [u8; Self::MESSAGE] {
        let mut message = [0; Self::MESSAGE];
        for (to, from) in message.iter_mut().zip(DOMAIN.iter().chain(&self.successor.0)) {
            *to = *from;
        }
        message
    }

    /// Whether the successor may be taken. For the body to call, where it has the stack and the
    /// time for it. Weak keys and signatures that are not canonical are refused, so that all
    /// implementations agree.
    // Not inlined, so that the image can be linked without it, to tell what it takes (`cargo xtask footprint`).
    #[inline(never)]
    pub fn judge(&self) -> Verdict {
        if !spore_signature::is_key(&self.successor.0) {
            return Verdict::NoKey;
        }
        let Some(key) = self.key else { return Verdict::Genuine };
        if key.has_signed(&self.message(), &self.signature) {
            Verdict::Genuine
        } else {
            Verdict::Unsigned
        }
    }
}

/// What the release key is needed for, and the body is to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Another release key.
    Successor,
    /// The plan of a rollout.
    Plan,
}

/// A [`Subject`], with all that is needed to judge it.
#[derive(Clone, Copy, Debug)]
pub enum Question<'a> {
    /// May another release key be taken?
    Successor(Succession),
    /// Has the key in force signed the plan?
    Plan(ReleaseKey, &'a SignedPlan),
}

impl Question<'_> {
    /// The answer. For the body to call, where it has the stack and the time for it.
    pub fn judge(&self) -> Verdict {
        match self {
            Self::Successor(succession) => succession.judge(),
            Self::Plan(key, plan) if plan.is_signed_by(key) => Verdict::Genuine,
            Self::Plan(..) => Verdict::Unsigned,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ReleaseKey, Succession, Verdict};
    use ed25519_dalek::{Signer as _, SigningKey};

    fn succession() -> Succession {
        let old = SigningKey::from_bytes(&[1; 32]);
        let mut succession = Succession {
            key: Some(ReleaseKey(old.verifying_key().to_bytes())),
            successor: ReleaseKey(SigningKey::from_bytes(&[2; 32]).verifying_key().to_bytes()),
            signature: [0; 64],
        };
        succession.signature = old.sign(&succession.message()).to_bytes();
        succession
    }

    #[test]
    fn the_old_key_names_the_new_one_and_no_bit_can_be_changed() {
        let good = succession();
        assert_eq!(good.message()[..19], *b"SPORE release key 1");
        assert_eq!(good.judge(), Verdict::Genuine);
        for bit in 0..512 {
            let mut altered = good;
            altered.signature[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(altered.judge(), Verdict::Unsigned, "bit {bit} of the signature");
        }
        for bit in 0..256 {
            let (mut key, mut successor) = (good, good);
            key.key.as_mut().unwrap().0[bit / 8] ^= 1 << (bit % 8);
            successor.successor.0[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.judge(), Verdict::Unsigned, "bit {bit} of the key");
            assert_ne!(successor.judge(), Verdict::Genuine, "bit {bit} of the successor");
        }
    }

    /// With a key of small order a signature can be made for anything without any secret.
    #[test]
    fn weak_keys_are_refused() {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        let key = Some(ReleaseKey(neutral));
        let forged = Succession { key, signature, ..succession() };
        assert_eq!(forged.judge(), Verdict::Unsigned);
        // A node that took one could be given any other one by anybody.
        for key in [None, succession().key] {
            let weak = Succession { key, successor: ReleaseKey(neutral), signature };
            assert_eq!(weak.judge(), Verdict::NoKey);
        }
    }

    /// A node that took such bytes could never change them: no signature under them is genuine.
    #[test]
    fn a_successor_that_is_no_key_is_refused_also_as_the_first_one() {
        let key = |bytes| Succession { key: None, successor: ReleaseKey(bytes), ..succession() };
        // y = 2 is on no point of the curve; neither is the one of RFC 8032's test 1 plus one.
        let mut two = [0; 32];
        two[0] = 2;
        assert_eq!(key(two).judge(), Verdict::NoKey);
        assert_eq!(Succession { key: None, ..succession() }.judge(), Verdict::Genuine);
        let refused = (0..=255).filter(|byte| key([*byte; 32]).judge() == Verdict::NoKey).count();
        assert!((64..192).contains(&refused), "about half of all bytes are no key: {refused}");
    }
}
