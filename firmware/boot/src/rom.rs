//! The mask ROM's functions, and the watchdog, which may be running after a reset that was none of the power.

use core::ffi::{CStr, c_char};
use core::ptr;

unsafe extern "C" {
    /// Reads whole words of flash; 0 is success.
    fn SPIRead(from: u32, to: *mut u32, length: u32) -> i32;
    /// Programs whole words; 0 is success.
    fn SPIWrite(at: u32, from: *const u32, length: u32) -> i32;
    fn ets_delay_us(microseconds: u32);
    /// As C's `printf`. The arguments are in registers, as those of a function of three parameters are.
    fn ets_printf(format: *const c_char, first: u32, second: u32) -> i32;
}

/// `WDT_FEED` of the hardware watchdog (esp8266_peri.h), and what it takes.
const WATCHDOG_FEED: *mut u32 = ptr::with_exposed_provenance_mut(0x6000_0914);
const FEED: u32 = 0x73;

/// Microseconds between two feedings. It bites after about 1.6 s where nobody has set it.
const FEEDING_US: u32 = 100_000;

fn feed_watchdog() {
    // SAFETY: a register that only restarts the count.
    unsafe { WATCHDOG_FEED.write_volatile(FEED) }
}

/// Reads `length` bytes of flash to the address `to`; none if the chip fails. Feeds the watchdog.
///
/// # Safety
/// There must be so many bytes of memory, in whole words, that nothing else is in.
pub(crate) unsafe fn read(from: u32, to: u32, length: u32) -> Option<()> {
    feed_watchdog();
    let to = ptr::with_exposed_provenance_mut(to as usize);
    // SAFETY: as promised by the caller.
    let done = unsafe { SPIRead(from, to, length) };
    (done == 0).then_some(())
}

/// Programs a word.
pub(crate) fn program(at: u32, word: u32) -> Option<()> {
    feed_watchdog();
    // SAFETY: the ROM reads one word, and writes to flash alone.
    let done = unsafe { SPIWrite(at, &word, 4) };
    (done == 0).then_some(())
}

/// Waits.
pub(crate) fn wait(microseconds: u32) {
    for _ in 0..microseconds / FEEDING_US {
        feed_watchdog();
        // SAFETY: it only waits.
        unsafe { ets_delay_us(FEEDING_US) };
    }
}

/// Prints on the serial line, at the rate that the ROM has set.
pub(crate) fn say(format: &'static CStr, first: u32, second: u32) {
    // SAFETY: a text with an end; it asks for no more than two numbers, as all callers can see.
    unsafe { ets_printf(format.as_ptr(), first, second) };
}
