//! Programs in Python that are not ours, in exact versions, in folders of their own below `target/`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

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
    create("python3", &environment)?;
    install(&python, &list).with_context(|| {
        format!("cannot install what {requirements} names; is the network there?")
    })?;
    // Last: what is half installed has no stamp.
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(python)
}

/// Makes an empty environment.
fn create(python: impl AsRef<OsStr>, environment: &Path) -> Result<()> {
    // What Python says of its missing parts is a page of advice for other systems.
    let mut venv = Command::new(python);
    let made = venv.args(["-m", "venv"]).arg(environment).output();
    ensure!(
        made.is_ok_and(|made| made.status.success()),
        "`{} -m venv` cannot make {}. Repair: apt-get install python3-venv",
        venv.get_program().display(),
        environment.display()
    );
    Ok(())
}

fn install(python: &Path, list: &Path) -> Result<()> {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    process::run(pip.arg(list)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::create;
    use std::path::Path;

    #[test]
    fn a_python_that_makes_no_environments_is_told_in_one_line() {
        for python in ["false", "/nowhere/python3"] {
            let error = create(python, Path::new("/nowhere/environment")).unwrap_err();
            let said = format!("{error:#}");
            assert!(said.contains("apt-get install python3-venv"), "{said}");
            assert!(said.contains(python) && said.lines().count() == 1, "{said}");
        }
    }
}
