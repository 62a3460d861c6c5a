//! An ESP-01 in QEMU: a board that starts from its flash file, as the chip does, through the stand-in for the mask ROM.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_read, check_write,
};
use spore_boot::layout::Esp;
use spore_boot::map::{FLASH, SECTOR};
use spore_boot::{Start, choose};

/// What QEMU's board has of flash, in bytes; the first megabyte is the chip's.
const DRIVE: usize = 4 << 20;

/// What is loaded into the machine: nothing of the node, which is in its flash.
#[derive(Clone, Copy)]
pub(crate) struct Esp01<'a> {
    /// The stand-in for the mask ROM.
    pub(crate) rom: &'a Path,
    /// The stand-in for the SDK, for who starts more than a bootloader.
    pub(crate) sdk: Option<&'a Path>,
    /// The flash file ([`write_flash`]), which the machine changes.
    pub(crate) flash: &'a Path,
}

impl Esp01<'_> {
    /// Gives QEMU machine, core, memory and flash.
    pub(crate) fn set_up<'c>(&self, qemu: &'c mut Command) -> &'c mut Command {
        qemu.args(["-M", "lx60-nommu", "-cpu", "lx106", "-m", "8M"]);
        qemu.arg("-kernel").arg(self.rom);
        if let Some(sdk) = self.sdk {
            qemu.arg("-device").arg(format!("loader,file={}", sdk.display()));
        }
        qemu.arg("-drive").arg(format!("if=pflash,format=raw,file={}", self.flash.display()))
    }
}

/// Writes a flash file with the chip's flash in it.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_flash(file: &Path, flash: &[u8]) -> Result<()> {
    let mut bytes = flash.to_vec();
    bytes.resize(DRIVE, 0xFF);
    fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}

/// The chip's flash in a flash file.
///
/// # Errors
/// When it cannot be read, or is no such file.
pub(crate) fn read_flash(file: &Path) -> Result<Vec<u8>> {
    let mut bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    ensure!(bytes.len() == DRIVE, "{} is no flash file", file.display());
    bytes.truncate(FLASH as usize);
    Ok(bytes)
}

/// What the bootloader would start from this flash; none if that is bricked.
pub(crate) fn start_of(flash: Vec<u8>) -> Option<Start> {
    choose::<Esp>(&mut Copied(flash))
}

/// A flash that nobody else has.
struct Copied(Vec<u8>);

impl ErrorType for Copied {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Copied {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        bytes.copy_from_slice(&self.0[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for Copied {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR as usize;

    /// The bootloader erases nothing.
    fn erase(&mut self, _: u32, _: u32) -> Result<(), NorFlashErrorKind> {
        Err(NorFlashErrorKind::Other)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        let cells = &mut self.0[offset as usize..][..bytes.len()];
        cells.iter_mut().zip(bytes).for_each(|(cell, byte)| *cell &= byte);
        Ok(())
    }
}
