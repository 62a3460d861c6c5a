//! Claiming at the desk: the memory of a node that has not started yet, as a file.

use crate::flash::{FileFlash, LEN, OpenError, sync_directory};
use crate::state::describe;
use futures_lite::future::block_on;
use spore_core::security::ReleaseKey;
use spore_core::settings::{Claim, Settings};
use spore_core::store::MAX_VALUE;
use spore_core::{Hostname, Key};
use spore_node::store::Store;
use std::fs;
use std::io;
use std::path::Path;

/// What a node is to know at its first start.
#[derive(Clone, Debug, Default)]
pub struct Desk {
    /// Whose it is, and how it gets into its network.
    pub claim: Claim,
    /// Its name, instead of the one that its body gives it.
    pub hostname: Option<Hostname>,
    /// Who signs its update images.
    pub release_key: Option<ReleaseKey>,
}

/// Writes the memory of a new node to `file`, for its owner only: 32 KB, for the configuration
/// partition of a board's flash, or as `settings.flash` in the state folder of a node on Linux. It
/// replaces a file that is there, which no running node may have, and is there whole or not at all.
///
/// # Errors
///
/// If it cannot be written. Then what was there is there still.
pub fn claim(file: &Path, desk: &Desk) -> io::Result<()> {
    let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let new = format!(".{}.{}.claim", name.to_string_lossy(), std::process::id());
    let new = file.with_file_name(new);
    // Of an earlier process of the same number.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => (),
    }
    let written = write(&new, desk).and_then(|()| fs::rename(&new, file));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written.and_then(|()| sync_directory(file))
}

fn write(file: &Path, desk: &Desk) -> io::Result<()> {
    let flash = FileFlash::open(file).map_err(|error| match error {
        OpenError::Io(error) => error,
        OpenError::Length => io::ErrorKind::InvalidData.into(),
    })?;
    let Desk { claim, hostname, release_key } = desk.clone();
    let settings = Settings { version: 1, hostname, release_key, damaged: false };
    let mut value = [0; MAX_VALUE];
    let stored = block_on(async {
        let range = 0..u32::try_from(LEN).unwrap_or(u32::MAX);
        let mut store = Store::open(flash, range).await?;
        let len = claim.encode(&mut value);
        store.store(Key::Claim.number(), &value[..len]).await?;
        let len = settings.encode(&mut value);
        store.store(Key::Settings.number(), &value[..len]).await
    });
    stored.map_err(|error| io::Error::other(describe(error)))
}

#[cfg(test)]
mod tests {
    use super::{Claim, Desk, LEN, MAX_VALUE, Settings, claim};
    use crate::state::{FILE, StateFolder};
    use futures_lite::future::block_on;
    use spore_core::security::ReleaseKey;
    use spore_core::{ClusterKey, Key};
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    fn desk(key: u8) -> Desk {
        let key = Some(ClusterKey::from_bytes([key; 32]));
        Desk {
            claim: Claim { key, ..Claim::default() },
            hostname: Some("attic".parse().unwrap()),
            release_key: Some(ReleaseKey([9; 32])),
        }
    }

    #[test]
    fn a_node_finds_what_was_written_and_goes_on_from_there() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(FILE);
        claim(&file, &desk(7)).unwrap();
        let metadata = fs::metadata(&file).unwrap();
        assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (LEN as u64, 0o600));
        let state = StateFolder::open(directory.path()).unwrap();
        let load = |key| {
            let found = state.load(key);
            assert!(!found.damaged);
            found.value
        };
        assert_eq!(Claim::decode(&load(Key::Claim)), Some(desk(7).claim));
        let settings = Settings::decode(&load(Key::Settings)).unwrap();
        assert_eq!(
            (settings.hostname, settings.release_key),
            (desk(7).hostname, desk(7).release_key)
        );
        assert_eq!(
            (settings.version, load(Key::Identity)),
            (1, vec![]),
            "it takes an id of its own"
        );
        // So often that every sector is erased.
        for number in 0..150 {
            block_on(state.store(Key::Identity, &[number; MAX_VALUE])).unwrap();
        }
        assert_eq!(Claim::decode(&load(Key::Claim)), Some(desk(7).claim));
    }

    #[test]
    fn another_claim_replaces_all_and_one_that_fails_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(FILE);
        claim(&file, &desk(7)).unwrap();
        claim(&file, &desk(8)).unwrap();
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(32).any(|window| window == [7; 32]), "the old key is gone");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let folder = directory.path().join("folder");
        fs::create_dir(&folder).unwrap();
        assert!(claim(&folder, &desk(8)).is_err());
        assert!(claim(&directory.path().join("none/file"), &desk(8)).is_err());
        assert_eq!(fs::read(&file).unwrap(), bytes);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}
