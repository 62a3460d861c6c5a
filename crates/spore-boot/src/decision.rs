//! Which slots to try, one after the other.

use crate::map::Slot;
use crate::selector::{Selector, Stage, TRIAL_BOOTS};

/// A slot that may be started if its image is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which one.
    pub slot: Slot,
    /// Where in flash a word is to be programmed to zero, and seen not to be blank, before the image is started. If that
    /// fails, the next candidate has its turn.
    pub count: Option<u32>,
}

/// The candidates in their order, whatever the selector holds. `sequences` are those of the images in slot A and B, as
/// far as their headers can be read.
///
/// - What is confirmed is started, or else the other slot.
/// - What is on trial is started and counted, while it has starts left; then the other slot is. An image that failed its
///   trial or cannot be counted comes last: better than none.
/// - Without a selector, the image with the higher sequence number is started, and A if they have the same.
pub fn candidates(selector: &Selector, sequences: [Option<u32>; 2]) -> [Candidate; 3] {
    let plain = |slot: Slot| Candidate { slot, count: None };
    let (first, count) = match selector.record() {
        None => {
            let [a, b] = sequences;
            (if b > a { Slot::B } else { Slot::A }, None)
        }
        Some(record) => {
            let failed = record.choice.stage == Stage::Trial && record.boots >= TRIAL_BOOTS;
            let slot = record.choice.slot;
            (if failed { slot.other() } else { slot }, selector.trial_word())
        }
    };
    [Candidate { slot: first, count }, plain(first.other()), plain(first)]
}

#[cfg(test)]
mod tests {
    use super::{Candidate, candidates};
    use crate::map::Slot;
    use crate::selector::{BYTES, Choice, Record, Selector, Stage};

    const BLANK: [u8; BYTES] = [0xFF; BYTES];

    fn order(
        first: &[u8; BYTES],
        second: &[u8; BYTES],
        sequences: [Option<u32>; 2],
    ) -> [Candidate; 3] {
        candidates(&Selector::read(first, second), sequences)
    }

    fn slots(order: [Candidate; 3]) -> [Slot; 3] {
        order.map(|candidate| candidate.slot)
    }

    #[test]
    fn what_is_confirmed_comes_first_and_is_not_counted() {
        for slot in Slot::BOTH {
            let record = Record::encode(Choice { slot, stage: Stage::Confirmed, image: 1 }, 9);
            let order = order(&BLANK, &record, [Some(5), Some(5)]);
            assert_eq!(slots(order), [slot, slot.other(), slot]);
            assert!(order.iter().all(|candidate| candidate.count.is_none()));
        }
    }

    #[test]
    fn what_is_on_trial_is_counted_three_times_and_then_comes_last() {
        let mut record = Record::encode(Choice { slot: Slot::B, stage: Stage::Trial, image: 1 }, 9);
        for (boots, address) in [(0, 0x1014), (1, 0x1018), (2, 0x101C)] {
            let order = order(&record, &BLANK, [Some(1), Some(2)]);
            assert_eq!(slots(order), [Slot::B, Slot::A, Slot::B]);
            assert_eq!(order.map(|candidate| candidate.count), [Some(address), None, None]);
            record[20 + 4 * boots..][..4].fill(0);
        }
        let order = order(&record, &BLANK, [Some(1), Some(2)]);
        assert_eq!(slots(order), [Slot::A, Slot::B, Slot::A]);
        assert!(order.iter().all(|candidate| candidate.count.is_none()));
    }

    #[test]
    fn without_a_selector_the_newer_image_comes_first() {
        let first = |sequences| slots(order(&BLANK, &BLANK, sequences))[0];
        assert_eq!(first([Some(1), Some(2)]), Slot::B);
        assert_eq!(first([Some(2), Some(2)]), Slot::A);
        assert_eq!(first([None, Some(0)]), Slot::B);
        assert_eq!(first([Some(0), None]), Slot::A);
        assert_eq!(first([None, None]), Slot::A);
    }
}
