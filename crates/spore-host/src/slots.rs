//! A file as the flash that holds two programs and the selector between them, laid out as [`Host`].

use embassy_futures::block_on;
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use log::warn;
use spore_boot::layout::{Host, Layout};
use spore_boot::map::{SELECTOR, Slot};
use spore_core::ota::Running;
use spore_node::slots::{self, Slots};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The slots that this process was started from, and what is known of the image in that one.
pub(crate) fn find(slots: Option<&(PathBuf, Slot)>) -> Option<(Slots<SlotFile>, Running)> {
    let (path, runs) = slots?;
    let flash = SlotFile::open(path).inspect_err(|error| {
        warn!("{}: {error}; the node takes no updates", path.display());
    });
    let slots = Slots { runs: *runs, flash: flash.ok()? };
    let Some(running) = block_on(slots::running::<Host, _>(slots.clone())) else {
        warn!("{} holds no program; the node takes no updates", path.display());
        return None;
    };
    Some((slots, running))
}

const SECTOR: u32 = spore_boot::map::SECTOR;
const WORD: u32 = 4;

/// The slots of a Linux node. In the file every bit is the other way round, so that what was never written, which takes no
/// room there, is blank.
///
/// What decides which program is started is on the disk before and after it is written: selector and headers. What is between
/// them may be written in any order, since it has digests.
///
/// Clones are the same open file.
#[derive(Clone, Debug)]
pub struct SlotFile(Arc<File>);

impl SlotFile {
    /// Opens the file at `path`, which is made if there is none.
    ///
    /// # Errors
    /// If it cannot be read, written or made, or has another length than such a file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        // For its owner only: who can write it decides what is run.
        let file =
            options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.metadata()?.len() {
            0 => file.set_len(Host::LENGTH.into())?,
            length if length == u64::from(Host::LENGTH) => (),
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "it holds no slots")),
        }
        Ok(Self(Arc::new(file)))
    }

    /// Whether what is there decides what is started.
    fn is_decisive(offset: u32) -> bool {
        let header = |slot| Host::region(slot).start == offset;
        offset < SELECTOR[1].end() || Slot::BOTH.into_iter().any(header)
    }

    fn change(&self, offset: u32, inverted: &[u8]) -> Result<(), NorFlashErrorKind> {
        let sync = || self.0.sync_data();
        let written = if Self::is_decisive(offset) {
            sync().and_then(|()| self.0.write_all_at(inverted, offset.into())).and_then(|()| sync())
        } else {
            self.0.write_all_at(inverted, offset.into())
        };
        written.map_err(|_| NorFlashErrorKind::Other)
    }

    /// Reads what is at `offset`.
    fn read_at(&self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check(offset, bytes.len(), 1)?;
        self.0.read_exact_at(bytes, offset.into()).map_err(|_| NorFlashErrorKind::Other)?;
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
        Ok(())
    }

    fn erase_sectors(&self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        let length = to.checked_sub(from).ok_or(NorFlashErrorKind::OutOfBounds)?;
        check(from, usize::try_from(length).unwrap_or(usize::MAX), SECTOR)?;
        let blank = [0; SECTOR as usize];
        (from..to).step_by(SECTOR as usize).try_for_each(|sector| self.change(sector, &blank))
    }

    fn program(&self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check(offset, bytes.len(), WORD)?;
        let mut stored = vec![0; bytes.len()];
        self.0.read_exact_at(&mut stored, offset.into()).map_err(|_| NorFlashErrorKind::Other)?;
        // A bit that was programmed stays so until it is erased.
        stored.iter_mut().zip(bytes).for_each(|(stored, byte)| *stored |= !byte);
        self.change(offset, &stored)
    }
}

/// Refuses what a chip could not do.
fn check(offset: u32, len: usize, unit: u32) -> Result<(), NorFlashErrorKind> {
    let len = u32::try_from(len).map_err(|_| NorFlashErrorKind::OutOfBounds)?;
    let end = offset.checked_add(len).filter(|end| *end <= Host::LENGTH);
    end.ok_or(NorFlashErrorKind::OutOfBounds)?;
    if offset.is_multiple_of(unit) && len.is_multiple_of(unit) {
        Ok(())
    } else {
        Err(NorFlashErrorKind::NotAligned)
    }
}

impl ErrorType for SlotFile {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for SlotFile {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        self.read_at(offset, bytes)
    }

    fn capacity(&self) -> usize {
        Host::LENGTH as usize
    }
}

impl NorFlash for SlotFile {
    const WRITE_SIZE: usize = WORD as usize;
    const ERASE_SIZE: usize = SECTOR as usize;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        self.erase_sectors(from, to)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        self.program(offset, bytes)
    }
}

/// The bootloader's decision is made over the blocking traits.
impl embedded_storage::nor_flash::ReadNorFlash for SlotFile {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        self.read_at(offset, bytes)
    }

    fn capacity(&self) -> usize {
        Host::LENGTH as usize
    }
}

impl embedded_storage::nor_flash::NorFlash for SlotFile {
    const WRITE_SIZE: usize = WORD as usize;
    const ERASE_SIZE: usize = SECTOR as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        self.erase_sectors(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        self.program(offset, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{Host, SlotFile};
    use embedded_storage::nor_flash::{NorFlash as _, ReadNorFlash as _};
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn it_is_a_flash_that_takes_no_room_where_it_is_blank() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slots");
        let mut flash = SlotFile::open(&path).unwrap();
        let mut bytes = [0; 8];
        flash.read(0x5000, &mut bytes).unwrap();
        assert_eq!(bytes, [0xFF; 8]);
        flash.write(0x5000, &[0xF0; 4]).unwrap();
        flash.write(0x5000, &[0x3F; 4]).unwrap();
        let mut flash = SlotFile::open(&path).unwrap();
        flash.read(0x5000, &mut bytes).unwrap();
        assert_eq!(bytes, [0x30, 0x30, 0x30, 0x30, 0xFF, 0xFF, 0xFF, 0xFF]);
        flash.erase(0x5000, 0x6000).unwrap();
        flash.read(0x5000, &mut bytes).unwrap();
        assert_eq!(bytes, [0xFF; 8]);
        for (offset, len) in [(Host::LENGTH, 4), (u32::MAX - 3, 4), (2, 4), (0, 3)] {
            assert!(flash.write(offset, &vec![0; len]).is_err(), "{offset}, {len}");
        }
        assert!(flash.erase(0x5000, 0x5004).is_err() && flash.erase(0x6000, 0x5000).is_err());
        assert!(std::fs::metadata(&path).unwrap().blocks() * 512 < 1 << 20);
    }

    #[test]
    fn another_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slots");
        std::fs::write(&path, "text").unwrap();
        assert!(SlotFile::open(&path).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"text");
    }
}
