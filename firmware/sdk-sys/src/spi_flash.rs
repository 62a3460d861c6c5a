//! `spi_flash.h`: the flash chip. Addresses count from its beginning.

use crate::layout::{Header, c_type, constants};

/// What is checked.
pub const HEADER: Header =
    Header { file: "spi_flash.h", types: &[SpiFlashChip::LAYOUT], constants: CONSTANTS };

constants! {
    /// It went well (`SpiFlashOpResult`).
    SPI_FLASH_RESULT_OK: u32 = 0;
    /// It failed.
    SPI_FLASH_RESULT_ERR: u32 = 1;
    /// The chip did not answer.
    SPI_FLASH_RESULT_TIMEOUT: u32 = 2;
    /// The smallest part that can be erased, in bytes.
    SPI_FLASH_SEC_SIZE: u32 = 4096;
}

c_type! {
    /// What is known of the chip.
    #[allow(non_snake_case, reason = "the name is the SDK's")]
    struct SpiFlashChip = "SpiFlashChip" {
        /// Manufacturer and type.
        deviceId: u32,
        /// Bytes.
        chip_size: u32,
        /// Bytes.
        block_size: u32,
        /// Bytes.
        sector_size: u32,
        /// Bytes.
        page_size: u32,
        /// Which bits of its status count.
        status_mask: u32,
    }
}

/// What reads in place of [`spi_flash_read`]: see [`spi_flash_set_read_func`].
pub type UserSpiFlashRead = unsafe extern "C" fn(
    chip: *mut SpiFlashChip,
    source: u32,
    destination: *mut u32,
    size: u32,
) -> u32;

unsafe extern "C" {
    /// Erases the sector of this number: all bits become 1. It takes 50 to 100 ms; feeds the watchdogs.
    pub fn spi_flash_erase_sector(sector: u16) -> u32;
    /// Clears bits. Address, memory and size must be multiples of 4.
    pub fn spi_flash_write(destination: u32, source: *const u32, size: u32) -> u32;
    /// Reads. Address, memory and size must be multiples of 4.
    pub fn spi_flash_read(source: u32, destination: *mut u32, size: u32) -> u32;
    /// Has `read` do what [`spi_flash_read`] does, for the SDK's own reads, too. It must be in instruction RAM.
    pub fn spi_flash_set_read_func(read: UserSpiFlashRead);
}
