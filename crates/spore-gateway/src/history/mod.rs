//! What has become of the cluster, in an SQLite file: its members, events and updates, for as long as the operator keeps it.
//!
//! The recorder sees what has changed, and does no I/O. What it notes is written on a thread of its own, so that a disk that is slow, full or
//! broken delays nobody. Whoever reads the file does so while a gateway writes it.

mod query;
mod recorder;
mod store;
mod writer;

pub use query::{Past, Query, read};
pub use writer::Keep;

use crate::api::Frame;
use crate::cluster::Cluster;
use anyhow::Result;
use recorder::{Clock, Recorder};
use serde_json::Value;
use std::collections::BTreeMap;
use writer::Writer;

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A member: that it joined, died, was updated.
    Member,
    /// An event of the cluster.
    Event,
    /// A rollout, or how far a node is in it.
    Update,
}

impl Kind {
    /// Its name in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Event => "event",
            Self::Update => "update",
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// When the gateway saw it, in milliseconds since 1970.
    at_ms: i64,
    kind: Kind,
    /// The id of the node that it is about, or that has published it.
    node: Option<String>,
    hostname: Option<String>,
    /// What happened; of an event, its topic.
    what: String,
    /// An object.
    detail: Value,
}

/// So many entries wait for a disk that takes none; of more, the oldest are lost, and counted.
const WAITING: usize = 4_096;

/// What is to be written.
#[derive(Debug, Default, PartialEq)]
struct Batch {
    entries: Vec<Entry>,
    /// What the recorder knows, as far as it has changed, so that the next one goes on from there. Nothing for what is to be forgotten.
    known: BTreeMap<String, Option<String>>,
    /// So many entries had to go.
    lost: u64,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.known.is_empty() && self.lost == 0
    }

    /// Puts a later one behind it.
    fn add(&mut self, mut later: Self) {
        self.entries.append(&mut later.entries);
        self.known.append(&mut later.known);
        self.lost += later.lost;
        let surplus = self.entries.len().saturating_sub(WAITING);
        self.entries.drain(..surplus);
        self.lost += surplus as u64;
    }
}

/// The history that a gateway writes.
pub struct History {
    recorder: Recorder,
    writer: Writer,
    /// What the writer had no time for.
    waiting: Batch,
}

impl History {
    /// Goes on with what the file knows. An error if it cannot be a history, or is somebody else's.
    pub fn open(keep: Keep) -> Result<Self> {
        let (writer, known) = Writer::start(keep)?;
        let recorder = Recorder::new(&known);
        Ok(Self { recorder, writer, waiting: Batch::default() })
    }

    /// Notes what has changed.
    pub(crate) fn look(&mut self, cluster: &Cluster) {
        self.recorder.look(cluster, Clock::now());
        self.pass();
    }

    /// Notes an event.
    pub(crate) fn event(&mut self, frame: &Frame) {
        self.recorder.event(frame, Clock::now());
        self.pass();
    }

    fn pass(&mut self) {
        self.waiting.add(self.recorder.take());
        if !self.waiting.is_empty() {
            self.waiting = self.writer.write(std::mem::take(&mut self.waiting));
        }
    }

    /// Writes what is left.
    pub(crate) fn end(mut self) {
        self.pass();
        self.writer.end();
    }
}
