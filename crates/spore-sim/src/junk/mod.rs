//! Hostile input, seeded: datagrams and HTTP requests that no honest peer sends.
//!
//! The same generator serves all bodies: in this crate its output goes into
//! [`Simulation::inject`](crate::Simulation::inject), elsewhere over real sockets. Equal seeds and
//! recordings give equal junk.
//!
//! ```
//! use spore_core::ClusterKey;
//! use spore_sim::junk::{DatagramKind, Junk};
//!
//! let key = ClusterKey::from_bytes([7; 32]);
//! let recording: [Vec<u8>; 0] = [];
//! let mut junk = Junk::new(1).with_key(&key);
//! let anything = junk.datagram(&recording);
//! let sealed = junk.datagram_of(DatagramKind::SealedRandom, &recording);
//! let request = junk.http_request();
//! assert_ne!(anything, sealed);
//! assert!(!request.is_empty());
//! ```

mod datagram;
mod http;

pub use datagram::DatagramKind;
pub use http::RequestKind;

use fastrand::Rng;
use spore_core::ClusterKey;
use spore_core::security::Sealer;

/// The generator.
#[derive(Debug)]
pub struct Junk {
    rng: Rng,
    sealer: Option<Sealer>,
}

impl Junk {
    /// A generator of everything that can be made without a key.
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), sealer: None }
    }

    /// Makes sealed junk as well, which those who hold `key` can open.
    #[must_use]
    pub fn with_key(mut self, key: &ClusterKey) -> Self {
        self.sealer = Some(Sealer::new(key));
        self
    }

    /// So many random bytes, up to `max`.
    fn noise(&mut self, max: usize) -> Vec<u8> {
        let mut bytes = vec![0; self.rng.usize(..=max)];
        self.rng.fill(&mut bytes);
        bytes
    }

    /// Changes `bytes` in one to eight places: flips, overwrites, removes, inserts, repeats.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..self.rng.usize(1..=8) {
            if bytes.is_empty() {
                bytes.push(self.rng.u8(..));
                continue;
            }
            let at = self.rng.usize(..bytes.len());
            let end = at + self.rng.usize(..=(bytes.len() - at).min(16));
            match self.rng.u8(..6) {
                0 => bytes[at] ^= 1 << self.rng.u8(..8),
                // Numbers at their limits find more than random ones.
                1 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][self.rng.usize(..5)],
                2 => bytes[at] = self.rng.u8(..),
                3 => drop(bytes.drain(at..end)),
                4 => bytes.insert(at, self.rng.u8(..)),
                _ => {
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
            }
        }
    }
}
