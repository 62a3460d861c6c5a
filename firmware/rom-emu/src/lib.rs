//! What QEMU runs in place of the ESP8266's mask ROM, which nobody may copy: the functions that bootloader and SDK
//! call, at their addresses (`table.S`), and the start from flash.
//!
//! For Espressif's SDK itself there are also the chip's registers, exceptions and interrupts, tasks, and a radio that hears nothing
//! (`chip.rs`; decision 19 says what that shows, and what it does not).
//!
//! The chip's flash is the first megabyte of the board's (`-M lx60-nommu -drive if=pflash`), so it is a file, and
//! persists. The functions do what the ROM's do as far as their callers rely on it; they are written from their documented behaviour,
//! not from its code. Where silicon is stricter stands at each: what runs here may still fail there.
#![no_std]

mod access;
mod chip;
mod console;
mod exceptions;
mod flash;
mod format;
mod interrupts;
mod local;
mod radio;
mod registers;
mod start;
mod tasks;
mod timer;

use core::panic::PanicInfo;
use core::ptr;

use qemu::boot_params::BootParams;
use qemu::log_line;

use crate::local::Local;

/// Megahertz that the chip runs at out of reset, as the ROM's functions tell until they are told otherwise.
const FREQUENCY: u32 = 80;

/// Where the address of QEMU's boot parameters is left for the stand-in of the SDK: a register that holds it after a
/// reset does not come through bootloader and image.
const PARAMETERS: *mut BootParams = ptr::with_exposed_provenance_mut(0x3FF4_0000);

/// How often the machine has started since it was switched on, which memory does not forget.
const STARTS: *mut u32 = ptr::with_exposed_provenance_mut(0x3FF4_0004);

/// `exceptions.S` comes here out of QEMU's reset.
#[unsafe(no_mangle)]
extern "C" fn rom_main(parameters: BootParams) -> ! {
    // SAFETY: words that the linker script keeps free.
    unsafe {
        PARAMETERS.write_volatile(parameters);
        STARTS.write_volatile(STARTS.read_volatile().saturating_add(1));
    }
    exceptions::start();
    flash::start();
    // SAFETY: QEMU's.
    unsafe { chip::start(parameters) };
    start::start()
}

/// `exceptions.S` comes here when the program jumps to the address of the reset.
#[unsafe(no_mangle)]
extern "C" fn rom_reset() -> ! {
    chip::reset()
}

/// An exception that nobody handles: on the chip, the ROM's handlers would end in a watchdog's reset.
#[unsafe(no_mangle)]
extern "C" fn rom_fault(cause: u32, epc: u32, address: u32, a0: u32) -> ! {
    log_line!("FAULT cause {cause} epc {epc:#010x} address {address:#010x} a0 {a0:#010x}");
    qemu::fpga::reset()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    log_line!("PANIC in the ROM: {}", info.message());
    qemu::fpga::reset()
}

/// `ets_delay_us`, by the board's own clock.
#[unsafe(no_mangle)]
extern "C" fn rom_delay_us(microseconds: u32) {
    let per_us = qemu::fpga::clock_hz() / 1_000_000;
    let start = qemu::cpu::cycles();
    // 2^32 cycles are more than anyone waits at once.
    let cycles = microseconds.wrapping_mul(per_us);
    while qemu::cpu::cycles().wrapping_sub(start) < cycles {}
}

/// `ets_bzero`.
///
/// # Safety
/// `length` bytes at `to` must be the caller's.
#[unsafe(no_mangle)]
unsafe extern "C" fn rom_bzero(to: *mut u8, length: usize) {
    // SAFETY: as promised by the caller.
    unsafe { to.write_bytes(0, length) }
}

/// `ets_update_cpu_frequency` sets what `ets_get_cpu_frequency` returns; QEMU's clock is what it is.
#[unsafe(no_mangle)]
extern "C" fn rom_set_frequency(megahertz: u32) {
    FREQUENCY_NOW.set(megahertz);
}

/// `ets_get_cpu_frequency`.
#[unsafe(no_mangle)]
extern "C" fn rom_frequency() -> u32 {
    FREQUENCY_NOW.get()
}

static FREQUENCY_NOW: Local<u32> = Local::new(FREQUENCY);

/// `rtc_get_reset_reason`: 1 when the power has come, 2 after a reset, as the ROM's own message tells them (*rst cause*).
#[unsafe(no_mangle)]
extern "C" fn rom_reset_reason() -> u32 {
    if starts() == 1 { 1 } else { 2 }
}

/// How often the machine has started since it was switched on.
fn starts() -> u32 {
    // SAFETY: a word that the linker script keeps free.
    unsafe { STARTS.read_volatile() }
}

/// `roundup2`: up to a multiple of `unit`.
#[unsafe(no_mangle)]
extern "C" fn rom_round_up(value: u32, unit: u32) -> u32 {
    value.next_multiple_of(unit.max(1))
}
