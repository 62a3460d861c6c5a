//! Who has published what: the order of each publisher's events, and the gaps in it.

use super::ended::EndedBoots;
use crate::wire::{EventKey, NodeId, U24};
use heapless::VecView;

/// A publisher, and how far its events were delivered.
#[derive(Clone, Copy, Debug)]
pub struct Publisher {
    pub(super) id: NodeId,
    /// The boot that its events are being delivered of.
    pub(super) epoch: U24,
    /// The number of the event that is to be delivered next.
    pub(super) next: U24,
    /// The highest number of that boot that was heard of.
    pub(super) known: U24,
    /// Since when it waits for an event, as [`Since`]; 0 if it does not.
    waiting: u8,
}

/// A quarter of a second, as a power of two of microseconds.
const QUARTER: u32 = 18;

/// The time in units of about a quarter of a second (262 ms), modulo 255, less one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since(u8);

impl Since {
    pub(super) fn new(micros: u64) -> Self {
        let quarters = u32::try_from(micros >> QUARTER & u64::from(u32::MAX)).unwrap_or(0);
        Self(u8::try_from(quarters.checked_rem(255).unwrap_or(0)).unwrap_or(0))
    }
}

impl Publisher {
    /// One of whom nothing was delivered yet.
    pub(super) const fn new(id: NodeId, epoch: U24) -> Self {
        Self { id, epoch, next: FIRST, known: U24::ZERO, waiting: 0 }
    }

    /// One of whom that is known which `ended` has of its boot.
    fn resume(id: NodeId, epoch: U24, ended: &mut EndedBoots) -> Self {
        let mut row = Self::new(id, epoch);
        if let Some(boot) = ended.take(id, epoch) {
            row.next = boot.last.next().unwrap_or(U24::MAX);
            row.known = boot.known;
        }
        row
    }

    /// Whether there are events that were heard of, and are to come.
    pub(super) fn lacks(&self) -> bool {
        self.next <= self.known && self.next < U24::MAX
    }

    pub(super) const fn is_waiting(&self) -> bool {
        self.waiting != 0
    }

    /// Waits from now on, unless it does so already.
    pub(super) const fn wait(&mut self, now: Since) {
        if self.waiting == 0 {
            self.waiting = now.0.saturating_add(1);
        }
    }

    pub(super) const fn rest(&mut self) {
        self.waiting = 0;
    }

    /// For how long it has waited, in quarters of a second.
    pub(super) fn waited(&self, now: Since) -> u8 {
        let since = self.waiting.saturating_sub(1);
        now.0.checked_sub(since).unwrap_or_else(|| {
            // Both are below 255.
            (u8::MAX).saturating_sub(since).saturating_add(now.0)
        })
    }

    /// The event `seq` is delivered, or given up: the one after it is next.
    pub(super) fn advance(&mut self, seq: U24) {
        // The last number there is stands for itself.
        self.next = seq.next().unwrap_or(U24::MAX);
        self.known = self.known.max(seq);
        self.waiting = 0;
    }

    /// Goes on with the events of another boot at the logical time `clock`. How far it was with
    /// those of the boot that is over is remembered in `ended`.
    pub(super) fn reboot(&mut self, epoch: U24, ended: &mut EndedBoots, clock: u32) {
        ended.add(self, clock);
        *self = Self::resume(self.id, epoch, ended);
    }
}

/// The number of a boot's first event.
pub(super) const FIRST: U24 = U24::from_be_bytes([0, 0, 1]);

/// The publishers that were heard of.
#[derive(Debug)]
pub(super) struct Publishers<'a> {
    /// In the order of their ids.
    rows: &'a mut VecView<Publisher>,
    ended: &'a mut EndedBoots,
}

impl<'a> Publishers<'a> {
    /// A table in `rows`, emptied as `ended` is.
    pub(super) fn new(rows: &'a mut VecView<Publisher>, ended: &'a mut EndedBoots) -> Self {
        rows.clear();
        ended.clear();
        Self { rows, ended }
    }

    /// All publishers, and their boots that are over.
    pub(super) fn split_mut(&mut self) -> (&mut [Publisher], &mut EndedBoots) {
        (self.rows, self.ended)
    }

    fn position(&self, id: NodeId) -> Result<usize, usize> {
        self.rows.binary_search_by_key(&id, |row| row.id)
    }

    pub(super) fn get(&self, id: NodeId) -> Option<&Publisher> {
        self.rows.get(self.position(id).ok()?)
    }

    pub(super) fn get_mut(&mut self, id: NodeId) -> Option<&mut Publisher> {
        let index = self.position(id).ok()?;
        self.rows.get_mut(index)
    }

    /// Takes note, at the logical time `clock`, that there is an event with this key, which the window
    /// does not have; and whether it is `undelivered` for certain.
    pub(super) fn heard_of(&mut self, key: EventKey, undelivered: bool, clock: u32) {
        let row = self.get_mut(key.publisher);
        // Of a boot that is still to come nothing was delivered.
        let later = row.as_ref().is_some_and(|row| row.epoch < key.epoch);
        match row {
            Some(row) if row.epoch == key.epoch => row.known = row.known.max(key.seq),
            _ if undelivered || later => self.ended.missed(key, later, clock),
            _ => self.ended.heard_of(key),
        }
    }

    /// Takes note, at the logical time `clock`, that somebody knows of an event with this key, which the
    /// window does not have. Of a boot that is still to come it says nothing: the event may yet come, and
    /// be delivered.
    pub(super) fn told_of(&mut self, key: EventKey, clock: u32) {
        if self.get(key.publisher).is_some_and(|row| row.epoch >= key.epoch) {
            self.heard_of(key, false, clock);
        }
    }

    /// Takes note, at the logical time `clock`, that another window has dropped the event with this key, and
    /// this one does not have it: it will not come any more. Older ones of a boot that is still to come may, if
    /// they are retained, so they are waited for from `since` on.
    pub(super) fn told_of_drop(&mut self, key: EventKey, since: Since, clock: u32) {
        self.heard_of(key, false, clock);
        if let Some(row) = self.get_mut(key.publisher).filter(|row| row.epoch < key.epoch) {
            row.wait(since);
        }
    }

    /// The row of a publisher, which is made if there is none, for its boot `epoch` at the logical
    /// time `clock`; and the boots that are over. When the table is full one makes room that `gone` holds for; if there is none, the answer is `None`. Of a
    /// publisher that comes when the table is full it is not known whether it had a row before. So
    /// its events from `first` on are delivered, and nothing is said of those before.
    pub(super) fn enrol(
        &mut self,
        (id, epoch, first): (NodeId, U24, U24),
        clock: u32,
        gone: &impl Fn(NodeId) -> bool,
    ) -> Option<(&mut Publisher, &mut EndedBoots)> {
        if self.position(id).is_err() {
            let full = self.rows.is_full();
            if full {
                let Some(index) = self.rows.iter().position(|row| gone(row.id)) else {
                    // Its events are delivered, and nobody remembers it.
                    self.ended.forget(clock);
                    return None;
                };
                self.ended.add(&self.rows.remove(index), clock);
            }
            let mut row = Publisher::resume(id, epoch, self.ended);
            if full && row.next == FIRST {
                row.next = first;
            }
            let index = self.position(id).err()?;
            self.rows.insert(index, row).ok()?;
        }
        let index = self.position(id).ok()?;
        Some((self.rows.get_mut(index)?, self.ended))
    }
}

#[cfg(test)]
mod tests {
    use super::{EndedBoots, Publisher, Publishers, Since};
    use crate::wire::{EventKey, NodeId, U24};

    #[test]
    fn in_a_full_table_those_who_are_gone_make_room_and_newcomers_begin_where_they_are() {
        let mut rows = heapless::Vec::<Publisher, 2>::new();
        let mut ended = EndedBoots::NEW;
        let mut table = Publishers::new(rows.as_mut_view(), &mut ended);
        let seq = |n| U24::new(n).unwrap();
        let mut next = |id: u8, first, gone: u8| {
            let gone = |other| other == NodeId([gone; 6]);
            let row = table.enrol((NodeId([id; 6]), U24::ZERO, seq(first)), 5, &gone);
            row.map(|(row, _)| row.next.get())
        };
        assert_eq!(next(2, 9, 0), Some(1));
        assert_eq!(next(1, 9, 0), Some(1));
        assert_eq!(next(3, 9, 0), None, "nobody is gone");
        assert_eq!(next(3, 9, 1), Some(9));
        assert_eq!(next(1, 7, 2), Some(7), "it may have been there before");
        assert_eq!(next(3, 20, 0), Some(9));
        // Where those were who had to go is remembered, and that somebody was not enrolled.
        let mut missed = |id: u8, clock| {
            let key = EventKey { clock, publisher: NodeId([id; 6]), epoch: U24::ZERO, seq: seq(4) };
            ended.missed(key, false, 9);
            ended.report(|boot| boot.id == key.publisher).map(|(_, from)| from.get())
        };
        assert_eq!(missed(2, 5), Some(1), "nothing of it was delivered");
        assert_eq!(missed(7, 5), Some(4), "some may have been");
        assert_eq!(missed(7, 6), None);
        assert_eq!(missed(8, 6), Some(1), "that was later");
    }

    #[test]
    fn what_the_window_drops_of_other_boots_than_the_rows_is_kept_in_mind() {
        let mut rows = heapless::Vec::<Publisher, 2>::new();
        let mut ended = EndedBoots::NEW;
        let mut table = Publishers::new(rows.as_mut_view(), &mut ended);
        let u24 = |n| U24::new(n).unwrap();
        let id = NodeId([1; 6]);
        let key =
            |epoch, seq| EventKey { clock: 9, publisher: id, epoch: u24(epoch), seq: u24(seq) };
        let enrolled = table.enrol((id, u24(5), u24(1)), 9, &|_| false).is_some();
        assert!(enrolled);
        let over = |table: &mut Publishers<'_>, epoch: u32| {
            let gap = table.ended.report(|boot| boot.epoch == u24(epoch));
            gap.map(|(boot, from)| (from.get(), boot.last.get()))
        };
        table.heard_of(key(4, 3), true, 9);
        assert_eq!(over(&mut table, 4), Some((1, 3)));
        table.heard_of(key(4, 2), false, 9);
        assert_eq!(over(&mut table, 4), None, "reported");
        table.heard_of(key(4, 9), false, 9);
        assert_eq!(over(&mut table, 4), Some((4, 9)), "it cannot have been delivered");
        table.heard_of(key(3, 2), false, 9);
        assert_eq!(over(&mut table, 3), None, "it may have been delivered");
        table.ended.forget(9);
        table.heard_of(key(6, 4), false, 9);
        let (rows, ended) = table.split_mut();
        rows[0].reboot(u24(6), ended, 9);
        assert_eq!((rows[0].next, rows[0].known), (u24(1), u24(4)));
        assert_eq!(over(&mut table, 6), None, "the row has it");
        assert_eq!(over(&mut table, 5), None, "nothing is known to be missing");
    }

    #[test]
    fn a_publisher_takes_16_bytes() {
        assert_eq!(size_of::<Publisher>(), 16);
    }

    #[test]
    fn waiting_is_counted_in_quarters_of_a_second_over_the_wrap_of_its_byte() {
        for start in 0..600_u64 {
            let at = |quarter: u64| Since::new(quarter << super::QUARTER);
            let mut row = Publisher::new(NodeId([1; 6]), U24::ZERO);
            assert!(!row.is_waiting());
            row.wait(at(start));
            row.wait(at(start + 3));
            assert!(row.is_waiting());
            for waited in 0..200 {
                assert_eq!(u64::from(row.waited(at(start + waited))), waited, "from {start}");
            }
        }
    }
}
