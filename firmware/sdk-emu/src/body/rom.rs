//! Functions of the mask ROM that the firmware itself calls, for firmware that is linked without a ROM.

use core::ffi::c_int;

use sdk_sys::{osapi, unlisted};

use qemu::cycle_clock::CYCLES_PER_US;
use qemu::{cpu, uart};

#[unsafe(no_mangle)]
extern "C" fn ets_write_char(character: c_int) {
    // The line takes bytes, of which more than one may make up a character.
    let [byte, ..] = character.to_le_bytes();
    uart::write_byte(byte);
}

#[unsafe(no_mangle)]
extern "C" fn ets_delay_us(microseconds: u32) {
    let start = cpu::cycles();
    // The counter comes round after 107 seconds, long after the watchdog has come.
    let cycles = microseconds.saturating_mul(CYCLES_PER_US);
    while cpu::cycles().wrapping_sub(start) < cycles {}
}

super::as_declared!(osapi::{ets_delay_us});
super::as_declared!(unlisted::{ets_write_char});
