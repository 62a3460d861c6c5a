//! The mask ROM's functions that the stand-in needs itself, at their addresses (`ld/esp01-rom.ld`).

unsafe extern "C" {
    /// Shows a megabyte of flash in the processor's window.
    fn Cache_Read_Enable(odd: u32, megabyte: u32, large: u32);
    /// Reads whole words of flash; 0 is success.
    fn SPIRead(from: u32, to: *mut u32, length: u32) -> i32;
    /// Programs whole words; 0 is success.
    fn SPIWrite(at: u32, from: *const u32, length: u32) -> i32;
    /// Erases a sector; 0 is success.
    fn SPIEraseSector(sector: u32) -> i32;
}

/// From here on the firmware is in the window: the bootloader leaves the cache off.
pub(super) fn enable_cache() {
    // SAFETY: the first megabyte, all of it, as SDK 3.0.6 asks for.
    unsafe { Cache_Read_Enable(0, 0, 1) }
}

/// Reads `length` bytes at `from` to `to`, all of them whole words; whether it could.
///
/// # Safety
/// So many bytes at `to` must be the caller's.
pub(super) unsafe fn read(from: u32, to: *mut u32, length: u32) -> bool {
    // SAFETY: as promised by the caller.
    unsafe { SPIRead(from, to, length) == 0 }
}

/// Clears, at `at`, the bits that are zero in the `length` bytes at `from`, all of them whole words; whether it could.
///
/// # Safety
/// So many bytes at `from` must be readable.
pub(super) unsafe fn write(at: u32, from: *const u32, length: u32) -> bool {
    // SAFETY: as promised by the caller.
    unsafe { SPIWrite(at, from, length) == 0 }
}

/// Erases a sector, by its number; whether it could.
pub(super) fn erase(sector: u32) -> bool {
    // SAFETY: the ROM refuses a sector that is none.
    unsafe { SPIEraseSector(sector) == 0 }
}
