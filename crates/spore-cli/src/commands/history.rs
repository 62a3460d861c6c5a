//! `spore history`.

use super::gateway::extent::past;
use crate::misuse::Misuse;
use crate::table::Table;
use crate::variables;
use crate::watch::Watch;
use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use spore_gateway::history::{Kind, Past, Query, read};
use std::path::PathBuf;

/// Show what has become of a cluster, from the file that `spore gateway --history` writes.
///
/// No node is asked, and the gateway goes on writing meanwhile.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct History {
    /// What of [default: all of it]
    #[arg(value_name = "WHAT")]
    what: Option<What>,
    /// The file [default: the variable SPORE_HISTORY]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Nothing older than this, such as 90s, 2h or 7d
    #[arg(long, value_name = "TIME", value_parser = past)]
    since: Option<u64>,
    /// Only what is about this node, or was published by it: a hostname or an id
    #[arg(long = "of", value_name = "NODE")]
    of: Option<String>,
    /// The last ones, not more
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    watch: Watch,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  spore history --file home.db                      the last 100 entries
  spore history members --since 2h --file home.db   who came, died and restarted
  spore history events --of kitchen --limit 10      what a node has published; SPORE_HISTORY is set
  spore history updates --watch                     while a rollout goes on";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// Who joined, was suspected, died, left, came again, restarted, was updated
    Members,
    /// Events of the cluster
    Events,
    /// Rollouts, and how far each node was
    Updates,
}

impl What {
    fn kind(self) -> Kind {
        match self {
            Self::Members => Kind::Member,
            Self::Events => Kind::Event,
            Self::Updates => Kind::Update,
        }
    }
}

impl History {
    pub(crate) fn run(self) -> Result<()> {
        let file = self.file.or_else(|| variables::variable("SPORE_HISTORY").map(PathBuf::from));
        let file = file.ok_or_else(|| {
            Misuse::error("which history? Name the file by --file or SPORE_HISTORY")
        })?;
        let query = Query {
            kind: self.what.map(What::kind),
            since_ms: self.since,
            node: self.of,
            limit: self.limit,
        };
        self.watch.show(self.json, || {
            let past = read(&file, &query)?;
            Ok(match past.is_empty() {
                _ if self.json => json!({ "history": past }).to_string() + "\n",
                true => "Nothing is on record.\n".to_owned(),
                false => table(&past).to_string(),
            })
        })
    }
}

fn table(past: &[Past]) -> Table {
    let mut table = Table::new(&["TIME", "KIND", "NODE", "WHAT", "DETAIL"]);
    for entry in past {
        let node = entry.hostname.as_ref().or(entry.node.as_ref());
        table.row([
            entry.local.clone(),
            entry.kind.clone(),
            node.cloned().unwrap_or_else(|| "-".to_owned()),
            entry.what.clone(),
            detail(&entry.detail),
        ]);
    }
    table
}

/// What is worth telling: the payload of an event, or what there is by its names.
fn detail(detail: &Value) -> String {
    if let Some(payload) = detail.get("payload").or_else(|| detail.get("payload_hex")) {
        return payload.to_string();
    }
    let told = detail.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let told = told.map(|(name, value)| match value {
        Value::String(text) => format!("{name} {text}"),
        value => format!("{name} {value}"),
    });
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{Past, table};
    use serde_json::json;

    #[test]
    fn an_entry_has_a_line() {
        let entry = |node: Option<&str>, what: &str, detail| Past {
            at: "2026-11-29T05:49:14.000Z".into(),
            at_ms: 0,
            local: "2026-11-29 06:49:14".into(),
            kind: "member".into(),
            node: node.map(Into::into),
            hostname: None,
            what: what.into(),
            detail,
        };
        let past = [
            entry(
                Some("1"),
                "restarted",
                json!({ "reset_reason": "watchdog", "uptime_s": 4, "version": null }),
            ),
            entry(None, "a/b", json!({ "retained": false, "payload": { "on": true } })),
        ];
        let text = table(&past).to_string();
        let lines: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(
            lines[0],
            "2026-11-29 06:49:14  member  1     restarted  reset_reason watchdog, uptime_s 4"
        );
        assert_eq!(lines[1], "2026-11-29 06:49:14  member  -     a/b        {\"on\":true}");
    }
}
