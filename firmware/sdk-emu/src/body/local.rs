//! Variables of a program that runs on one core, and whose interrupts touch none of them.

use core::cell::RefCell;

/// A variable. Nobody may hold it while the firmware is called, which may call back.
pub(super) struct Local<T>(RefCell<T>);

// SAFETY: there is one thread, and the interrupt handler in sdk.S touches no Rust variable.
unsafe impl<T> Sync for Local<T> {}

impl<T> Local<T> {
    pub(super) const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    pub(super) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.borrow_mut())
    }
}
