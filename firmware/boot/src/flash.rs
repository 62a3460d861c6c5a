//! The flash, through the mask ROM.

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use spore_boot::map::{FLASH, SECTOR};

use crate::rom;

/// The chip's flash, of which the bootloader changes one word at a time.
pub(crate) struct Flash;

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 4;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        let (to, length) = (bytes.as_mut_ptr().expose_provenance(), bytes.len());
        if !(to | length).is_multiple_of(4) {
            return Err(NorFlashErrorKind::NotAligned);
        }
        // SAFETY: the memory of `bytes`, which are whole words.
        unsafe { rom::read(offset, to as u32, length as u32) }.ok_or(NorFlashErrorKind::Other)
    }

    fn capacity(&self) -> usize {
        FLASH as usize
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR as usize;

    /// The bootloader erases nothing.
    fn erase(&mut self, _: u32, _: u32) -> Result<(), NorFlashErrorKind> {
        Err(NorFlashErrorKind::Other)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        let (words, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            return Err(NorFlashErrorKind::NotAligned);
        }
        for (at, word) in (offset..).step_by(4).zip(words) {
            rom::program(at, u32::from_le_bytes(*word)).ok_or(NorFlashErrorKind::Other)?;
        }
        Ok(())
    }
}
