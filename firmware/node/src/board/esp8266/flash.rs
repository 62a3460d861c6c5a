//! The flash chip, as far as the settings need it.

use core::ops::Range;

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use sdk_sys::spi_flash::{
    SPI_FLASH_RESULT_OK, SPI_FLASH_SEC_SIZE, spi_flash_erase_sector, spi_flash_read,
    spi_flash_write,
};
use spore_node::store::{ESP01_RANGE, SECTOR};

const _: () = assert!(SECTOR == SPI_FLASH_SEC_SIZE);

/// Bytes that pass through aligned memory at once: the SDK wants its words aligned, and Rust's slices need not be.
const PIECE: usize = 64;

/// The part of the flash that is the settings' ([`ESP01_RANGE`]). Nothing else can be reached through it.
pub(super) struct SdkFlash(());

impl SdkFlash {
    /// The flash.
    ///
    /// # Safety
    /// There must be no other one at the same time.
    pub(super) const unsafe fn new() -> Self {
        Self(())
    }
}

/// Whether all of `range` is the settings', and its ends are multiples of `unit`.
fn check(range: Range<u32>, unit: usize) -> Result<(), NorFlashErrorKind> {
    if range.start < ESP01_RANGE.start || range.end > ESP01_RANGE.end || range.end < range.start {
        return Err(NorFlashErrorKind::OutOfBounds);
    }
    let aligned = |address: u32| (address as usize).is_multiple_of(unit);
    if aligned(range.start) && aligned(range.end) {
        Ok(())
    } else {
        Err(NorFlashErrorKind::NotAligned)
    }
}

fn range(offset: u32, len: usize) -> Range<u32> {
    offset..offset.saturating_add(u32::try_from(len).unwrap_or(u32::MAX))
}

/// What the SDK says of an operation.
fn judge(result: u32) -> Result<(), NorFlashErrorKind> {
    if result == SPI_FLASH_RESULT_OK { Ok(()) } else { Err(NorFlashErrorKind::Other) }
}

impl ErrorType for SdkFlash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for SdkFlash {
    const READ_SIZE: usize = 4;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check(range(offset, bytes.len()), Self::READ_SIZE)?;
        for (piece, at) in bytes.chunks_mut(PIECE).zip((offset..).step_by(PIECE)) {
            let mut words = [0_u32; PIECE / 4];
            // SAFETY: the words are there, and `piece` is no longer than they are.
            judge(unsafe { spi_flash_read(at, words.as_mut_ptr(), piece.len() as u32) })?;
            for (word, bytes) in words.iter().zip(piece.as_chunks_mut::<4>().0) {
                *bytes = word.to_le_bytes();
            }
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        ESP01_RANGE.end as usize
    }
}

impl NorFlash for SdkFlash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR as usize;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check(from..to, Self::ERASE_SIZE)?;
        for sector in from / SECTOR..to / SECTOR {
            // SAFETY: the sector is the settings', as was checked.
            judge(unsafe { spi_flash_erase_sector(sector as u16) })?;
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check(range(offset, bytes.len()), Self::WRITE_SIZE)?;
        for (piece, at) in bytes.chunks(PIECE).zip((offset..).step_by(PIECE)) {
            let mut words = [0_u32; PIECE / 4];
            for (word, bytes) in words.iter_mut().zip(piece.as_chunks::<4>().0) {
                *word = u32::from_le_bytes(*bytes);
            }
            // SAFETY: the words are there, and the address is the settings', as was checked.
            judge(unsafe { spi_flash_write(at, words.as_ptr(), piece.len() as u32) })?;
        }
        Ok(())
    }
}
