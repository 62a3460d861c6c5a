//! The folder in which a node remembers who it is.

use serde::{Deserialize, Serialize};
use spore_core::wire::{NodeId, U24};
use spore_core::{Identity, Key};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process;

/// A directory's file `identity.json`: the node's id and its last boot epoch.
///
/// Nonces are made of the two, so two nodes that shared them would use nonces twice, which gives
/// the plain text away. Therefore the directory is locked for as long as this lives.
#[derive(Debug)]
pub(crate) struct IdentityFile {
    path: PathBuf,
    /// The operating system drops the lock with the file, also if the process is killed.
    _lock: File,
}

/// Why a directory cannot be used.
#[derive(Debug)]
pub(crate) enum DirectoryError {
    /// Another node, in this process or in another one, has it.
    InUse,
    /// It cannot be made or locked.
    Io(io::Error),
}

/// Why an identity could not be read. The node then takes a new id.
#[derive(Debug)]
pub(crate) enum IdentityError {
    /// There is none yet.
    Missing,
    /// The file cannot be read.
    Io(io::Error),
    /// The file is not what this program wrote, or not all of it.
    Damaged,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    id: String,
    epoch: u32,
}

impl IdentityFile {
    /// The identity file in `directory`, which is made if need be, and is this node's alone as long
    /// as the result lives.
    pub(crate) fn in_directory(directory: &Path) -> Result<Self, DirectoryError> {
        fs::create_dir_all(directory).map_err(DirectoryError::Io)?;
        let mut options = OpenOptions::new();
        let lock = options.create(true).truncate(false).write(true).open(directory.join("lock"));
        let lock = lock.map_err(DirectoryError::Io)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => DirectoryError::InUse,
            TryLockError::Error(error) => DirectoryError::Io(error),
        })?;
        Ok(Self { path: directory.join("identity.json"), _lock: lock })
    }

    /// Reads the identity.
    pub(crate) fn load(&self) -> Result<Identity, IdentityError> {
        let bytes = fs::read(&self.path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => IdentityError::Missing,
            _ => IdentityError::Io(error),
        })?;
        let parse = || -> Option<Identity> {
            let stored: Stored = serde_json::from_slice(&bytes).ok()?;
            let id: NodeId = stored.id.parse().ok()?;
            Some(Identity { id, epoch: U24::new(stored.epoch)? })
        };
        parse().ok_or(IdentityError::Damaged)
    }

    /// Replaces the identity.
    pub(crate) fn store(&self, identity: Identity) -> io::Result<()> {
        let stored = Stored { id: identity.id.to_string(), epoch: identity.epoch.get() };
        Self::replace(&self.path, &serde_json::to_vec(&stored)?)
    }

    /// Reads the value of a key other than the identity; empty if there is none.
    pub(crate) fn load_value(&self, key: Key) -> io::Result<Vec<u8>> {
        match fs::read(self.value_path(key)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read,
        }
    }

    /// Replaces the value of a key other than the identity.
    pub(crate) fn store_value(&self, key: Key, value: &[u8]) -> io::Result<()> {
        Self::replace(&self.value_path(key), value)
    }

    fn value_path(&self, key: Key) -> PathBuf {
        self.path.with_file_name(format!("{}.bin", key.name()))
    }

    /// Replaces a file. When this returns `Ok`, that survives a power cut; at any moment the file
    /// is either the old one or the new one.
    fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let new = path.with_file_name(format!(".{name}.{}.new", process::id()));
        let mut file = File::create(&new)?;
        let written = file
            .write_all(bytes)
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&new, path));
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written?;
        let directory = path.parent().unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::{DirectoryError, Identity, IdentityError, IdentityFile, Key, NodeId, U24};

    fn identity() -> Identity {
        Identity { id: NodeId([1, 2, 3, 4, 5, 6]), epoch: U24::new(70_000).unwrap() }
    }

    #[test]
    fn what_is_stored_is_read_back_and_damage_is_noticed_at_every_length() {
        let directory = tempfile::tempdir().unwrap();
        let file = IdentityFile::in_directory(&directory.path().join("new/deep")).unwrap();
        assert!(matches!(file.load(), Err(IdentityError::Missing)));
        file.store(identity()).unwrap();
        assert_eq!(file.load().unwrap(), identity());
        let bytes = std::fs::read(&file.path).unwrap();
        for len in 0..bytes.len() {
            std::fs::write(&file.path, &bytes[..len]).unwrap();
            assert!(matches!(file.load(), Err(IdentityError::Damaged)), "cut at {len}");
        }
    }

    #[test]
    fn other_values_are_kept_beside_the_identity() {
        let directory = tempfile::tempdir().unwrap();
        let file = IdentityFile::in_directory(directory.path()).unwrap();
        assert!(file.load_value(Key::Peers).unwrap().is_empty());
        file.store(identity()).unwrap();
        file.store_value(Key::Peers, b"old").unwrap();
        file.store_value(Key::Peers, b"new").unwrap();
        assert_eq!(file.load_value(Key::Peers).unwrap(), b"new");
        assert_eq!(file.load().unwrap(), identity());
    }

    #[test]
    fn a_directory_is_one_nodes_alone_until_that_node_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let first = IdentityFile::in_directory(directory.path()).unwrap();
        first.store(identity()).unwrap();
        let second = IdentityFile::in_directory(directory.path());
        assert!(matches!(second, Err(DirectoryError::InUse)), "{second:?}");
        drop(first);
        let third = IdentityFile::in_directory(directory.path()).unwrap();
        assert_eq!(third.load().unwrap(), identity());
    }

    #[test]
    fn a_failed_store_leaves_what_was_there_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let file = IdentityFile::in_directory(directory.path()).unwrap();
        // A rename cannot replace a directory by a file.
        std::fs::create_dir(&file.path).unwrap();
        file.store(identity()).unwrap_err();
        let mut left: Vec<_> =
            std::fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["identity.json", "lock"]);
    }
}
