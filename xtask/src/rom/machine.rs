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

/// What starts.
#[derive(Clone, Copy)]
pub(crate) struct Start<'a> {
    /// The stand-in for the mask ROM.
    pub(crate) rom: &'a Path,
    /// Its command line.
    pub(crate) append: &'a str,
    /// Where QEMU writes down each instruction that it meets for the first time, if it is to.
    pub(crate) trace: Option<&'a Path>,
}

/// Boots from `flash`, a megabyte, until `is_done` with the lines that were written. Returns them, and the flash as it is then.
///
/// # Errors
/// When QEMU ends by itself, the machine faults, or it is not done in time.
pub(crate) fn boot(
    Start { rom, append, trace }: Start<'_>,
    file: &Path,
    flash: &[u8],
    is_done: impl Fn(&[&str]) -> bool,
) -> Result<(Vec<String>, Vec<u8>)> {
    esp01::write_flash(file, flash)?;
    let log = file.with_extension("log");
    let errors = file.with_extension("qemu.log");
    fs::write(&log, "").with_context(|| format!("cannot write {}", log.display()))?;
    let error_file =
        File::create(&errors).with_context(|| format!("cannot write {}", errors.display()))?;
    let mut running = Guarded::start("the emulated board", QEMU, |qemu| {
        Esp01 { rom, sdk: None, flash: file }
            .set_up(qemu)
            .args(["-nic", "none", "-append", append]);
        if let Some(trace) = trace {
            qemu.args(["-d", "in_asm", "-D"]).arg(trace);
        }
        qemu.args(["-display", "none", "-monitor", "none"]).arg("-serial");
        qemu.arg(format!("file:{}", log.display()));
        qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(error_file)
    })?;
    let deadline = Instant::now() + PATIENCE;
    let said = loop {
        let text = fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
        let text = String::from_utf8_lossy(&text);
        // What follows the last end of a line is half a line.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let said: Vec<&str> = whole.lines().map(str::trim).collect();
        if is_done(&said) {
            break said.into_iter().map(str::to_owned).collect();
        }
        if let Some(fault) =
            said.iter().find(|line| line.contains("FAULT") || line.contains("PANIC"))
        {
            bail!("{fault}; see {}", log.display());
        }
        if let Some(status) = running.ended()? {
            let told = fs::read_to_string(&errors).unwrap_or_default();
            bail!("QEMU ended by itself ({status}): {}", told.trim());
        }
        ensure!(
            Instant::now() < deadline,
            "after {} s it came no further than \"{}\"; see {}",
            PATIENCE.as_secs(),
            said.last().unwrap_or(&""),
            log.display()
        );
        thread::sleep(POLL);
    };
    running.kill();
    Ok((said, esp01::read_flash(file)?))
}
