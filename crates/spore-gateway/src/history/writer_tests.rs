use super::{Keep, Writer};
use crate::history::{Batch, Entry, Kind, Query, WAITING, read};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::Duration;

fn keep(file: &Path) -> Keep {
    Keep { file: file.to_owned(), age: Duration::from_secs(3_600), bytes: 1 << 20 }
}

fn batch(what: &str) -> Batch {
    let entry = Entry {
        at_ms: crate::history::recorder::wall_ms(),
        kind: Kind::Event,
        node: None,
        hostname: None,
        what: what.to_owned(),
        detail: json!({}),
    };
    let known = [("member/1".to_owned(), Some("1".to_owned()))].into();
    Batch { entries: vec![entry], known, lost: 0 }
}

fn words(file: &Path) -> Vec<String> {
    let query = Query { kind: None, since_ms: None, node: None, limit: 10_000 };
    read(file, &query).unwrap().into_iter().map(|past| past.what).collect()
}

#[test]
fn a_damaged_history_is_put_aside_and_the_next_one_knows_what_the_gateway_knows() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("h");
    fs::write(&file, [b"SQLite format 3\0".to_vec(), vec![0xA5; 8_192]].concat()).unwrap();
    let (writer, known) = Writer::start(keep(&file)).unwrap();
    assert!(known.is_empty() && writer.write(batch("one")).is_empty());
    writer.end();
    assert_eq!(words(&file), ["one"]);
    let names = || fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name());
    assert_eq!(names().filter(|name| name.to_string_lossy().contains("damaged")).count(), 1);
    let (writer, known) = Writer::start(keep(&file)).unwrap();
    assert_eq!(known.len(), 1);
    writer.end();
}

#[test]
fn what_cannot_be_a_history_is_refused_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.db");
    rusqlite::Connection::open(&file).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
    let before = fs::read(&file).unwrap();
    let letter = folder.path().join("letter.txt");
    fs::write(&letter, "Dear reader").unwrap();
    for (file, why) in [
        (&*file, "another program"),
        (&letter, "no SQLite database"),
        (folder.path(), "is a folder"),
        (&folder.path().join("none/h"), "no folder"),
    ] {
        let Err(error) = Writer::start(keep(file)) else { panic!("{}", file.display()) };
        assert!(error.to_string().contains(why), "{error}");
    }
    assert_eq!(fs::read(&file).unwrap(), before);
    assert_eq!(fs::read(&letter).unwrap(), b"Dear reader");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn what_is_known_is_read_from_a_history_that_cannot_be_written_now() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("h");
    let (writer, _) = Writer::start(keep(&file)).unwrap();
    assert!(writer.write(batch("one")).is_empty());
    writer.end();
    // A folder is where SQLite wants a file to write.
    fs::create_dir(folder.path().join("h-shm")).unwrap();
    let (writer, known) = Writer::start(keep(&file)).unwrap();
    assert_eq!(known.into_iter().collect::<Vec<_>>(), [("member/1".into(), "1".into())]);
    assert!(writer.write(batch("two")).is_empty());
    writer.end();
    assert_eq!(words(&file), ["one"], "it could not be written");
}

#[test]
fn what_the_disk_does_not_take_waits_and_of_too_much_the_oldest_is_lost_and_counted() {
    let mut waiting = Batch::default();
    for n in 0..WAITING + 2 {
        waiting.add(batch(&n.to_string()));
    }
    assert_eq!((waiting.entries.len(), waiting.lost), (WAITING, 2));
    assert_eq!(waiting.entries[0].what, "2");
}
