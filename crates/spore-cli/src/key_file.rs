//! The files that hold a cluster's keys, for their owner only.
//!
//! The cluster key is one line of 64 hexadecimal digits, or the text of [`crate::keys`]; the release
//! key is that text.

use crate::keys::{Key, ReleaseKey};
use crate::{paths, secret_file, shell, variables};
use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use spore_core::ClusterKey;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

const CLUSTER: &str = "cluster key";
const RELEASE: &str = "release key";

/// Which key file to use.
#[derive(Clone, Debug, Args)]
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

    /// Whether there is no such file.
    pub(crate) fn is_missing(&self) -> bool {
        self.path().is_ok_and(|path| !path.exists())
    }

    /// Reads the key.
    pub(crate) fn read(&self) -> Result<ClusterKey> {
        let path = self.path()?;
        read_cluster(&path)?.ok_or_else(|| self.missing(&path))
    }

    /// Reads the key, or makes one if there is no file yet.
    pub(crate) fn read_or_make(&self) -> Result<ClusterKey> {
        let path = self.path()?;
        if let Some(key) = read_cluster(&path)? {
            return Ok(key);
        }
        let key = Key::Cluster(ClusterKey::from_bytes(random()?));
        match secret_file::make_folder(&path)
            .and_then(|()| secret_file::create(&path, &stored(&key)))
        {
            Ok(()) => self.read(),
            // Somebody else was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.read(),
            Err(error) => Err(cannot_write(CLUSTER, &path, error)),
        }
    }

    fn missing(&self, path: &Path) -> anyhow::Error {
        let option = match self.named() {
            Some(path) => format!(" --key-file {}", shell::quoted(&path.to_string_lossy())),
            None => String::new(),
        };
        anyhow!(
            "there is no cluster key {path}; `spore key new{option}` makes one, `spore key import` \
             brings one from elsewhere",
            path = path.display()
        )
    }
}

/// Which file with the release key to use.
#[derive(Debug, Default, Args)]
pub(crate) struct ReleaseKeyFile {
    /// The file with the release key [env: SPORE_RELEASE_KEY_FILE]
    /// [default: release.key in ~/.local/state/spore]
    #[arg(long, global = true, value_name = "FILE")]
    release_key_file: Option<PathBuf>,
}

impl ReleaseKeyFile {
    /// The file that was named, or the default one.
    pub(crate) fn path(&self) -> Result<PathBuf> {
        let named = self.release_key_file.clone();
        match named.or_else(|| variables::variable("SPORE_RELEASE_KEY_FILE").map(PathBuf::from)) {
            Some(path) => Ok(path),
            None => Ok(paths::state()?.join("release.key")),
        }
    }

    /// Reads the pair, if there is a file.
    pub(crate) fn find(&self) -> Result<Option<ReleaseKey>> {
        let path = self.path()?.display().to_string();
        match self.find_any()? {
            None => Ok(None),
            Some(Key::Release(key)) => Ok(Some(key)),
            Some(_) => bail!("{path} has the public part of a release key alone"),
        }
    }

    /// Reads the public part, of the pair or by itself, if there is a file.
    pub(crate) fn find_public(&self) -> Result<Option<[u8; 32]>> {
        Ok(self.find_any()?.and_then(|key| match key {
            Key::Release(key) => Some(key.public()),
            Key::ReleasePublic(key) => Some(key),
            Key::Cluster(_) => None,
        }))
    }

    /// Reads the pair or its public part, if there is a file.
    fn find_any(&self) -> Result<Option<Key>> {
        let path = self.path()?;
        let Some(text) = secret_file::read(&path, RELEASE)? else { return Ok(None) };
        match Key::parse(&text).with_context(|| format!("{} is no release key", path.display()))? {
            Key::Cluster(_) => bail!("{} has a cluster key, not a release key", path.display()),
            key => Ok(Some(key)),
        }
    }

    /// Reads the pair.
    pub(crate) fn read(&self) -> Result<ReleaseKey> {
        self.find()?.ok_or_else(|| match self.path() {
            Ok(path) => {
                let path = path.display();
                anyhow!("there is no release key {path}; `spore key new release` makes one")
            }
            Err(error) => error,
        })
    }
}

/// The key in `path`; `None` if there is no such file.
fn read_cluster(path: &Path) -> Result<Option<ClusterKey>> {
    let Some(text) = secret_file::read(path, CLUSTER)? else { return Ok(None) };
    let is_none = || format!("{} is not a cluster key", path.display());
    if !text.trim_start().starts_with("SPORE key") {
        return text.trim().parse().map(Some).with_context(is_none);
    }
    match Key::parse(&text).with_context(is_none)? {
        Key::Cluster(key) => Ok(Some(key)),
        Key::Release(_) | Key::ReleasePublic(_) => {
            bail!("{} has a release key, not a cluster key", path.display())
        }
    }
}

/// What stands in the file of `key`.
fn stored(key: &Key) -> String {
    match key {
        Key::Cluster(key) => format!("{}\n", key.to_hex()),
        Key::Release(_) | Key::ReleasePublic(_) => key.to_text(),
    }
}

/// Writes `key` to its file at `path`; replaces an old one only if `replace` says so.
pub(crate) fn store(path: &Path, key: &Key, replace: bool) -> Result<()> {
    let (what, loss) = match key {
        Key::Cluster(_) => (CLUSTER, "members with its key would be locked out"),
        Key::Release(_) | Key::ReleasePublic(_) => {
            (RELEASE, "nodes that trust its key would take no update any more")
        }
    };
    match write(path, &stored(key), replace) {
        Ok(()) => Ok(()),
        Err(error) if !replace && error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} exists; {loss} (--force replaces it)", path.display())
        }
        Err(error) => Err(cannot_write(what, path, error)),
    }
}

/// Writes the secret `text` to `path`, in a folder that is made if need be.
fn write(path: &Path, text: &str, replace: bool) -> io::Result<()> {
    let write = if replace { secret_file::replace } else { secret_file::create };
    secret_file::make_folder(path).and_then(|()| write(path, text))
}

/// 32 bytes that nobody can guess.
pub(crate) fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).context("the operating system gives no entropy")?;
    Ok(bytes)
}

fn cannot_write(what: &str, path: &Path, error: io::Error) -> anyhow::Error {
    anyhow::Error::new(error).context(format!("cannot write the {what} {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{ClusterKey, Key, KeyFile, ReleaseKey, ReleaseKeyFile, random, store};
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    fn file(path: &Path) -> KeyFile {
        KeyFile { key_file: Some(path.to_owned()) }
    }

    fn make(path: &Path, replace: bool) -> anyhow::Result<ClusterKey> {
        let key = ClusterKey::from_bytes(random()?);
        store(path, &Key::Cluster(key.clone()), replace).map(|()| key)
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
        let error = format!("{:#}", read(Path::new("/dev/null/key")).unwrap_err());
        assert!(error.contains("cannot read") && !error.contains("key new"), "{error}");
    }

    #[test]
    fn what_is_no_regular_file_is_neither_read_nor_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        for path in [directory.path(), Path::new("/dev/null"), &fifo] {
            let error = format!("{:#}", read(path).unwrap_err());
            assert!(error.contains("is not a regular file"), "{error}");
            assert!(!error.contains("chmod"), "{error}");
        }
        // Not /dev/null: a failing test run by root would destroy it.
        let error = format!("{:#}", make(&fifo, true).unwrap_err());
        assert!(error.contains("is not a regular file"), "{error}");
        assert_eq!(names(directory.path()), ["fifo"]);
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

    #[test]
    fn either_form_of_a_cluster_key_is_read_and_no_other_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cluster.key");
        let key = make(&path, false).unwrap();
        fs::write(&path, Key::Cluster(key.clone()).to_text()).unwrap();
        assert_eq!(read(&path).unwrap(), key);
        let other = Key::Release(ReleaseKey::from_seed(random().unwrap()));
        fs::write(&path, other.to_text()).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("has a release key, not a cluster key"), "{error}");
    }

    #[test]
    fn a_release_key_is_kept_like_a_cluster_key_and_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/release.key");
        let key = ReleaseKey::from_seed(random().unwrap());
        store(&path, &Key::Release(key.clone()), false).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let file = ReleaseKeyFile { release_key_file: Some(path.clone()) };
        assert_eq!(file.read().unwrap().public(), key.public());
        let error = store(&path, &Key::Release(key), false).unwrap_err().to_string();
        assert!(error.contains("no update any more"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(file.read().unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let public = file.find_public().unwrap().unwrap();
        fs::write(&path, Key::ReleasePublic(public).to_text()).unwrap();
        assert_eq!(file.find_public().unwrap(), Some(public), "that part is enough");
        assert!(
            file.read().unwrap_err().to_string().contains("public part of a release key alone")
        );
        fs::write(&path, Key::Cluster(ClusterKey::from_bytes([1; 32])).to_text()).unwrap();
        assert!(file.read().unwrap_err().to_string().contains("has a cluster key"));
        fs::remove_file(&path).unwrap();
        assert!(file.read().unwrap_err().to_string().contains("`spore key new release`"));
    }
}
