//! `cargo xtask rom`: the bootloader as it ships, in QEMU, on a stand-in for the mask ROM, over flash files in every
//! state that it must cope with.

mod cases;
pub(crate) mod machine;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use spore_boot::image::IN_PLACE;
use spore_boot::map::{SELECTOR, Slot};
use spore_boot::selector::{Choice, Record, Stage};

use crate::budgets::{Budgets, hold};
use crate::firmware::{self, Build};
use crate::image::slot::Label;
use crate::image::{self, Program};
use crate::{paths, process, toolchain};

/// Start the bootloader in QEMU from flash files that are whole, damaged, or on trial, and see what it does.
#[derive(Args)]
pub(crate) struct Rom {
    /// Fail if firmware/Cargo.lock would change.
    #[arg(long)]
    locked: bool,
}

impl Rom {
    /// Builds what is needed and runs all cases.
    ///
    /// # Errors
    /// When something does not build, or a case ends otherwise than it should; the message names it, its flash file and
    /// what was on the serial line.
    pub(crate) fn run(self) -> Result<()> {
        let started = Instant::now();
        let parts = Parts::build(self.locked)?;
        let count = cases::run(&parts)?;
        println!(
            "{count} flash files: each ended in the right slot, or in the last resort ({:.0} s); the bootloader is {} bytes of 4096",
            started.elapsed().as_secs_f32(),
            parts.bootloader.len(),
        );
        Ok(())
    }
}

/// The bootloader for the first sector of flash.
///
/// # Errors
/// When it does not build or does not fit.
pub(crate) fn bootloader(locked: bool) -> Result<(Vec<u8>, PathBuf)> {
    let order = Build { locked, ..Build::bootloader() };
    let elf = firmware::build(&order)?.elf;
    hold(&image::check::bootloader(&elf, &Budgets::read()?)?.figures)?;
    Ok((image::rom::image(&Program::read(&elf)?)?, elf))
}

/// The stand-in for the mask ROM.
///
/// # Errors
/// When it does not build.
pub(crate) fn stand_in(locked: bool) -> Result<PathBuf> {
    Ok(firmware::build(&Build { locked, ..Build::of("rom-emu") })?.elf)
}

/// What the flash files are made of.
struct Parts {
    /// The stand-in for the mask ROM.
    rom: PathBuf,
    bootloader: Vec<u8>,
    /// Where flash files go.
    work: PathBuf,
}

impl Parts {
    fn build(locked: bool) -> Result<Self> {
        let (bootloader, _) = bootloader(locked)?;
        let rom = stand_in(locked)?;
        let work = paths::firmware_target().join("rom");
        fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
        Ok(Self { rom, bootloader, work })
    }

    /// An image for a slot that shows who it is and restarts, `length` bytes long or as short as it goes.
    fn payload(&self, slot: Slot, sequence: u32, length: Option<u32>) -> Result<Vec<u8>> {
        let mut program = Program::read(&self.link_payload(slot)?)?;
        let label = Label { sequence, board: "esp-01", version: "0.0.0" };
        let image = image::slot::image(&program, slot, &label)?;
        let Some(length) = length else { return Ok(image) };
        let missing = length as usize - image.len();
        let in_place = program.pieces.iter_mut().find(|piece| piece.address >= slot.window());
        let in_place = in_place.context("the payload has nothing in place")?;
        // Anything but zeros, so that a byte left out or read twice would show.
        in_place.bytes.extend((0..missing).map(|index| (index * 31 % 251) as u8));
        image::slot::image(&program, slot, &label)
    }

    fn link_payload(&self, slot: Slot) -> Result<PathBuf> {
        let (firmware, elf) = (paths::firmware(), self.work.join(format!("payload-{slot:?}.elf")));
        let mut gcc = Command::new(toolchain::GCC);
        gcc.args(["-nostdlib", "-mtext-section-literals", "-Wl,-z,noexecstack"]);
        gcc.arg("-L").arg(firmware.join("ld")).arg("-T").arg(firmware.join("ld/payload.ld"));
        gcc.arg(format!("-Wl,--defsym,payload_start={:#x}", slot.window() + IN_PLACE));
        gcc.arg(firmware.join("rom-emu/payload/payload.S")).arg("-o").arg(&elf);
        process::run(&mut gcc).context("the payload does not link")?;
        Ok(elf)
    }
}

/// Writes the selector as it is after an update: both sectors say that this image was confirmed.
pub(crate) fn confirm(flash: &mut [u8], slot: Slot, image: u32) {
    let choice = Choice { slot, stage: Stage::Confirmed, image };
    for (sequence, sector) in (1..).zip(SELECTOR) {
        put(flash, sector.start, &Record::encode(choice, sequence));
    }
}

/// Writes `bytes` to a flash file.
pub(crate) fn put(flash: &mut [u8], at: u32, bytes: &[u8]) {
    flash[at as usize..][..bytes.len()].copy_from_slice(bytes);
}

/// A file name of its own for a case.
fn file(work: &Path, case: &str) -> PathBuf {
    work.join(format!("{}.flash", case.replace(' ', "-")))
}
