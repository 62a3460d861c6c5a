//! The operator's record of a cluster's nodes: the secret that each shares with the operator, and which keys it has.
//!
//! It stands beside the key file, for its owner only, and is replaced as a whole before each step of a rotation, so that one that was
//! interrupted goes on where it was. What nodes say of themselves never decides here who is left out.

use crate::key_file::{self, KeyFile};
use crate::secret_file;
use crate::signing::hex;
use anyhow::{Context as _, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use spore_core::security::request::Mac;
use spore_core::security::rotation::{Enrolment, Secret, proof};
use spore_core::wire::NodeId;
use spore_core::{ClusterKey, Hostname};
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

const WHAT: &str = "record of the nodes";

/// The record, and the file that it is kept in.
#[derive(Debug)]
pub(crate) struct Registry {
    path: PathBuf,
    /// What the key file holds.
    key: ClusterKey,
    /// So that two commands do not do it at once.
    _lock: File,
    pub(crate) record: Record,
}

/// What the file holds.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Record {
    format: u32,
    /// Of the last rotation; 0 before the first one.
    pub(crate) number: u32,
    /// Whether nodes may use its key. The key file has it a moment later.
    pub(crate) switched: bool,
    /// The keys that some node may have, by the number of the rotation that brought them.
    keys: BTreeMap<u32, String>,
    pub(crate) nodes: Vec<Entry>,
}

/// A node.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Entry {
    /// Null until it was seen by `spore key enroll`.
    pub(crate) id: Option<String>,
    /// As it was when the node was written down.
    pub(crate) hostname: Option<String>,
    /// Where its API was last.
    pub(crate) address: Option<String>,
    secret: String,
    /// Whether the node has shown that it has the secret.
    pub(crate) enrolled: bool,
    /// The number of the key that it used last.
    pub(crate) key: u32,
    /// Whether it has the newest key.
    pub(crate) staged: bool,
    /// Whether it gets no key any more.
    pub(crate) left_out: bool,
}

impl Entry {
    /// A node that gets a new secret.
    pub(crate) fn new(id: Option<String>, hostname: Option<String>, number: u32) -> Result<Self> {
        let secret = hex(&key_file::random()?[..Secret::LEN]);
        Ok(Self { id, hostname, secret, key: number, ..Self::default() })
    }

    /// What it shares with the operator.
    pub(crate) fn secret(&self) -> Result<Secret> {
        let mut secret = [0; Secret::LEN];
        let digits = self.secret.as_bytes().chunks_exact(2);
        let bytes = digits.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
        for (to, from) in secret.iter_mut().zip(bytes) {
            *to = from.context("the record of the nodes has a secret that is none")?;
        }
        if self.secret.len() != 2 * Secret::LEN {
            bail!("the record of the nodes has a secret that is none");
        }
        Ok(Secret(secret))
    }

    /// Whether `shown` is the proof by the node with the id `id` that it has this secret, and `key` as its newest one.
    pub(crate) fn is_proved(&self, shown: &Mac, id: &str, number: u32, key: &ClusterKey) -> bool {
        let (Ok(secret), Ok(id)) = (self.secret(), id.parse::<NodeId>()) else { return false };
        proof(&secret, id, number, key).to_string() == shown.to_string()
    }

    /// Whether it is given new keys: not if it is left out, or has not shown yet that it has its secret.
    pub(crate) fn is_to_have_keys(&self) -> bool {
        !self.left_out && self.id.is_some() && self.enrolled
    }

    /// Whether somebody means it by `name`.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        [&self.id, &self.hostname].into_iter().any(|known| known.as_deref() == Some(name))
    }

    /// What to call it.
    pub(crate) fn name(&self) -> String {
        let name = self.hostname.as_ref().or(self.id.as_ref());
        name.cloned().unwrap_or_else(|| "a node that was never seen".to_owned())
    }
}

impl Record {
    /// The key that this rotation brought.
    pub(crate) fn key(&self, number: u32) -> Result<ClusterKey> {
        let key = self.keys.get(&number);
        let key = key.with_context(|| format!("the record of the nodes lacks key {number}"))?;
        key.parse().context("the record of the nodes has a key that is none")
    }

    /// The keys that a node may use which lacks the newest one, the likeliest first.
    pub(crate) fn earlier(&self) -> Result<Vec<ClusterKey>> {
        self.keys.range(..self.number).rev().map(|(number, _)| self.key(*number)).collect()
    }

    /// The number of the key in use.
    fn current(&self) -> u32 {
        if self.switched { self.number } else { self.number.saturating_sub(1) }
    }

    /// Another rotation begins, to `key`.
    pub(crate) fn begin(&mut self, key: &ClusterKey) -> Result<()> {
        self.number = self.number.checked_add(1).context("there are no more numbers")?;
        self.switched = false;
        self.keys.insert(self.number, key.to_hex().to_string());
        self.nodes.iter_mut().for_each(|node| node.staged = false);
        Ok(())
    }

    /// Forgets the keys that nobody can have any more who is to have another. A node may have one above that which it was last seen with.
    pub(crate) fn prune(&mut self) {
        let stay = self.nodes.iter().filter(|node| node.is_to_have_keys());
        let lowest = stay.map(|node| node.key).fold(self.current(), u32::min);
        self.keys.retain(|key, _| *key >= lowest);
    }
}

impl Registry {
    /// The record beside the key file, or a new one; nothing is written yet.
    pub(crate) fn open(file: &KeyFile) -> Result<Self> {
        // That there is none is said first, and what it is while nobody changes it.
        file.read()?;
        let of = file.path()?;
        let mut path = of.clone().into_os_string();
        path.push(".nodes");
        let path = PathBuf::from(path);
        let lock = lock(&of)?;
        let key = file.read()?;
        let record = match secret_file::read(&path, WHAT)? {
            Some(text) => parse(&text).with_context(|| format!("{} is none", path.display()))?,
            None => Record {
                format: 1,
                number: 0,
                switched: true,
                keys: [(0, key.to_hex().to_string())].into(),
                nodes: Vec::new(),
            },
        };
        // A rotation that was interrupted leaves an earlier one.
        if !record.keys.keys().any(|number| record.key(*number).is_ok_and(|it| it == key)) {
            bail!(
                "{} has a key that is not in the record of its nodes, {}; keep that record, which may have the only copy of their key, and name another key file (--key-file) for another cluster",
                of.display(),
                path.display()
            );
        }
        Ok(Self { path, key, _lock: lock, record })
    }

    /// The key in use, unless a rotation is under way.
    pub(crate) fn settled(&self) -> Result<&ClusterKey> {
        if !self.record.switched || self.record.key(self.record.number)? != self.key {
            bail!(
                "a rotation of the cluster key is under way; end it first with `spore key rotate --resume`"
            );
        }
        Ok(&self.key)
    }

    /// Writes down a node that is claimed at the desk, with a secret that it shares with its operator; the key that it gets.
    pub(crate) fn enrol(
        file: &KeyFile,
        hostname: Option<&Hostname>,
    ) -> Result<(ClusterKey, Enrolment)> {
        let mut registry = Self::open(file)?;
        let key = registry.settled()?.clone();
        let record = &mut registry.record;
        let hostname = hostname.map(|name| name.as_str().to_owned());
        let node = Entry::new(None, hostname, record.number)?;
        let enrolment = Enrolment { secret: node.secret()?, number: record.number, next: None };
        record.nodes.push(node);
        registry.save()?;
        Ok((key, enrolment))
    }

    /// Writes the record.
    pub(crate) fn save(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.record)? + "\n";
        secret_file::make_folder(&self.path)
            .and_then(|()| secret_file::replace(&self.path, &text))
            .with_context(|| format!("cannot write the {WHAT} {}", self.path.display()))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn parse(text: &str) -> Result<Record> {
    let record: Record = serde_json::from_str(text)?;
    match record.format {
        1 => Ok(record),
        other => Err(anyhow!("it has format {other}, of a later version than this command knows")),
    }
}

/// Locks the folder of the key file.
fn lock(of: &Path) -> Result<File> {
    let folder = of.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let file = File::open(folder).with_context(|| format!("cannot open {}", folder.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another command is changing the record of the nodes")
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", folder.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, Record, Registry};
    use crate::key_file::{self, KeyFile};
    use crate::keys::Key;
    use clap::Parser;
    use spore_core::ClusterKey;
    use std::path::Path;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        file: KeyFile,
    }

    fn named(path: &Path) -> KeyFile {
        Words::parse_from(["spore".as_ref(), "--key-file".as_ref(), path.as_os_str()]).file
    }

    fn key(byte: u8) -> ClusterKey {
        ClusterKey::from_bytes([byte; 32])
    }

    fn store(path: &Path, byte: u8) {
        key_file::store(path, &Key::Cluster(key(byte)), true).unwrap();
    }

    /// A record after so many rotations, of which each key is kept.
    fn record(rotations: u8) -> Record {
        let keys = [(0, key(0).to_hex().to_string())].into();
        let mut record = Record { format: 1, number: 0, switched: true, keys, nodes: Vec::new() };
        for number in 1..=rotations {
            record.begin(&key(number)).unwrap();
            record.switched = true;
        }
        record
    }

    fn seen(key: u32) -> Entry {
        Entry { id: Some("1".to_owned()), enrolled: true, key, ..Entry::default() }
    }

    #[test]
    fn keys_are_kept_from_that_on_which_some_node_was_last_seen_with() {
        let mut kept = record(4);
        let left_out = Entry { left_out: true, ..seen(0) };
        let half_enrolled = Entry { enrolled: false, ..seen(0) };
        kept.nodes = vec![seen(4), seen(2), left_out, half_enrolled];
        kept.prune();
        assert_eq!(kept.keys.keys().copied().collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(kept.earlier().unwrap(), [key(3), key(2)]);
        kept.nodes[1].key = 4;
        kept.prune();
        assert_eq!(kept.keys.keys().copied().collect::<Vec<_>>(), [4]);
    }

    #[test]
    fn a_record_with_the_only_copy_of_the_new_key_is_opened_and_never_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cluster.key");
        store(&path, 0);
        let mut registry = Registry::open(&named(&path)).unwrap();
        registry.record = record(2);
        registry.save().unwrap();
        drop(registry);
        let registry = Registry::open(&named(&path)).unwrap();
        let error = registry.settled().unwrap_err().to_string();
        assert!(error.contains("--resume"), "{error}");
        drop(registry);
        store(&path, 9);
        let error = Registry::open(&named(&path)).unwrap_err().to_string();
        assert!(error.contains("keep that record"), "{error}");
    }

    #[test]
    fn a_claimed_node_gets_the_key_whose_number_it_gets() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cluster.key");
        store(&path, 0);
        let file = named(&path);
        let (first, enrolment) = Registry::enrol(&file, None).unwrap();
        assert_eq!((first, enrolment.number), (key(0), 0));
        let mut registry = Registry::open(&file).unwrap();
        registry.record.begin(&key(1)).unwrap();
        registry.record.switched = true;
        registry.save().unwrap();
        drop(registry);
        // The key file is not replaced yet.
        assert!(Registry::enrol(&file, None).is_err());
        store(&path, 1);
        let (second, enrolment) = Registry::enrol(&file, None).unwrap();
        assert_eq!((second, enrolment.number), (key(1), 1));
    }
}
