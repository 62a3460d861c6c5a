//! What QEMU runs in place of the ESP8266's mask ROM, which nobody may copy: the functions that bootloader and SDK
//! call, at their addresses (`table.S`), and the start from flash.
//!
//! The chip's flash is the first megabyte of the board's (`-M lx60-nommu -drive if=pflash`), so it is a file, and
//! persists. The functions do what the ROM's do as far as their callers rely on it; they are written from their documented behaviour,
//! not from its code. Where silicon is stricter stands at each: what runs here may still fail there.
#![no_std]

mod flash;
mod format;
mod start;

use core::panic::PanicInfo;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

use qemu::boot_params::BootParams;
use qemu::{log_line, uart};

/// Megahertz that the chip runs at out of reset, as the ROM's functions tell until they are told otherwise.
const FREQUENCY: u32 = 80;

/// Where the address of QEMU's boot parameters is left for the stand-in of the SDK: a register that holds it after a
/// reset does not come through bootloader and image.
const PARAMETERS: *mut BootParams = ptr::with_exposed_provenance_mut(0x3FF4_0000);

/// `rt/start.S` comes here out of reset.
#[unsafe(no_mangle)]
extern "C" fn lx106_main(parameters: BootParams) -> ! {
    // SAFETY: a word that the linker script keeps free.
    unsafe { PARAMETERS.write_volatile(parameters) };
    start::start()
}

/// `rt/start.S` comes here with an exception: on the chip, the ROM's handlers would end in a watchdog's reset.
#[unsafe(no_mangle)]
extern "C" fn lx106_fault(cause: u32, epc: u32, address: u32, a0: u32) -> ! {
    log_line!("FAULT cause {cause} epc {epc:#010x} address {address:#010x} a0 {a0:#010x}");
    qemu::fpga::reset()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    log_line!("PANIC in the ROM: {}", info.message());
    qemu::fpga::reset()
}

/// `ets_write_char`: a byte, of which more than one may make up a character.
#[unsafe(no_mangle)]
extern "C" fn rom_write_char(byte: u8) {
    uart::write_byte(byte);
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
    FREQUENCY_NOW.store(megahertz, Ordering::Relaxed);
}

/// `ets_get_cpu_frequency`.
#[unsafe(no_mangle)]
extern "C" fn rom_frequency() -> u32 {
    FREQUENCY_NOW.load(Ordering::Relaxed)
}

static FREQUENCY_NOW: AtomicU32 = AtomicU32::new(FREQUENCY);
