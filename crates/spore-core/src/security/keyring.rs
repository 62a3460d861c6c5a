//! The keys that a node has: the cluster's, and while it is replaced the one after or before it.

use super::request::{Mac, Signed, SigningKey};
use super::rotation::{Enrolment, Lock, Sealed, Secret, proof};
use super::{ClusterKey, Header, OpenError, Sealer};
use crate::settings::Claim;
use crate::store::Storing;
use crate::time::{Duration, Instant};
use crate::wire::NodeId;

/// How long who uses the key that was replaced is told of the new one.
const GRACE: Duration = Duration::from_secs(20);

/// From a failed attempt to store to the next.
const RETRY: Duration = Duration::from_secs(5);

/// The keys of a node that is claimed.
#[derive(Debug)]
pub(crate) struct Keyring {
    key: ClusterKey,
    other: Other,
    secret: Option<Secret>,
    number: u32,
    /// Whether the next key has become the present one, and nobody has asked yet.
    switched: bool,
    /// Whether the key is to stand in the claim, and not only in what the node is configured with.
    kept: bool,
    storing: Storing,
}

/// A second key.
#[derive(Debug)]
enum Other {
    None,
    /// It is to replace the present one, as soon as somebody uses it.
    Next(ClusterKey),
    /// The present one has replaced it; then it is forgotten.
    Last(ClusterKey, Instant),
}

/// What is sealed is not for this node, or is not newer than what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotForThisNode;

impl Keyring {
    /// The keys of a node that starts with this claim; `configured` is its key if that has none.
    pub(crate) fn new(claim: &Claim, configured: Option<&ClusterKey>) -> Option<Self> {
        let key = claim.key.as_ref().or(configured)?.clone();
        let enrolment = claim.enrolment.as_ref();
        // Who is configured with the next one has it in force.
        let next = enrolment.and_then(|enrolment| enrolment.next.clone()).filter(|it| *it != key);
        Some(Self {
            key,
            switched: false,
            other: next.map_or(Other::None, Other::Next),
            secret: enrolment.map(|enrolment| enrolment.secret),
            number: enrolment.map_or(0, |enrolment| enrolment.number),
            kept: claim.key.is_some(),
            storing: Storing::Idle,
        })
    }

    /// What seals datagrams.
    pub(crate) fn sealer(&self) -> Sealer {
        Sealer::new(&self.key)
    }

    /// Opens `datagram` in place; and whether that took the key that was replaced, so that nothing in it is to be believed. Who uses
    /// the next key makes it the present one: none but those who were given it can.
    pub(crate) fn open<'d>(
        &mut self,
        now: Instant,
        datagram: &'d mut [u8],
    ) -> Result<(bool, Header, &'d [u8]), OpenError> {
        let other = match &self.other {
            Other::Next(key) => Some(key),
            Other::Last(key, until) if now < *until => Some(key),
            Other::Last(..) | Other::None => None,
        };
        let other = other.map(Sealer::new);
        let (by_other, header, message) = self.sealer().open_or(other.as_ref(), datagram)?;
        let next = by_other && self.is_staged();
        if next {
            self.switch(now);
        }
        Ok((by_other && !next, header, message))
    }

    /// Whether a holder of the key has signed `request`: of the present one, or of the next, which is the present one then.
    pub(crate) fn has_signed(&mut self, now: Instant, request: &Signed<'_>, mac: &Mac) -> bool {
        if SigningKey::derive(&self.key).verify(request, mac) {
            return true;
        }
        let Other::Next(key) = &self.other else { return false };
        let genuine = SigningKey::derive(key).verify(request, mac);
        if genuine {
            self.switch(now);
        }
        genuine
    }

    /// The next key becomes the present one, if there is one.
    fn switch(&mut self, now: Instant) {
        self.other = match core::mem::replace(&mut self.other, Other::None) {
            Other::Next(key) => {
                (self.kept, self.switched) = (true, true);
                self.storing.want();
                Other::Last(core::mem::replace(&mut self.key, key), now + GRACE)
            }
            other => other,
        };
    }

    /// Whether the next key has become the present one since that was asked last.
    pub(crate) const fn take_switched(&mut self) -> bool {
        core::mem::replace(&mut self.switched, false)
    }

    /// Takes what was sealed for this node: its secret, if it has none, or the next key. It is in force when it
    /// [is stored](Self::is_stored).
    pub(crate) fn take(&mut self, sealed: &Sealed) -> Result<(), NotForThisNode> {
        let lock = match &self.secret {
            Some(secret) => Lock::rotation(secret),
            None => Lock::enrolment(&self.key),
        };
        let (number, content) = lock.open(sealed).ok_or(NotForThisNode)?;
        if self.secret.is_some() {
            let key = ClusterKey::from_bytes(content);
            // Whoever asks may not have heard the answer.
            if number == self.number && *self.newest() == key {
                return Ok(());
            }
            if number <= self.number {
                return Err(NotForThisNode);
            }
            self.other = if key == self.key {
                self.kept = true;
                Other::None
            } else {
                Other::Next(key)
            };
        } else {
            self.secret = content.first_chunk().copied().map(Secret);
        }
        self.number = number;
        self.storing.want();
        Ok(())
    }

    /// The next key, or else the present one.
    fn newest(&self) -> &ClusterKey {
        match &self.other {
            Other::Next(key) => key,
            Other::None | Other::Last(..) => &self.key,
        }
    }

    /// Whether the next key waits for somebody to use it.
    pub(crate) const fn is_staged(&self) -> bool {
        matches!(self.other, Other::Next(_))
    }

    /// The number of the last rotation that was heard of.
    pub(crate) const fn number(&self) -> u32 {
        self.number
    }

    /// What shows that this node has the secret, and its newest key.
    pub(crate) fn proof(&self, id: NodeId) -> Option<Mac> {
        self.secret.map(|secret| proof(&secret, id, self.number, self.newest()))
    }

    /// Writes down in `claim`, which was stored, what has changed since.
    pub(crate) fn revise(&self, claim: &mut Claim) {
        if self.kept {
            claim.key = Some(self.key.clone());
        }
        claim.enrolment = self.secret.map(|secret| {
            let next = match &self.other {
                Other::Next(key) => Some(key.clone()),
                Other::None | Other::Last(..) => None,
            };
            Enrolment { secret, number: self.number, next }
        });
    }

    /// Whether all this would be there after a restart.
    pub(crate) fn is_stored(&self) -> bool {
        self.storing == Storing::Idle
    }

    /// Whether the claim is to be stored now.
    pub(crate) fn poll_store(&mut self, now: Instant) -> bool {
        self.storing.poll(now)
    }

    /// The store was tried.
    pub(crate) fn stored(&mut self, now: Instant, success: bool) {
        self.storing.finish(now, success, RETRY);
    }

    /// When a failed attempt is to be repeated.
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        self.storing.poll_timeout()
    }
}
