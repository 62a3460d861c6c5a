//! The launcher: starts a program from one of two slots, as a board's bootloader starts an image, with the same decisions.

use crate::lock::Lock;
use crate::slots::SlotFile;
use embassy_futures::block_on;
use embedded_storage::nor_flash::{NorFlash as _, ReadNorFlash as _};
use log::{info, warn};
use rustix::process::Signal;
use spore_boot::image::IN_PLACE;
use spore_boot::layout::{Host, Layout as _};
use spore_boot::map::{SECTOR, Slot};
use spore_boot::{Start, choose};
use spore_image::trial::{self, Found};
use spore_image::{Head, build};
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The exit code of a program that wants to be started again, perhaps as another one.
pub const RESTART: u8 = 85;

/// Tells the program that was started where its slots are.
const SLOTS_VARIABLE: &str = "SPORE_SLOTS";

/// Tells it which of them it was started from: `a` or `b`.
const SLOT_VARIABLE: &str = "SPORE_SLOT";

/// The board that programs for Linux are for.
pub const BOARD: &str = "host";

/// The file of the slots in the launcher's folder.
const FILE: &str = "slots";

/// How long a program on trial may run without having confirmed itself, or given up: it does one or the other within 300 s.
const TRIAL: Duration = Duration::from_secs(330);

/// Between two looks at the program.
const LOOK: Duration = Duration::from_millis(50);

/// Between two looks whether it is confirmed.
const TRIAL_LOOK: Duration = Duration::from_secs(1);

/// Before a program that has crashed is started again.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a program may take to end when it is asked to.
const FAREWELL: Duration = Duration::from_secs(5);

/// What is started, and how.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// The folder with the slots, which is the launcher's alone; it is made if need be.
    pub folder: PathBuf,
    /// The program that goes into slot A if no slot holds one.
    pub program: PathBuf,
    /// Its version, at most 24 printable ASCII characters.
    pub version: String,
    /// What programs are started with.
    pub arguments: Vec<OsString>,
    /// Is told before each start.
    pub on_start: fn(Starting),
}

/// What is about to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Starting {
    /// The slot that it is from: `a` or `b`.
    pub slot: &'static str,
    /// The image's sequence number.
    pub image: u32,
    /// Whether it must confirm itself.
    pub on_trial: bool,
}

/// Why a launcher ends.
#[derive(Debug)]
pub enum LaunchError {
    /// Another one has the folder.
    InUse(PathBuf),
    /// Something about a file does not work.
    Io(PathBuf, io::Error),
    /// The program cannot go into a slot.
    Program(PathBuf, build::BuildError),
    /// The slot does not hold what was written.
    Slot,
}

impl std::fmt::Display for LaunchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InUse(folder) => {
                write!(f, "{} is in use by another launcher", folder.display())
            }
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Program(path, error) => {
                write!(f, "{} cannot be started from a slot: {error}", path.display())
            }
            Self::Slot => f.write_str("the slot does not hold what was written"),
        }
    }
}

impl std::error::Error for LaunchError {}

/// How the program ended.
enum Ended {
    /// By itself, or by a signal.
    Itself(ExitStatus),
    /// It was on trial for too long.
    Expired,
    /// The launcher is to stop.
    Stopped(ExitStatus),
}

impl Launcher {
    /// Starts programs until one ends and does not want to be started again, or `stopped` says so. Returns the exit code of the last one.
    ///
    /// A program that crashes is started again after a second; one on trial at most three times. One that ends with 0, or
    /// with 2, which is wrong usage, ends the launcher, unless it is on trial.
    ///
    /// # Errors
    /// [`LaunchError`] says what does not work.
    pub fn run(&self, stopped: impl Fn() -> bool) -> Result<u8, LaunchError> {
        fs::create_dir_all(&self.folder).map_err(|error| self.failed(&self.folder, error))?;
        let _lock = self.lock()?;
        let path = self.folder.join(FILE);
        let open = || SlotFile::open(&path).map_err(|error| self.failed(&path, error));
        loop {
            let mut flash = open()?;
            let start = match choose::<Host>(&mut flash) {
                Some(start) => start,
                None => {
                    self.install(&mut flash)?;
                    choose::<Host>(&mut flash).ok_or(LaunchError::Slot)?
                }
            };
            let found = block_on(trial::find::<Host, _>(&mut flash, start.slot));
            let on_trial = found == Ok(Found::Trial);
            let program = self.unpack(&mut flash, &start)?;
            drop(flash);
            let (slot, image) = (name(start.slot), start.header.sequence);
            info!(
                "starts image {image} from slot {slot}{}",
                if on_trial { ", on trial" } else { "" }
            );
            (self.on_start)(Starting { slot, image, on_trial });
            let child = Command::new(&program)
                .args(&self.arguments)
                .env(SLOTS_VARIABLE, &path)
                .env(SLOT_VARIABLE, slot)
                .spawn();
            let ended = match child {
                Ok(child) => self.attend(child, (&path, start.slot), on_trial, &stopped)?,
                // It is no program for this machine: as bad as one that crashes.
                Err(error) if on_trial => {
                    warn!("image {image} cannot be started: {error}");
                    continue;
                }
                Err(error) => return Err(self.failed(&program, error)),
            };
            match ended {
                Ended::Stopped(status) => return Ok(code(status)),
                Ended::Expired => warn!("image {image} has not confirmed itself and was ended"),
                Ended::Itself(status) => match status.code() {
                    Some(code) if code == i32::from(RESTART) => (),
                    Some(0 | 2) if !on_trial => return Ok(code(status)),
                    _ => {
                        warn!("image {image} has ended: {status}");
                        sleep(PAUSE);
                    }
                },
            }
            if stopped() {
                return Ok(0);
            }
        }
    }

    fn failed(&self, path: &Path, error: io::Error) -> LaunchError {
        LaunchError::Io(path.to_owned(), error)
    }

    fn lock(&self) -> Result<Lock, LaunchError> {
        let path = self.folder.join("lock");
        let lock = Lock::take(&path).map_err(|error| self.failed(&path, error))?;
        lock.ok_or_else(|| LaunchError::InUse(self.folder.clone()))
    }

    /// Puts the program into slot A, as one that came by no update.
    fn install(&self, flash: &mut SlotFile) -> Result<(), LaunchError> {
        info!("no slot holds a program: {} goes into slot a", self.program.display());
        let bytes = fs::read(&self.program).map_err(|error| self.failed(&self.program, error))?;
        let container = build::program(&bytes, BOARD, &self.version, 0)
            .map_err(|error| LaunchError::Program(self.program.clone(), error))?;
        place(flash, Slot::A, &container).ok_or(LaunchError::Slot)
    }

    /// Writes the program in a slot to a file that can be run.
    fn unpack(&self, flash: &mut SlotFile, start: &Start) -> Result<PathBuf, LaunchError> {
        let path = self.folder.join(format!("program-{}", name(start.slot)));
        let mut write = || {
            // It may be running still, under another launcher that was killed; a running file cannot be written.
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => (),
            }
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o700).open(&path)?;
            let mut bytes = vec![0; usize::try_from(start.header.in_place).unwrap_or(0)];
            let from = Host::region(start.slot).start + IN_PLACE;
            flash.read(from, &mut bytes).map_err(|error| io::Error::other(format!("{error:?}")))?;
            file.write_all(&bytes)
        };
        write().map_err(|error| self.failed(&path, error))?;
        Ok(path)
    }

    /// Waits until the program ends, or has to.
    fn attend(
        &self,
        mut child: Child,
        (path, slot): (&Path, Slot),
        on_trial: bool,
        stopped: &impl Fn() -> bool,
    ) -> Result<Ended, LaunchError> {
        let failed = |error| self.failed(path, error);
        let begun = Instant::now();
        let (mut on_trial, mut look) = (on_trial, begun + TRIAL_LOOK);
        loop {
            if let Some(status) = child.try_wait().map_err(failed)? {
                return Ok(Ended::Itself(status));
            }
            if stopped() {
                return Ok(Ended::Stopped(farewell(&mut child).map_err(failed)?));
            }
            if on_trial && Instant::now() >= look {
                look = Instant::now() + TRIAL_LOOK;
                let mut flash = SlotFile::open(path).map_err(failed)?;
                on_trial = block_on(trial::find::<Host, _>(&mut flash, slot)) == Ok(Found::Trial);
                if on_trial && begun.elapsed() > TRIAL {
                    child.kill().and_then(|()| child.wait()).map_err(failed)?;
                    return Ok(Ended::Expired);
                }
            }
            sleep(LOOK);
        }
    }
}

/// Writes what a container holds to a slot, the header last.
fn place(flash: &mut SlotFile, slot: Slot, container: &[u8]) -> Option<()> {
    let head = Head::decode(container.first_chunk()?).ok()?;
    let (region, kept) = (Host::region(slot), Host::manifest(slot));
    let (manifest, payload) =
        container.split_at_checked(head.manifest_length().try_into().ok()?)?;
    let end = region.start + (IN_PLACE + head.payload()).next_multiple_of(SECTOR);
    flash.erase(region.start, end).ok()?;
    flash.erase(kept.start, kept.end()).ok()?;
    let mut manifest = manifest.to_vec();
    manifest.resize(manifest.len().next_multiple_of(4), 0xFF);
    flash.write(kept.start, &manifest).ok()?;
    flash.write(region.start + IN_PLACE, payload).ok()?;
    flash.write(region.start, &head.page::<Host>(slot).ok()?).ok()
}

/// Asks a program to end, and sees to it that it does.
fn farewell(child: &mut Child) -> io::Result<ExitStatus> {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        // It may have ended just now.
        let _ = rustix::process::kill_process(pid, Signal::TERM);
    }
    let until = Instant::now() + FAREWELL;
    while Instant::now() < until {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        sleep(LOOK);
    }
    child.kill()?;
    child.wait()
}

/// A slot as programs are told of it.
fn name(slot: Slot) -> &'static str {
    match slot {
        Slot::A => "a",
        Slot::B => "b",
    }
}

/// The exit code of the launcher for that of a program.
fn code(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// The slots that this process was started from by a launcher, if it was. Then it is asked to end when its launcher does, whatever
/// happens to that.
///
/// # Errors
/// If the variables are not as a launcher sets them.
pub fn launched() -> Result<Option<(PathBuf, Slot)>, String> {
    let (path, slot) = (std::env::var_os(SLOTS_VARIABLE), std::env::var_os(SLOT_VARIABLE));
    let Some(path) = path.filter(|path| !path.is_empty()) else { return Ok(None) };
    let slot = Slot::BOTH.into_iter().find(|known| slot.as_deref() == Some(name(*known).as_ref()));
    match slot {
        Some(slot) => {
            // On failure it would go on alone, which is no worse than what there is without a launcher.
            let _ = rustix::process::set_parent_process_death_signal(Some(Signal::TERM));
            Ok(Some((path.into(), slot)))
        }
        None => Err(format!("{SLOT_VARIABLE} must be a or b, as a launcher sets it")),
    }
}

#[cfg(test)]
mod tests;
