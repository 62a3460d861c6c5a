use super::{Batch, Entry, Fault, Kind, Store, open_to_read, set_aside};
use crate::history::{Query, read};
use rusqlite::Connection;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

const HOUR: i64 = 3_600_000;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn entry(at_ms: i64, kind: Kind, node: &str, what: &str) -> Entry {
    let (node, hostname) = (Some(node.to_owned()), Some(format!("node-{node}")));
    Entry { at_ms, kind, node, hostname, what: what.to_owned(), detail: json!({ "n": at_ms }) }
}

fn batch(entries: Vec<Entry>) -> Batch {
    Batch { entries, ..Batch::default() }
}

fn all() -> Query {
    Query { kind: None, since_ms: None, node: None, limit: 1_000_000 }
}

fn words(file: &Path, query: &Query) -> Vec<String> {
    read(file, query).unwrap().into_iter().map(|past| past.what).collect()
}

fn file(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("history.db")
}

#[test]
fn what_is_written_is_read_while_it_is_written_by_kind_node_age_and_number() {
    let folder = folder();
    let file = file(&folder);
    let mut store = Store::open(&file).unwrap();
    let now = crate::history::recorder::wall_ms();
    let entries = vec![
        entry(now - 3 * HOUR, Kind::Member, "1", "joined"),
        entry(now - HOUR, Kind::Event, "2", "a/b"),
        entry(now, Kind::Update, "1", "fetching"),
        entry(now, Kind::Member, "2", "died"),
    ];
    store.write(&batch(entries), now).unwrap();
    assert_eq!(words(&file, &all()), ["joined", "a/b", "fetching", "died"]);
    let of = |kind| words(&file, &Query { kind: Some(kind), ..all() });
    assert_eq!(of(Kind::Member), ["joined", "died"]);
    assert_eq!(of(Kind::Update), ["fetching"]);
    let since_ms = Some(2 * HOUR as u64);
    assert_eq!(words(&file, &Query { since_ms, ..all() }), ["a/b", "fetching", "died"]);
    for name in ["1", "node-1"] {
        let query = Query { node: Some(name.to_owned()), ..all() };
        assert_eq!(words(&file, &query), ["joined", "fetching"], "{name}");
    }
    assert_eq!(words(&file, &Query { limit: 2, ..all() }), ["fetching", "died"]);
    let past = read(&file, &Query { limit: 1, ..all() }).unwrap().remove(0);
    assert_eq!((past.at_ms, past.detail), (now, json!({ "n": now })));
    assert!(past.at.starts_with("20") && past.at.ends_with('Z') && past.at.len() == 24);
}

#[test]
fn what_was_known_is_there_again_and_what_is_forgotten_is_not() {
    let folder = folder();
    let mut store = Store::open(&file(&folder)).unwrap();
    assert!(store.is_new());
    let mut batch = Batch { lost: 3, ..Batch::default() };
    for (name, value) in [("a", Some("1")), ("b", Some("2")), ("a", Some("3")), ("b", None)] {
        batch.known.insert(name.to_owned(), value.map(ToOwned::to_owned));
        store.write(&batch, 5).unwrap();
    }
    drop(store);
    let store = Store::open(&file(&folder)).unwrap();
    assert!(!store.is_new());
    assert_eq!(store.known().unwrap().into_iter().collect::<Vec<_>>(), [("a".into(), "3".into())]);
    let past = read(&file(&folder), &Query { limit: 1, ..all() }).unwrap().remove(0);
    assert_eq!((&*past.what, past.detail), ("history/lost", json!({ "payload": { "count": 3 } })));
}

#[test]
fn the_old_goes_and_the_oldest_where_there_is_too_much_and_the_file_shrinks() {
    let folder = folder();
    let file = file(&folder);
    let mut store = Store::open(&file).unwrap();
    for part in 0..30 {
        let entries = (0..1_000).map(|n| entry(part * 1_000 + n, Kind::Event, "1", "a/b"));
        store.write(&batch(entries.collect()), 0).unwrap();
    }
    store.prune(10_500, u64::MAX).unwrap();
    let past = read(&file, &all()).unwrap();
    assert_eq!((past.len(), past[0].at_ms), (19_500, 10_500));
    let limit = 1_000_000;
    assert!(store.bytes().unwrap() > limit);
    store.prune(0, limit).unwrap();
    let past = read(&file, &all()).unwrap();
    assert!(past.len() > 5_000 && past.last().unwrap().at_ms == 29_999, "{}", past.len());
    drop(store);
    let length = fs::metadata(&file).unwrap().len();
    assert!((limit / 2..=limit).contains(&length), "{length}");
}

#[test]
fn the_file_of_another_program_or_of_a_newer_one_stays_as_it_is() {
    let folder = folder();
    let (other, newer) = (folder.path().join("other.db"), folder.path().join("newer.db"));
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
    drop(Store::open(&newer).unwrap());
    Connection::open(&newer).unwrap().pragma_update(None, "user_version", 9).unwrap();
    for (file, why) in [(other, "another program"), (newer, "newer spore")] {
        let before = fs::read(&file).unwrap();
        let Err(fault) = Store::open(&file) else { panic!("{}", file.display()) };
        assert!(matches!(fault, Fault::Foreign(_)) && !fault.is_damage(), "{fault}");
        assert!(fault.to_string().contains(why), "{fault}");
        assert!(open_to_read(&file).unwrap_err().to_string().contains(why));
        assert_eq!(fs::read(&file).unwrap(), before);
    }
}

#[test]
fn a_new_file_is_for_its_owner_alone_and_so_is_its_log() {
    let folder = folder();
    let _store = Store::open(&file(&folder)).unwrap();
    for entry in fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", entry.path().display());
    }
    assert!(folder.path().join("history.db-wal").exists());
}

#[test]
fn a_damaged_file_is_known_for_one_and_put_aside_with_its_log() {
    let folder = folder();
    let file = file(&folder);
    let mut store = Store::open(&file).unwrap();
    let entries = (0..5_000).map(|n| entry(n, Kind::Event, "1", "a/b")).collect();
    store.write(&batch(entries), 0).unwrap();
    store.check().unwrap();
    drop(store);
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8_192].fill(0xA5);
    fs::write(&file, &bytes).unwrap();
    let fault = Store::open(&file).unwrap().check().unwrap_err();
    assert!(fault.is_damage(), "{fault}");
    bytes[16..100].fill(0xA5);
    for damaged in [bytes, vec![0; 4_096]] {
        fs::write(&file, damaged).unwrap();
        let Err(fault) = Store::open(&file) else { panic!("it is opened") };
        assert!(fault.is_damage(), "{fault}");
    }
    fs::write(folder.path().join("history.db-wal"), "log").unwrap();
    let aside = set_aside(&file, 1_700_000_000_123).unwrap();
    assert!(aside.ends_with("history.db.damaged-1700000000"), "{}", aside.display());
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["history.db.damaged-1700000000", "history.db.damaged-1700000000-wal"]);
}

#[test]
fn a_history_at_rest_is_read_where_nothing_can_be_written() {
    let folder = folder();
    let inner = folder.path().join("100%?#");
    fs::create_dir(&inner).unwrap();
    let file = inner.join("history.db");
    let mut store = Store::open(&file).unwrap();
    store.write(&batch(vec![entry(1, Kind::Event, "1", "a/b")]), 0).unwrap();
    drop(store);
    // Whoever may do everything, as in a container, makes the log all the same: then a folder is in its place.
    fs::create_dir(inner.join("history.db-shm")).unwrap();
    assert_eq!(words(&file, &all()), ["a/b"]);
}
