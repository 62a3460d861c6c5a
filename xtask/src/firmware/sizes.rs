//! What an ELF file takes of the chip's memories.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use object::{Object, ObjectSection, SectionFlags, SectionKind, elf};

/// The chip's instruction RAM: what lies here is not code in flash.
const INSTRUCTION_RAM: std::ops::Range<u64> = 0x4010_0000..0x4010_8000;

/// Bytes by kind of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Code in flash.
    pub(crate) code: u64,
    /// Code in instruction RAM, vectors included.
    pub(crate) iram: u64,
    /// Constants.
    pub(crate) rodata: u64,
    /// Statics with a value: they take flash and RAM.
    pub(crate) data: u64,
    /// Statics that start as zero.
    pub(crate) bss: u64,
}

impl Sizes {
    /// Reads the sections that are loaded or reserved from an ELF file.
    ///
    /// # Errors
    /// When the file cannot be read or is no ELF file.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file = object::File::parse(&*bytes)
            .with_context(|| format!("{} is not an ELF file", path.display()))?;
        let mut sizes = Self::default();
        for section in file.sections() {
            let SectionFlags::Elf { sh_flags } = section.flags() else { continue };
            if sh_flags & u64::from(elf::SHF_ALLOC) == 0 {
                continue;
            }
            let writable = sh_flags & u64::from(elf::SHF_WRITE) != 0;
            let executable = sh_flags & u64::from(elf::SHF_EXECINSTR) != 0;
            *if INSTRUCTION_RAM.contains(&section.address()) {
                &mut sizes.iram
            } else if section.kind() == SectionKind::UninitializedData {
                &mut sizes.bss
            } else if executable {
                &mut sizes.code
            } else if writable {
                &mut sizes.data
            } else {
                &mut sizes.rodata
            } += section.size();
        }
        Ok(sizes)
    }

    /// RAM that is taken before the first instruction runs.
    pub(crate) fn statics(&self) -> u64 {
        self.data + self.bss
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "code {}  iram {}  rodata {}  data {}  bss {}  (statics {})",
            self.code,
            self.iram,
            self.rodata,
            self.data,
            self.bss,
            self.statics()
        )
    }
}
