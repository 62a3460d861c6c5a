//! The cluster key that a node has, for who asks nodes in its name.

use spore_core::ClusterKey;
use spore_core::settings::Claim;
use std::sync::{Arc, Mutex, PoisonError};

/// The key that a node has, which may be replaced while it runs.
#[derive(Clone, Debug)]
pub struct PresentKey(Arc<Mutex<Option<ClusterKey>>>);

impl PresentKey {
    /// That of a node with this claim, as it is stored, or else the one that it is `configured` with.
    pub(crate) fn new(claim: &[u8], configured: Option<&ClusterKey>) -> Self {
        let claimed = Claim::decode(claim).and_then(|claim| claim.key);
        Self(Arc::new(Mutex::new(claimed.or_else(|| configured.cloned()))))
    }

    /// The key; `None` if the node is unclaimed.
    pub fn get(&self) -> Option<ClusterKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the claim that the node is about to store: its key is in force.
    pub(crate) fn learn(&self, claim: &[u8]) {
        if let Some(key) = Claim::decode(claim).and_then(|claim| claim.key) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PresentKey;
    use spore_core::ClusterKey;
    use spore_core::settings::Claim;
    use spore_core::store::MAX_VALUE;

    fn key(byte: u8) -> ClusterKey {
        ClusterKey::from_bytes([byte; 32])
    }

    fn stored(key: Option<ClusterKey>) -> Vec<u8> {
        let mut value = [0; MAX_VALUE];
        let len = Claim { key, ..Claim::default() }.encode(&mut value);
        value[..len].to_vec()
    }

    #[test]
    fn the_claim_holds_and_then_what_is_configured() {
        assert_eq!(PresentKey::new(&[], None).get(), None);
        assert_eq!(PresentKey::new(&[], Some(&key(1))).get(), Some(key(1)));
        assert_eq!(PresentKey::new(&stored(Some(key(2))), Some(&key(1))).get(), Some(key(2)));
        assert_eq!(PresentKey::new(&stored(None), Some(&key(1))).get(), Some(key(1)));
    }

    #[test]
    fn whoever_has_it_sees_the_next_one() {
        let present = PresentKey::new(&[], Some(&key(1)));
        let seen = present.clone();
        // A secret, and no key yet.
        present.learn(&stored(None));
        assert_eq!(seen.get(), Some(key(1)));
        present.learn(&stored(Some(key(2))));
        assert_eq!(seen.get(), Some(key(2)));
    }
}
