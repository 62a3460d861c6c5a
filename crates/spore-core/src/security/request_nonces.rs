//! Nonces for signed requests: made without keeping them, remembered when used.

use super::request::{Nonce, SigningKey};
use super::{Seed, Tokens};
use crate::time::{Duration, Instant};
use crate::wire::NodeId;

/// How many used nonces are remembered.
pub const REMEMBERED: usize = 16;

/// What the secret of a boot's nonces is derived with.
const DERIVATION: &[u8] = b"SPORE request nonces 1";

/// Makes nonces, and takes each of them once.
///
/// A nonce says when it was made, and proves that this node made it in this boot. So nothing is
/// kept of those that were only handed out, and a stranger who asks for a million costs nothing.
/// Used ones are remembered for as long as there is room; when one is pushed out, every nonce that
/// is not younger than it is refused from then on. So no order of requests lets one be used twice;
/// the price is that of more than sixteen nonces in use at once, the oldest must be replaced.
#[derive(Debug)]
pub(crate) struct RequestNonces {
    proofs: Tokens,
    /// When the last one was made; each is made later than the one before.
    last: Instant,
    /// What was made then or before is refused.
    floor: Instant,
    /// When the used ones above the floor were made.
    used: heapless::Vec<Instant, REMEMBERED, u8>,
}

impl RequestNonces {
    /// How long a nonce is good.
    pub(crate) const LIFETIME: Duration = Duration::from_secs(60);

    /// Nonces of the boot with this seed.
    pub(crate) fn new(seed: &Seed) -> Self {
        let secret = SigningKey::from_secret(&seed.0, DERIVATION);
        Self {
            proofs: Tokens::new(secret.as_bytes()),
            last: Instant::ZERO,
            floor: Instant::ZERO,
            used: heapless::Vec::new(),
        }
    }

    /// A nonce that no one has had before.
    pub(crate) fn make(&mut self, now: Instant) -> Nonce {
        self.last = now.max(self.last + Duration::from_micros(1));
        let [_, _, made @ ..] = self.last.as_micros().to_be_bytes();
        self.nonce(made)
    }

    /// When `nonce` was made, if this node made it in this boot, less than
    /// [`LIFETIME`](Self::LIFETIME) ago, and it was not used yet.
    pub(crate) fn check(&self, now: Instant, nonce: Nonce) -> Option<Instant> {
        let [a, b, c, d, e, f, ..] = nonce.to_bytes();
        // A MAC stands behind this proof; how long the comparison takes tells nobody how to make
        // one.
        let genuine = self.nonce([a, b, c, d, e, f]) == nonce;
        let made = Instant::from_micros(u64::from_be_bytes([0, 0, a, b, c, d, e, f]));
        let young = made <= self.last && now.since(made) < Self::LIFETIME;
        let unused = made > self.floor && !self.used.contains(&made);
        (genuine && young && unused).then_some(made)
    }

    /// Takes the nonce that was made at `made` for used.
    pub(crate) fn spend(&mut self, made: Instant) {
        if self.used.push(made).is_ok() {
            return;
        }
        let oldest = self.used.iter_mut().min_by_key(|used| **used);
        let pushed_out = match oldest {
            Some(oldest) if *oldest < made => core::mem::replace(oldest, made),
            _ => made,
        };
        self.floor = self.floor.max(pushed_out);
    }

    fn nonce(&self, made: [u8; 6]) -> Nonce {
        let [a, b, c, d, e, f] = made;
        let [g, h, i, j, k, l, m, n] = self.proofs.proof(made, NodeId([0; 6]));
        Nonce::from_bytes([a, b, c, d, e, f, g, h, i, j, k, l, m, n])
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, Nonce, REMEMBERED, RequestNonces, Seed};
    use std::collections::HashSet;
    use std::vec::Vec;

    const START: Instant = Instant::from_micros(5_000_000);

    fn take(nonces: &mut RequestNonces, now: Instant, nonce: Nonce) -> bool {
        let made = nonces.check(now, nonce);
        made.inspect(|made| nonces.spend(*made)).is_some()
    }

    #[test]
    fn a_nonce_is_good_once_and_for_its_time() {
        let mut nonces = RequestNonces::new(&Seed([1; 32]));
        let (first, second) = (nonces.make(START), nonces.make(START));
        assert_ne!(first, second, "at the same moment");
        assert!(take(&mut nonces, START, second));
        assert!(!take(&mut nonces, START, second));
        let last = START + Duration::from_micros(RequestNonces::LIFETIME.as_micros() - 1);
        assert!(nonces.check(last, first).is_some());
        assert!(nonces.check(last + Duration::from_micros(1), first).is_none());
    }

    #[test]
    fn altered_ones_and_those_of_another_boot_are_refused() {
        let mut nonces = RequestNonces::new(&Seed([1; 32]));
        let nonce = nonces.make(START);
        for bit in 0..8 * Nonce::LEN {
            let mut bytes = nonce.to_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(nonces.check(START, Nonce::from_bytes(bytes)).is_none(), "bit {bit}");
        }
        let mut later = RequestNonces::new(&Seed([2; 32]));
        later.make(START);
        assert!(later.check(START, nonce).is_none());
    }

    /// Any order of use: none is ever taken twice, and one that is among the youngest sixteen that
    /// were made is never refused.
    #[test]
    fn in_no_order_is_one_taken_twice() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut nonces = RequestNonces::new(&Seed([1; 32]));
        let (mut made, mut taken) = (Vec::new(), HashSet::new());
        for step in 0..20_000u64 {
            let now = START + Duration::from_micros(step);
            made.push(nonces.make(now));
            let back = rng.usize(..40).min(made.len() - 1);
            let nonce = made[made.len() - 1 - back];
            let accepted = take(&mut nonces, now, nonce);
            let new = taken.insert(nonce.to_bytes());
            assert!(!accepted || new, "taken twice at {step}");
            if new && back < REMEMBERED {
                assert!(accepted, "refused at {step}, {back} back");
            }
        }
    }
}
