//! Which options got the compiler through, so that a build of the same sources need not crash it again to find out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::Build;
use super::compile::{LADDER, Rungs};
use crate::{paths, process, toolchain};

/// What the firmware is made of, relative to the repository: directories with all below them, and files.
const SOURCES: [&str; 3] = ["crates", "firmware", "Cargo.toml"];
/// Directories that builds make.
const MADE: &str = "target";

/// The rungs of one build, on disk.
///
/// They are good for the very same sources, compiler, order and flags only. With a shorter memory, the image would
/// depend on what was built before it.
pub(super) struct Memory {
    file: PathBuf,
    /// A digest of everything that the rungs depend on.
    state: String,
}

impl Memory {
    /// The memory of `build` with `flags`, in the directory `work`.
    ///
    /// # Errors
    /// When the sources cannot be read, or the compiler does not tell its version.
    pub(super) fn of(build: &Build, flags: &[String], work: &Path) -> Result<Self> {
        let mut digest = Sha256::new();
        let compiler = process::run(Command::new(toolchain::rustc()).arg("-vV"))?;
        let order = Build { locked: false, ..build.clone() };
        digest.update(format!("{compiler}{order:?}{flags:?}{LADDER:?}"));
        for source in SOURCES {
            add(&mut digest, &paths::repository().join(source))?;
        }
        let file = work.join(format!("rungs{}", build.first_rung));
        Ok(Self { file, state: format!("{:x}", digest.finalize()) })
    }

    /// What was kept last, if nothing has changed since.
    pub(super) fn recall(&self) -> Option<Rungs> {
        let text = fs::read_to_string(&self.file).ok()?;
        let mut words = text.split_whitespace();
        words.next().filter(|state| *state == self.state)?;
        let mut rung = || words.next()?.parse().ok().filter(|rung| *rung < LADDER.len());
        Some(Rungs { program: rung()?, builtins: rung()? })
    }

    /// Keeps the rungs with which the build succeeded.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn keep(&self, rungs: Rungs) -> Result<()> {
        fs::write(&self.file, format!("{} {} {}\n", self.state, rungs.program, rungs.builtins))
            .with_context(|| format!("cannot write {}", self.file.display()))
    }
}

/// Adds a file, or all files below a directory in the order of their names.
fn add(digest: &mut Sha256, path: &Path) -> Result<()> {
    let unreadable = || format!("cannot read {}", path.display());
    if path.is_dir() {
        let entries = fs::read_dir(path).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
        let mut entries: Vec<PathBuf> =
            entries.with_context(unreadable)?.into_iter().map(|entry| entry.path()).collect();
        entries.retain(|entry| !entry.ends_with(MADE));
        entries.sort();
        return entries.iter().try_for_each(|entry| add(digest, entry));
    }
    let bytes = fs::read(path).with_context(unreadable)?;
    digest.update(format!("{}\0{}\0", path.display(), bytes.len()));
    digest.update(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_are_recalled_for_the_same_state_only() {
        let file = std::env::temp_dir().join(format!("spore-xtask-rungs-{}", std::process::id()));
        let memory = |state: &str| Memory { file: file.clone(), state: state.to_owned() };
        let rungs = Rungs { program: 3, builtins: 0 };
        let before = memory("a").recall();
        memory("a").keep(rungs).unwrap();
        let (same, other) = (memory("a").recall(), memory("b").recall());
        fs::write(&file, format!("a {} 0", LADDER.len())).unwrap();
        let beyond = memory("a").recall();
        fs::remove_file(&file).unwrap();
        assert_eq!((before, same, other, beyond), (None, Some(rungs), None, None));
    }

    #[test]
    fn a_changed_or_renamed_source_changes_the_state() {
        let directory =
            std::env::temp_dir().join(format!("spore-xtask-sources-{}", std::process::id()));
        let state = |name: &str, text: &str| {
            fs::create_dir_all(directory.join(MADE)).unwrap();
            fs::write(directory.join(name), text).unwrap();
            fs::write(directory.join(MADE).join(text), text).unwrap();
            let mut digest = Sha256::new();
            add(&mut digest, &directory).unwrap();
            fs::remove_dir_all(&directory).unwrap();
            digest.finalize()
        };
        let first = state("a.rs", "x");
        assert_eq!(first, state("a.rs", "x"));
        assert_ne!(first, state("a.rs", "y"));
        assert_ne!(first, state("b.rs", "x"));
    }
}
