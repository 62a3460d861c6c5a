//! `cargo xtask flash-check`: `flash` and `monitor` as a person uses them, with the real esptool, against a chip that is a
//! program: `tests/flash/chip.py`, a pseudo-terminal that speaks the mask ROM's protocol over a file as its flash.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use spore_boot::map::{CONFIGURATION, FLASH, Region, Slot};

use super::{image_info, parts};
use crate::emu::child::Guarded;
use crate::image::container;
use crate::{e2e, paths, process};

/// What a chip that is silent may cost a person's time, with all that starts before.
const SILENT_LIMIT: Duration = Duration::from_secs(30);
/// How long the monitor may take to show a line, and to end.
const MONITOR_LIMIT: Duration = Duration::from_secs(10);
/// Who owns nothing.
const NOBODY: u32 = 65_534;
const MAC: &str = "5c:cf:7f:0a:0b:0c";

/// Flash a chip that is a program, with the real esptool, well and badly.
#[derive(Args)]
pub(crate) struct FlashCheck {
    /// The `spore` that makes settings [default: this tree's].
    #[arg(long, value_name = "FILE")]
    spore: Option<PathBuf>,
}

/// The folder of a run, and what is in it.
struct Bench {
    folder: PathBuf,
    /// Nobody else has it.
    _held: File,
    spore: PathBuf,
    xtask: PathBuf,
}

/// A chip that runs.
struct Chip {
    _process: Guarded,
    port: PathBuf,
}

impl FlashCheck {
    /// Runs all checks.
    ///
    /// # Errors
    /// When something cannot be installed or started, or a check fails.
    pub(crate) fn run(self) -> Result<()> {
        let bench = Bench::new(self.spore)?;
        let (bytes, took) = bench.a_new_board()?;
        println!(
            "a claimed board: {bytes} bytes written and compared in {:.1} s",
            took.as_secs_f64()
        );
        bench.other_firmware()?;
        bench.an_unclaimed_board()?;
        bench.a_file_instead()?;
        image_info::check(&bench.folder, |bootloader, flash| {
            let paths = [bootloader, flash].map(|path| path.to_string_lossy());
            let options =
                ["--bootloader", &paths[0], "--to-file", &paths[1], "--claim", "--", "--no-wifi"];
            bench.flashed(None, &options).map(drop)
        })?;
        println!("esptool takes the bootloader, and flash that begins with it, for an image");
        println!("kept settings, an unclaimed board, a file of flash: as they should be");
        let silent = bench.chips_that_are_not_it()?;
        println!(
            "silent (after {:.1} s), small, foreign and dying chips: each is told",
            silent.as_secs_f64()
        );
        bench.ports_that_are_none()?;
        println!("missing, wrong and forbidden ports, missing files: each is told");
        bench.the_monitor()?;
        println!("the monitor shows what comes, and ends with Ctrl-C");
        Ok(())
    }
}

impl Bench {
    fn new(spore: Option<PathBuf>) -> Result<Self> {
        let spore = e2e::spore_to_test(spore)?;
        let folder = paths::repository().join("target/flash-check");
        let held = e2e::empty_folder(&folder)?;
        let xtask = std::env::current_exe().context("cannot find this program's own file")?;
        let bench = Self { folder, _held: held, spore, xtask };
        let mut random = fastrand::Rng::with_seed(8_266);
        let mut noise = |len: usize| (0..len).map(|_| random.u8(..)).collect::<Vec<u8>>();
        // Built for another flash; and an image that does not end with a sector.
        bench.write("bootloader.bin", &[&[0xE9, 1, 0, 0x40][..], &noise(3_000)].concat())?;
        let contents = [noise(100_000), vec![0; 150_004]].concat();
        let [a, b] = Slot::BOTH.map(|slot| parts::sample("esp-01", slot, &contents));
        let (a, b) = (a?, b?);
        bench.write("image.bin", &a)?;
        bench.write("image.spore", &container::of(&a, &b)?.bytes)?;
        bench.write("wifi", b"home-password\n")?;
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(bench.file("wifi"), private).context("cannot protect a file")?;
        for kind in ["cluster", "release"] {
            let mut command = Command::new(&bench.spore);
            command.args(["key", "new", kind]);
            process::run(bench.at_home(&mut command))?;
        }
        let mut sign = Command::new(&bench.spore);
        sign.args(["image", "sign", "image.spore"]);
        process::run(bench.at_home(&mut sign))?;
        Ok(bench)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let file = self.file(name);
        fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        let file = self.file(name);
        fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
    }

    /// So that keys are those of this run.
    fn at_home<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        for variable in
            ["SPORE_KEY_FILE", "SPORE_RELEASE_KEY_FILE", "SPORE_WIFI", "SPORE_WIFI_PASSWORD"]
        {
            command.env_remove(variable);
        }
        command.env("XDG_STATE_HOME", &self.folder).current_dir(&self.folder).stdin(Stdio::null())
    }

    /// A chip with `size` bytes of flash that has been used before.
    fn chip(&self, size: u32, options: &[&str]) -> Result<Chip> {
        let mut random = fastrand::Rng::with_seed(1);
        let used: Vec<u8> = (0..size).map(|_| random.u8(..)).collect();
        self.write("flash.bin", &used)?;
        let (flash, log) = (self.file("flash.bin"), self.file("chip.log"));
        let log = File::create(log).context("cannot create the chip's log")?;
        let mut process = Guarded::start("the chip", "python3", |command| {
            command.arg(paths::repository().join("tests/flash/chip.py")).arg(flash);
            command.args(["--mac", MAC]).args(options);
            command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
            command.stdout(Stdio::piped()).stderr(log)
        })?;
        let stdout = process.child_mut().stdout.take().context("the chip has no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("the chip says nothing")?;
        ensure!(line.starts_with("/dev/"), "the chip did not start: {line:?}");
        Ok(Chip { _process: process, port: line.trim().into() })
    }

    fn flash(&self, port: Option<&Path>, options: &[&str]) -> Result<Output> {
        let mut command = Command::new(&self.xtask);
        command.arg("flash").args(port);
        if !options.contains(&"--bootloader") {
            command.arg("--bootloader").arg(self.file("bootloader.bin"));
        }
        if !options.contains(&"--image") {
            command.arg("--image").arg(self.file("image.spore"));
        }
        command.arg("--spore").arg(&self.spore);
        process::output(self.at_home(&mut command).args(options))
    }

    /// Flashes, which must succeed; what it says.
    fn flashed(&self, port: Option<&Path>, options: &[&str]) -> Result<Value> {
        let done = self.flash(port, &[&["--json"], options].concat())?;
        let (said, log) =
            (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        ensure!(done.status.success(), "flash {options:?} failed:\n{log}\n{}", self.chip_log());
        serde_json::from_str(said.trim()).with_context(|| format!("flash printed {said:?}"))
    }

    /// Flashes, which must fail, say why, and leave the flash as it was.
    fn refused(&self, port: Option<&Path>, options: &[&str], why: &str) -> Result<()> {
        let before = self.read("flash.bin")?;
        let done = self.flash(port, options)?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(
            done.status.code() == Some(1) && said.contains(why),
            "flash {options:?} should end with 1 and say {why:?}; it ended with {} and said:\n{said}",
            done.status
        );
        ensure!(self.read("flash.bin")? == before, "a refusal has changed the flash");
        Ok(())
    }

    fn chip_log(&self) -> String {
        process::tail_of(&self.file("chip.log"), 10)
    }

    /// Claims a board. Every byte that was to be written is where it should be, and no other one has changed.
    fn a_new_board(&self) -> Result<(u64, Duration)> {
        let chip = self.chip(FLASH, &[])?;
        let before = self.read("flash.bin")?;
        let start = Instant::now();
        let said = self.flashed(
            Some(&chip.port),
            &[
                "--claim",
                "--",
                "--wifi",
                "home",
                "--password-file",
                "wifi",
                "--hostname",
                "kitchen",
            ],
        )?;
        let took = start.elapsed();
        let flash = self.read("flash.bin")?;
        ensure!(said["chip"]["mac"] == MAC && said["access_point"] == "SPORE-0a0b0c", "{said}");
        ensure!(said["claim"]["claimed"] == true && said["claim"]["wifi"] == "home", "{said}");
        let mut wanted = before;
        ensure!(said["manifest"] == true, "{said}");
        let sources = parts::Sources {
            bootloader: self.file("bootloader.bin"),
            image: self.file("image.spore"),
            settings: parts::Settings::Kept,
        };
        let board = spore_board::Board::find(&paths::repository().join("boards"), "esp-01")?;
        let mut total = 0;
        for part in said["written"].as_array().context("it tells nothing that was written")? {
            let number = |name: &str| part[name].as_u64().and_then(|it| usize::try_from(it).ok());
            let (from, len) = number("address").zip(number("bytes")).context("no numbers")?;
            total += len;
            // Whole sectors are erased.
            wanted[from..(from + len).next_multiple_of(4096)].fill(0xFF);
        }
        for part in parts::all(&board, &sources)? {
            let from = part.address as usize;
            wanted[from..from + part.bytes.len()].copy_from_slice(&part.bytes);
        }
        container::expect_given_on(&flash, Slot::A, &self.read("image.spore")?)?;
        let settings = range(CONFIGURATION);
        let memory = flash[settings.clone()].to_vec();
        wanted[settings].copy_from_slice(&memory);
        if let Some(at) = wanted.iter().zip(&flash).position(|(wanted, is)| wanted != is) {
            bail!("at {at:#x} the flash has {:#x}, not {:#x}", flash[at], wanted[at]);
        }
        let key = self.read("spore/cluster.key")?;
        let key = hex(std::str::from_utf8(&key)?.trim()).context("the key file has no key")?;
        let password = said["claim"]["access_point_password"].as_str().unwrap_or_default();
        ensure!(password.len() >= 12, "no password was made: {said}");
        for (what, secret) in [
            ("the cluster key", key.as_slice()),
            ("the WiFi's password", b"home-password"),
            ("the access point's password", password.as_bytes()),
            ("the name", b"kitchen"),
        ] {
            ensure!(contains(&memory, secret), "the settings lack {what}");
        }
        ensure!(!self.leftovers()?, "keys were left in target/");
        Ok((u64::try_from(total)?, took))
    }

    /// Files with keys in them that flashing has made, and should have removed.
    fn leftovers(&self) -> Result<bool> {
        let target = paths::repository().join("target");
        let entries = fs::read_dir(&target).context("cannot read target/")?;
        let mut names = entries.flatten().map(|entry| entry.file_name());
        Ok(names.any(|name| {
            let name = name.to_string_lossy();
            name.starts_with("flash-parts-") || name.starts_with("settings-")
        }))
    }

    fn other_firmware(&self) -> Result<()> {
        let chip = self.chip(FLASH, &[])?;
        let before = self.read("flash.bin")?;
        let image = self.file("image.bin");
        let image = image.to_str().context("the path is not UTF-8")?;
        let said = self.flashed(Some(&chip.port), &["--keep-settings", "--image", image])?;
        let flash = self.read("flash.bin")?;
        ensure!(said.get("claim").is_none() && said["manifest"] == false, "{said}");
        let manifest = range(Slot::A.manifest());
        ensure!(
            flash[manifest].iter().all(|byte| *byte == 0xFF),
            "there is a manifest of something"
        );
        // Up to the SDK's calibration, and behind its parameters of the radio.
        let kept = [CONFIGURATION.start as usize..0xFC000, 0xFD000..FLASH as usize];
        ensure!(
            kept.iter().all(|it| flash[it.clone()] == before[it.clone()]),
            "settings were lost"
        );
        ensure!(flash[..0x3000] != before[..0x3000], "nothing was written");
        Ok(())
    }

    fn an_unclaimed_board(&self) -> Result<()> {
        let chip = self.chip(FLASH, &[])?;
        let said = self.flashed(Some(&chip.port), &["--baud", "115200"])?;
        let memory = &self.read("flash.bin")?[range(CONFIGURATION)];
        let key = self.read("spore/cluster.key")?;
        let key = hex(std::str::from_utf8(&key)?.trim()).context("the key file has no key")?;
        ensure!(said["claim"]["claimed"] == false && !contains(memory, &key), "it is claimed");
        let password = said["claim"]["access_point_password"].as_str().unwrap_or_default();
        ensure!(password.len() >= 12 && contains(memory, password.as_bytes()), "no password");
        // And for people: it is shown, once.
        let done = self.flash(Some(&chip.port), &[])?;
        let said = String::from_utf8_lossy(&done.stdout);
        ensure!(
            done.status.success()
                && said.matches("shown this once").count() == 1
                && said.contains("SPORE-0a0b0c")
                && said.contains("100"),
            "it said:\n{said}"
        );
        Ok(())
    }

    fn a_file_instead(&self) -> Result<()> {
        let file = self.file("new.bin");
        let to = file.to_str().context("the path is not UTF-8")?;
        self.flashed(None, &["--to-file", to, "--claim", "--", "--no-wifi"])?;
        let mode = fs::metadata(&file).context("there is no file")?.permissions().mode();
        let flash = self.read("new.bin")?;
        ensure!((flash.len(), mode & 0o777) == (FLASH as usize, 0o600), "{} {mode:o}", flash.len());
        ensure!(
            flash[..4] == [0xE9, 1, 3, 0x20] && flash[0x1000..0x3000] == [0xFF; 0x2000],
            "head"
        );
        Ok(())
    }

    /// Returns how long a silent chip was waited for.
    fn chips_that_are_not_it(&self) -> Result<Duration> {
        let silent = self.chip(FLASH, &["--kind", "silent"])?;
        let start = Instant::now();
        self.refused(Some(&silent.port), &[], "no chip answers")?;
        let took = start.elapsed();
        ensure!(took < SILENT_LIMIT, "a silent chip was waited for {took:?}");
        drop(silent);
        let small = self.chip(FLASH / 2, &[])?;
        self.refused(Some(&small.port), &[], "has 512 KB of flash; the board esp-01 has 1024 KB")?;
        drop(small);
        let foreign = self.chip(FLASH, &["--kind", "esp32"])?;
        self.refused(Some(&foreign.port), &[], "is an ESP32; the board esp-01 has an ESP8266")?;
        drop(foreign);
        // One that goes when some of the image is written.
        let dying = self.chip(FLASH, &["--die-after", "60000"])?;
        let done = self.flash(Some(&dying.port), &["--keep-settings"])?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(
            done.status.code() == Some(1) && said.contains("flash it again"),
            "it said:\n{said}"
        );
        // And then anew.
        let again = self.chip(FLASH, &[])?;
        self.flashed(Some(&again.port), &["--keep-settings"])?;
        let large = self.chip(4 * FLASH, &[])?;
        let done = self.flash(Some(&large.port), &["--keep-settings"])?;
        let said = String::from_utf8_lossy(&done.stdout);
        ensure!(
            done.status.success() && said.contains("the rest stays unused"),
            "it said:\n{said}"
        );
        Ok(took)
    }

    fn ports_that_are_none(&self) -> Result<()> {
        let none = Path::new("/dev/ttyNone");
        self.refused(Some(none), &[], "there is no port /dev/ttyNone")?;
        self.refused(Some(&self.file("wifi")), &[], "is no serial port")?;
        let nothing = self.file("nothing");
        let nothing = nothing.to_str().context("the path is not UTF-8")?;
        let done = self.flash(Some(none), &["--board", "esp-99"])?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(
            said.contains("there is no board \"esp-99\"; there are esp-01"),
            "it said:\n{said}"
        );
        let chip = self.chip(FLASH, &[])?;
        self.refused(Some(&chip.port), &["--settings", nothing], "there is no settings")?;
        self.refused(Some(&chip.port), &["--claim", "--", "--key-file", nothing], "no settings")?;
        let mut command = Command::new(&self.xtask);
        command.arg("flash").arg(&chip.port).arg("--image").arg(nothing);
        let done = process::output(self.at_home(&mut command))?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(
            done.status.code() == Some(1) && said.contains("./ctl.sh build"),
            "it said:\n{said}"
        );
        self.a_port_that_is_forbidden(&chip.port)
    }

    /// Root may open what it likes, so it asks as somebody else.
    fn a_port_that_is_forbidden(&self, port: &Path) -> Result<()> {
        let forbidden = fs::Permissions::from_mode(0o000);
        fs::set_permissions(port, forbidden).context("cannot forbid the port")?;
        let we = fs::metadata("/proc/self").context("cannot tell who we are")?.uid();
        let mut command = if we == 0 {
            chown(port, Some(0), None).context("cannot own the port")?;
            let mut command = Command::new("setpriv");
            let id = NOBODY.to_string();
            command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).arg(&self.xtask);
            command
        } else {
            Command::new(&self.xtask)
        };
        command.arg("flash").arg(port).arg("--bootloader").arg(self.file("bootloader.bin"));
        command.arg("--image").arg(self.file("image.bin"));
        let done = process::output(self.at_home(&mut command))?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(
            done.status.code() == Some(1) && said.contains("usermod -aG dialout"),
            "a forbidden port: it ended with {} and said:\n{said}",
            done.status
        );
        Ok(())
    }

    fn the_monitor(&self) -> Result<()> {
        let chip = self.chip(FLASH, &["--kind", "log"])?;
        let xtask = self.xtask.to_str().context("the path is not UTF-8")?;
        let mut monitor = Guarded::start("the monitor", xtask, |command| {
            command.arg("monitor").arg(&chip.port);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null())
        })?;
        let stdout = monitor.child_mut().stdout.take().context("the monitor has no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = lines.next().context("the monitor shows nothing")??;
        ensure!(line.contains("BOOT esp-01"), "the monitor shows {line:?}");
        // As Ctrl-C does: to the whole group.
        let group = Pid::from_raw(-i32::try_from(monitor.id())?);
        kill(group, Signal::SIGINT).context("cannot interrupt the monitor")?;
        let start = Instant::now();
        loop {
            if let Some(status) = monitor.ended()? {
                ensure!(status.code() == Some(0), "the monitor ended with {status}");
                return Ok(());
            }
            ensure!(start.elapsed() < MONITOR_LIMIT, "the monitor does not end");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn range(region: Region) -> std::ops::Range<usize> {
    region.start as usize..region.end() as usize
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|it| u8::try_from(it).ok())).collect();
    let digits = digits.filter(|digits| digits.len() == 64)?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
