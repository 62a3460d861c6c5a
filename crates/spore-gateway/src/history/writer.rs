//! The thread that writes the history.

use super::recorder::wall_ms;
use super::store::{Fault, Store, read_known, set_aside};
use super::{Batch, WAITING};
use anyhow::{Context as _, Result, bail, ensure};
use log::{error, info, warn};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long entries are collected, and written together.
const COLLECT: Duration = Duration::from_secs(1);
/// Before a disk that took nothing is tried again.
const RETRY: Duration = Duration::from_secs(10);
/// How often it is looked whether something is to go.
const PRUNE: Duration = Duration::from_secs(60);
/// Batches on their way to the thread.
const BATCHES: usize = 64;

/// Where the history is, and how much is kept.
#[derive(Clone, Debug)]
pub struct Keep {
    /// The file.
    pub file: PathBuf,
    /// For how long.
    pub age: Duration,
    /// How long the file may be, in bytes, without SQLite's log beside it; then the oldest entries go.
    pub bytes: u64,
}

/// The way to the thread.
pub(super) struct Writer {
    to: SyncSender<Batch>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Begins to write, and what the file knows. An error if the file is somebody else's, or cannot be; what may go by, a full disk, is waited for.
    pub(super) fn start(keep: Keep) -> Result<(Self, BTreeMap<String, String>)> {
        let name = keep.file.display();
        let folder = keep.file.parent().filter(|folder| !folder.as_os_str().is_empty());
        ensure!(
            folder.is_none_or(|folder| folder.is_dir()),
            "there is no folder for the history {name}"
        );
        ensure!(!keep.file.is_dir(), "the history {name} is a folder");
        let mut pen = Pen {
            keep,
            store: None,
            known: BTreeMap::new(),
            waiting: Batch::default(),
            is_failing: false,
        };
        match pen.open() {
            Ok(()) => (),
            Err(Fault::Foreign(why)) => bail!("no history is written to {}: {why}", pen.name()),
            Err(fault) => {
                pen.fail(&fault);
                pen.known = read_known(&pen.keep.file).unwrap_or_default();
            }
        }
        let known = pen.known.clone();
        let (to, batches) = sync_channel(BATCHES);
        let thread = thread::Builder::new().name("history".to_owned());
        let thread = thread.spawn(move || pen.run(&batches)).context("cannot start a thread")?;
        Ok((Self { to, thread }, known))
    }

    /// Passes a batch on; what the thread has no time for comes back.
    pub(super) fn write(&self, batch: Batch) -> Batch {
        match self.to.try_send(batch) {
            Ok(()) => Batch::default(),
            Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => batch,
        }
    }

    /// Waits until all is written, or cannot be.
    pub(super) fn end(self) {
        drop(self.to);
        // A panic was told.
        let _ = self.thread.join();
    }
}

/// What writes.
struct Pen {
    keep: Keep,
    store: Option<Store>,
    /// All that recorders know; a new file gets it.
    known: BTreeMap<String, String>,
    waiting: Batch,
    is_failing: bool,
}

impl Pen {
    fn name(&self) -> String {
        self.keep.file.display().to_string()
    }

    fn run(mut self, batches: &Receiver<Batch>) {
        let (mut write, mut prune) = (Instant::now(), Instant::now());
        self.inspect();
        loop {
            let next = if self.waiting.is_empty() { prune } else { write };
            let batch = batches.recv_timeout(next.saturating_duration_since(Instant::now()));
            let is_over = batch == Err(RecvTimeoutError::Disconnected);
            if let Ok(batch) = batch {
                if self.waiting.is_empty() {
                    write = Instant::now() + COLLECT;
                }
                self.collect(batch);
            }
            let now = Instant::now();
            if !self.waiting.is_empty() && (is_over || now >= write) && !self.flush() {
                write = now + RETRY;
            }
            if is_over {
                return;
            }
            if now >= prune {
                self.prune();
                prune = now + PRUNE;
            }
        }
    }

    fn collect(&mut self, batch: Batch) {
        for (name, value) in &batch.known {
            match value {
                Some(value) => drop(self.known.insert(name.clone(), value.clone())),
                None => drop(self.known.remove(name)),
            }
        }
        self.waiting.add(batch);
    }

    /// Opens the file, another one if it is damaged.
    fn open(&mut self) -> Result<(), Fault> {
        let store = match Store::open(&self.keep.file) {
            Err(fault) if fault.is_damage() => {
                self.set_aside(&fault);
                Store::open(&self.keep.file)?
            }
            opened => opened?,
        };
        if store.is_new() {
            for (name, value) in &self.known {
                self.waiting.known.entry(name.clone()).or_insert_with(|| Some(value.clone()));
            }
        } else if self.known.is_empty() {
            self.known = store.known()?;
        }
        self.store = Some(store);
        Ok(())
    }

    fn set_aside(&mut self, fault: &Fault) {
        self.store = None;
        match set_aside(&self.keep.file, wall_ms()) {
            Ok(aside) => error!(
                "the history {} is damaged ({fault}): it is {} now, and a new one begins",
                self.name(),
                aside.display()
            ),
            Err(error) => warn!(
                "the history {} is damaged ({fault}), and cannot be renamed: {error}",
                self.name()
            ),
        }
    }

    /// Reads the whole file once, which may take seconds.
    fn inspect(&mut self) {
        let Some(store) = self.store.as_ref().filter(|store| !store.is_new()) else { return };
        if let Err(fault) = store.check() {
            self.recover(&fault);
        }
    }

    /// Goes on after something went wrong: at once in a new file, or later.
    fn recover(&mut self, fault: &Fault) {
        self.store = None;
        if fault.is_damage() {
            self.set_aside(fault);
            if let Err(fault) = self.open() {
                self.fail(&fault);
            }
        } else {
            self.fail(fault);
        }
    }

    fn fail(&mut self, fault: &Fault) {
        if !std::mem::replace(&mut self.is_failing, true) {
            warn!(
                "the history {} cannot be written: {fault}; up to {WAITING} entries wait, all else goes on",
                self.name()
            );
        }
    }

    /// Writes what waits. Whether that went.
    fn flush(&mut self) -> bool {
        if let Err(fault) = self.write() {
            self.recover(&fault);
            return false;
        }
        if std::mem::take(&mut self.is_failing) {
            warn!(
                "the history {} is written again; {} entries are lost",
                self.name(),
                self.waiting.lost
            );
        }
        self.waiting = Batch::default();
        true
    }

    fn write(&mut self) -> Result<(), Fault> {
        if self.store.is_none() {
            self.open()?;
        }
        match &mut self.store {
            Some(store) => store.write(&self.waiting, wall_ms()),
            None => Ok(()),
        }
    }

    fn prune(&mut self) {
        let Some(store) = &mut self.store else { return };
        let age = i64::try_from(self.keep.age.as_millis()).unwrap_or(i64::MAX);
        if let Err(fault) = store.prune(wall_ms().saturating_sub(age), self.keep.bytes) {
            info!("nothing is removed from the history: {fault}");
            self.recover(&fault);
        }
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
