//! The memory of a new node, made by `spore claim`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::e2e;

/// A memory that was made.
pub(crate) struct Made {
    /// What `spore claim` says of it. The access point's password is in it, which nobody can read later.
    pub(crate) said: Value,
}

/// Makes a memory in `file`: claimed, or with nothing but the access point's password. `options` are for `spore claim`, which
/// may ask the person at the terminal.
///
/// # Errors
/// When `spore` does not build, or does not do it: it has said why.
pub(crate) fn make(
    file: &Path,
    claimed: bool,
    options: &[OsString],
    spore: Option<PathBuf>,
) -> Result<Made> {
    let spore = match spore {
        Some(spore) => spore,
        None => e2e::build_spore()?,
    };
    let mut command = Command::new(spore);
    command.arg("claim").arg(file).arg("--json");
    match (claimed, options) {
        (true, options) => command.args(options),
        (false, []) => command.args(["--unclaimed", "--no-wifi"]),
        (false, options) => command.arg("--unclaimed").args(options),
    };
    let done = command.stdin(Stdio::inherit()).stderr(Stdio::inherit()).output();
    let done = done.context("cannot run `spore claim`")?;
    if !done.status.success() {
        bail!("nothing was written: `spore claim` has made no settings");
    }
    let said = serde_json::from_slice(&done.stdout).context("`spore claim` printed no JSON")?;
    Ok(Made { said })
}
