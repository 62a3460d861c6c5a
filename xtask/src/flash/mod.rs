//! `cargo xtask flash`: everything that a new board needs, written over its serial line.
//!
//! esptool writes; what, and where, is decided here ([`parts`]). `cargo xtask flash-check` tries it with the real esptool on a chip
//! that is a program (`tests/flash/chip.py`).

pub(crate) mod check;
mod esptool;
pub(crate) mod folder;
mod image_info;
pub(crate) mod parts;
pub(crate) mod phy;
pub(crate) mod port;
pub(crate) mod settings;

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};
use spore_board::Board;

use crate::paths;
use esptool::{Chip, Esptool};
use parts::{Part, Settings, Sources};

pub(crate) use esptool::REQUIREMENTS;

/// Write bootloader, image, radio parameters and settings into a board over its serial line.
///
/// Without --claim the board is nobody's yet: it opens its access point, with a password that is made here and shown once.
/// A board that has run before loses what it remembers, unless --keep-settings.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Flash {
    /// The serial port [default: the only one there is].
    port: Option<PathBuf>,
    /// The board: the name of a file in boards/.
    #[arg(long, default_value = "esp-01")]
    board: String,
    /// Make the board yours: it gets your cluster key, the public part of your release key and your WiFi, as `spore claim` writes them.
    #[arg(long)]
    claim: bool,
    /// Write these settings, which `spore claim` has made.
    #[arg(long, value_name = "FILE", conflicts_with = "claim")]
    settings: Option<PathBuf>,
    /// Leave what the board remembers as it is.
    #[arg(long, conflicts_with_all = ["claim", "settings", "options"])]
    keep_settings: bool,
    /// The image: a container, or the contents of slot A [default: what `./ctl.sh build` makes].
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// The bootloader [default: what `./ctl.sh build` makes].
    #[arg(long, value_name = "FILE")]
    bootloader: Option<PathBuf>,
    /// Bits per second [default: the board's].
    #[arg(long)]
    baud: Option<u32>,
    /// Write no board but a file of 1 MB, which is a new board's flash: for an emulator, or a programmer.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["port", "keep_settings", "baud"])]
    to_file: Option<PathBuf>,
    /// Write no board but a folder, from which `spore up` and `spore gateway` flash boards in a browser; the settings are theirs.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["port", "claim", "settings", "keep_settings", "baud", "to_file", "spore", "options"])]
    to_folder: Option<PathBuf>,
    /// The `spore` that makes the settings [default: this tree's].
    #[arg(long, value_name = "FILE")]
    spore: Option<PathBuf>,
    /// Print JSON; the progress goes to stderr.
    #[arg(long)]
    json: bool,
    /// Options for `spore claim`.
    #[arg(last = true, value_name = "OPTION", conflicts_with = "settings")]
    options: Vec<OsString>,
}

const EXAMPLES: &str = "\
Examples:
  ./ctl.sh flash                                    a new board, which is nobody's yet
  ./ctl.sh flash /dev/ttyUSB0 --claim               yours; asks for the WiFi
  ./ctl.sh flash --claim -- --wifi home --hostname kitchen
  ./ctl.sh flash --keep-settings                    other firmware, the same node
  ./ctl.sh flash --to-file flash.bin                no board but a file

Exit codes: 0 written and read back, 1 not, 2 wrong usage.";

impl Flash {
    /// Writes a board.
    ///
    /// # Errors
    /// When a file is missing or not what it should be, the board cannot be reached or is another one (then nothing was written),
    /// or writing breaks off.
    pub(crate) fn run(self) -> Result<()> {
        let board = Board::find(&paths::repository().join("boards"), &self.board)?;
        let mut sources = Sources {
            bootloader: self.bootloader.clone().unwrap_or_else(|| built("bootloader.bin")),
            image: self.image.clone().unwrap_or_else(|| last_build(&board)),
            settings: Settings::Kept,
        };
        if let Some(folder) = &self.to_folder {
            sources.settings = Settings::Blank;
            return folder::write(folder, &board, &parts::all(&board, &sources)?);
        }
        // What is missing is said before anything is asked for or made.
        parts::all(&board, &sources)?;
        let found = match &self.to_file {
            Some(_) => None,
            None => {
                let esptool = Esptool::new(port::find(self.port.clone())?)?;
                let chip = esptool.look(&board)?;
                Some((esptool, chip))
            }
        };
        let chip = found.as_ref().map(|(_, chip)| chip);
        self.say(&board, chip);
        let scratch = Scratch::new();
        let mut claim = None;
        if let Some(file) = &self.settings {
            sources.settings = Settings::New(file.clone());
        } else if !self.keep_settings {
            let made = settings::make(&scratch.0, self.claim, &self.options, self.spore.clone())?;
            claim = Some(made.said);
            sources.settings = Settings::New(scratch.0.clone());
        }
        let parts = parts::all(&board, &sources)?;
        match (&found, &self.to_file) {
            (Some((esptool, _)), _) => {
                let baud = self.baud.unwrap_or(board.serial.flash_baud);
                esptool.write(&parts, baud, self.json)?;
            }
            (None, Some(file)) => write_file(file, &parts::as_flash(&parts))?,
            (None, None) => (),
        }
        self.report(&board, chip, &parts, claim);
        Ok(())
    }

    /// Says what was found, before it is written.
    fn say(&self, board: &Board, chip: Option<&Chip>) {
        let Some(chip) = chip.filter(|_| !self.json) else { return };
        let Chip { kind, mac, flash_size } = chip;
        println!("{}: {kind}, {mac}, {} KB of flash", board.description, flash_size / 1024);
        if *flash_size > board.flash.size {
            println!("That is more than the board {} has; the rest stays unused.", board.name);
        }
    }

    fn report(&self, board: &Board, chip: Option<&Chip>, parts: &[Part], claim: Option<Value>) {
        let access_point = chip.map(Chip::access_point);
        if self.json {
            let written: Vec<Value> = parts.iter().map(Part::listed).collect();
            let mut said = json!({
                "board": board.name,
                "written": written,
                "manifest": parts::has_manifest(parts),
                "chip": chip.map(|it| json!({ "type": it.kind, "mac": it.mac, "flash_size": it.flash_size })),
                "access_point": access_point,
            });
            if let Some(Value::Object(claim)) = claim {
                // The file was for a moment.
                said["claim"] = claim.into_iter().filter(|(name, _)| name != "file").collect();
            }
            println!("{said}");
            return;
        }
        let names: Vec<&str> = parts.iter().map(|part| part.name).collect();
        println!("\nWritten: {}.", names.join(", "));
        if !parts::has_manifest(parts) {
            println!(
                "The image is not signed: this board runs it, and cannot give it to others. `spore key new release` makes the key, \
                 and ./ctl.sh build signs with it."
            );
        }
        if let Some(claim) = claim {
            let claimed = if claim["claimed"] == true { "yes" } else { "no, by nobody yet" };
            println!("claimed       {claimed}");
            println!("wifi          {}", claim["wifi"].as_str().unwrap_or("none"));
            let name = access_point.as_deref().unwrap_or("SPORE-…");
            let password = claim["access_point_password"].as_str().unwrap_or_default();
            println!("access point  {name}, password {password}, shown this once");
        }
        if chip.is_some() {
            println!(
                "Let go of GPIO0 and switch the board off and on; `./ctl.sh monitor` shows its log."
            );
        }
    }
}

/// The image that was built last. A build for slot A alone makes no container.
fn last_build(board: &Board) -> PathBuf {
    let container = built(&format!("{}.spore", board.name));
    if container.is_file() { container } else { built("slot-a.bin") }
}

/// What a build leaves.
fn built(name: &str) -> PathBuf {
    paths::firmware_target().join("esp01").join(name)
}

/// Writes a flash with keys in it: for its owner only, whole or not at all.
fn write_file(file: &Path, bytes: &[u8]) -> Result<()> {
    let shown = file.display().to_string();
    let mut name = file.file_name().context("this is no file's name")?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = file.with_file_name(name);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(&new).and_then(|mut out| out.write_all(bytes));
    let written = written.and_then(|()| fs::rename(&new, file));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written.with_context(|| format!("cannot write {shown}"))
}

/// The name of a file that is gone when this is.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let target = paths::repository().join("target");
        Self(target.join(format!("settings-{}.flash", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
