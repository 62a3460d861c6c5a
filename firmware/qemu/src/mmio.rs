//! Reading and writing device registers.

use core::ptr;

/// A 32-bit register of a device at a fixed address.
#[derive(Clone, Copy)]
pub(crate) struct Register(*mut u32);

impl Register {
    /// The register at `address`.
    ///
    /// # Safety
    /// `address` must be that of a device register which may be read and written at any time
    /// as far as memory safety is concerned.
    pub(crate) const unsafe fn at(address: usize) -> Self {
        Self(ptr::with_exposed_provenance_mut(address))
    }

    pub(crate) fn read(self) -> u32 {
        // SAFETY: `at` was promised a register.
        unsafe { self.0.read_volatile() }
    }

    pub(crate) fn write(self, value: u32) {
        // SAFETY: `at` was promised a register.
        unsafe { self.0.write_volatile(value) }
    }
}
