//! The flash chip, through the mask ROM's functions, as in the SDK. They work in no time here; the watchdog is fed as the
//! SDK does.

use core::ptr;

use sdk_sys::spi_flash::{
    SPI_FLASH_RESULT_ERR, SPI_FLASH_RESULT_OK, SpiFlashChip, UserSpiFlashRead,
};
use sdk_sys::user_interface::{
    FLASH_SIZE_8M_MAP_512_512, PartitionItem, SYSTEM_PARTITION_CUSTOMER_BEGIN,
    SYSTEM_PARTITION_PHY_DATA, SYSTEM_PARTITION_RF_CAL, SYSTEM_PARTITION_SYSTEM_PARAMETER,
};
use sdk_sys::{Bool, FALSE, TRUE, spi_flash, user_interface as sdk};

use qemu::cfi::{SECTOR, SIZE};
use qemu::log_line;

use super::local::Local;
use super::{clock, fault, rom};

/// What the SDK wants to find at the beginning of the radio's parameters.
const PHY_VERSION: u8 = 5;
/// How many bytes of them there are.
const PHY_LEN: usize = 128;
/// What the SDK wants for itself, and how many sectors of each.
const WANTED: [(u32, u32); 3] = [
    (SYSTEM_PARTITION_RF_CAL, 1),
    (SYSTEM_PARTITION_PHY_DATA, 1),
    (SYSTEM_PARTITION_SYSTEM_PARAMETER, 3),
];
const WORD: u32 = 4;

static READER: Local<Option<UserSpiFlashRead>> = Local::new(None);
/// Where the radio's parameters are.
static PHY_DATA: Local<Option<u32>> = Local::new(None);

/// Checks, as the SDK does, that it was told where its partitions are and that the radio has its parameters. Without
/// them the machine is reset, over and over.
pub(super) fn check() {
    let Some(at) = PHY_DATA.with(|at| *at) else {
        fault::misuse(format_args!("user_pre_init has registered no partition table"));
    };
    let mut words = [0; PHY_LEN / WORD as usize];
    // SAFETY: the buffer has that many bytes.
    let result = unsafe { spi_flash_read(at, words.as_mut_ptr(), PHY_LEN as u32) };
    let [version, ..] = words[0].to_le_bytes();
    if result != SPI_FLASH_RESULT_OK || version != PHY_VERSION {
        log_line!("rf_cal[0] !=0x05,is 0x{version:02X}");
        fault::misuse(format_args!("there are no parameters for the radio at {at:#x}"));
    }
}

fn result(done: bool) -> u32 {
    clock::feed();
    if done { SPI_FLASH_RESULT_OK } else { SPI_FLASH_RESULT_ERR }
}

/// Whether address, memory and size are what the SDK's functions take.
fn is_aligned(at: u32, memory: *const u32, size: u32) -> bool {
    at.is_multiple_of(WORD) && memory.is_aligned() && !memory.is_null() && size.is_multiple_of(WORD)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spi_flash_erase_sector(sector: u16) -> u32 {
    result(rom::erase(u32::from(sector)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spi_flash_write(destination: u32, source: *const u32, size: u32) -> u32 {
    // SAFETY: the caller vouches for its buffer.
    result(
        is_aligned(destination, source, size) && unsafe { rom::write(destination, source, size) },
    )
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spi_flash_read(source: u32, destination: *mut u32, size: u32) -> u32 {
    if let Some(read) = READER.with(|reader| *reader) {
        let mut chip = CHIP;
        // SAFETY: what the firmware has asked for.
        return unsafe { read(&mut chip, source, destination, size) };
    }
    // SAFETY: the caller vouches for its buffer.
    result(is_aligned(source, destination, size) && unsafe { rom::read(source, destination, size) })
}

/// The chip of an ESP-01.
const CHIP: SpiFlashChip = SpiFlashChip {
    deviceId: 0x0014_40EF,
    chip_size: SIZE,
    block_size: 0x1_0000,
    sector_size: SECTOR,
    page_size: 256,
    status_mask: 0xFFFF,
};

#[unsafe(no_mangle)]
unsafe extern "C" fn spi_flash_set_read_func(read: UserSpiFlashRead) {
    READER.with(|reader| *reader = Some(read));
}

#[unsafe(no_mangle)]
unsafe extern "C" fn system_partition_table_regist(
    table: *const PartitionItem,
    rows: u32,
    map: u32,
) -> Bool {
    if table.is_null() || map != FLASH_SIZE_8M_MAP_512_512 {
        return FALSE;
    }
    // SAFETY: the caller vouches for its table.
    let rows = unsafe { core::slice::from_raw_parts(table, rows as usize) };
    if let Err(why) = judge(rows) {
        log_line!("SDK partition table refused: {why}");
        return FALSE;
    }
    let phy = rows.iter().find(|row| row.r#type == SYSTEM_PARTITION_PHY_DATA);
    PHY_DATA.with(|at| *at = phy.map(|row| row.addr));
    TRUE
}

/// What SDK 3.0.6 refuses, as far as it was tried.
fn judge(rows: &[PartitionItem]) -> Result<(), &'static str> {
    for row in rows {
        let is_known = WANTED.iter().any(|(kind, _)| *kind == row.r#type)
            || row.r#type >= SYSTEM_PARTITION_CUSTOMER_BEGIN;
        let end = row.addr.checked_add(row.size).filter(|&end| end <= SIZE && row.size > 0);
        if !is_known {
            return Err("of a type that is neither the SDK's nor the firmware's");
        }
        if end.is_none() || !row.addr.is_multiple_of(SECTOR) || !row.size.is_multiple_of(SECTOR) {
            return Err("a partition is not made of sectors of the chip");
        }
        let overlaps = |other: &&PartitionItem| {
            !ptr::eq(*other, row)
                && (other.addr < row.addr + row.size && row.addr < other.addr + other.size
                    || other.r#type == row.r#type)
        };
        if rows.iter().any(|other| overlaps(&other)) {
            return Err("two partitions overlap, or are of the same type");
        }
    }
    let has = |&(kind, sectors): &(u32, u32)| {
        rows.iter().any(|row| row.r#type == kind && row.size >= sectors * SECTOR)
    };
    WANTED.iter().all(has).then_some(()).ok_or("a partition of the SDK is missing or too small")
}

super::as_declared!(spi_flash::{
    spi_flash_erase_sector, spi_flash_write, spi_flash_read, spi_flash_set_read_func
});
super::as_declared!(sdk::{system_partition_table_regist});
