//! What a node remembers: in its folder, or in the process.

use crate::flash::{FileFlash, LEN, OpenError, sync_directory};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::Mutex;
use futures_lite::future::block_on;
use log::warn;
use spore_core::Key;
use spore_core::node::StoreFailed;
use spore_core::store::MAX_VALUE;
use spore_node::store::{Store, StoreError};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The file in which the values are.
const FILE: &str = "settings.flash";

/// A folder that is this node's alone for as long as this lives: two nodes that shared an identity
/// would use nonces twice, which gives the plain text away.
#[derive(Debug)]
pub(crate) struct StateFolder {
    path: PathBuf,
    store: Mutex<NoopRawMutex, Store<FileFlash>>,
    /// The operating system drops the lock with the file, also if the process is killed.
    _lock: File,
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
    /// Reads the value of `key`; empty if there is none or it is damaged.
    pub(crate) fn load(&self, key: Key) -> Vec<u8> {
        match self {
            Self::Folder(folder) => {
                let mut buf = [0; MAX_VALUE];
                let len = folder.load(key, &mut buf);
                buf[..len].to_vec()
            }
            Self::Process(values) => values.borrow().get(&key).cloned().unwrap_or_default(),
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
        let mut options = OpenOptions::new();
        let lock = options.create(true).truncate(false).write(true).open(folder.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => FolderError::InUse,
            TryLockError::Error(error) => FolderError::Io(error),
        })?;
        let path = folder.join(FILE);
        let store = match Self::store_in(&path)? {
            Some(store) => store,
            None => {
                let kept = beside(&path)?;
                fs::rename(&path, &kept)?;
                sync_directory(&path)?;
                let kept = kept.display();
                warn!("{} holds no settings; kept as {kept}, taking a new id", path.display());
                // A blank one is made: it is one.
                Self::store_in(&path)?.ok_or(io::ErrorKind::InvalidData).map_err(io::Error::from)?
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

    /// Reads the value of `key`: its length, 0 if there is none or it is damaged.
    pub(crate) fn load(&self, key: Key, buf: &mut [u8; MAX_VALUE]) -> usize {
        let load = async { self.store.lock().await.load(key.number(), buf).await };
        match block_on(load) {
            Ok(loaded) => {
                if loaded.is_damaged() {
                    let instead = if loaded.is_empty() { "doing without" } else { "an older one" };
                    warn!("{}: the {} is damaged; {instead}", self.path.display(), key.name());
                }
                loaded.len()
            }
            Err(error) => {
                warn!("{}: cannot read: {}", self.path.display(), describe(error));
                0
            }
        }
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

fn describe<E: std::fmt::Display>(error: StoreError<E>) -> String {
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
    use super::{FILE, FolderError, Key, LEN, MAX_VALUE, StateFolder};
    use futures_lite::future::block_on;
    use std::fs;
    use std::path::Path;

    fn identity(state: &StateFolder) -> Vec<u8> {
        let mut buf = [0; MAX_VALUE];
        let len = state.load(Key::Identity, &mut buf);
        buf[..len].to_vec()
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
            let state = StateFolder::open(directory.path()).unwrap();
            assert_eq!(identity(&state), b"");
            block_on(state.store(Key::Identity, b"new")).unwrap();
            drop(state);
            assert_eq!(identity(&StateFolder::open(directory.path()).unwrap()), b"new");
        }
        assert_eq!(names(directory.path()).len(), 2 + 4);
        let kept = fs::read(file.with_extension("flash.damaged-2")).unwrap();
        assert_eq!(kept, [0x5A; 100]);
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
