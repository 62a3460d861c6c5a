//! Going on after settings were lost.

use crate::net::BindError;
use crate::state::{FILE, FolderError, StateFolder};
use futures_lite::future::block_on;
use spore_core::settings::Settings;
use spore_core::store::{MAX_VALUE, Stored};
use spore_core::{Hostname, Key};
use std::io;
use std::path::Path;

/// What there was to repair in a node's state folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repaired {
    /// Nothing: no settings were lost.
    Whole,
    /// The loss of settings is cleared: the next signed request may set a release key.
    Cleared {
        /// The name that is still set.
        hostname: Option<Hostname>,
    },
}

/// Clears it that settings in the state folder of a node were lost. For somebody at the machine, who
/// knows that the release key may be gone; the node must not run.
///
/// # Errors
///
/// If the folder is no node's, if a node uses it, or if it cannot be read or written.
pub fn repair(folder: &Path) -> Result<Repaired, BindError> {
    let failed = |error| BindError::State(folder.to_owned(), error);
    if !folder.join(FILE).try_exists().map_err(failed)? {
        return Err(failed(io::Error::other(format!("there is no {FILE} in it"))));
    }
    let state = StateFolder::open(folder).map_err(|error| match error {
        FolderError::InUse => BindError::StateInUse(folder.to_owned()),
        FolderError::Io(error) => failed(error),
    })?;
    let found = state.load(Key::Settings);
    let stored =
        Stored { settings: &found.value, settings_damaged: found.damaged, ..Stored::default() };
    let lost = Settings::restore(&stored);
    if !lost.damaged {
        return Ok(Repaired::Whole);
    }
    let repaired = Settings { damaged: false, ..lost };
    let mut value = [0; MAX_VALUE];
    let len = repaired.encode(&mut value);
    block_on(state.store(Key::Settings, &value[..len]))
        .map_err(|_| failed(io::Error::other("the settings cannot be stored")))?;
    Ok(Repaired::Cleared { hostname: repaired.hostname })
}

#[cfg(test)]
mod tests {
    use super::{BindError, FILE, Key, MAX_VALUE, Repaired, Settings, StateFolder, repair};
    use futures_lite::future::block_on;
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
        assert_eq!(repair(folder).unwrap(), Repaired::Cleared { hostname });
        let found = StateFolder::open(folder).unwrap().load(Key::Settings);
        assert!(!found.damaged);
        assert_eq!(Settings::decode(&found.value), Some(named));
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
