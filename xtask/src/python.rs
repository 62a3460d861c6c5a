//! Programs in Python that are not ours, in exact versions, in folders of their own below `target/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{paths, process};

/// The Python that has what the list of requirements names (a file in the repository, which the environment is
/// named after); installs it if the list has changed.
///
/// # Errors
/// When Python, or one of the packages, cannot be installed.
pub(crate) fn environment(name: &str, requirements: &str) -> Result<PathBuf> {
    let list = paths::repository().join(requirements);
    let wanted = fs::read(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let environment = paths::repository().join("target").join(name);
    let (python, stamp) = (environment.join("bin/python"), environment.join("installed.txt"));
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    let _ = fs::remove_dir_all(&environment);
    process::run(Command::new("python3").args(["-m", "venv"]).arg(&environment))
        .context("Debian has this in python3-venv")?;
    install(&python, &list).with_context(|| {
        format!("cannot install what {requirements} names; is the network there?")
    })?;
    // Last: what is half installed has no stamp.
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(python)
}

fn install(python: &Path, list: &Path) -> Result<()> {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    process::run(pip.arg(list)).map(drop)
}
