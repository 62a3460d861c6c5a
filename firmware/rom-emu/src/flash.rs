//! The chip's flash functions, over what QEMU's board has of flash.

use core::cell::UnsafeCell;
use core::ptr;

use qemu::cfi::{Flash, SECTOR, SIZE};

use crate::{chip, registers};

/// Where the processor of the chip sees its flash.
const WINDOW: *mut u32 = ptr::with_exposed_provenance_mut(0x4020_0000);

/// `SpiFlashOpResult` of the SDK's `spi_flash.h`.
const OK: i32 = 0;
const ERROR: i32 = 1;

/// Where the SDK finds the address of what the ROM knows of the flash (`flashchip`).
const KNOWN: *mut *mut Known = ptr::with_exposed_provenance_mut(0x3FFF_C714);

/// `SpiFlashChip` of `spi_flash.h`. The SDK sets the size, and no function reaches beyond it.
#[repr(C)]
struct Known {
    device: u32,
    size: u32,
    block: u32,
    sector: u32,
    page: u32,
    status_mask: u32,
}

/// What the ROM knows, in memory that the SDK writes to.
struct Place(UnsafeCell<Known>);

// SAFETY: it is read and written through its address alone.
unsafe impl Sync for Place {}

/// Out of reset: 4 MB, as `esp_rom_spiflash_chip_t` of Espressif's RTOS SDK is initialised.
static FLASHCHIP: Place = Place(UnsafeCell::new(Known {
    device: 0x16_40EF,
    size: 4 << 20,
    block: 0x1_0000,
    sector: SECTOR,
    page: 0x100,
    status_mask: 0xFFFF,
}));

/// The register that says whether the cache reads flash, in one bit: then nobody else can.
const CACHE_CTRL: u32 = 0x3FF0_000C;
const CACHE_ON: u32 = 1 << 8;

/// Sets what the ROM has in RAM.
pub(crate) fn start() {
    // SAFETY: the ROM's own RAM.
    unsafe { KNOWN.write_volatile(FLASHCHIP.0.get()) };
}

/// The flash, for one operation.
fn flash() -> Flash {
    // SAFETY: each operation ends before the next one begins, and nobody else touches the board's flash.
    unsafe { Flash::new() }
}

/// How many words are meant, if it is whole ones on both sides.
fn words(memory: *const u32, length: u32) -> Option<usize> {
    (memory.is_aligned() && length.is_multiple_of(4)).then_some(length as usize / 4)
}

/// Does an operation, which is told; but not beyond the size that the ROM knows.
fn operate(what: &str, address: u32, length: u32, operation: impl FnOnce() -> bool) -> i32 {
    if chip::is_present() && is_cached() {
        chip::stop(format_args!("flash: {what} {address:#x} while the cache reads it"));
    }
    // SAFETY: set by `start`, or by the SDK.
    let size = unsafe { (&raw const (*FLASHCHIP.0.get()).size).read_volatile() };
    let inside = address.checked_add(length).is_some_and(|end| end <= size);
    let done = inside && operation();
    let ended = if done { "ok" } else { "refused" };
    chip::tell(format_args!("FLASH {what} {address:#x} {length} {ended}"));
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
    operate("read", address, length, || unsafe { read(address, to, length) })
}

/// `SPIWrite`.
///
/// # Safety
/// So many bytes at `from` must be readable.
#[unsafe(no_mangle)]
unsafe extern "C" fn rom_write(address: u32, from: *const u32, length: u32) -> i32 {
    operate("write", address, length, || {
        let Some(words) = words(from, length) else { return false };
        // SAFETY: as promised by the caller.
        let words = unsafe { core::slice::from_raw_parts(from, words) };
        flash().write(address, words).is_ok()
    })
}

/// `SPIEraseSector`: 4 KB, by number.
#[unsafe(no_mangle)]
extern "C" fn rom_erase_sector(sector: u32) -> i32 {
    let Some(start) = sector.checked_mul(SECTOR) else { return ERROR };
    operate("erase", start, SECTOR, || flash().erase(start).is_ok())
}

/// `Cache_Read_Enable`: shows the first megabyte of flash in the window, as it is now. On the chip the window cannot be
/// written, and takes aligned loads of words only; here it is memory, which does not follow what is written to flash.
#[unsafe(no_mangle)]
extern "C" fn rom_cache_enable(_odd: u32, _megabyte: u32, _large: u32) {
    chip::guard(false);
    // SAFETY: a megabyte of QEMU's memory that stands for the window.
    unsafe { read(0, WINDOW, SIZE) };
    switch_cache(CACHE_ON);
    chip::guard(true);
}

/// `Cache_Read_Disable`: what is read in the window is nothing that was in flash.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn rom_cache_disable() {
    chip::guard(false);
    for index in 0..SIZE as usize / 4 {
        // SAFETY: as in `rom_cache_enable`.
        unsafe { WINDOW.add(index).write_volatile(0) };
    }
    switch_cache(0);
}

/// Whether the cache reads flash, so that its window can be read.
pub(crate) fn is_cached() -> bool {
    registers::kept(CACHE_CTRL) & CACHE_ON != 0
}

fn switch_cache(on: u32) {
    registers::keep(CACHE_CTRL, registers::kept(CACHE_CTRL) & !CACHE_ON | on);
}

/// `SPI_read_status`: the flash is idle, and nothing in it is protected.
///
/// # Safety
/// The word at `status` must be the caller's.
#[unsafe(no_mangle)]
unsafe extern "C" fn rom_read_status(_known: *const Known, status: *mut u32) -> i32 {
    // SAFETY: as promised by the caller.
    unsafe { status.write(0) };
    OK
}

/// `SPI_write_status`: what is protected.
#[unsafe(no_mangle)]
extern "C" fn rom_write_status(_known: *const Known, status: u32) -> i32 {
    chip::tell(format_args!("FLASH status {status:#x}"));
    OK
}

/// `SPI_write_enable` and `Wait_SPI_Idle`: the flash is always ready.
#[unsafe(no_mangle)]
extern "C" fn rom_wait_idle(_known: *const Known) -> i32 {
    OK
}
