//! The core's special registers: each access is a function in `rt/registers.S`.

unsafe extern "C" {
    safe fn lx106_ccount() -> u32;
    safe fn lx106_set_ccompare0(value: u32);
    safe fn lx106_interrupt_clear(mask: u32);
    safe fn lx106_wait(mask: u32);
    safe fn lx106_raise_level() -> u32;
    safe fn lx106_restore_level(ps: u32);
}

/// Interrupt of the timer that compares with `CCOMPARE0`.
pub const INTERRUPT_TIMER: u32 = 1 << 6;
/// Interrupt of the Ethernet card.
pub const INTERRUPT_ETHERNET: u32 = 1 << 1;

/// Clock cycles since power-on, modulo 2³².
#[must_use]
pub fn cycles() -> u32 {
    lx106_ccount()
}

/// Requests the timer interrupt for when [`cycles`] equals `value`, and clears an earlier one.
pub fn set_timer(value: u32) {
    lx106_set_ccompare0(value);
}

/// Clears the latched interrupts in `mask`.
pub fn clear_interrupts(mask: u32) {
    lx106_interrupt_clear(mask);
}

/// Sleeps until one of the interrupts in `mask` is there, at once if it is already.
///
/// Interrupts are masked everywhere else, so nothing is lost between the last look at the work
/// and going to sleep, and no interrupt handler ever touches memory.
pub fn wait_for(mask: u32) {
    lx106_wait(mask);
}

/// Does `job` with all interrupts masked. It may be called from within itself.
pub fn undisturbed<T>(job: impl FnOnce() -> T) -> T {
    let before = lx106_raise_level();
    let done = job();
    lx106_restore_level(before);
    done
}

/// Sleeps for ever.
pub fn halt() -> ! {
    loop {
        wait_for(0);
    }
}
