//! What an ELF file takes of the chip's memories.

use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result};
use object::{Object, ObjectSection, SectionFlags, SectionKind, elf};

/// The chip's instruction RAM: what lies here is not code in flash.
const INSTRUCTION_RAM: Range<u64> = 0x4010_0000..0x4010_8000;
/// The chip's data RAM, as far as programs may use it.
pub(crate) const DATA_RAM: Range<u64> = 0x3FFE_8000..0x3FFF_C000;

/// Bytes by kind of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Code in flash.
    pub(crate) code: u64,
    /// Code in instruction RAM, vectors included.
    pub(crate) iram: u64,
    /// Constants in flash.
    pub(crate) rodata: u64,
    /// Constants that must be readable while the flash is busy: they take flash and RAM.
    pub(crate) ram_rodata: u64,
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
            } else if DATA_RAM.contains(&section.address()) {
                &mut sizes.ram_rodata
            } else {
                &mut sizes.rodata
            } += section.size();
        }
        Ok(sizes)
    }

    /// What an image holds in flash.
    pub(crate) fn image(&self) -> u64 {
        self.code + self.rodata + self.iram + self.data + self.ram_rodata
    }

    /// RAM that is taken before the first instruction runs.
    pub(crate) fn statics(&self) -> u64 {
        self.data + self.ram_rodata + self.bss
    }

    /// What the statics leave of the chip's data RAM, in bytes.
    pub(crate) fn ram_left(&self) -> u64 {
        (DATA_RAM.end - DATA_RAM.start).saturating_sub(self.statics())
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "flash: code {}, rodata {}; iram {}; statics {} (data {}, rodata {}, bss {}), which leave {} of data RAM",
            self.code,
            self.rodata,
            self.iram,
            self.statics(),
            self.data,
            self.ram_rodata,
            self.bss,
            self.ram_left()
        )
    }
}
