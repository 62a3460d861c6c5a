//! A board that starts from a flash file.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::emu::child::Guarded;
use crate::emu::esp01::{self, Esp01};
use crate::machine::QEMU;

/// No case takes longer, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// Boots from `flash`, a megabyte, until there were `lines` lines that `counts`. Returns those lines, and the flash as it
/// is then.
///
/// # Errors
/// When QEMU ends by itself, the machine faults, or it does not say so many lines in time.
pub(super) fn boot(
    rom: &Path,
    file: &Path,
    flash: &[u8],
    lines: usize,
    counts: impl Fn(&str) -> bool,
) -> Result<(Vec<String>, Vec<u8>)> {
    esp01::write_flash(file, flash)?;
    let log = file.with_extension("log");
    let errors = file.with_extension("qemu.log");
    fs::write(&log, "").with_context(|| format!("cannot write {}", log.display()))?;
    let error_file =
        File::create(&errors).with_context(|| format!("cannot write {}", errors.display()))?;
    let mut running = Guarded::start("the emulated board", QEMU, |qemu| {
        Esp01 { rom, sdk: None, flash: file }.set_up(qemu).args(["-nic", "none"]);
        qemu.args(["-display", "none", "-monitor", "none"]).arg("-serial");
        qemu.arg(format!("file:{}", log.display()));
        qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(error_file)
    })?;
    let deadline = Instant::now() + PATIENCE;
    let said = loop {
        let text =
            fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))?;
        // What follows the last end of a line is half a line.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let said: Vec<String> =
            whole.lines().map(str::trim).filter(|line| counts(line)).map(str::to_owned).collect();
        if said.len() >= lines {
            break said;
        }
        if let Some(fault) =
            whole.lines().find(|line| line.contains("FAULT") || line.contains("PANIC"))
        {
            bail!("{fault}; see {}", log.display());
        }
        if let Some(status) = running.ended()? {
            let told = fs::read_to_string(&errors).unwrap_or_default();
            bail!("QEMU ended by itself ({status}): {}", told.trim());
        }
        ensure!(
            Instant::now() < deadline,
            "after {} s there were {} lines of {lines}; see {}",
            PATIENCE.as_secs(),
            said.len(),
            log.display()
        );
        thread::sleep(POLL);
    };
    running.kill();
    Ok((said[..lines].to_vec(), esp01::read_flash(file)?))
}
