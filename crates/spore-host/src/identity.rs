//! The file in which a node remembers who it is.

use serde::{Deserialize, Serialize};
use spore_core::Identity;
use spore_core::wire::{NodeId, U24};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A directory's file `identity.json`: the node's id and its last boot epoch.
#[derive(Clone, Debug)]
pub struct IdentityFile {
    path: PathBuf,
}

/// Why an identity could not be read. The node then takes a new id.
#[derive(Debug)]
pub enum IdentityError {
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
    /// The identity file in `directory`, which is made if need be.
    pub fn in_directory(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        Ok(Self { path: directory.join("identity.json") })
    }

    /// Reads the identity.
    pub fn load(&self) -> Result<Identity, IdentityError> {
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

    /// Replaces the identity. When this returns `Ok`, it survives a power cut; at any moment the
    /// file is either the old one or the new one.
    pub fn store(&self, identity: Identity) -> io::Result<()> {
        let stored = Stored { id: identity.id.to_string(), epoch: identity.epoch.get() };
        let new = self.path.with_extension("json.new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(&stored)?)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        let directory = self.path.parent().unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::{Identity, IdentityError, IdentityFile, NodeId, U24};

    #[test]
    fn what_is_stored_is_read_back_and_damage_is_noticed_at_every_length() {
        let directory = tempfile::tempdir().unwrap();
        let file = IdentityFile::in_directory(&directory.path().join("new/deep")).unwrap();
        assert!(matches!(file.load(), Err(IdentityError::Missing)));
        let identity =
            Identity { id: NodeId([1, 2, 3, 4, 5, 6]), epoch: U24::new(70_000).unwrap() };
        file.store(identity).unwrap();
        assert_eq!(file.load().unwrap(), identity);
        let bytes = std::fs::read(&file.path).unwrap();
        for len in 0..bytes.len() {
            std::fs::write(&file.path, &bytes[..len]).unwrap();
            assert!(matches!(file.load(), Err(IdentityError::Damaged)), "cut at {len}");
        }
    }
}
