//! A file as a NOR flash, so that a Linux node keeps its settings as a board does.

use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

/// The bytes of the flash: as many as an ESP-01 has for its settings.
pub(crate) const LEN: usize = 0x8000;

const SECTOR: usize = 4096;
const WORD: usize = 4;

/// A file of [`LEN`] bytes. Each program and each erase is on the disk before it returns, in the
/// order in which they were done.
#[derive(Debug)]
pub(crate) struct FileFlash(File);

/// Why a file is no flash.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// It cannot be read, written or made.
    Io(io::Error),
    /// It has another length than it was made with.
    Length,
}

/// An operation failed.
#[derive(Debug)]
pub(crate) struct FileError {
    kind: NorFlashErrorKind,
    cause: Option<io::Error>,
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.cause {
            Some(cause) => cause.fmt(f),
            None => write!(f, "{:?}", self.kind),
        }
    }
}

impl NorFlashError for FileError {
    fn kind(&self) -> NorFlashErrorKind {
        self.kind
    }
}

impl From<io::Error> for FileError {
    fn from(cause: io::Error) -> Self {
        Self { kind: NorFlashErrorKind::Other, cause: Some(cause) }
    }
}

impl FileFlash {
    /// Opens the flash at `path`; a blank one is made if there is none. It is there whole or not
    /// at all, whenever this is interrupted.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let file = match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Self::make(path).map_err(OpenError::Io)?;
                options.open(path)
            }
            result => result,
        };
        let file = file.map_err(OpenError::Io)?;
        let metadata = file.metadata().map_err(OpenError::Io)?;
        if usize::try_from(metadata.len()).ok() != Some(LEN) {
            return Err(OpenError::Length);
        }
        Ok(Self(file))
    }

    fn make(path: &Path) -> io::Result<()> {
        let new = path.with_extension("new");
        // For its owner only: keys and passwords are in it.
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&new)?;
        file.write_all(&[0xFF; LEN])?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        sync_directory(path)
    }

    fn change(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FileError> {
        self.0.write_all_at(bytes, offset.into())?;
        Ok(self.0.sync_data()?)
    }
}

/// Makes it durable that `path` is in its directory, under this name.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// Refuses what a chip could not do.
fn check(offset: u32, len: usize, unit: usize) -> Result<(), FileError> {
    let refuse = |kind| Err(FileError { kind, cause: None });
    let from = usize::try_from(offset).unwrap_or(LEN);
    if !from.is_multiple_of(unit) || !len.is_multiple_of(unit) {
        return refuse(NorFlashErrorKind::NotAligned);
    }
    if LEN.checked_sub(from).is_none_or(|left| left < len) {
        return refuse(NorFlashErrorKind::OutOfBounds);
    }
    Ok(())
}

impl ErrorType for FileFlash {
    type Error = FileError;
}

impl ReadNorFlash for FileFlash {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FileError> {
        check(offset, bytes.len(), Self::READ_SIZE)?;
        Ok(self.0.read_exact_at(bytes, offset.into())?)
    }

    fn capacity(&self) -> usize {
        LEN
    }
}

impl NorFlash for FileFlash {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = SECTOR;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FileError> {
        let len = usize::try_from(to.saturating_sub(from)).unwrap_or(LEN);
        check(from, len, SECTOR)?;
        self.change(from, &vec![0xFF; len])
    }

    /// Clears bits, as a chip does; it never sets one.
    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FileError> {
        check(offset, bytes.len(), WORD)?;
        let mut after = vec![0; bytes.len()];
        self.0.read_exact_at(&mut after, offset.into())?;
        after.iter_mut().zip(bytes).for_each(|(old, new)| *old &= new);
        self.change(offset, &after)
    }
}

#[cfg(test)]
mod tests {
    use super::{FileFlash, LEN, OpenError};
    use embedded_storage_async::nor_flash::{
        NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
    };
    use futures_lite::future::block_on;

    #[test]
    fn it_is_a_nor_flash_and_keeps_what_was_programmed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("flash");
        let mut flash = FileFlash::open(&path).unwrap();
        block_on(flash.write(8, &[0xF0, 0, 1, 0xFF])).unwrap();
        block_on(flash.write(8, &[0x3F, 0xFF, 1, 0xFE])).unwrap();
        drop(flash);
        let mut flash = FileFlash::open(&path).unwrap();
        let mut bytes = [0; 6];
        block_on(flash.read(7, &mut bytes)).unwrap();
        assert_eq!(bytes, [0xFF, 0x30, 0, 1, 0xFE, 0xFF]);
        block_on(flash.erase(0, 4096)).unwrap();
        block_on(flash.read(7, &mut bytes)).unwrap();
        assert_eq!(bytes, [0xFF; 6]);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_chip_could_not_do_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let mut flash = FileFlash::open(&directory.path().join("flash")).unwrap();
        let end = u32::try_from(LEN).unwrap();
        let kind = |result: Result<(), super::FileError>| result.unwrap_err().kind();
        assert_eq!(kind(block_on(flash.write(2, &[0; 4]))), NorFlashErrorKind::NotAligned);
        assert_eq!(kind(block_on(flash.write(0, &[0; 3]))), NorFlashErrorKind::NotAligned);
        assert_eq!(kind(block_on(flash.write(end, &[0; 4]))), NorFlashErrorKind::OutOfBounds);
        assert_eq!(
            kind(block_on(flash.read(end - 1, &mut [0; 2]))),
            NorFlashErrorKind::OutOfBounds
        );
        assert_eq!(kind(block_on(flash.erase(0, 100))), NorFlashErrorKind::NotAligned);
        assert_eq!(kind(block_on(flash.erase(end, end + 4096))), NorFlashErrorKind::OutOfBounds);
    }

    #[test]
    fn a_file_of_another_length_is_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("flash");
        for len in [0, 1, LEN - 1, LEN + 1] {
            std::fs::write(&path, vec![0xFF; len]).unwrap();
            assert!(matches!(FileFlash::open(&path), Err(OpenError::Length)), "{len}");
        }
    }
}
