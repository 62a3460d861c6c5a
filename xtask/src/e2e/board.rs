//! The boards of the test: emulated ESP-01s with flash files of their own, in the WiFi that the bridge stands for.

use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::{Context, Result};
use spore_boot::map::CONFIGURATION;

use crate::emu::boot::{self, Secret};
use crate::emu::esp01::{self, Esp01};
use crate::emu::machine::{Event, Machine, Plug};
use crate::flash::settings;
use crate::machine::Pace;

const WIFI: &str = "home";
const PASSWORD: &str = "secret1234";
/// What each board has around it.
const AIR: &str = "home:secret1234:6";
/// How long QEMU may take to answer at its monitor.
const MONITOR_LIMIT: Duration = Duration::from_secs(10);
/// What it begins each answer with.
const PROMPT: &[u8] = b"(qemu) ";

/// Files that boards are made of.
pub(super) struct Files<'a> {
    /// The stand-in for the mask ROM.
    pub(super) rom: &'a Path,
    /// The stand-in for the SDK.
    pub(super) sdk: &'a Path,
    /// A flash with firmware and without settings.
    pub(super) flash: &'a Path,
}

/// Who makes the boards' settings.
pub(super) struct Owner<'a> {
    /// The `spore` command.
    pub(super) spore: &'a Path,
    /// The file with the cluster key.
    pub(super) key: &'a Path,
    /// Where the files of keys, boards and logs are.
    pub(super) folder: &'a Path,
}

/// A board, switched on or off.
pub(super) struct Board<'a> {
    files: &'a Files<'a>,
    id: u16,
    name: String,
    seed: Secret,
    tap: String,
    /// Where its files are.
    folder: PathBuf,
    /// How often it was switched on.
    starts: u32,
    machine: Option<Machine>,
}

impl Owner<'_> {
    /// Makes what all claims need.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn prepare(&self) -> Result<()> {
        boot::write_private(&self.password(), PASSWORD)?;
        let release = self.release_key();
        let _ = fs::remove_file(&release);
        let mut command = Command::new(self.spore);
        command.args(["key", "new", "release", "--release-key-file"]).arg(release);
        crate::process::run(&mut command).context("no release key")?;
        Ok(())
    }

    fn password(&self) -> PathBuf {
        self.folder.join("wifi-password")
    }

    fn release_key(&self) -> PathBuf {
        self.folder.join("release.key")
    }

    /// The settings of a board of this name that is ours.
    pub(super) fn claim(&self, name: &str) -> Result<Vec<u8>> {
        let file = self.folder.join(format!("{name}.settings"));
        let _ = fs::remove_file(&file);
        let options: Vec<OsString> = vec![
            "--key-file".into(),
            self.key.into(),
            "--release-key-file".into(),
            self.release_key().into(),
            "--wifi".into(),
            WIFI.into(),
            "--password-file".into(),
            self.password().into(),
            "--hostname".into(),
            name.into(),
        ];
        settings::make(&file, true, &options, Some(self.spore.to_owned()))?;
        fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
    }
}

impl<'a> Board<'a> {
    /// A board that was flashed and claimed, at a TAP. It is off.
    ///
    /// # Errors
    /// When its files cannot be made.
    pub(super) fn new(
        files: &'a Files<'a>,
        owner: &Owner<'_>,
        id: u16,
        tap: String,
    ) -> Result<Self> {
        let name = format!("board-{id}");
        let mut flash = esp01::read_flash(files.flash)?;
        let settings = owner.claim(&name)?;
        flash[CONFIGURATION.start as usize..][..settings.len()].copy_from_slice(&settings);
        let (seed, folder) = (boot::random_secret()?, owner.folder.to_owned());
        let board = Self { files, id, name, seed, tap, folder, starts: 0, machine: None };
        esp01::write_flash(&board.flash(), &flash)?;
        Ok(board)
    }

    /// Its host name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its flash file.
    pub(super) fn flash(&self) -> PathBuf {
        self.folder.join(format!("{}.flash", self.name))
    }

    fn monitor(&self) -> PathBuf {
        self.folder.join(format!("{}.monitor", self.name))
    }

    /// Where the serial line of its latest start is written to.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join(format!("{}-start-{}.log", self.name, self.starts))
    }

    /// Switches it on.
    ///
    /// # Errors
    /// When QEMU does not start.
    pub(super) fn switch_on(&mut self, events: Sender<Event>) -> Result<()> {
        self.starts += 1;
        let (flash, monitor) = (self.flash(), self.monitor());
        let _ = fs::remove_file(&monitor);
        let board = Esp01 { rom: self.files.rom, sdk: Some(self.files.sdk), flash: &flash };
        let told = format!("id={} seed={} air={AIR}", self.id, boot::to_hex(&self.seed));
        let set_up = |qemu: &mut Command| {
            board.set_up(qemu).args(["-append", &told, "-monitor"]);
            qemu.arg(format!("unix:{},server=on,wait=off", monitor.display()));
        };
        let plug = Plug::Tap(self.tap.clone());
        let log = (self.log(), events);
        self.machine = Some(Machine::start((self.id, &self.name), &plug, Pace::Host, log, set_up)?);
        Ok(())
    }

    /// Takes its power away.
    pub(super) fn switch_off(&mut self) {
        // Killed when it is dropped.
        self.machine = None;
    }

    /// Whether it is switched on and its machine is gone.
    pub(super) fn has_ended(&mut self) -> Result<bool> {
        self.machine.as_mut().map_or(Ok(false), Machine::has_ended)
    }

    /// Presses its reset button.
    ///
    /// # Errors
    /// When QEMU does not answer.
    pub(super) fn reset(&self) -> Result<()> {
        let press = || {
            let mut monitor = UnixStream::connect(self.monitor())?;
            monitor.set_read_timeout(Some(MONITOR_LIMIT))?;
            // It answers the greeting, and the command when that is done.
            until_prompt(&mut monitor)?;
            monitor.write_all(b"system_reset\n")?;
            until_prompt(&mut monitor)
        };
        press().with_context(|| format!("cannot reset {}", self.name))
    }
}

/// Reads until QEMU waits for a command.
fn until_prompt(monitor: &mut UnixStream) -> std::io::Result<()> {
    let mut said = Vec::new();
    let mut piece = [0; 512];
    while !said.ends_with(PROMPT) {
        match monitor.read(&mut piece)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            len => said.extend_from_slice(&piece[..len]),
        }
    }
    Ok(())
}
