//! Images in files.

use anyhow::{Context as _, Result, bail};
use spore_image::{Container, Head};
use std::fs;
use std::path::{Path, PathBuf};

/// Where the last build for a board is looked for, in this order.
const FOLDERS: [&str; 3] = ["firmware/target/esp01", "target", "."];

/// An image, and where it is from.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) file: PathBuf,
    pub(crate) bytes: Vec<u8>,
    pub(crate) head: Head,
}

impl Image {
    /// Reads an image, which must be whole and signed.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let container = Container::parse(&bytes);
        let container = container.with_context(|| format!("{} is no image", file.display()))?;
        let head = *container.head();
        if !head.is_signed() {
            bail!("{} is not signed; `spore image sign` does that", file.display());
        }
        Ok(Self { file: file.to_owned(), bytes, head })
    }

    /// The last build for `board`.
    pub(crate) fn last_build(board: &str) -> Result<Self> {
        let places = FOLDERS.map(|folder| Path::new(folder).join(format!("{board}.spore")));
        let Some(file) = places.iter().find(|place| place.is_file()) else {
            let places = places.map(|place| place.display().to_string()).join(", ");
            bail!("there is no build for the board {board} ({places}); name an image")
        };
        Self::read(file)
    }

    /// Its sequence number.
    pub(crate) const fn sequence(&self) -> u32 {
        self.head.header.sequence
    }
}
