//! Firmware linked with the stand-in for the SDK instead of the SDK's libraries.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use object::{Object as _, ObjectSymbol as _};
use spore_boot::image::IN_PLACE;
use spore_boot::map::Slot;

use crate::firmware::link::{Archives, Link, assemble_sources, link};
use crate::firmware::{self, Build};
use crate::paths;

/// The package of the stand-in.
const PACKAGE: &str = "sdk-emu";
/// How the SDK's functions are named; and the stand-in's entry.
const PREFIXES: [&str; 9] =
    ["system_", "wifi_", "ets_", "os_", "eagle_", "spi_flash_", "pvPort", "vPort", "sdk_emu_start"];

/// The stand-in, linked.
pub(crate) struct StandIn {
    /// To be loaded beside the firmware.
    pub(crate) elf: PathBuf,
    /// A linker script with the addresses of its functions.
    symbols: PathBuf,
}

impl StandIn {
    /// Builds it.
    ///
    /// # Errors
    /// When it does not compile or link.
    pub(crate) fn build(locked: bool) -> Result<Self> {
        let objects = firmware::build_objects(&Build { locked, ..Build::emulated(PACKAGE) })?;
        let elf = objects.work.join("sdk-emu.elf");
        link(&Link {
            script: "sdk-emu.ld",
            objects: &[objects.handwritten.as_slice(), &objects.compiled].concat(),
            archives: Archives::Picolibc,
            defines: &[],
            output: &elf,
        })?;
        let symbols = objects.work.join("symbols.ld");
        fs::write(&symbols, symbols_of(&elf)?)
            .with_context(|| format!("cannot write {}", symbols.display()))?;
        Ok(Self { elf, symbols })
    }

    /// Builds a package as firmware for the chip and links it with the stand-in.
    ///
    /// # Errors
    /// When it does not compile or link.
    pub(crate) fn link(&self, order: &Build) -> Result<PathBuf> {
        let objects = firmware::build_objects(order)?;
        let glue =
            assemble_sources(&[paths::firmware().join(PACKAGE).join("link")], &objects.work)?;
        let elf = objects.work.join(format!("{}-sdk-emu.elf", order.package));
        let all = [
            objects.handwritten.as_slice(),
            &objects.compiled,
            &glue,
            std::slice::from_ref(&self.symbols),
        ];
        link(&Link {
            script: "esp01.ld",
            objects: &all.concat(),
            archives: Archives::Picolibc,
            defines: &[("slot_start", Slot::A.window() + IN_PLACE)],
            output: &elf,
        })?;
        Ok(elf)
    }
}

/// The functions of the stand-in, as assignments of a linker script.
fn symbols_of(elf: &Path) -> Result<String> {
    let bytes = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let file = object::File::parse(&*bytes).context("not an ELF file")?;
    let mut script = String::from("/* Where the stand-in for the SDK has its functions. */\n");
    let mut found = 0;
    for symbol in file.symbols().filter(|symbol| symbol.is_global() && symbol.is_definition()) {
        let name = symbol.name().context("a symbol's name is not UTF-8")?;
        if PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
            // A string takes whatever is written to it.
            let _ = writeln!(script, "{name} = {:#x};", symbol.address());
            found += 1;
        }
    }
    ensure!(found > PREFIXES.len(), "{} has lost its functions in the link", elf.display());
    Ok(script)
}
