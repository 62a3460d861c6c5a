//! From linked ELF files to what is written to a board's flash: the bootloader in the mask ROM's format, and a slot.

pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod container;
pub(crate) mod owners;
pub(crate) mod parts;
mod references;
pub(crate) mod rom;
pub(crate) mod slot;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSection, SectionFlags, SectionKind, elf};

/// Bytes of a program that are loaded, or read in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Where they belong, in the processor's addresses.
    pub(crate) address: u32,
    /// Whole words.
    pub(crate) bytes: Vec<u8>,
}

/// What is to be loaded of a program.
#[derive(Debug)]
pub(crate) struct Program {
    /// Where it is entered.
    pub(crate) entry: u32,
    /// In the order of their addresses. Statics that start as zero are not among them.
    pub(crate) pieces: Vec<Piece>,
}

impl Program {
    /// Reads an ELF file.
    ///
    /// # Errors
    /// When it cannot be read, is no ELF file, or has a section that is not at a whole word.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file = object::File::parse(&*bytes)
            .with_context(|| format!("{} is not an ELF file", path.display()))?;
        let mut pieces = Vec::new();
        for section in file.sections() {
            let SectionFlags::Elf { sh_flags } = section.flags() else { continue };
            let loaded = sh_flags & u64::from(elf::SHF_ALLOC) != 0
                && section.kind() != SectionKind::UninitializedData;
            if !loaded || section.size() == 0 {
                continue;
            }
            let name = section.name().unwrap_or("?");
            let address = u32::try_from(section.address())
                .with_context(|| format!("section {name} has no address of 32 bits"))?;
            ensure!(address.is_multiple_of(4), "section {name} begins within a word");
            let mut bytes = section.data().with_context(|| format!("no bytes of {name}"))?.to_vec();
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            pieces.push(Piece { address, bytes });
        }
        pieces.sort_by_key(|piece| piece.address);
        let entry = u32::try_from(file.entry()).context("the entry has no address of 32 bits")?;
        ensure!(!pieces.is_empty(), "{} holds nothing to load", path.display());
        Ok(Self { entry, pieces })
    }
}
