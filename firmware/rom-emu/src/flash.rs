//! The chip's flash functions, over what QEMU's board has of flash.

use core::ptr;

use qemu::cfi::{Flash, SECTOR, SIZE};

/// Where the processor of the chip sees its flash.
const WINDOW: *mut u32 = ptr::with_exposed_provenance_mut(0x4020_0000);

/// `SpiFlashOpResult` of the SDK's `spi_flash.h`.
const OK: i32 = 0;
const ERROR: i32 = 1;

/// The flash, for one operation.
fn flash() -> Flash {
    // SAFETY: each operation ends before the next one begins, and nobody else touches the board's flash.
    unsafe { Flash::new() }
}

/// How many words are meant, if it is whole ones on both sides.
fn words(memory: *const u32, length: u32) -> Option<usize> {
    (memory.is_aligned() && length.is_multiple_of(4)).then_some(length as usize / 4)
}

fn result(done: bool) -> i32 {
    if done { OK } else { ERROR }
}

/// Reads `length` bytes at `address` to `to`, for the ROM's own start. False if there are none.
///
/// # Safety
/// So many bytes at `to` must be nobody else's.
pub(crate) unsafe fn read(address: u32, to: *mut u32, length: u32) -> bool {
    let Some(words) = words(to, length) else { return false };
    // SAFETY: as promised by the caller; any pattern is valid.
    let words = unsafe { core::slice::from_raw_parts_mut(to, words) };
    flash().read(address, words).is_ok()
}

/// `SPIRead`. The chip's reads any length, and writes whole words all the same: here what is not whole words is refused.
///
/// # Safety
/// As [`read`].
#[unsafe(no_mangle)]
unsafe extern "C" fn rom_read(address: u32, to: *mut u32, length: u32) -> i32 {
    // SAFETY: as promised by the caller.
    result(unsafe { read(address, to, length) })
}

/// `SPIWrite`.
///
/// # Safety
/// So many bytes at `from` must be readable.
#[unsafe(no_mangle)]
unsafe extern "C" fn rom_write(address: u32, from: *const u32, length: u32) -> i32 {
    let Some(words) = words(from, length) else { return ERROR };
    // SAFETY: as promised by the caller.
    let words = unsafe { core::slice::from_raw_parts(from, words) };
    result(flash().write(address, words).is_ok())
}

/// `SPIEraseSector`: 4 KB, by number.
#[unsafe(no_mangle)]
extern "C" fn rom_erase_sector(sector: u32) -> i32 {
    result(sector.checked_mul(SECTOR).is_some_and(|start| flash().erase(start).is_ok()))
}

/// `Cache_Read_Enable`: shows the first megabyte of flash in the window, as it is now. On the chip the window cannot be
/// written, and takes aligned loads of words only; here it is memory, which does not follow what is written to flash.
#[unsafe(no_mangle)]
extern "C" fn rom_cache_enable(_odd: u32, _megabyte: u32, _large: u32) {
    // SAFETY: a megabyte of QEMU's memory that stands for the window.
    unsafe { read(0, WINDOW, SIZE) };
}

/// `Cache_Read_Disable`: what is read in the window is nothing that was in flash.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn rom_cache_disable() {
    for index in 0..SIZE as usize / 4 {
        // SAFETY: as in `rom_cache_enable`.
        unsafe { WINDOW.add(index).write_volatile(0) };
    }
}
