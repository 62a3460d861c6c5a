//! Values that the SDK's tasks share.

use core::cell::UnsafeCell;

/// A value for the SDK's tasks and callbacks, which are never interrupted by each other.
#[repr(transparent)]
pub(super) struct TaskLocal<T>(UnsafeCell<T>);

// SAFETY: there is one core, and nothing of ours runs in interrupts: all accesses are of one thread.
unsafe impl<T> Sync for TaskLocal<T> {}

impl<T> TaskLocal<T> {
    pub(super) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Where it is, for the SDK to keep.
    pub(super) const fn as_ptr(&self) -> *mut T {
        self.0.get()
    }
}

impl<T: Copy> TaskLocal<T> {
    pub(super) fn get(&self) -> T {
        // SAFETY: one thread, and no reference to the inside is ever made.
        unsafe { self.0.get().read() }
    }

    pub(super) fn set(&self, value: T) {
        // SAFETY: as above.
        unsafe { self.0.get().write(value) }
    }
}
