//! `cargo xtask e2e`: Linux nodes and emulated boards, which start from flash files, on one network, end to end.
//!
//! The network is the test's own: [`run`](E2e::run) starts this program again in fresh network,
//! mount and process namespaces (with `unshare`), and everything else happens in there: a bridge,
//! a namespace with a cable to it for each Linux node, a TAP for each board. No packet can leave,
//! and when the inner process ends, however it does, the kernel removes all of it.

pub(crate) mod api;
mod cluster;
pub(crate) mod junk;
pub(crate) mod network;
mod resets;
mod rotation;
mod scenario;
pub(crate) mod signed;
mod sniffer;
mod updates;

use std::fs::{self, File, TryLockError};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::emu::board::{Files, Kit};
use crate::{emu, paths, process, toolchain};
use cluster::Plan;
use updates::images::Nature;

/// Exit code when this system allows no namespaces, so that the test could not be run at all.
/// Test runners know 77 as "skipped".
pub(crate) const CANNOT_RUN: u8 = 77;

/// Test three Linux nodes and two emulated boards together on a network of their own; or ten and six, of which the boards
/// are reset at random moments, and one stolen in the end; or all of them updated over the air, well, badly, or killed meanwhile.
#[derive(Args)]
pub(crate) struct E2e {
    /// Where flash files, keys and the nodes' output go [default: a folder of this run in target/e2e, kept if it fails].
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,
    /// Start of the random numbers that the junk is made of, and the moments of resets.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Reset boards at random moments for so many minutes; then one is stolen, and the others get another key.
    #[arg(long, value_name = "MINUTES", value_parser = minutes)]
    resets: Option<Duration>,
    /// Update all of them over the air, with a good image and with a bad one.
    #[arg(long, conflicts_with = "resets")]
    updates: bool,
    /// With --updates: also offer images and uploads that must be refused.
    #[arg(long, requires = "updates")]
    hostile: bool,
    /// With --updates: instead kill boards at so many random moments of updates.
    #[arg(long, requires = "updates", conflicts_with = "hostile", value_name = "TIMES")]
    kills: Option<u32>,
    /// With --updates: instead give each of three boards an image that is bad in another way; takes six minutes.
    #[arg(long, requires = "updates", conflicts_with_all = ["hostile", "kills", "boards"])]
    trials: bool,
    /// How many boards [default: 2, with --resets 6].
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=16))]
    boards: Option<u8>,
    /// How many Linux nodes [default: 3, with --resets 10].
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=10))]
    hosts: Option<u8>,
    /// The inner run: what the boards are made of, `spore`, and a name for what is made.
    #[arg(long, hide = true, num_args = 5, value_names = ["ROM", "SDK", "FLASH", "SPORE", "NAME"])]
    inside: Option<Vec<String>>,
}

impl E2e {
    /// Runs the test. The exit code is 77 if this system does not allow it.
    ///
    /// # Errors
    /// When something does not build, or the test fails.
    pub(crate) fn run(self) -> Result<ExitCode> {
        if let Some(inside) = &self.inside {
            let [rom, sdk, flash, spore, name] = inside.as_slice() else {
                bail!("--inside takes five values")
            };
            let logs = self.folder(name);
            let files = Files { rom: Path::new(rom), sdk: Path::new(sdk), flash: Path::new(flash) };
            let plan = Plan {
                hosts: self.hosts.unwrap_or(if self.resets.is_some() { 10 } else { 3 }),
                boards: self.boards.unwrap_or(match (self.resets, self.trials) {
                    (Some(_), _) => 6,
                    (None, true) => updates::trials::BOARDS,
                    (None, false) => 2,
                }),
                files,
                spore: Path::new(spore),
                name,
                logs: &logs,
                seed: self.seed,
                updates: self.updates,
            };
            match self.resets {
                Some(length) => resets::run(&plan, length)?,
                None if self.trials => updates::trials::run(&plan)?,
                None if self.updates => match self.kills {
                    Some(kills) => updates::kills::run(&plan, kills)?,
                    None => updates::run(&plan, self.hostile)?,
                },
                None => scenario::run(&plan)?,
            }
            return Ok(ExitCode::SUCCESS);
        }
        let Some(isolation) = isolation()? else { return Ok(ExitCode::from(CANNOT_RUN)) };
        // Of runs at the same time, each has one of its own.
        let name = format!("spore{}", std::process::id());
        let logs = self.folder(&name);
        // What else is in there is not ours, and the other is this run's alone.
        fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
        let ended = self.build_and_run(isolation, &logs, &name);
        match (&self.log_dir, &ended) {
            (None, Ok(true)) => fs::remove_dir_all(&logs)
                .with_context(|| format!("cannot remove {}", logs.display()))?,
            (_, Ok(true)) => (),
            (_, Ok(false) | Err(_)) => eprintln!("what the nodes said is in {}", logs.display()),
        }
        Ok(if ended? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Where this run's files are.
    fn folder(&self, name: &str) -> PathBuf {
        let of_this_run = || paths::repository().join("target/e2e").join(name);
        self.log_dir.clone().unwrap_or_else(of_this_run)
    }

    /// Makes what the test needs, and runs it in namespaces of its own; whether it has passed.
    fn build_and_run(&self, isolation: &[&str], logs: &Path, name: &str) -> Result<bool> {
        let kit = Kit::build(logs)?;
        if self.updates {
            let natures: &[Nature] = match (self.trials, self.kills) {
                (true, _) => &[Nature::Good, Nature::Panics, Nature::Hangs],
                (false, Some(_)) => &[Nature::Good],
                (false, None) => &[Nature::Good, Nature::Stillborn],
            };
            updates::images::prepare(&kit.stand_in, logs, natures)?;
        }
        let Files { rom, sdk, flash } = kit.files();
        let files = [rom, sdk, flash, &kit.spore];
        // This program, with what it was asked for.
        let ended = run_isolated(isolation, |command| {
            command.args(std::env::args_os().skip(1)).arg("--inside").args(files).arg(name)
        })?;
        Ok(ended == ExitCode::SUCCESS)
    }
}

/// Starts this program again with other arguments, in namespaces as [`isolation`] has found them, and waits for its end.
///
/// # Errors
/// When it does not start, or is interrupted.
pub(crate) fn run_isolated(
    isolation: &[&str],
    arguments: impl FnOnce(&mut Command) -> &mut Command,
) -> Result<ExitCode> {
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let interrupted = emu::interruption()?;
    let mut inner = emu::child::Guarded::start("the test", "unshare", |command| {
        arguments(command.args(isolation).arg("--").arg(own))
    })?;
    wait(&mut inner, &interrupted)
}

/// Makes a folder for what a test leaves behind, without what an earlier run has left, which would be shown as this one's. No other
/// run gets it before the result is dropped.
///
/// # Errors
/// When it cannot be made, or another run has it.
pub(crate) fn empty_folder(folder: &Path) -> Result<File> {
    let empty = || -> Result<File> {
        fs::create_dir_all(folder)?;
        let held = File::open(folder)?;
        match held.try_lock() {
            Err(TryLockError::WouldBlock) => {
                bail!("another run has it; wait for its end, or choose another one (--log-dir)")
            }
            locked => locked?,
        }
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(held)
    };
    empty().with_context(|| format!("cannot use the folder {}", folder.display()))
}

/// The `spore` to test: this one, or this tree's, which is built.
///
/// # Errors
/// When there is none, or it does not build.
pub(crate) fn spore_to_test(given: Option<PathBuf>) -> Result<PathBuf> {
    match given {
        Some(spore) => {
            fs::canonicalize(&spore).with_context(|| format!("there is no {}", spore.display()))
        }
        None => build_spore(),
    }
}

/// What a program has printed.
fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// A time in minutes, of which there may be parts.
fn minutes(text: &str) -> Result<Duration, String> {
    let minutes = text.parse().map(|minutes: f64| Duration::try_from_secs_f64(minutes * 60.0));
    match minutes {
        Ok(Ok(length)) => Ok(length),
        _ => Err("must be a number of minutes".into()),
    }
}

/// Waits for the end of a test in namespaces of its own, or for whoever interrupts it.
fn wait(
    inner: &mut emu::child::Guarded,
    interrupted: &std::sync::mpsc::Receiver<()>,
) -> Result<ExitCode> {
    loop {
        if interrupted.recv_timeout(std::time::Duration::from_millis(100)).is_ok() {
            bail!("interrupted; everything is being removed");
        }
        if let Some(status) = inner.ended()? {
            ensure!(status.signal().is_none(), "the test was killed ({status})");
            return Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
}

/// Namespaces of our own; everything in them is killed with the first process.
const NAMESPACES: [&str; 6] =
    ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
/// The same for those who are not root: root within a user namespace.
const NAMESPACES_AS_USER: [&str; 8] = [
    "--user",
    "--map-root-user",
    "--net",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
];

/// The arguments of `unshare` that work here, or `None`, with advice on standard error.
pub(crate) fn isolation() -> Result<Option<&'static [&'static str]>> {
    let ways: [&'static [&'static str]; 2] = [&NAMESPACES, &NAMESPACES_AS_USER];
    let mut complaint = String::new();
    for way in ways {
        // A TAP in there is the most that the test asks for.
        let tap = ["--", "ip", "tuntap", "add", "dev", "probe", "mode", "tap"];
        let done = process::output(Command::new("unshare").args(way).args(tap))?;
        if done.status.success() {
            return Ok(Some(way));
        }
        complaint = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    }
    eprintln!(
        "cannot run the test: this system does not let us make network namespaces with TAP \
         interfaces in them ({complaint}).\n\
         Run it as root. Or allow it to all users: `sysctl kernel.unprivileged_userns_clone=1`, \
         where AppArmor restricts them `sysctl kernel.apparmor_restrict_unprivileged_userns=0`, \
         and `chmod 666 /dev/net/tun`. A container needs the capability SYS_ADMIN and the device \
         /dev/net/tun."
    );
    Ok(None)
}

/// Builds the `spore` command and says where it is. As the tests have it: it is built already, and looks at itself more
/// closely than what people use.
pub(crate) fn build_spore() -> Result<PathBuf> {
    let mut cargo = toolchain::cargo_for_host();
    cargo.current_dir(paths::repository());
    cargo.args(["build", "--package", "spore-cli", "--message-format=json-render-diagnostics"]);
    let messages = process::run(&mut cargo)?;
    // One JSON object per line; the one about a program has the path of the executable.
    let mut executables = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executables.next_back().context("cargo built no executable of the package spore-cli")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_empty_and_one_run_has_it() {
        let folder = std::env::temp_dir().join(format!("spore-folder-{}", std::process::id()));
        fs::create_dir_all(folder.join("earlier")).unwrap();
        fs::write(folder.join("earlier/log"), "of an earlier run").unwrap();
        let held = empty_folder(&folder).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        fs::write(folder.join("log"), "of this run").unwrap();
        let refused = format!("{:#}", empty_folder(&folder).unwrap_err());
        assert!(refused.contains("another run has it"), "{refused}");
        assert!(folder.join("log").exists());
        drop(held);
        let _next = empty_folder(&folder).unwrap();
        assert!(!folder.join("log").exists());
        fs::remove_dir(&folder).unwrap();
    }
}
