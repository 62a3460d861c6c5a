//! Going on after settings, or a claim, were lost.

use crate::net::BindError;
use crate::state::{FILE, FolderError, StateFolder, remembers};
use futures_lite::future::block_on;
use spore_core::settings::{Claim, Settings};
use spore_core::store::{MAX_VALUE, Stored};
use spore_core::{Hostname, Key};
use std::io;
use std::path::Path;

/// What there was to repair in a node's state folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repaired {
    /// Nothing was lost.
    Whole,
    /// What was lost is cleared.
    Cleared {
        /// Settings were: the next signed request may set a release key.
        settings: bool,
        /// The claim was: the node is unclaimed, unless it is started with a key.
        claim: bool,
        /// The name that is still set.
        hostname: Option<Hostname>,
    },
}

/// Clears it that settings or the claim in the state folder of a node were lost. For somebody at the machine, who
/// knows whose the node is, and that the release key may be gone; the node must not run.
///
/// # Errors
///
/// If the folder is no node's, if a node uses it, or if it cannot be read or written.
pub fn repair(folder: &Path) -> Result<Repaired, BindError> {
    let failed = |error| BindError::State(folder.to_owned(), error);
    if !remembers(folder).map_err(failed)? {
        return Err(failed(io::Error::other(format!("there is no {FILE} in it"))));
    }
    let state = StateFolder::open(folder).map_err(|error| match error {
        FolderError::InUse => BindError::StateInUse(folder.to_owned()),
        FolderError::Io(error) => failed(error),
    })?;
    let (found, claim) = (state.load(Key::Settings), state.load(Key::Claim));
    let stored = Stored {
        settings: &found.value,
        settings_damaged: found.damaged,
        claim: &claim.value,
        claim_damaged: claim.damaged,
        ..Stored::default()
    };
    let (lost, claim) = (Settings::restore(&stored), Claim::restore(&stored).is_none());
    let settings = lost.damaged;
    let store = |key, value: &[u8]| {
        let failed = |_| failed(io::Error::other("it cannot be stored"));
        block_on(state.store(key, value)).map_err(failed)
    };
    let repaired = Settings { damaged: false, ..lost };
    if settings {
        let mut value = [0; MAX_VALUE];
        let len = repaired.encode(&mut value);
        store(Key::Settings, &value[..len])?;
    }
    if claim {
        store(Key::Claim, &[])?;
    }
    Ok(match (settings, claim) {
        (false, false) => Repaired::Whole,
        _ => Repaired::Cleared { settings, claim, hostname: repaired.hostname },
    })
}

#[cfg(test)]
mod tests {
    use super::{BindError, Claim, FILE, Key, MAX_VALUE, Repaired, Settings, StateFolder, repair};
    use crate::Desk;
    use futures_lite::future::block_on;
    use spore_core::ClusterKey;
    use spore_core::security::ReleaseKey;
    use std::fs;

    #[test]
    fn a_loss_is_cleared_once_and_the_name_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (folder, file) = (directory.path(), directory.path().join(FILE));
        let hostname = Some("attic".parse().unwrap());
        let release_key = Some(ReleaseKey([7; 32]));
        let named = Settings { version: 1, hostname: hostname.clone(), ..Settings::default() };
        let full = Settings { version: 2, release_key, ..named.clone() };
        let state = StateFolder::open(folder).unwrap();
        for settings in [&named, &full] {
            let mut value = [0; MAX_VALUE];
            let len = settings.encode(&mut value);
            block_on(state.store(Key::Settings, &value[..len])).unwrap();
        }
        assert!(matches!(repair(folder), Err(BindError::StateInUse(_))));
        drop(state);
        assert_eq!(repair(folder).unwrap(), Repaired::Whole);
        let mut bytes = fs::read(&file).unwrap();
        let key = bytes.windows(32).position(|window| window == [7; 32]).unwrap();
        bytes[key] ^= 4;
        fs::write(&file, bytes).unwrap();
        let cleared = Repaired::Cleared { settings: true, claim: false, hostname };
        assert_eq!(repair(folder).unwrap(), cleared);
        let found = StateFolder::open(folder).unwrap().load(Key::Settings);
        assert!(!found.damaged);
        assert_eq!(Settings::decode(&found.value), Some(named));
        assert_eq!(repair(folder).unwrap(), Repaired::Whole);
    }

    #[test]
    fn a_lost_claim_is_cleared_and_the_settings_stay() {
        let directory = tempfile::tempdir().unwrap();
        let (folder, file) = (directory.path(), directory.path().join(FILE));
        let (key, hostname) =
            (Some(ClusterKey::from_bytes([7; 32])), Some("attic".parse().unwrap()));
        let claim = Claim { key, ..Claim::default() };
        let release_key = Some(ReleaseKey([9; 32]));
        crate::claim(&file, &Desk { claim, hostname: hostname.clone(), release_key }).unwrap();
        assert_eq!(repair(folder).unwrap(), Repaired::Whole);
        let mut bytes = fs::read(&file).unwrap();
        let key = bytes.windows(32).position(|window| window == [7; 32]).unwrap();
        bytes[key] ^= 4;
        fs::write(&file, bytes).unwrap();
        let cleared = Repaired::Cleared { settings: false, claim: true, hostname };
        assert_eq!(repair(folder).unwrap(), cleared);
        let state = StateFolder::open(folder).unwrap();
        let claim = state.load(Key::Claim);
        assert!(claim.value.is_empty() && !claim.damaged);
        let settings = Settings::decode(&state.load(Key::Settings).value).unwrap();
        assert_eq!(settings.release_key, release_key);
        drop(state);
        assert_eq!(repair(folder).unwrap(), Repaired::Whole);
    }

    #[test]
    fn what_is_no_nodes_folder_is_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        for folder in [directory.path().to_owned(), directory.path().join("none")] {
            let error = repair(&folder).unwrap_err().to_string();
            assert!(error.contains("there is no settings.flash"), "{error}");
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
