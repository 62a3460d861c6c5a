//! The time since the start, and the watchdog.

use sdk_sys::user_interface as sdk;

use qemu::cpu;
use qemu::cycle_clock::{CycleClock, sleep_cycles};

use super::local::Local;

/// The time, and its value at the start.
static CLOCK: Local<(CycleClock, u64)> = Local::new((CycleClock::new(), 0));

/// What the SDK's clock said at the start.
static SHOWN: Local<u32> = Local::new(0);

/// What sdk.S keeps: two registers, ticks until the watchdog expires, and how often it has since it was fed.
#[repr(C)]
struct Watchdog([u32; 4]);

unsafe extern "C" {
    static mut sdk_emu_watchdog: Watchdog;
    safe fn sdk_emu_tick();
    safe fn sdk_emu_wait(cycles: u32);
}

/// The time begins.
pub(super) fn start() {
    CLOCK.with(|(clock, start)| *start = clock.advance(cpu::cycles()));
}

/// The SDK's clock says this now, in microseconds.
pub(super) fn set(shown: u32) {
    SHOWN.with(|first| *first = shown.wrapping_sub(now_us() as u32));
}

/// Microseconds since the start.
pub(super) fn now_us() -> u64 {
    CLOCK.with(|(clock, start)| clock.advance(cpu::cycles()) - *start)
}

/// From here on the watchdog wants to be fed.
pub(super) fn start_watchdog() {
    feed();
    sdk_emu_tick();
}

/// Feeds the watchdog. It goes on ticking, so that a restart comes 3 to 6 seconds after the last time.
pub(super) fn feed() {
    // SAFETY: one word, which the interrupt handler counts up.
    unsafe { (&raw mut sdk_emu_watchdog.0[3]).write_volatile(0) }
}

/// Sleeps until this time (a second at most), or until a frame has come.
pub(super) fn sleep_until(at_us: u64) {
    sdk_emu_wait(cpu::cycles().wrapping_add(sleep_cycles(now_us(), at_us)));
}

/// As `user_interface.h` has it.
#[unsafe(no_mangle)]
extern "C" fn system_get_time() -> u32 {
    // Modulo 2³².
    SHOWN.with(|first| first.wrapping_add(now_us() as u32))
}

#[unsafe(no_mangle)]
extern "C" fn system_soft_wdt_feed() {
    feed();
}

super::as_declared!(sdk::{system_get_time, system_soft_wdt_feed});
