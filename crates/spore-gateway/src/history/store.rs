//! The file.

use super::{Batch, Entry, Kind};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `SPOR`: what SQLite's file header says of whose database it is.
const APPLICATION: i32 = 0x5350_4F52;

/// What each SQLite file begins with.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Of the tables, which docs/gateway.md describes.
const VERSION: i32 = 1;

const TABLES: &str = "
    CREATE TABLE history (
        seq INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        kind TEXT NOT NULL,
        node TEXT,
        hostname TEXT,
        what TEXT NOT NULL,
        detail TEXT NOT NULL
    );
    CREATE INDEX history_at ON history (at_ms);
    CREATE TABLE known (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;";

/// How long others may hold the file.
const PATIENCE: Duration = Duration::from_secs(5);

/// So many pages, of 4 KB, are written before they go from the log into the file.
const CHECKPOINT: i32 = 256;

/// So many entries go at once.
const PORTION: usize = 1_000;

/// What is wrong with a file.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is of somebody else; it stays as it is.
    Foreign(&'static str),
    /// What SQLite says.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign(why) => f.write_str(why),
            Self::Sqlite(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Fault {}

impl Fault {
    /// Whether nothing can be read from the file, or not all.
    pub(super) fn is_damage(&self) -> bool {
        let Self::Sqlite(error) = self else { return false };
        matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        )
    }
}

/// Whose file it is, and which tables it has.
fn identity(connection: &Connection) -> rusqlite::Result<(i32, i32)> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get(0));
    Ok((number("application_id")?, number("user_version")?))
}

/// Whether a file that is not empty can be read.
fn check_identity(identity: (i32, i32)) -> Result<(), Fault> {
    match identity {
        (APPLICATION, VERSION) => Ok(()),
        (APPLICATION, _) => Err(Fault::Foreign("it was written by a newer spore")),
        _ => Err(Fault::Foreign("it is the database of another program")),
    }
}

/// Whether a file is there that was never a database. Zeros are what a power cut may leave of one.
fn is_other(file: &Path) -> bool {
    let mut head = Vec::new();
    let reads = file.is_file()
        && File::open(file)
            .and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut head))
            .is_ok();
    reads && !MAGIC.starts_with(&head) && head.iter().any(|byte| *byte != 0)
}

/// Opens a file to read it.
pub(super) fn open_to_read(file: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let open = |path: &Path, flags| {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(PATIENCE)?;
        identity(&connection).map(|identity| (connection, identity))
    };
    let opened = open(file, flags).or_else(|error| {
        // Nobody writes it, and the log that SQLite wants to make beside it cannot be made.
        let at_rest = !beside(file, "-wal").exists() && file.is_file();
        let Some(name) = file.to_str().filter(|_| at_rest) else { return Err(error) };
        let name = name.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        let address = format!("file:{name}?immutable=1");
        open(Path::new(&address), flags | OpenFlags::SQLITE_OPEN_URI)
    });
    let (connection, identity) = opened?;
    check_identity(identity)?;
    Ok(connection)
}

/// What the last recorder knew, by a file that cannot be written now.
pub(super) fn read_known(file: &Path) -> Result<BTreeMap<String, String>, Fault> {
    known(&open_to_read(file)?)
}

fn known(connection: &Connection) -> Result<BTreeMap<String, String>, Fault> {
    let mut select = connection.prepare("SELECT name, value FROM known")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The file that SQLite has beside `file`.
fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Puts a file that is damaged out of the way, with its log. What it is called now.
pub(super) fn set_aside(file: &Path, now_ms: i64) -> std::io::Result<PathBuf> {
    let aside = beside(file, &format!(".damaged-{}", now_ms / 1_000));
    fs::rename(file, &aside)?;
    // The log of one database would be taken for that of the next.
    match fs::rename(beside(file, "-wal"), beside(&aside, "-wal")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    let _ = fs::remove_file(beside(file, "-shm"));
    Ok(aside)
}

/// A file that is written.
pub(super) struct Store {
    connection: Connection,
    is_new: bool,
}

impl Store {
    /// Opens a file, or makes it.
    pub(super) fn open(file: &Path) -> Result<Self, Fault> {
        if is_other(file) {
            return Err(Fault::Foreign("it is no SQLite database"));
        }
        // What happens in a house is not for everybody; SQLite gives the files beside it the same mode. What is wrong here, it says below.
        let _ = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
        let mut connection = Connection::open(file)?;
        connection.busy_timeout(PATIENCE)?;
        let identity = identity(&connection)?;
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        let is_new = identity == (0, 0) && tables == 0;
        if is_new {
            // Before there is anything, so that the file can shrink.
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        } else {
            check_identity(identity)?;
        }
        // Whoever reads does not wait for who writes; what is written survives the end of the program, and the file that of the machine.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT)?;
        if is_new {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute_batch(TABLES)?;
            transaction.pragma_update(None, "application_id", APPLICATION)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()?;
        }
        Ok(Self { connection, is_new })
    }

    /// Whether there was nothing in it.
    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Reads all of it; an error if it is damaged.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let says: String =
            self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if says == "ok" {
            return Ok(());
        }
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        Err(Fault::Sqlite(rusqlite::Error::SqliteFailure(code, Some(says))))
    }

    /// What the last recorder knew.
    pub(super) fn known(&self) -> Result<BTreeMap<String, String>, Fault> {
        known(&self.connection)
    }

    /// Writes all of it, or nothing.
    pub(super) fn write(&mut self, batch: &Batch, now_ms: i64) -> Result<(), Fault> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut insert = transaction.prepare(
                "INSERT INTO history (at_ms, kind, node, hostname, what, detail) VALUES (?, ?, ?, ?, ?, ?)",
            )?;
            let lost = (batch.lost > 0).then(|| Entry {
                at_ms: now_ms,
                kind: Kind::Event,
                node: None,
                hostname: None,
                what: "history/lost".to_owned(),
                detail: json!({ "payload": { "count": batch.lost } }),
            });
            for Entry { at_ms, kind, node, hostname, what, detail } in
                lost.iter().chain(&batch.entries)
            {
                let detail = detail.to_string();
                insert.execute(params![at_ms, kind.name(), node, hostname, what, detail])?;
            }
            let mut put =
                transaction.prepare("INSERT OR REPLACE INTO known (name, value) VALUES (?, ?)")?;
            let mut forget = transaction.prepare("DELETE FROM known WHERE name = ?")?;
            for (name, value) in &batch.known {
                match value {
                    Some(value) => put.execute(params![name, value])?,
                    None => forget.execute([name])?,
                };
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Removes what is from before a time, and the oldest until the file is no longer than so many bytes.
    pub(super) fn prune(&mut self, before_ms: i64, bytes: u64) -> Result<(), Fault> {
        let old = "DELETE FROM history WHERE seq IN
            (SELECT seq FROM history WHERE at_ms < ? ORDER BY at_ms LIMIT ?)";
        while self.connection.execute(old, params![before_ms, PORTION as i64])? == PORTION {}
        let oldest =
            "DELETE FROM history WHERE seq IN (SELECT seq FROM history ORDER BY seq LIMIT ?)";
        while self.bytes()? > bytes {
            if self.connection.execute(oldest, [PORTION as i64])? == 0 {
                break;
            }
        }
        // A row for each page that goes.
        let mut shrink = self.connection.prepare("PRAGMA incremental_vacuum")?;
        let mut pages = shrink.query([])?;
        while pages.next()?.is_some() {}
        Ok(())
    }

    /// How long the file is without what was removed.
    fn bytes(&self) -> Result<u64, Fault> {
        let number =
            |name| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let pages = number("page_count")? - number("freelist_count")?;
        Ok(u64::try_from(pages * number("page_size")?).unwrap_or(0))
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
