//! The file that holds a cluster's key: one line of 64 hexadecimal digits, for its owner only.

use crate::paths;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use spore_core::ClusterKey;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Which key file to use.
#[derive(Debug, Args)]
pub(crate) struct KeyFile {
    /// The file with the cluster key [default: cluster.key in ~/.local/state/spore]
    #[arg(long, global = true, value_name = "FILE", env = "SPORE_KEY_FILE")]
    key_file: Option<PathBuf>,
}

impl KeyFile {
    /// The file that was named, or the default one.
    pub(crate) fn path(&self) -> Result<PathBuf> {
        match &self.key_file {
            Some(path) => Ok(path.clone()),
            None => Ok(paths::state()?.join("cluster.key")),
        }
    }

    /// Reads the key.
    pub(crate) fn read(&self) -> Result<ClusterKey> {
        read(&self.path()?)
    }

    /// Reads the key, or makes one if there is no file yet.
    pub(crate) fn read_or_make(&self) -> Result<ClusterKey> {
        let path = self.path()?;
        if !path.exists() {
            make(&path, false)?;
        }
        read(&path)
    }
}

fn read(path: &Path) -> Result<ClusterKey> {
    let text = fs::read_to_string(path).with_context(|| {
        format!("cannot read the cluster key {}; `spore key new` makes one", path.display())
    })?;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!(
            "others can read the cluster key {0}; set it right with `chmod 600 {0}`",
            path.display()
        );
    }
    text.trim().parse().with_context(|| format!("{} is not a cluster key", path.display()))
}

/// Makes a new key in `path`; replaces an old one only if `replace` says so.
pub(crate) fn make(path: &Path, replace: bool) -> Result<ClusterKey> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).context("the operating system gives no entropy")?;
    let key = ClusterKey::from_bytes(bytes);
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make the folder {}", directory.display()))?;
    }
    // Written whole or not at all: a key that is half replaced locks everyone out.
    let new = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        writeln!(file, "{}", key.to_hex())?;
        file.sync_all()?;
        if replace {
            fs::rename(&new, path)
        } else {
            // Unlike a rename, a link does not replace what is there.
            let linked = fs::hard_link(&new, path);
            fs::remove_file(&new).and(linked)
        }
    };
    match write() {
        Ok(()) => Ok(key),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => bail!(
            "{} exists; members with its key would be locked out (--force replaces it)",
            path.display()
        ),
        Err(error) => {
            Err(error).with_context(|| format!("cannot write the cluster key {}", path.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{fs, make, read};
    use std::os::unix::fs::PermissionsExt as _;

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
        assert_ne!(make(&path, true).unwrap(), key);
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
}
