//! Variables of the ROM, which interrupts use as well.

use core::cell::RefCell;

use qemu::cpu;

/// A variable. It is used with interrupts masked, and by nobody else meanwhile.
pub(crate) struct Local<T>(RefCell<T>);

// SAFETY: there is one core, and nobody interrupts who uses it.
unsafe impl<T> Sync for Local<T> {}

impl<T> Local<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    pub(crate) fn with<R>(&self, job: impl FnOnce(&mut T) -> R) -> R {
        cpu::undisturbed(|| job(&mut self.0.borrow_mut()))
    }
}

impl<T: Copy> Local<T> {
    pub(crate) fn get(&self) -> T {
        self.with(|value| *value)
    }

    pub(crate) fn set(&self, value: T) {
        self.with(|place| *place = value);
    }
}
