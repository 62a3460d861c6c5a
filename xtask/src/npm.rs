//! What is made with Node.js: who builds SPORE needs none, since what it makes is in the repository. Here it is checked, and made once more.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{paths, process};

/// A folder of `web/`, with what its lock file names.
pub(crate) struct Package(PathBuf);

impl Package {
    /// The one in `web/name`, after an installation if need be.
    ///
    /// # Errors
    /// When something cannot be installed.
    pub(crate) fn installed(name: &str) -> Result<Self> {
        let package = Self(paths::repository().join("web").join(name));
        let lock =
            fs::read(package.0.join("package-lock.json")).context("there is no lock file")?;
        let stamp = package.0.join("node_modules/.installed");
        if fs::read(&stamp).ok().as_ref() != Some(&lock) {
            package.npm(&["ci", "--no-audit", "--no-fund"]).with_context(|| {
                format!("cannot install what web/{name}/package-lock.json names")
            })?;
            fs::write(&stamp, &lock)
                .with_context(|| format!("cannot write {}", stamp.display()))?;
        }
        Ok(package)
    }

    /// Runs one of its scripts.
    ///
    /// # Errors
    /// When the script fails.
    pub(crate) fn npm(&self, arguments: &[&str]) -> Result<String> {
        let mut npm = Command::new("npm");
        process::run(npm.current_dir(&self.0).args(arguments))
    }

    /// Has it made at `made`, a file or a folder, and compares that with these files of its `dist`.
    ///
    /// # Errors
    /// When it cannot be made, or is not what is in the repository.
    pub(crate) fn expect_made(&self, made: &Path, files: &[&str]) -> Result<()> {
        self.npm(&["run", "build", "--", &made.to_string_lossy()])?;
        let read =
            |file: &Path| fs::read(file).with_context(|| format!("cannot read {}", file.display()));
        for name in files {
            let again = if made.is_dir() { made.join(name) } else { made.to_owned() };
            let same = read(&again)? == read(&self.0.join("dist").join(name))?;
            let shown = self.0.display();
            ensure!(
                same,
                "{shown}/dist/{name} is not what is made of its source. Repair: npm run build"
            );
        }
        Ok(())
    }
}
