//! One emulated LX106 without a network, run until it has said what it has to say.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::emu::child::Guarded;
use crate::process;

/// QEMU's program for the Xtensa family.
pub(crate) const QEMU: &str = "qemu-system-xtensa";

/// How time passes for an emulated core. Its cycle counter runs at 40 MHz of that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As for this computer, which executes as many instructions in it as it can.
    Host,
    /// While it executes, an instruction takes 2 to the power of this many nanoseconds, whatever this computer does
    /// besides; while it sleeps, as for this computer.
    Counted(u8),
}

impl Pace {
    /// The arguments that make QEMU keep it.
    pub(crate) fn arguments(self) -> Vec<String> {
        match self {
            Self::Host => Vec::new(),
            Self::Counted(shift) => vec!["-icount".into(), format!("shift={shift},sleep=on")],
        }
    }
}

/// How often the output is looked at.
const POLL: Duration = Duration::from_millis(50);
/// Lines of QEMU's own messages that are shown when it fails.
const SHOWN_LINES: usize = 5;

/// Boots `elf` with the command line `append` and returns what it wrote to its UART, up to and with the line `last`,
/// or until it panics or faults.
///
/// # Errors
/// When QEMU does not start or ends by itself, or the machine says nothing of the kind within `patience`.
pub(crate) fn run_to_line(
    elf: &Path,
    append: &str,
    pace: Pace,
    last: &str,
    patience: Duration,
) -> Result<String> {
    let log = elf.with_extension("log");
    fs::write(&log, "").with_context(|| format!("cannot write {}", log.display()))?;
    let errors = elf.with_extension("qemu.log");
    let error_file =
        File::create(&errors).with_context(|| format!("cannot write {}", errors.display()))?;
    let mut running = Guarded::start("the emulated machine", QEMU, |qemu| {
        qemu.args(["-M", "kc705-nommu", "-cpu", "lx106", "-m", "64M", "-nic", "none"]);
        qemu.args(["-display", "none", "-monitor", "none"]).arg("-serial");
        qemu.arg(format!("file:{}", log.display())).arg("-kernel").arg(elf);
        qemu.args(["-append", append]).args(pace.arguments());
        qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(error_file)
    })?;
    let started = Instant::now();
    loop {
        let ended = running.ended()?;
        let output = String::from_utf8_lossy(
            &fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?,
        )
        .into_owned();
        let ends =
            |line: &str| line == last || line.starts_with("PANIC") || line.starts_with("FAULT");
        if output.lines().any(ends) && output.ends_with('\n') {
            return Ok(output);
        }
        let reached = output.lines().last().unwrap_or("");
        let complaint = || process::tail_of(&errors, SHOWN_LINES);
        if let Some(status) = ended {
            bail!(
                "QEMU has ended ({status}) after the line \"{reached}\" of {}; \
                 `cargo xtask doctor` tells whether it is the right one. It said:\n{}",
                log.display(),
                complaint()
            );
        }
        ensure!(
            started.elapsed() < patience,
            "the emulated machine hangs: in {} s it came no further than the line \"{reached}\" of {}\n{}",
            patience.as_secs(),
            log.display(),
            complaint()
        );
        thread::sleep(POLL);
    }
}
