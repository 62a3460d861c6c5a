//! Tokens: a ping carries one, its ack returns it, and that proves the ack to be fresh.

use crate::time::{Duration, Instant};
use crate::wire::NodeId;
use chacha20poly1305::aead::AeadInPlace as _;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};

/// What a ping carries and its ack returns: the time it was made, and a proof of who made it.
///
/// It says all that is needed to judge the ack, so the pinging node stores nothing: whether it
/// asked at all, whom, when, and so the round-trip time. QUIC's Retry token is the model
/// (RFC 9000, section 8.1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Microseconds on the pinging node's own clock, 48 bits: enough for 8.9 years.
    made: [u8; 6],
    proof: [u8; 8],
}

impl Token {
    /// The bytes of a token in a message.
    pub const LEN: usize = 14;

    /// The token's bytes.
    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        let [a, b, c, d, e, f] = self.made;
        let [g, h, i, j, k, l, m, n] = self.proof;
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n]
    }

    /// The token with these bytes, valid or not.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = bytes;
        Self { made: [a, b, c, d, e, f], proof: [g, h, i, j, k, l, m, n] }
    }

    /// When it was made, on the clock of the node that made it.
    pub const fn made(&self) -> Instant {
        let [a, b, c, d, e, f] = self.made;
        Instant::from_micros(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }
}

/// Makes and checks this node's tokens, with a secret that lives for one boot.
pub struct Tokens(ChaCha20Poly1305);

impl core::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Tokens(…)")
    }
}

impl Tokens {
    /// How long a token is good. Longer than any round trip; short, since an ack recorded within
    /// this time is taken for fresh by whoever has forgotten its sender meanwhile.
    pub const LIFETIME: Duration = Duration::from_secs(3);

    /// Tokens under `secret`, which must be new in each boot.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(ChaCha20Poly1305::new(secret.into()))
    }

    /// A token for a ping to `peer`.
    pub fn make(&self, now: Instant, peer: NodeId) -> Token {
        let [_, _, made @ ..] = now.as_micros().to_be_bytes();
        Token { made, proof: self.proof(made, peer) }
    }

    /// The round-trip time, if this node made `token` for `peer` within [`Tokens::LIFETIME`].
    pub fn check(&self, now: Instant, peer: NodeId, token: &Token) -> Option<Duration> {
        let age = now.since(token.made());
        let genuine = self.proof(token.made, peer) == token.proof;
        (genuine && token.made() <= now && age <= Self::LIFETIME).then_some(age)
    }

    /// The tag over an empty message is a pseudo-random function of the nonce (RFC 8439,
    /// section 2.6), and peer and time fill the nonce exactly. Comparing it need not take constant
    /// time: only holders of the cluster key get so far.
    pub(super) fn proof(&self, made: [u8; 6], NodeId([a, b, c, d, e, f]): NodeId) -> [u8; 8] {
        let [g, h, i, j, k, l] = made;
        let nonce = [a, b, c, d, e, f, g, h, i, j, k, l];
        match self.0.encrypt_in_place_detached(&nonce.into(), &[], &mut []) {
            Ok(tag) => {
                let [p0, p1, p2, p3, p4, p5, p6, p7, ..] = <[u8; 16]>::from(tag);
                [p0, p1, p2, p3, p4, p5, p6, p7]
            }
            // Fails for messages of more than 256 GB only.
            Err(_) => [0; 8],
        }
    }
}
