//! `spore logs`.

use super::crash;
use crate::client::{Target, parse};
use crate::key_file::KeyFile;
use crate::output::{end_with_reader, note, print_line};
use crate::table::span;
use anyhow::Result;
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// Show what happened lately, as a node saw it.
///
/// A node remembers its last events only: 16 on a board, 64 on a PC.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Logs {
    /// A member's hostname or id, or an address [default: the node that is asked]
    #[arg(value_name = "NODE")]
    of: Option<String>,
    /// Go on, and show what happens next, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// How many of the last events to show [default: all that the node remembers]
    #[arg(short = 'n', long, value_name = "COUNT")]
    lines: Option<usize>,
    /// Show what is on record of the node's last crash instead, for holders of the cluster key
    #[arg(long, conflicts_with_all = ["follow", "lines"])]
    crash: bool,
    /// The ELF file of the program that crashed: addresses get the names of functions
    #[arg(long, value_name = "FILE", requires = "crash")]
    elf: Option<PathBuf>,
    #[command(flatten)]
    key: KeyFile,
    #[command(flatten)]
    target: Target,
}

const EXAMPLES: &str = "\
Examples:
  spore logs                   all that the node remembers
  spore logs node-3 -n 5       the last five events of another member
  spore logs --follow --json   one line of JSON for each event, as they come
  spore logs node-3 --crash --elf node.elf
                               where it was when it crashed";

/// How often to look for what is new.
const INTERVAL: Duration = Duration::from_secs(1);

/// `GET /api/node/log`.
#[derive(Deserialize)]
struct Log {
    log: Vec<Entry>,
}

/// One event.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
struct Entry {
    seq: u64,
    uptime_ms: u64,
    event: String,
    member: Option<String>,
    /// How often, if that is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
}

/// What a look at the log of a node that was looked at before brings.
#[derive(Debug, PartialEq, Eq)]
struct News {
    entries: Vec<Entry>,
    /// Whether the node has restarted since.
    restarted: bool,
    /// Whether the node has forgotten events that nobody has seen.
    gap: bool,
}

impl Logs {
    pub(crate) fn run(self) -> Result<()> {
        let node = match &self.of {
            Some(name) => self.target.locate(name)?.api,
            None => self.target.node(),
        };
        if self.crash {
            return crash::show(&self.target, &self.key, &node, self.elf.as_deref());
        }
        let mut shown = self.fetch(&node)?;
        let first = shown.len().saturating_sub(self.lines.unwrap_or(usize::MAX));
        shown.drain(..first);
        if self.target.json && !self.follow {
            return print_line(json!({ "log": shown }));
        }
        self.show(&shown)?;
        if self.follow { self.go_on(&node, shown.pop()) } else { Ok(()) }
    }

    /// Shows what comes after `last`, until somebody ends this process.
    fn go_on(&self, node: &str, mut last: Option<Entry>) -> Result<()> {
        end_with_reader()?;
        let mut answers = true;
        loop {
            thread::sleep(INTERVAL);
            let log = match self.fetch(node) {
                Ok(log) => log,
                Err(error) => {
                    if std::mem::take(&mut answers) {
                        note(format_args!("spore: {error:#}; trying on"));
                    }
                    continue;
                }
            };
            answers = true;
            let news = news(last.as_ref(), log);
            if news.restarted {
                note(format_args!("spore: {node} has restarted"));
            }
            if news.gap {
                note(format_args!("spore: {node} has forgotten events in between"));
            }
            self.show(&news.entries)?;
            last = news.entries.last().cloned().or(last);
        }
    }

    /// The whole log, so that one that began anew is told from one that went on.
    fn fetch(&self, node: &str) -> Result<Vec<Entry>> {
        let log: Log = parse(&self.target.get(node, "/api/node/log")?)?;
        Ok(log.log)
    }

    fn show(&self, entries: &[Entry]) -> Result<()> {
        for entry in entries {
            if self.target.json {
                print_line(serde_json::to_string(entry)?)?;
            } else {
                print_line(line(entry))?;
            }
        }
        Ok(())
    }
}

/// An event for people: when after the start of the node, what, and about whom.
fn line(entry: &Entry) -> String {
    let Entry { seq, uptime_ms, event, member, count } = entry;
    let member = member.as_deref().unwrap_or_default();
    let count =
        count.filter(|count| *count > 1).map_or_else(String::new, |count| format!("{count} times"));
    let about = format!("{member} {count}");
    format!("{seq:>6}  {:<14}  {event:<27}  {}", span(*uptime_ms), about.trim())
        .trim_end()
        .to_owned()
}

/// What is new in `log` for someone who saw `last`.
fn news(last: Option<&Entry>, log: Vec<Entry>) -> News {
    let Some(last) = last else { return News { entries: log, restarted: false, gap: false } };
    let same = log.iter().find(|entry| entry.seq == last.seq);
    let restarted = match same {
        Some(same) => same != last,
        // Numbers only grow as long as the node runs, and so does its uptime.
        None => log.iter().all(|entry| entry.seq < last.seq || entry.uptime_ms < last.uptime_ms),
    };
    if restarted {
        return News { entries: log, restarted: true, gap: false };
    }
    let gap = log.first().is_some_and(|first| first.seq > last.seq.saturating_add(1));
    let entries = log.into_iter().filter(|entry| entry.seq > last.seq).collect();
    News { entries, restarted: false, gap }
}

#[cfg(test)]
mod tests {
    use super::{Entry, News, line, news};

    fn entry(seq: u64, uptime_ms: u64) -> Entry {
        Entry {
            seq,
            uptime_ms,
            event: "cluster/member/joined".to_owned(),
            member: None,
            count: None,
        }
    }

    #[test]
    fn only_what_is_new_is_shown_and_restarts_and_gaps_are_noticed() {
        let all = || vec![entry(1, 10), entry(2, 20), entry(3, 30)];
        let told = |entries, restarted, gap| News { entries, restarted, gap };
        assert_eq!(news(None, all()), told(all(), false, false));
        assert_eq!(news(Some(&entry(3, 30)), all()), told(vec![], false, false));
        assert_eq!(news(Some(&entry(1, 10)), all()), told(all().split_off(1), false, false));
        let later = || vec![entry(7, 70), entry(8, 80)];
        assert_eq!(news(Some(&entry(3, 30)), later()), told(later(), false, true));
        assert_eq!(news(Some(&entry(6, 60)), later()), told(later(), false, false));
        assert_eq!(news(Some(&entry(3, 33)), all()), told(all(), true, false));
        assert_eq!(news(Some(&entry(9, 90)), all()), told(all(), true, false));
        assert_eq!(news(Some(&entry(5, 900)), later()), told(later(), true, false));
        assert_eq!(news(Some(&entry(9, 90)), vec![]), told(vec![], true, false));
    }

    #[test]
    fn an_event_is_a_line() {
        let mut entry = entry(12, 61_000);
        assert_eq!(line(&entry), "    12  1 min 1 s       cluster/member/joined");
        entry.member = Some("0123456789ab".to_owned());
        assert_eq!(
            line(&entry),
            "    12  1 min 1 s       cluster/member/joined        0123456789ab"
        );
        (entry.member, entry.count) = (None, Some(3));
        assert_eq!(line(&entry), "    12  1 min 1 s       cluster/member/joined        3 times");
    }
}
