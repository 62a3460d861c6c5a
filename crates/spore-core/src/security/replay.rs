//! The window that tells a new datagram of a sender from one that was seen before.

use crate::seeded::seeded;
use crate::wire::U24;
use core::num::NonZeroU64;

/// What was received from one sender: the highest counter, and which of the 63 before it
/// (RFC 6479's idea, with one word).
///
/// Costs 16 bytes for each member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayWindow {
    epoch: U24,
    highest: U24,
    /// Bit n: `highest - n` was received. Bit 0 is always set.
    seen: NonZeroU64,
}

impl ReplayWindow {
    /// A datagram that is so far behind the newest one is refused, as if it had been lost.
    pub const WIDTH: u32 = u64::BITS;

    /// The window of a sender who has just proved to be fresh with a datagram of these numbers.
    /// Nothing is known of those before it, so they count as received.
    pub const fn starting_at(epoch: U24, counter: U24) -> Self {
        Self { epoch, highest: counter, seen: NonZeroU64::MAX }
    }

    /// Whether `epoch` is newer than all that this window knows of. Its sender has to prove to be
    /// fresh, as if it were new: with the proof [begins](Self::starting_at) another window.
    pub fn is_before(&self, epoch: U24) -> bool {
        self.epoch < epoch
    }

    /// Whether `epoch` is over, as far as this window knows.
    pub fn is_after(&self, epoch: U24) -> bool {
        epoch < self.epoch
    }

    /// Takes the datagram with these numbers, if it was not taken before. Those of any other epoch are
    /// refused.
    pub fn accept(&mut self, epoch: U24, counter: U24) -> bool {
        if epoch != self.epoch {
            return false;
        }
        if counter > self.highest {
            let ahead = counter.get().saturating_sub(self.highest.get());
            let shifted = self.seen.get().checked_shl(ahead).unwrap_or(0);
            self.seen = NonZeroU64::MIN | shifted;
            self.highest = counter;
            return true;
        }
        let behind = self.highest.get().saturating_sub(counter.get());
        let bit = 1u64.checked_shl(behind).unwrap_or(0);
        let new = seeded!(
            "replay-window-too-wide",
            bit & !self.seen.get() != 0 || behind == Self::WIDTH,
            bit & !self.seen.get() != 0
        );
        self.seen |= bit;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::ReplayWindow;
    use crate::wire::U24;
    use std::collections::HashSet;

    const fn n(value: u32) -> U24 {
        U24::new(value).unwrap()
    }

    #[test]
    fn each_number_is_taken_once_and_none_near_the_newest_is_lost() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut window = ReplayWindow::starting_at(n(1), n(0));
        let mut taken = HashSet::from([(1, 0)]);
        let (mut epoch, mut highest) = (1, 0);
        for _ in 0..200_000 {
            if rng.u32(..10_000) == 0 {
                (epoch, highest) = (epoch + 1, 0);
                assert!(window.is_before(n(epoch)) && !window.accept(n(epoch), n(0)));
                window = ReplayWindow::starting_at(n(epoch), n(0));
                taken.insert((epoch, 0));
            }
            // Some are out of the window.
            let counter = (highest + rng.u32(..90)).saturating_sub(80);
            let old_epoch = rng.u32(..20) == 0;
            let of = epoch - u32::from(old_epoch && epoch > 1);
            let accepted = window.accept(n(of), n(counter));
            let repeated = taken.contains(&(of, counter));
            assert!(!(accepted && repeated), "taken twice: {of}/{counter}");
            if of == epoch && !repeated && counter + ReplayWindow::WIDTH > highest {
                assert!(accepted, "lost: {of}/{counter} with {highest} seen");
            }
            if accepted {
                taken.insert((of, counter));
                highest = highest.max(counter);
            }
        }
    }

    #[test]
    fn what_came_before_the_proof_counts_as_seen() {
        let mut window = ReplayWindow::starting_at(n(1), n(10));
        assert!(!window.accept(n(1), n(9)));
        assert!(!window.accept(n(1), n(10)));
        assert!(window.accept(n(1), n(12)));
        assert!(window.accept(n(1), n(11)));
    }
}
