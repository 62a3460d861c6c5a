//! The one buffer for bodies that do not fit their connection's own.
//!
//! Who comes waits for its turn, first come first served. Whoever has it keeps it for as long as
//! nobody waits; else for a lease, after which it is taken away in the middle of the body. So with
//! `N` connections nobody waits longer than `N - 1` leases, whatever the others do.

use core::cell::{Cell, RefCell};

use embassy_time::{Duration, Instant, Timer};

use super::connection::Seat;

/// Between two looks whether the turn has come: several may wait, and a signal wakes only one.
const LOOK: Duration = Duration::from_millis(10);

/// A buffer that all connections share.
pub(super) struct SharedBuffer<'b> {
    /// Borrowed between two awaits only.
    bytes: RefCell<&'b mut [u8]>,
    holder: Cell<Option<Hold>>,
    /// How often it was taken.
    turns: Cell<u32>,
}

/// Who has the buffer, and since when.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Hold {
    turn: u32,
    since: Instant,
}

/// The buffer was taken away: its holder was slow, and another one waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost;

impl<'b> SharedBuffer<'b> {
    pub(super) const fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes: RefCell::new(bytes), holder: Cell::new(None), turns: Cell::new(0) }
    }

    /// Waits until it is the turn of seat `number`, and takes the buffer. Dropping the future gives
    /// up the place in the queue.
    pub(super) async fn claim(
        &self,
        seats: &[Seat],
        number: usize,
        lease: Duration,
    ) -> Claim<'_, 'b> {
        let asked = &seats[number].asked;
        asked.set(Some(Instant::now()));
        let _waiting = Waiting(asked);
        loop {
            let first = |(_, seat): &(usize, &Seat)| seat.asked.get();
            let next =
                seats.iter().enumerate().filter(|seat| first(seat).is_some()).min_by_key(first);
            let is_next = next.is_some_and(|(first, _)| first == number);
            let now = Instant::now();
            let is_free = self.holder.get().is_none_or(|hold| now >= hold.since + lease);
            if is_next && is_free {
                let hold = Hold { turn: self.turns.get().wrapping_add(1), since: now };
                self.turns.set(hold.turn);
                self.holder.set(Some(hold));
                return Claim { shared: self, hold };
            }
            Timer::after(LOOK).await;
        }
    }
}

/// A place in the queue.
struct Waiting<'s>(&'s Cell<Option<Instant>>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

/// The right to use the buffer, until it is dropped or lost.
pub(super) struct Claim<'s, 'b> {
    shared: &'s SharedBuffer<'b>,
    hold: Hold,
}

impl Claim<'_, '_> {
    fn is_lost(&self) -> bool {
        self.shared.holder.get() != Some(self.hold)
    }

    /// Puts `bytes` at `start`.
    pub(super) fn put(&self, start: usize, bytes: &[u8]) -> Result<(), Lost> {
        if self.is_lost() {
            return Err(Lost);
        }
        let mut buffer = self.shared.bytes.borrow_mut();
        let place = buffer.get_mut(start..start + bytes.len()).ok_or(Lost)?;
        place.copy_from_slice(bytes);
        Ok(())
    }

    /// Lends out the first `len` bytes.
    pub(super) fn with<R>(&self, len: usize, look: impl FnOnce(&[u8]) -> R) -> Result<R, Lost> {
        if self.is_lost() {
            return Err(Lost);
        }
        let buffer = self.shared.bytes.borrow();
        buffer.get(..len).map(look).ok_or(Lost)
    }
}

impl Drop for Claim<'_, '_> {
    fn drop(&mut self) {
        if !self.is_lost() {
            self.shared.holder.set(None);
        }
    }
}
