//! Random numbers within a range, for all parts of the engine.
//!
//! They are drawn in one place, since the generator's own functions are inlined wherever they are
//! called, which is a kilobyte each time on a chip without 64-bit multiplication. The numbers are
//! the same on every width; those that the generator gives for `usize` are not, and would make a
//! board behave unlike its simulation.

use fastrand::Rng;

/// A number from 0 to `last`.
#[inline(never)]
pub(crate) fn up_to(rng: &mut Rng, last: u64) -> u64 {
    rng.u64(..=last)
}

/// A number from 0 to `limit - 1`, or 0 if there is none.
pub(crate) fn below(rng: &mut Rng, limit: usize) -> usize {
    let last = u64::try_from(limit).unwrap_or(u64::MAX).saturating_sub(1);
    usize::try_from(up_to(rng, last)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::{below, up_to};
    use std::vec::Vec;

    #[test]
    fn numbers_keep_to_their_range_and_reach_its_ends() {
        let mut rng = fastrand::Rng::with_seed(1);
        for limit in [0, 1, 2, 3, 64] {
            let drawn: Vec<usize> = (0..1000).map(|_| below(&mut rng, limit)).collect();
            assert_eq!(drawn.iter().max(), Some(&limit.saturating_sub(1)), "below {limit}");
            assert_eq!(drawn.iter().min(), Some(&0), "below {limit}");
        }
        assert_eq!(up_to(&mut rng, 0), 0);
        assert!((0..100).any(|_| up_to(&mut rng, u64::MAX) > u64::MAX / 2));
    }
}
