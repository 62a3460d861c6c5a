//! What a node remembers: in its folder, or in the process.

use crate::crash::{self, Scene};
use crate::flash::{FileFlash, LEN, OpenError, sync_directory};
use crate::lock::Lock;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::Mutex;
use futures_lite::future::block_on;
use log::warn;
use spore_core::Key;
use spore_core::node::StoreFailed;
use spore_core::store::MAX_VALUE;
use spore_node::store::{FIRST_STORE, Loaded, Store, StoreError};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file in which the values are.
pub(crate) const FILE: &str = "settings.flash";

/// Whether there is the memory of a node in `folder`, be it one that has not started yet. Nothing is changed.
///
/// # Errors
///
/// If that cannot be seen.
pub fn remembers(folder: &Path) -> io::Result<bool> {
    folder.join(FILE).try_exists()
}

/// A folder that is this node's alone for as long as this lives: two nodes that shared an identity
/// would use nonces twice, which gives the plain text away.
#[derive(Debug)]
pub(crate) struct StateFolder {
    path: PathBuf,
    store: Mutex<NoopRawMutex, Store<FileFlash>>,
    _lock: Lock,
}

/// Where a node keeps its values.
#[derive(Debug)]
pub(crate) enum Memory {
    /// In a folder, over the end of the process.
    Folder(StateFolder),
    /// In the process: over restarts of the node within it, and no longer.
    Process(RefCell<BTreeMap<Key, Vec<u8>>>),
}

impl Memory {
    /// As [`load`](Self::load), for who does not say what is damaged.
    pub(crate) fn look(&self, key: Key) -> Found {
        match self {
            Self::Folder(folder) => folder.look(key),
            Self::Process(_) => self.load(key),
        }
    }

    /// Where the crash of a node that starts now is to be written down; `None` where nothing outlives it.
    pub(crate) fn scene(&self) -> Option<Scene> {
        match self {
            Self::Folder(folder) => Some(Scene::new(folder.path.with_file_name(crash::FILE))),
            Self::Process(_) => None,
        }
    }

    /// Reads the value of `key`.
    pub(crate) fn load(&self, key: Key) -> Found {
        match self {
            Self::Folder(folder) => folder.load(key),
            Self::Process(values) => {
                let value = values.borrow().get(&key).cloned().unwrap_or_default();
                Found { value, damaged: false }
            }
        }
    }

    /// Stores a value. In a folder, it survives a power cut when this returns `Ok`.
    pub(crate) async fn store(&self, key: Key, value: &[u8]) -> Result<(), StoreFailed> {
        match self {
            Self::Folder(folder) => folder.store(key, value).await,
            Self::Process(values) => {
                values.borrow_mut().insert(key, value.to_vec());
                Ok(())
            }
        }
    }
}

/// A value as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Empty if there is none.
    pub(crate) value: Vec<u8>,
    /// What was stored last is damaged or cannot be read, and the value an earlier one or none.
    pub(crate) damaged: bool,
}

/// Why a folder cannot be used.
#[derive(Debug)]
pub(crate) enum FolderError {
    /// Another node, in this process or in another one, has it.
    InUse,
    /// It cannot be made, locked, read or written.
    Io(io::Error),
}

impl From<io::Error> for FolderError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl StateFolder {
    /// Takes `folder`, which is made if need be. What is damaged in it is kept beside, and a
    /// warning says so.
    pub(crate) fn open(folder: &Path) -> Result<Self, FolderError> {
        fs::create_dir_all(folder)?;
        let lock = Lock::take(&folder.join("lock"))?.ok_or(FolderError::InUse)?;
        let path = folder.join(FILE);
        let store = match Self::store_in(&path)? {
            Some(store) => store,
            None => {
                let kept = beside(&path)?;
                fs::copy(&path, &kept)?;
                let kept = kept.display();
                warn!("{} holds no settings; kept as {kept}, taking a new id", path.display());
                Self::replace(&path)?
            }
        };
        if store.is_damaged() {
            let kept = beside(&path)?;
            fs::copy(&path, &kept)?;
            let kept = kept.display();
            warn!("{} is damaged; a copy is kept as {kept}, using what is whole", path.display());
        }
        Ok(Self { path, store: Mutex::new(store), _lock: lock })
    }

    /// Puts a new store in place of the file at `path`, which is none. If it was one, the new store
    /// says so from its first moment on.
    fn replace(path: &Path) -> Result<Store<FileFlash>, FolderError> {
        let new = path.with_extension("fresh");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => (),
        }
        // A blank one is made: it is one.
        let made = Self::store_in(&new)?.ok_or(io::ErrorKind::InvalidData);
        let mut store = made.map_err(io::Error::from)?;
        if !may_be_unfinished(path)? {
            store.mourn();
            // Peers are of no use without an identity.
            block_on(store.store(Key::Peers.number(), &[]))
                .map_err(|error| io::Error::other(describe(error)))?;
        }
        fs::rename(&new, path)?;
        sync_directory(path)?;
        Ok(store)
    }

    /// The store in the file at `path`, if it is one.
    fn store_in(path: &Path) -> Result<Option<Store<FileFlash>>, FolderError> {
        let flash = match FileFlash::open(path) {
            Ok(flash) => flash,
            Err(OpenError::Length) => return Ok(None),
            Err(OpenError::Io(error)) => return Err(FolderError::Io(error)),
        };
        let range = 0..u32::try_from(LEN).unwrap_or(u32::MAX);
        match block_on(Store::open(flash, range)) {
            Ok(store) => Ok(Some(store).filter(|store| !store.is_foreign())),
            Err(error) => Err(FolderError::Io(io::Error::other(describe(error)))),
        }
    }

    /// Reads the value of `key`, and says so if it is damaged.
    pub(crate) fn load(&self, key: Key) -> Found {
        let found = self.look(key);
        if found.damaged {
            let instead = if found.value.is_empty() { "doing without" } else { "an older one" };
            warn!("{}: {} damaged; {instead}", self.path.display(), key.name());
        }
        found
    }

    /// Reads the value of `key`.
    fn look(&self, key: Key) -> Found {
        let mut buf = [0; MAX_VALUE];
        let load = async { self.store.lock().await.load(key.number(), &mut buf).await };
        let loaded = block_on(load).unwrap_or_else(|error| {
            warn!("{}: cannot read: {}", self.path.display(), describe(error));
            Loaded::Damaged
        });
        Found { value: buf[..loaded.len()].to_vec(), damaged: loaded.is_damaged() }
    }

    /// Stores a value. When this returns `Ok`, it survives a power cut.
    pub(crate) async fn store(&self, key: Key, value: &[u8]) -> Result<(), StoreFailed> {
        let result = self.store.lock().await.store(key.number(), value).await;
        result.map_err(|error| {
            let (path, name) = (self.path.display(), key.name());
            warn!("{path}: cannot store the {name} ({}); trying again", describe(error));
            StoreFailed
        })
    }
}

/// Whether all that the file at `path` ever held may be a part of the very first value. It is no
/// store, and was made by one: otherwise something is gone.
fn may_be_unfinished(path: &Path) -> io::Result<bool> {
    let bytes = fs::read(path)?;
    let behind = bytes.get(FIRST_STORE..).unwrap_or_default();
    Ok(bytes.len() == LEN && behind.iter().all(|byte| *byte == 0xFF))
}

/// What a person should know of a failure.
pub(crate) fn describe<E: std::fmt::Display>(error: StoreError<E>) -> String {
    match error {
        StoreError::Flash(error) => error.to_string(),
        StoreError::Refused => "too long".to_owned(),
        StoreError::Worn => "the file does not keep what is written".to_owned(),
    }
}

/// A name beside `path` that is not taken: its own with `.damaged`, and a number if need be.
fn beside(path: &Path) -> io::Result<PathBuf> {
    for number in 1.. {
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        let name = path.with_extension(format!("flash.damaged{suffix}"));
        if !name.try_exists()? {
            return Ok(name);
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::{FILE, FolderError, Found, Key, LEN, MAX_VALUE, StateFolder};
    use futures_lite::future::block_on;
    use std::fs;
    use std::path::Path;

    fn identity(state: &StateFolder) -> Vec<u8> {
        state.load(Key::Identity).value
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_stored_is_there_at_the_next_start() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("new/deep");
        let state = StateFolder::open(&folder).unwrap();
        assert_eq!(identity(&state), b"");
        // So often that every sector is erased.
        for number in 0..150 {
            block_on(state.store(Key::Identity, &[number; MAX_VALUE])).unwrap();
        }
        drop(state);
        let state = StateFolder::open(&folder).unwrap();
        assert_eq!(identity(&state), [149; MAX_VALUE]);
        assert_eq!(names(&folder), ["lock", FILE]);
    }

    #[test]
    fn a_folder_is_one_nodes_alone_until_that_node_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let first = StateFolder::open(directory.path()).unwrap();
        block_on(first.store(Key::Identity, b"first")).unwrap();
        let second = StateFolder::open(directory.path());
        assert!(matches!(second, Err(FolderError::InUse)), "{second:?}");
        drop(first);
        assert_eq!(identity(&StateFolder::open(directory.path()).unwrap()), b"first");
    }

    #[test]
    fn a_file_that_holds_no_settings_is_kept_beside_and_a_new_one_made() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(FILE);
        for len in [0, 100, LEN, LEN + 1] {
            fs::write(&file, vec![0x5A; len]).unwrap();
            // Whatever there was is lost, also if this is the end of the process.
            for _ in 0..2 {
                let state = StateFolder::open(directory.path()).unwrap();
                let nothing = Found { value: vec![], damaged: true };
                assert_eq!(state.load(Key::Identity), nothing);
                assert_eq!(state.load(Key::Settings), nothing);
            }
            let state = StateFolder::open(directory.path()).unwrap();
            block_on(state.store(Key::Identity, b"new")).unwrap();
            drop(state);
            let state = StateFolder::open(directory.path()).unwrap();
            assert_eq!(identity(&state), b"new");
            assert!(state.load(Key::Settings).damaged && !state.load(Key::Identity).damaged);
        }
        assert_eq!(names(directory.path()).len(), 2 + 4);
        let kept = fs::read(file.with_extension("flash.damaged-2")).unwrap();
        assert_eq!(kept, [0x5A; 100]);
    }

    #[test]
    fn a_first_store_that_was_cut_short_is_no_loss() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(FILE);
        let state = StateFolder::open(directory.path()).unwrap();
        block_on(state.store(Key::Identity, &[1; MAX_VALUE])).unwrap();
        drop(state);
        let mut bytes = fs::read(&file).unwrap();
        // The head comes last.
        bytes[..16].fill(0xFF);
        fs::write(&file, &bytes).unwrap();
        let state = StateFolder::open(directory.path()).unwrap();
        let nothing = Found { value: vec![], damaged: false };
        assert_eq!(
            (state.load(Key::Identity), state.load(Key::Settings)),
            (nothing.clone(), nothing)
        );
    }

    #[test]
    fn a_damaged_identity_is_not_replaced_by_an_older_one_and_the_file_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(FILE);
        let state = StateFolder::open(directory.path()).unwrap();
        block_on(state.store(Key::Identity, b"older")).unwrap();
        block_on(state.store(Key::Identity, b"newer")).unwrap();
        drop(state);
        let mut bytes = fs::read(&file).unwrap();
        let at = bytes.windows(5).position(|window| window == b"newer").unwrap();
        bytes[at] ^= 1;
        fs::write(&file, &bytes).unwrap();
        let state = StateFolder::open(directory.path()).unwrap();
        assert_eq!(identity(&state), b"");
        assert_eq!(fs::read(file.with_extension("flash.damaged")).unwrap(), bytes);
    }
}
