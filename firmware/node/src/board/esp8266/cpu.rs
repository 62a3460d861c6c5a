//! The critical section, made from the core's interrupt level.
//!
//! The SDK's `ets_intr_lock` does not nest; this does, since it puts back the level that it found.

unsafe extern "C" {
    safe fn lx106_raise_level() -> u32;
    fn lx106_restore_level(ps: u32);
}

struct InterruptLevel;
critical_section::set_impl!(InterruptLevel);

// SAFETY: one core; `acquire` raises the interrupt level to the highest that can be masked and returns the level of
// before, which `release` puts back, so sections nest. The non-maskable interrupt is the radio's, and runs nothing of ours.
unsafe impl critical_section::Impl for InterruptLevel {
    unsafe fn acquire() -> u32 {
        lx106_raise_level()
    }

    unsafe fn release(before: u32) {
        // SAFETY: `before` is a value of PS that `acquire` has read.
        unsafe { lx106_restore_level(before) }
    }
}
