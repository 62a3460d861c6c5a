//! The file that holds a cluster's key: one line of 64 hexadecimal digits, for its owner only.

use crate::{paths, shell, variables};
use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use spore_core::ClusterKey;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process;

/// Which key file to use.
#[derive(Debug, Args)]
pub(crate) struct KeyFile {
    /// The file with the cluster key [env: SPORE_KEY_FILE]
    /// [default: cluster.key in ~/.local/state/spore]
    #[arg(long, global = true, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl KeyFile {
    /// The file that the option names.
    pub(crate) fn option(&self) -> Option<&Path> {
        self.key_file.as_deref()
    }

    /// The file that was named, by the option or the variable.
    fn named(&self) -> Option<PathBuf> {
        self.key_file.clone().or_else(|| variables::variable("SPORE_KEY_FILE").map(PathBuf::from))
    }

    /// The file that was named, or the default one.
    pub(crate) fn path(&self) -> Result<PathBuf> {
        match self.named() {
            Some(path) => Ok(path),
            None => Ok(paths::state()?.join("cluster.key")),
        }
    }

    /// Reads the key.
    pub(crate) fn read(&self) -> Result<ClusterKey> {
        let path = self.path()?;
        read(&path)?.ok_or_else(|| self.missing(&path))
    }

    /// Reads the key, or makes one if there is no file yet.
    pub(crate) fn read_or_make(&self) -> Result<ClusterKey> {
        let path = self.path()?;
        if let Some(key) = read(&path)? {
            return Ok(key);
        }
        let key = random()?;
        match make_folder(&path).and_then(|()| create(&path, &key)) {
            Ok(()) => Ok(key),
            // Somebody else was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.read(),
            Err(error) => Err(cannot_write(&path, error)),
        }
    }

    fn missing(&self, path: &Path) -> anyhow::Error {
        let option = match self.named() {
            Some(path) => format!(" --key-file {}", shell::quoted(&path.to_string_lossy())),
            None => String::new(),
        };
        anyhow!("there is no cluster key {}; `spore key new{option}` makes one", path.display())
    }
}

/// The key in `path`; `None` if there is no such file.
fn read(path: &Path) -> Result<Option<ClusterKey>> {
    let cannot = || format!("cannot read the cluster key {}", path.display());
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(cannot),
    };
    let mode = file.metadata().with_context(cannot)?.permissions().mode();
    if mode & 0o077 != 0 {
        let path = path.to_string_lossy();
        let quoted = shell::quoted(&path);
        bail!("others can read the cluster key {path}; set it right with `chmod 600 {quoted}`");
    }
    let mut text = String::new();
    file.read_to_string(&mut text).with_context(cannot)?;
    let key = text.trim().parse();
    key.map(Some).with_context(|| format!("{} is not a cluster key", path.display()))
}

/// Makes a new key in `path`; replaces an old one only if `replace` says so.
pub(crate) fn make(path: &Path, replace: bool) -> Result<ClusterKey> {
    let key = random()?;
    let write = if replace { replace_by } else { create };
    match make_folder(path).and_then(|()| write(path, &key)) {
        Ok(()) => Ok(key),
        Err(error) if !replace && error.kind() == ErrorKind::AlreadyExists => bail!(
            "{} exists; members with its key would be locked out (--force replaces it)",
            path.display()
        ),
        Err(error) => Err(cannot_write(path, error)),
    }
}

fn random() -> Result<ClusterKey> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).context("the operating system gives no entropy")?;
    Ok(ClusterKey::from_bytes(bytes))
}

fn cannot_write(path: &Path, error: io::Error) -> anyhow::Error {
    anyhow::Error::new(error).context(format!("cannot write the cluster key {}", path.display()))
}

fn make_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

/// Writes `key` to `path`, where nothing may be yet.
fn create(path: &Path, key: &ClusterKey) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let line = format!("{}\n", key.to_hex().as_str());
    let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a key is none, and would stand in the way of the next attempt.
        let _ = fs::remove_file(path);
    }
    written
}

/// Writes `key` to `path`, whole or not at all: a key that is half replaced locks everyone out.
fn replace_by(path: &Path, key: &ClusterKey) -> io::Result<()> {
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(ErrorKind::InvalidInput, "this is no file's name"));
    };
    let new = format!(".{}.{}.new", name.to_string_lossy(), process::id());
    let new = path.with_file_name(new);
    create(&new, key)?;
    fs::rename(&new, path).inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })
}

#[cfg(test)]
mod tests {
    use super::{ClusterKey, KeyFile, fs, make};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    fn file(path: &Path) -> KeyFile {
        KeyFile { key_file: Some(path.to_owned()) }
    }

    fn read(path: &Path) -> anyhow::Result<ClusterKey> {
        file(path).read()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_only_and_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/cluster.key");
        let key = make(&path, false).unwrap();
        assert_eq!(read(&path).unwrap(), key);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let error = make(&path, false).unwrap_err();
        assert!(error.to_string().contains("--force"), "{error}");
        assert_eq!(read(&path).unwrap(), key, "a refused attempt changes nothing");
        let other = make(&path, true).unwrap();
        assert_ne!(other, key);
        assert_eq!(read(&path).unwrap(), other);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(path.parent().unwrap()), ["cluster.key"]);
    }

    #[test]
    fn a_key_that_others_can_read_or_that_is_none_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cluster.key");
        make(&path, false).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "0123").unwrap();
        assert!(format!("{:#}", read(&path).unwrap_err()).contains("64 hexadecimal digits"));
        assert!(read(&directory.path().join("none")).unwrap_err().to_string().contains("key new"));
    }

    #[test]
    fn no_file_but_the_key_is_touched_whatever_they_are_called() {
        let directory = tempfile::tempdir().unwrap();
        let (unrelated, path) = ("cluster.new", directory.path().join("cluster.key"));
        fs::write(directory.path().join(unrelated), "mine").unwrap();
        make(&path, false).unwrap();
        make(&path, true).unwrap();
        make(&path, false).unwrap_err();
        assert_eq!(fs::read(directory.path().join(unrelated)).unwrap(), b"mine");

        let path = directory.path().join("x.new");
        let key = make(&path, false).unwrap();
        make(&path, false).unwrap_err();
        assert_eq!(read(&path).unwrap(), key);
        let other = make(&path, true).unwrap();
        assert_eq!(read(&path).unwrap(), other);
        assert_eq!(names(directory.path()), ["cluster.key", unrelated, "x.new"]);
    }

    #[test]
    fn what_cannot_be_replaced_stays_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("folder");
        fs::create_dir(&path).unwrap();
        let error = format!("{:#}", make(&path, true).unwrap_err());
        assert!(error.contains("cannot write the cluster key"), "{error}");
        assert_eq!(names(directory.path()), ["folder"]);
    }

    #[test]
    fn a_new_key_is_suggested_only_where_there_is_none_and_in_the_file_that_was_named() {
        let directory = tempfile::tempdir().unwrap();
        let error = read(&directory.path().join("my key")).unwrap_err().to_string();
        let command = format!("`spore key new --key-file '{}/my key'`", directory.path().display());
        assert!(error.contains(&command), "{error}");
        // A folder can be opened, and not read.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let error = format!("{:#}", read(directory.path()).unwrap_err());
        assert!(error.contains("cannot read") && !error.contains("key new"), "{error}");
    }

    #[test]
    fn a_missing_key_is_made_and_one_that_is_there_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cluster.key");
        let key = file(&path).read_or_make().unwrap();
        assert_eq!(file(&path).read_or_make().unwrap(), key);
        assert_eq!(read(&path).unwrap(), key);
        // A link to nowhere is neither a key nor a place for one.
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        assert!(file(&link).read_or_make().is_err());
    }
}
