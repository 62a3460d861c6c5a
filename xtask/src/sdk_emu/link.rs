//! Firmware for the chip, linked with the stand-in for the SDK instead of the SDK's libraries, as what is in a flash.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use object::{Object as _, ObjectSymbol as _, SymbolSection};
use spore_board::Board as Sold;
use spore_boot::image::IN_PLACE;
use spore_boot::map::Slot;

use crate::emu::board::Files;
use crate::emu::esp01::Esp01;
use crate::firmware::link::{Archives, Link, assemble_sources, link};
use crate::firmware::{self, Board, Build};
use crate::flash::parts::{self, Settings, Sources};
use crate::image::slot::Label;
use crate::image::{self, Program};
use crate::{paths, rom};

/// The package of the stand-in.
const PACKAGE: &str = "sdk-emu";
/// How the SDK's functions are named, and the chip's registers; and the stand-in's entry.
const PREFIXES: [&str; 10] = [
    "esp8266_",
    "system_",
    "wifi_",
    "ets_",
    "os_",
    "eagle_",
    "spi_flash_",
    "pvPort",
    "vPort",
    "sdk_emu_start",
];
/// The board that images are for.
const BOARD: &str = "esp-01";
/// The number of an image in slot A; the one in slot B is the next.
pub(super) const SEQUENCE: u32 = 1;

/// What stands in for all that is Espressif's.
pub(crate) struct StandIn {
    /// For the mask ROM.
    rom: PathBuf,
    /// For the SDK.
    sdk: PathBuf,
    /// A linker script with the addresses of its functions.
    symbols: PathBuf,
}

impl StandIn {
    /// Builds it.
    ///
    /// # Errors
    /// When something does not compile or link.
    pub(crate) fn build(locked: bool) -> Result<Self> {
        let objects = firmware::build_objects(&Build { locked, ..Build::of(PACKAGE) })?;
        let sdk = objects.work.join("sdk-emu.elf");
        link(&Link {
            script: "sdk-emu.ld",
            objects: &[objects.handwritten.as_slice(), &objects.compiled].concat(),
            archives: Archives::Picolibc,
            defines: &[],
            output: &sdk,
        })?;
        let symbols = objects.work.join("symbols.ld");
        write(&symbols, symbols_of(&sdk)?.as_bytes())?;
        Ok(Self { rom: rom::stand_in(locked)?, sdk, symbols })
    }

    /// A machine with this flash file.
    pub(crate) fn machine<'a>(&'a self, flash: &'a Path) -> Esp01<'a> {
        Esp01 { rom: &self.rom, sdk: Some(&self.sdk), flash }
    }

    /// What boards are made of, with this flash file.
    pub(crate) fn files<'a>(&'a self, flash: &'a Path) -> Files<'a> {
        Files { rom: &self.rom, sdk: &self.sdk, flash }
    }

    /// Builds a package as firmware for the chip, and links it for a slot: what the slot holds, and the ELF file.
    ///
    /// # Errors
    /// When it does not compile or link, or does not fit.
    pub(crate) fn image(&self, order: &Build, slot: Slot) -> Result<(Vec<u8>, PathBuf)> {
        ensure!(order.board == Board::Esp01, "what a slot holds is for the chip");
        let objects = firmware::build_objects(order)?;
        let glue =
            assemble_sources(&[paths::firmware().join(PACKAGE).join("link")], &objects.work)?;
        let elf = objects.work.join(format!("{}-emulated-{slot:?}.elf", order.package));
        let all = [
            objects.handwritten.as_slice(),
            &objects.compiled,
            &glue,
            std::slice::from_ref(&self.symbols),
        ];
        link(&Link {
            script: "esp01.ld",
            objects: &all.concat(),
            archives: Archives::Only(&[]),
            defines: &[("slot_start", slot.window() + IN_PLACE)],
            output: &elf,
        })?;
        let sequence = SEQUENCE + u32::from(slot == Slot::B);
        Ok((labelled(&elf, slot, sequence)?, elf))
    }
}

/// What a slot holds when this program, which was linked for it, is in it with this number.
///
/// # Errors
/// When it cannot be read, or does not fit.
pub(crate) fn labelled(elf: &Path, slot: Slot, sequence: u32) -> Result<Vec<u8>> {
    let label = Label { sequence, board: BOARD, version: env!("CARGO_PKG_VERSION") };
    image::slot::image(&Program::read(elf)?, slot, &label)
}

/// A flash as `./ctl.sh flash` leaves it: the bootloader as it ships, this image in slot A, and these settings if there are
/// any.
///
/// # Errors
/// When the bootloader does not build, or something is not what it should be.
pub(crate) fn flash(locked: bool, image: &[u8], settings: Option<&Path>) -> Result<Vec<u8>> {
    let bootloader = bootloader(locked)?;
    let file = bootloader.with_file_name("slot-a.bin");
    write(&file, image)?;
    let sold = Sold::find(&paths::repository().join("boards"), BOARD)?;
    let settings = settings.map_or(Settings::Kept, |file| Settings::New(file.to_owned()));
    Ok(parts::as_flash(&parts::all(&sold, &Sources { bootloader, image: file, settings })?))
}

/// The file with the bootloader as it ships.
///
/// # Errors
/// When it does not build.
pub(crate) fn bootloader(locked: bool) -> Result<PathBuf> {
    let (bytes, elf) = rom::bootloader(locked)?;
    let file = elf.with_extension("bin");
    write(&file, &bytes)?;
    Ok(file)
}

fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    let unfinished = paths::unfinished(file);
    fs::write(&unfinished, bytes)
        .and_then(|()| fs::rename(&unfinished, file))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// The functions of the stand-in, as assignments of a linker script.
fn symbols_of(elf: &Path) -> Result<String> {
    let bytes = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let file = object::File::parse(&*bytes).context("not an ELF file")?;
    let mut script = String::from("/* Where the stand-in for the SDK has its functions. */\n");
    let mut found = 0;
    for symbol in file.symbols().filter(|symbol| symbol.is_global() && symbol.is_definition()) {
        let name = symbol.name().context("a symbol's name is not UTF-8")?;
        // The mask ROM's functions are absolute, and no part of it.
        let is_its_own = matches!(symbol.section(), SymbolSection::Section(_));
        if is_its_own && PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
            // A string takes whatever is written to it.
            let _ = writeln!(script, "{name} = {:#x};", symbol.address());
            found += 1;
        }
    }
    ensure!(found > PREFIXES.len(), "{} has lost its functions in the link", elf.display());
    Ok(script)
}
