//! Who this node is, and the nonces that it may use.

use super::{Header, Tokens};
use crate::store::Storing;
use crate::time::{Duration, Instant};
use crate::wire::{NodeId, U24};

/// Entropy for one boot: 256 bits from the body's best source.
#[derive(Clone)]
pub struct Seed(pub [u8; 32]);

impl core::fmt::Debug for Seed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Seed(…)")
    }
}

impl Seed {
    /// The secret for tokens and the state for everything that only has to be spread.
    pub(crate) fn split(&self) -> (Tokens, fastrand::Rng) {
        let tokens = Tokens::new(&self.0);
        // The generator's output is seen by others; it must say nothing of the secret.
        let bits = u64::from_be_bytes(tokens.proof([0; 6], NodeId([0xFF; 6])));
        (tokens, fastrand::Rng::with_seed(bits))
    }
}

/// What a node must remember over restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub id: NodeId,
    /// The number of its boot; each one has its own nonces.
    pub epoch: U24,
}

impl Identity {
    /// The identity of a node that remembers nothing.
    pub(crate) fn new(rng: &mut fastrand::Rng) -> Self {
        let [_, _, id @ ..] = rng.u64(..).to_be_bytes();
        Self { id: NodeId(id), epoch: U24::ZERO }
    }

    /// The identity after this one: the next epoch, or a new id when the epochs are spent.
    pub(crate) fn next(self, rng: &mut fastrand::Rng) -> Self {
        match self.epoch.next() {
            Some(epoch) => Self { epoch, ..self },
            None => Self::new(rng),
        }
    }
}

/// Hands out each nonce of one epoch once.
#[derive(Debug)]
pub struct Nonces {
    identity: Identity,
    next: Option<U24>,
}

impl Nonces {
    /// When so many nonces are left, it is time to make the next epoch durable. At ten datagrams a
    /// second that leaves more than an hour.
    pub const RESERVE: u32 = 1 << 16;

    /// The nonces of `identity`, whose epoch was never used before.
    pub const fn new(identity: Identity) -> Self {
        Self { identity, next: Some(U24::ZERO) }
    }

    /// Whose they are.
    pub const fn identity(&self) -> Identity {
        self.identity
    }

    /// The header of the next datagram, or `None` when all are used.
    pub fn take(&mut self) -> Option<Header> {
        let counter = self.next?;
        self.next = counter.next();
        Some(Header { sender: self.identity.id, epoch: self.identity.epoch, counter })
    }

    /// How many are left.
    pub const fn left(&self) -> u32 {
        match self.next {
            Some(next) => U24::MAX.get().saturating_sub(next.get()).saturating_add(1),
            None => 0,
        }
    }
}

/// Gets epochs made durable, and hands out nonces of durable ones only.
#[derive(Debug)]
pub(crate) struct Epochs {
    current: Option<Nonces>,
    /// Who the node is to be next, as soon as that is stored.
    next: Option<Identity>,
    storing: Storing,
    /// How often a new id was taken because somebody else had it too, as a power of two, less one.
    renewals: u8,
}

/// How long to wait after a failed attempt to store an identity.
const RETRY: Duration = Duration::from_secs(1);

impl Epochs {
    /// The epochs of a node that remembers `stored`, or nothing; and who it is about to be.
    pub(crate) fn new(stored: Option<Identity>, rng: &mut fastrand::Rng) -> (Self, Identity) {
        let last = stored.unwrap_or_else(|| Identity::new(rng));
        let identity = last.next(rng);
        let (current, storing) = (None, Storing::Wanted);
        (Self { current, next: Some(identity), storing, renewals: 0 }, identity)
    }

    /// Uses up all nonces of the present epoch but `left`.
    #[cfg(test)]
    pub(crate) fn spend(&mut self, left: u32) {
        let nonces = self.current.as_mut().expect("an epoch is in use");
        nonces.next = U24::new(U24::MAX.get() - left + 1);
    }

    /// Whether there are nonces to use.
    pub(crate) fn is_ready(&self) -> bool {
        self.current.as_ref().is_some_and(|nonces| nonces.left() > 0)
    }

    /// The header of the next datagram.
    pub(crate) fn take(&mut self, rng: &mut fastrand::Rng) -> Option<Header> {
        let nonces = self.current.as_mut()?;
        let header = nonces.take()?;
        if nonces.left() <= Nonces::RESERVE && self.next.is_none() {
            self.next = Some(nonces.identity().next(rng));
            self.storing.want();
        }
        Some(header)
    }

    /// Whether a genuine datagram under this node's id is by somebody else: it has numbers that
    /// this node has not used yet. One with numbers that it has used may be its own, or a recording.
    pub(crate) fn is_anothers(&self, header: &Header) -> bool {
        let Some(nonces) = &self.current else { return false };
        let Identity { id, epoch } = nonces.identity;
        let unused = nonces.next.is_some_and(|next| header.counter >= next);
        header.sender == id && (header.epoch > epoch || header.epoch == epoch && unused)
    }

    /// Takes a new id, since somebody else has the present one too: nothing is sent before it is
    /// stored. The first time that is asked for at once; the more often it happens, the longer it
    /// waits, up to 128 s, since a member gone bad could wear out the flash by it.
    pub(crate) fn renew(&mut self, now: Instant, rng: &mut fastrand::Rng) {
        self.current = None;
        self.next = Some(Identity::new(rng).next(rng));
        self.storing.want();
        if self.renewals > 0 {
            let pause = Duration::from_secs(u64::from(self.renewals));
            self.storing.postpone(now + pause);
        }
        self.renewals = self.renewals.saturating_mul(2).clamp(1, 128);
    }

    /// The identity that is to be stored, if there is one.
    pub(crate) const fn to_store(&self) -> Option<Identity> {
        self.next
    }

    /// Whether an identity is to be stored now. Each is asked for once, and again after a failure.
    pub(crate) fn poll_store(&mut self, now: Instant) -> bool {
        self.storing.poll(now)
    }

    /// The store was tried. Returns the identity that is now in use, if it succeeded.
    pub(crate) fn stored(&mut self, now: Instant, success: bool) -> Option<Identity> {
        // One that has been replaced meanwhile is stored, but nobody's.
        if !self.storing.finish(now, success, RETRY) || self.storing != Storing::Idle {
            return None;
        }
        let identity = self.next.take()?;
        self.current = Some(Nonces::new(identity));
        Some(identity)
    }

    /// When a failed attempt is to be repeated.
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        self.storing.poll_timeout()
    }
}
