//! A board: an emulated ESP-01 with a flash file of its own, in a WiFi that a plug stands for.

use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use spore_boot::map::{CONFIGURATION, Slot};

use super::esp01::{self, Esp01};
use super::machine::{Event, Machine, Plug};
use super::secret::{self, Secret};
use crate::e2e;
use crate::firmware::Build;
use crate::flash::settings;
use crate::machine::Pace;
use crate::sdk_emu::{self, StandIn};

const WIFI: &str = "home";
const PASSWORD: &str = "secret1234";
/// What each board has around it.
const AIR: &str = "home:secret1234:6";
/// How long QEMU may take to answer at its monitor.
const MONITOR_LIMIT: Duration = Duration::from_secs(10);
/// Between two tries to connect to it.
const MONITOR_PAUSE: Duration = Duration::from_millis(20);
/// What it begins each answer with.
const PROMPT: &[u8] = b"(qemu) ";

/// What boards are made of, as it is built.
pub(crate) struct Kit {
    /// The stand-ins for the mask ROM and the SDK.
    pub(crate) stand_in: StandIn,
    flash: PathBuf,
    /// The `spore` command, which makes settings.
    pub(crate) spore: PathBuf,
}

impl Kit {
    /// Builds it; a flash with the firmware goes to `folder`, which is made.
    ///
    /// # Errors
    /// When something does not build.
    pub(crate) fn build(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let stand_in = StandIn::build(false)?;
        let (image, _) = stand_in.image(&Build::esp01(), Slot::A)?;
        let flash = folder.join("firmware.flash");
        esp01::write_flash(&flash, &sdk_emu::flash(false, &image, None)?)?;
        Ok(Self { stand_in, flash, spore: e2e::build_spore()? })
    }

    /// Its files.
    pub(crate) fn files(&self) -> Files<'_> {
        self.stand_in.files(&self.flash)
    }
}

/// Files that boards are made of.
#[derive(Clone, Copy)]
pub(crate) struct Files<'a> {
    /// The stand-in for the mask ROM.
    pub(crate) rom: &'a Path,
    /// The stand-in for the SDK.
    pub(crate) sdk: &'a Path,
    /// A flash with firmware and without settings.
    pub(crate) flash: &'a Path,
}

/// Who makes the boards' settings.
pub(crate) struct Owner<'a> {
    /// The `spore` command.
    pub(crate) spore: &'a Path,
    /// The file with the cluster key.
    pub(crate) key: &'a Path,
    /// Where the files of keys, boards and logs are.
    pub(crate) folder: &'a Path,
}

/// A chip's clock begins at 0 and wraps after 71 minutes; these begin at so many microseconds, and wrap after eight seconds.
const NEAR_WRAP: u32 = 8_000_000_u32.wrapping_neg();

/// A board, switched on or off.
pub(crate) struct Board<'a> {
    files: Files<'a>,
    id: u16,
    name: String,
    seed: Secret,
    plug: Plug,
    pace: Pace,
    /// Where its files are.
    folder: PathBuf,
    /// How often it was switched on.
    starts: u32,
    machine: Option<Machine>,
}

impl Owner<'_> {
    /// Makes a release key, which those have who are claimed from now on.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn make_release_key(&self) -> Result<()> {
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
    ///
    /// # Errors
    /// When they cannot be made.
    pub(crate) fn claim(&self, name: &str) -> Result<Vec<u8>> {
        secret::write_private(&self.password(), PASSWORD)?;
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
    /// A board that was flashed and claimed, at this plug. It is off.
    ///
    /// # Errors
    /// When its files cannot be made.
    pub(crate) fn new(files: Files<'a>, owner: &Owner<'_>, id: u16, plug: Plug) -> Result<Self> {
        let name = format!("board-{id}");
        let mut flash = esp01::read_flash(files.flash)?;
        let settings = owner.claim(&name)?;
        flash[CONFIGURATION.start as usize..][..settings.len()].copy_from_slice(&settings);
        let (seed, folder) = (secret::random()?, owner.folder.to_owned());
        let (starts, machine, pace) = (0, None, Pace::Host);
        let board = Self { files, id, name, seed, plug, pace, folder, starts, machine };
        esp01::write_flash(&board.flash(), &flash)?;
        Ok(board)
    }

    /// The same with another pace.
    pub(crate) fn paced(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// The number that it has on its network.
    pub(crate) fn id(&self) -> u16 {
        self.id
    }

    /// The process id of its machine, while it is on.
    pub(crate) fn process_id(&self) -> Option<u32> {
        self.machine.as_ref().map(Machine::process_id)
    }

    /// Its host name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its flash file.
    pub(crate) fn flash(&self) -> PathBuf {
        self.folder.join(format!("{}.flash", self.name))
    }

    fn monitor(&self) -> PathBuf {
        self.folder.join(format!("{}.monitor", self.name))
    }

    /// Where the serial line of its latest start is written to.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join(format!("{}-start-{}.log", self.name, self.starts))
    }

    /// Switches it on.
    ///
    /// # Errors
    /// When QEMU does not start.
    pub(crate) fn switch_on(&mut self, events: Sender<Event>) -> Result<()> {
        self.starts += 1;
        let (flash, monitor) = (self.flash(), self.monitor());
        let _ = fs::remove_file(&monitor);
        let board = Esp01 { rom: self.files.rom, sdk: Some(self.files.sdk), flash: &flash };
        let (id, seed) = (self.id, secret::to_hex(&self.seed));
        let told = format!("id={id} seed={seed} air={AIR} clock={NEAR_WRAP}");
        let set_up = |qemu: &mut Command| {
            board.set_up(qemu).args(["-append", &told, "-monitor"]);
            qemu.arg(format!("unix:{},server=on,wait=off", monitor.display()));
        };
        let (name, log) = ((self.id, self.name.as_str()), (self.log(), events));
        self.machine = Some(Machine::start(name, &self.plug, self.pace, log, set_up)?);
        Ok(())
    }

    /// Takes its power away.
    pub(crate) fn switch_off(&mut self) {
        // Killed when it is dropped.
        self.machine = None;
    }

    /// Whether it is switched on and its machine is gone.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        self.machine.as_mut().map_or(Ok(false), Machine::has_ended)
    }

    /// Presses its reset button.
    ///
    /// # Errors
    /// When QEMU does not answer.
    pub(crate) fn reset(&self) -> Result<()> {
        let press = || {
            let mut monitor = connect(&self.monitor())?;
            monitor.set_read_timeout(Some(MONITOR_LIMIT))?;
            // It answers the greeting, and the command when that is done.
            until_prompt(&mut monitor)?;
            monitor.write_all(b"system_reset\n")?;
            until_prompt(&mut monitor)
        };
        press().with_context(|| format!("cannot reset {}", self.name))
    }
}

/// Connects to QEMU, which may be starting.
fn connect(monitor: &Path) -> std::io::Result<UnixStream> {
    let start = Instant::now();
    loop {
        match UnixStream::connect(monitor) {
            Err(_) if start.elapsed() < MONITOR_LIMIT => std::thread::sleep(MONITOR_PAUSE),
            connected => return connected,
        }
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
