//! Reads a history, also while a gateway writes it.

use super::Kind;
use super::store::open_to_read;
use anyhow::{Context as _, Result, anyhow, ensure};
use rusqlite::{Row, params};
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Query {
    /// What entries are about; of all kinds if there is none.
    pub kind: Option<Kind>,
    /// Not older than this, in milliseconds.
    pub since_ms: Option<u64>,
    /// The id or the hostname of the node that they are about.
    pub node: Option<String>,
    /// The last ones, not more.
    pub limit: u32,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Past {
    /// When, in UTC (RFC 3339).
    pub at: String,
    /// The same in milliseconds since 1970.
    pub at_ms: i64,
    /// The same as a clock on the wall of this machine showed it.
    #[serde(skip)]
    pub local: String,
    /// `member`, `event` or `update`.
    pub kind: String,
    /// The id of the node that it is about, or that has published it.
    pub node: Option<String>,
    /// What that was called then.
    pub hostname: Option<String>,
    /// What happened; of an event, its topic.
    pub what: String,
    /// An object, by what happened.
    pub detail: Value,
}

const SELECT: &str = "
    SELECT strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch'), at_ms,
        strftime('%Y-%m-%d %H:%M:%S', at_ms / 1000, 'unixepoch', 'localtime'), kind, node, hostname, what, detail
    FROM history
    WHERE (?1 IS NULL OR kind = ?1)
        AND at_ms >= coalesce(?2, at_ms)
        AND (?3 IS NULL OR node = ?3 OR hostname = ?3)
    ORDER BY seq DESC LIMIT ?4";

/// The entries that are asked for, the oldest first.
pub fn read(file: &Path, query: &Query) -> Result<Vec<Past>> {
    let name = file.display();
    ensure!(file.is_file(), "there is no history {name}; `spore gateway --history` writes one");
    let connection = open_to_read(file).map_err(|fault| anyhow!("cannot read {name}: {fault}"))?;
    let past = || {
        let now: i64 = super::recorder::wall_ms();
        let since = query.since_ms.map(|ms| now.saturating_sub_unsigned(ms));
        let mut select = connection.prepare(SELECT)?;
        let kind = query.kind.map(Kind::name);
        let rows = select.query_map(params![kind, since, query.node, query.limit], entry)?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    let mut past = past().with_context(|| format!("cannot read {name}"))?;
    past.reverse();
    Ok(past)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Past> {
    let detail: String = row.get(7)?;
    Ok(Past {
        at: row.get(0)?,
        at_ms: row.get(1)?,
        local: row.get(2)?,
        kind: row.get(3)?,
        node: row.get(4)?,
        hostname: row.get(5)?,
        what: row.get(6)?,
        detail: serde_json::from_str(&detail).unwrap_or(Value::String(detail)),
    })
}
