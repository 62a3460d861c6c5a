//! Boots of publishers that are over: how far their events were delivered, or reported as missed.
//!
//! The row of a publisher is that of its latest boot alone. An event of an earlier one that comes
//! all the same is not delivered any more, and is reported together with those before it that
//! nothing was said of. For that the last boots to end are remembered; and boots that the row is to
//! come to, when the window drops or refuses an event of theirs.

use super::publishers::Publisher;
use crate::wire::{EventKey, NodeId, U24};
use heapless::Vec;

/// So many boots that are over are remembered. The one that was added first, of those that have
/// nothing to report, makes room for one more; an event of it that comes after that is reported alone.
pub const ENDED: usize = 8;

/// A boot of a publisher that is not, or no longer, that of its row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Boot {
    pub(super) id: NodeId,
    pub(super) epoch: U24,
    /// The highest number that was delivered or reported.
    pub(super) last: U24,
    /// The highest number that was heard of.
    pub(super) known: U24,
}

impl Boot {
    const fn lacks(&self) -> bool {
        self.known.get() > self.last.get()
    }
}

/// The last boots of publishers to end, and those that will follow.
#[derive(Debug)]
pub(crate) struct EndedBoots {
    boots: Vec<Boot, ENDED, u8>,
    /// The logical time at which one was last forgotten. An event that was published later is of
    /// none of those that are forgotten.
    forgotten: u32,
}

impl EndedBoots {
    pub(crate) const NEW: Self = Self { boots: Vec::new(), forgotten: 0 };

    pub(super) fn clear(&mut self) {
        self.boots.clear();
        self.forgotten = 0;
    }

    fn get_mut(&mut self, id: NodeId, epoch: U24) -> Option<&mut Boot> {
        self.boots.iter_mut().find(|boot| (boot.id, boot.epoch) == (id, epoch))
    }

    /// Remembers how far the events of a boot came that is over at the logical time `clock`.
    pub(super) fn add(&mut self, row: &Publisher, clock: u32) {
        let Publisher { id, epoch, next, known, .. } = *row;
        // Nothing comes after the highest number there is, which stands for itself.
        let last = U24::new(next.get().saturating_sub(1)).unwrap_or(U24::MAX);
        match self.get_mut(id, epoch) {
            Some(boot) => {
                boot.last = boot.last.max(last);
                boot.known = boot.known.max(known);
            }
            None => self.push(Boot { id, epoch, last, known }, clock),
        }
    }

    fn push(&mut self, boot: Boot, clock: u32) {
        if self.boots.is_full() {
            // One whose gap is still to be reported goes only if all are such.
            let told = self.boots.iter().position(|boot| !boot.lacks());
            self.boots.remove(told.unwrap_or(0));
            self.forget(clock);
        }
        // There is room.
        let _ = self.boots.push(boot);
    }

    /// How far the events of some boot came is not known from the logical time `clock` on.
    pub(super) const fn forget(&mut self, clock: u32) {
        self.forgotten = clock;
    }

    /// There is an event of a boot that is remembered, which may have been delivered.
    pub(super) fn heard_of(&mut self, key: EventKey) {
        if let Some(boot) = self.get_mut(key.publisher, key.epoch) {
            boot.known = boot.known.max(key.seq);
        }
    }

    /// An event of a boot other than the row's has come, at the logical time `clock`, and will not be
    /// delivered. It is to be reported, with those before it that nothing was said of: if that boot is still
    /// `to_come`, all of them.
    pub(super) fn missed(&mut self, key: EventKey, to_come: bool, clock: u32) {
        let EventKey { publisher: id, epoch, seq, .. } = key;
        if self.get_mut(id, epoch).is_some() {
            return self.heard_of(key);
        }
        // Of one that was never heard of nothing was delivered.
        let unknown = !to_come && key.clock <= self.forgotten;
        let before = U24::new(seq.get().saturating_sub(1)).unwrap_or(U24::ZERO);
        let last = if unknown { before } else { U24::ZERO };
        self.push(Boot { id, epoch, last, known: seq }, clock);
    }

    /// What is remembered of a boot, whose events are in the publisher's row from now on.
    pub(super) fn take(&mut self, id: NodeId, epoch: U24) -> Option<Boot> {
        let index = self.boots.iter().position(|boot| (boot.id, boot.epoch) == (id, epoch))?;
        Some(self.boots.remove(index))
    }

    /// The next gap to report, in one of those boots that `over` holds for: of whose event and up to
    /// which number. It counts as reported.
    pub(super) fn report(&mut self, over: impl Fn(&Boot) -> bool) -> Option<(Boot, U24)> {
        let boot = self.boots.iter_mut().find(|boot| boot.lacks() && over(boot))?;
        let from = boot.last.next()?;
        boot.last = boot.known;
        Some((*boot, from))
    }
}

#[cfg(test)]
mod tests {
    use super::{ENDED, EndedBoots, Publisher};
    use crate::wire::{EventKey, NodeId, U24};

    fn u24(n: u32) -> U24 {
        U24::new(n).unwrap()
    }

    fn ended(boots: &mut EndedBoots, id: u8, epoch: u32, last: u32, clock: u32) {
        let mut row = Publisher::new(NodeId([id; 6]), u24(epoch));
        row.advance(u24(last));
        boots.add(&row, clock);
    }

    fn late(boots: &mut EndedBoots, id: u8, epoch: u32, seq: u32, clock: u32) -> Option<u32> {
        let [epoch, seq] = [epoch, seq].map(u24);
        let key = EventKey { clock, publisher: NodeId([id; 6]), epoch, seq };
        boots.missed(key, false, clock.max(1_000));
        let (boot, from) = boots.report(|boot| boot.id == NodeId([id; 6]))?;
        assert_eq!((boot.epoch, boot.last), (epoch, seq));
        Some(from.get())
    }

    #[test]
    fn a_late_event_tells_of_those_before_it_that_nothing_was_said_of_once() {
        let mut boots = EndedBoots::NEW;
        ended(&mut boots, 1, 7, 4, 10);
        assert_eq!(late(&mut boots, 1, 7, 4, 9), None, "delivered");
        assert_eq!(late(&mut boots, 1, 7, 9, 9), Some(5));
        assert_eq!(late(&mut boots, 1, 7, 9, 9), None, "reported");
        assert_eq!(late(&mut boots, 1, 7, 6, 9), None, "reported");
        assert_eq!(late(&mut boots, 1, 7, 10, 9), Some(10));
        assert_eq!(late(&mut boots, 1, 6, 3, 9), Some(1), "another boot, never heard of");
        assert_eq!(late(&mut boots, 2, 7, 3, 9), Some(1), "another publisher");
        assert_eq!(late(&mut boots, 2, 7, 5, 9), Some(4));
    }

    #[test]
    fn what_is_known_of_a_boot_is_not_lost_when_it_ends_twice() {
        let mut boots = EndedBoots::NEW;
        ended(&mut boots, 1, 7, 4, 10);
        assert_eq!(late(&mut boots, 1, 7, 9, 9), Some(5));
        ended(&mut boots, 1, 7, 6, 11);
        assert_eq!(late(&mut boots, 1, 7, 10, 9), Some(10));
        assert_eq!(boots.boots.len(), 1);
    }

    #[test]
    fn when_there_are_too_many_the_oldest_is_forgotten_and_its_late_events_are_told_alone() {
        let mut boots = EndedBoots::NEW;
        let count = u8::try_from(ENDED).unwrap();
        (0..=count).for_each(|id| ended(&mut boots, id, 1, 4, 100 + u32::from(id)));
        assert_eq!(late(&mut boots, 1, 1, 6, 90), Some(5), "it is remembered");
        assert_eq!(late(&mut boots, 0, 1, 7, 90), Some(7), "4 events of it were delivered");
        assert_eq!(late(&mut boots, 0, 1, 8, 90), Some(8), "it is remembered again");
        boots.clear();
        assert_eq!(late(&mut boots, 0, 1, 7, 90), Some(1));
    }

    #[test]
    fn an_event_that_is_younger_than_all_that_was_forgotten_is_of_a_boot_never_heard_of() {
        let mut boots = EndedBoots::NEW;
        let count = u8::try_from(ENDED).unwrap();
        (0..=count).for_each(|id| ended(&mut boots, id, 1, 4, 100));
        assert_eq!(late(&mut boots, 99, 1, 7, 101), Some(1));
    }

    #[test]
    fn the_last_number_there_is_is_no_overflow() {
        let mut boots = EndedBoots::NEW;
        ended(&mut boots, 1, 7, U24::MAX.get(), 10);
        assert_eq!(late(&mut boots, 1, 7, U24::MAX.get(), 9), Some(U24::MAX.get()));
        assert_eq!(late(&mut boots, 1, 7, U24::MAX.get(), 9), None);
    }
}
