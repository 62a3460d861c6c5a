//! The flash chip, as far as settings and updates need it.

use core::ops::Range;

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use sdk_sys::spi_flash::{
    SPI_FLASH_RESULT_OK, SPI_FLASH_SEC_SIZE, spi_flash_erase_sector, spi_flash_read,
    spi_flash_write,
};
use spore_boot::map::{FLASH, Region, SELECTOR, Slot};
use spore_node::store::{ESP01_RANGE, SECTOR};

const _: () = assert!(SECTOR == SPI_FLASH_SEC_SIZE);

/// Bytes that pass through aligned memory at once: the SDK wants its words aligned, and Rust's slices need not be.
const PIECE: usize = 64;

/// A part of the flash. Nothing else can be reached through it.
pub struct SdkFlash(Reach);

/// What is reached.
#[derive(Clone, Copy)]
enum Reach {
    /// The settings: [`ESP01_RANGE`].
    Settings,
    /// The slots for images and the selector, of which the slot that runs is only read.
    Slots {
        /// The slot that runs.
        runs: Slot,
    },
}

impl SdkFlash {
    /// The flash of the settings.
    ///
    /// # Safety
    /// There must be no other one for them at the same time.
    pub(super) const unsafe fn settings() -> Self {
        Self(Reach::Settings)
    }

    /// The flash of the slots, of which this one runs.
    ///
    /// # Safety
    /// Only one such flash may write at the same time.
    pub(super) const unsafe fn slots(runs: Slot) -> Self {
        Self(Reach::Slots { runs })
    }

    /// Whether all of `range` may be read, or changed, and its ends are multiples of `unit`.
    fn check(&self, range: Range<u32>, unit: usize, change: bool) -> Result<(), NorFlashErrorKind> {
        let within =
            |start, end| start <= range.start && range.start <= range.end && range.end <= end;
        let region = |region: Region| within(region.start, region.end());
        let reached = match self.0 {
            Reach::Settings => within(ESP01_RANGE.start, ESP01_RANGE.end),
            Reach::Slots { runs } => {
                let [first, second] = SELECTOR;
                within(first.start, second.end())
                    || region(runs.other().region())
                    || (!change && region(runs.region()))
            }
        };
        if !reached {
            return Err(NorFlashErrorKind::OutOfBounds);
        }
        let aligned = |address: u32| (address as usize).is_multiple_of(unit);
        if aligned(range.start) && aligned(range.end) {
            Ok(())
        } else {
            Err(NorFlashErrorKind::NotAligned)
        }
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
        self.check(range(offset, bytes.len()), Self::READ_SIZE, false)?;
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
        FLASH as usize
    }
}

impl NorFlash for SdkFlash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR as usize;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        self.check(from..to, Self::ERASE_SIZE, true)?;
        for sector in from / SECTOR..to / SECTOR {
            // SAFETY: the sector may be changed, as was checked.
            judge(unsafe { spi_flash_erase_sector(sector as u16) })?;
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        self.check(range(offset, bytes.len()), Self::WRITE_SIZE, true)?;
        for (piece, at) in bytes.chunks(PIECE).zip((offset..).step_by(PIECE)) {
            let mut words = [0_u32; PIECE / 4];
            for (word, bytes) in words.iter_mut().zip(piece.as_chunks::<4>().0) {
                *word = u32::from_le_bytes(*bytes);
            }
            // SAFETY: the words are there, and what is at the address may be changed, as was checked.
            judge(unsafe { spi_flash_write(at, words.as_ptr(), piece.len() as u32) })?;
        }
        Ok(())
    }
}
