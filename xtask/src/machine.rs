//! One emulated LX106 without a network, run until it has said what it has to say.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, ensure};

/// QEMU's program for the Xtensa family.
pub(crate) const QEMU: &str = "qemu-system-xtensa";
/// How often the output is looked at.
const POLL: Duration = Duration::from_millis(50);

/// Ends the machine with the scope that owns it, whatever happens in between.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if the machine has ended by itself, which is just as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Boots `elf` with the command line `append` and returns what it wrote to its UART, up to and with the line `last`,
/// or until it panics, faults or stops.
///
/// # Errors
/// When QEMU does not start, or the machine says nothing of the kind within `patience`.
pub(crate) fn run_to_line(
    elf: &Path,
    append: &str,
    last: &str,
    patience: Duration,
) -> Result<String> {
    let log = elf.with_extension("log");
    fs::write(&log, "").with_context(|| format!("cannot write {}", log.display()))?;
    let mut qemu = Command::new(QEMU);
    qemu.args(["-M", "kc705-nommu", "-cpu", "lx106", "-m", "64M", "-nic", "none"]);
    qemu.args(["-display", "none", "-monitor", "none"]).arg("-serial");
    qemu.arg(format!("file:{}", log.display())).arg("-kernel").arg(elf).args(["-append", append]);
    qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = qemu.spawn().with_context(|| {
        format!("cannot run {QEMU}: run `cargo xtask doctor` to see what is missing")
    })?;
    let mut running = Running(child);
    let started = Instant::now();
    loop {
        let stopped = running.0.try_wait().context("cannot watch QEMU")?;
        let output = String::from_utf8_lossy(
            &fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?,
        )
        .into_owned();
        let ends =
            |line: &str| line == last || line.starts_with("PANIC") || line.starts_with("FAULT");
        if stopped.is_some() || output.lines().any(ends) && output.ends_with('\n') {
            return Ok(output);
        }
        ensure!(
            started.elapsed() < patience,
            "the emulated machine hangs: in {} s it came no further than the line \"{}\" of {}",
            patience.as_secs(),
            output.lines().last().unwrap_or(""),
            log.display()
        );
        thread::sleep(POLL);
    }
}
