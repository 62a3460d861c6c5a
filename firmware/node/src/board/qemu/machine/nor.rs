//! A NOR flash made of memory: the part of the chip's flash in which the settings are.
//!
//! It lies in QEMU's data RAM below the 80 KB that the ESP8266 has, where nothing is loaded and
//! nothing is cleared. So it outlives a reset, as flash does, and unlike flash it is lost when the
//! machine is switched off: it is all zeros then, which is no store, and the node takes a new id.
//! Programming clears bits only, and only whole sectors are erased.

use core::ptr;

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use spore_node::store::{ESP01_RANGE, SECTOR};

/// Where it lies.
const MEMORY: *mut u8 = ptr::with_exposed_provenance_mut(0x3FF5_0000);
const LEN: usize = (ESP01_RANGE.end - ESP01_RANGE.start) as usize;

/// The flash of the board, of which there is this part only, at the chip's addresses:
/// [`ESP01_RANGE`].
pub struct RamNor(());

impl RamNor {
    /// The flash.
    ///
    /// # Safety
    /// There must be no other one at the same time.
    pub const unsafe fn new() -> Self {
        Self(())
    }

    /// The memory behind the addresses from `offset` on; both numbers must be multiples of `unit`.
    fn area(
        &mut self,
        offset: u32,
        len: usize,
        unit: usize,
    ) -> Result<&mut [u8], NorFlashErrorKind> {
        let from = offset.checked_sub(ESP01_RANGE.start).ok_or(NorFlashErrorKind::OutOfBounds)?;
        let from = from as usize;
        if !from.is_multiple_of(unit) || !len.is_multiple_of(unit) {
            return Err(NorFlashErrorKind::NotAligned);
        }
        // SAFETY: `LEN` bytes of ordinary memory that no Rust object lies in, of which every
        // pattern is valid; there is one owner of it, and it is borrowed as long as the slice is.
        let all = unsafe { core::slice::from_raw_parts_mut(MEMORY, LEN) };
        let rest = all.get_mut(from..).ok_or(NorFlashErrorKind::OutOfBounds)?;
        rest.get_mut(..len).ok_or(NorFlashErrorKind::OutOfBounds)
    }
}

impl ErrorType for RamNor {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for RamNor {
    // As the SDK's `spi_flash_read` wants it.
    const READ_SIZE: usize = 4;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        bytes.copy_from_slice(self.area(offset, bytes.len(), Self::READ_SIZE)?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        ESP01_RANGE.end as usize
    }
}

impl NorFlash for RamNor {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR as usize;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        let len = to.checked_sub(from).ok_or(NorFlashErrorKind::OutOfBounds)?;
        self.area(from, len as usize, Self::ERASE_SIZE)?.fill(0xFF);
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        let area = self.area(offset, bytes.len(), Self::WRITE_SIZE)?;
        area.iter_mut().zip(bytes).for_each(|(old, new)| *old &= new);
        Ok(())
    }
}
