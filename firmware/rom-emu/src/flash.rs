//! The chip's flash functions over QEMU's, which has other commands and larger sectors (Intel's command set, two chips
//! of 16 bits side by side).
//!
//! QEMU's program command sets bits as well as it clears them. So an erase of 4 KB is a program of ones, and a program
//! writes what the chip would hold: the old bits and the new ones.

use core::ptr;

/// Where the board's flash is, of which the first megabyte is the chip's.
const FLASH: *mut u32 = ptr::with_exposed_provenance_mut(0x9800_0000);
/// Where the processor of the chip sees its flash.
const WINDOW: *mut u32 = ptr::with_exposed_provenance_mut(0x4020_0000);
/// Bytes of the chip's flash.
const LENGTH: u32 = 0x10_0000;
const SECTOR: u32 = 0x1000;

/// Intel's commands, for both chips at once: program what is written next; and be memory again.
const PROGRAM: u32 = 0x0040_0040;
const READ: u32 = 0x00FF_00FF;

/// `SpiFlashOpResult` of the SDK's `spi_flash.h`.
const OK: i32 = 0;
const ERROR: i32 = 1;

/// A word of the flash; the address is a multiple of 4 below [`LENGTH`].
fn word(address: u32) -> *mut u32 {
    FLASH.wrapping_add(address as usize / 4)
}

fn load(address: u32) -> u32 {
    // SAFETY: within the board's flash, which is memory.
    unsafe { word(address).read_volatile() }
}

fn store(address: u32, value: u32) {
    if load(address) == value {
        return;
    }
    let place = word(address);
    // SAFETY: within the board's flash, which takes commands at any address, and is memory again at the end.
    unsafe {
        place.write_volatile(PROGRAM);
        place.write_volatile(value);
        place.write_volatile(READ);
    }
}

/// Whether whole words of the chip's flash are meant.
fn is_possible(address: u32, length: u32) -> bool {
    let whole = (address | length).is_multiple_of(4);
    whole && address.checked_add(length).is_some_and(|end| end <= LENGTH)
}

/// Reads `length` bytes at `address` to `to`, for the ROM's own start.
///
/// # Safety
/// So many bytes at `to` must be nobody else's.
pub(crate) unsafe fn read(address: u32, to: *mut u32, length: u32) -> bool {
    if !is_possible(address, length) || !to.addr().is_multiple_of(4) {
        return false;
    }
    for index in 0..length / 4 {
        // SAFETY: as promised by the caller.
        unsafe { to.add(index as usize).write_volatile(load(address + 4 * index)) };
    }
    true
}

/// `SPIRead`. The chip's reads any length, and writes whole words all the same: here what is not whole words is refused.
///
/// # Safety
/// As [`read`].
#[unsafe(no_mangle)]
unsafe extern "C" fn rom_read(address: u32, to: *mut u32, length: u32) -> i32 {
    // SAFETY: as promised by the caller.
    if unsafe { read(address, to, length) } { OK } else { ERROR }
}

/// `SPIWrite`.
///
/// # Safety
/// So many bytes at `from` must be readable.
#[unsafe(no_mangle)]
unsafe extern "C" fn rom_write(address: u32, from: *const u32, length: u32) -> i32 {
    if !is_possible(address, length) || !from.addr().is_multiple_of(4) {
        return ERROR;
    }
    for index in 0..length / 4 {
        let at = address + 4 * index;
        // SAFETY: as promised by the caller.
        let new = unsafe { from.add(index as usize).read() };
        store(at, load(at) & new);
    }
    OK
}

/// `SPIEraseSector`: 4 KB, by number.
#[unsafe(no_mangle)]
extern "C" fn rom_erase_sector(sector: u32) -> i32 {
    let Some(start) = sector.checked_mul(SECTOR).filter(|start| is_possible(*start, SECTOR)) else {
        return ERROR;
    };
    (start..start + SECTOR).step_by(4).for_each(|address| store(address, u32::MAX));
    OK
}

/// `Cache_Read_Enable`: shows the first megabyte of flash in the window, as it is now. On the chip the window cannot be
/// written, and takes aligned loads of words only; here it is memory.
#[unsafe(no_mangle)]
extern "C" fn rom_cache_enable(_odd: u32, _megabyte: u32, _large: u32) {
    // SAFETY: a megabyte of QEMU's memory that stands for the window.
    unsafe { read(0, WINDOW, LENGTH) };
}

/// `Cache_Read_Disable`: what is read in the window is nothing that was in flash.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn rom_cache_disable() {
    for index in 0..LENGTH as usize / 4 {
        // SAFETY: as in `rom_cache_enable`.
        unsafe { WINDOW.add(index).write_volatile(0) };
    }
}
