//! What `spore sim` is told: a scenario from a file, and what is to be otherwise.
//!
//! Every option that changes a scenario stands for a key of its file, so that there is one place in which values are looked at.

use crate::misuse::Misuse;
use anyhow::Result;
use clap::Args;
use spore_sim::trial::{Plan, vopr};
use std::fs;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::PathBuf;

/// Run a cluster in virtual time, with what may befall it, and say what came of it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Sim {
    /// A scenario: a file (docs/simulator.md says what it may hold), or `vopr`: anything may fail, drawn from the seed.
    /// Without one, 32 nodes form a cluster
    #[arg(value_name = "FILE|vopr")]
    scenario: Option<PathBuf>,
    #[command(flatten)]
    changes: Changes,
    /// Give up after so many virtual seconds: of forming, of healing, and of deaths being known
    #[arg(long, value_name = "SPAN")]
    limit: Option<String>,
    /// Let any key of the file have this value, such as network.tail=20ms
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Run all of it for each of these values of a key, such as nodes=8,16,32
    #[arg(long, value_name = "KEY=VALUE,…")]
    sweep: Option<String>,
    /// What all chance comes from; with --seeds, the first one
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run so many seeds
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    seeds: u64,
    /// Run so many at the same time
    #[arg(long, value_name = "COUNT", default_value = "1")]
    pub(super) jobs: NonZeroUsize,
    /// Run this seed again, and tell what happens
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seed", "seeds"])]
    pub(super) replay: Option<u64>,
    /// Write all that happens to a file: as text, or for Wireshark if its name ends in .pcap
    #[arg(long, value_name = "FILE")]
    pub(super) trace: Option<PathBuf>,
    /// Draw what came of it
    #[arg(long, value_name = "FILE.svg")]
    pub(super) plot: Option<PathBuf>,
    /// Print the report as one line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Options for what is changed most.
#[derive(Debug, Args)]
struct Changes {
    /// How many nodes
    #[arg(long)]
    nodes: Option<String>,
    /// Their capacities: host, esp01, or mixed
    #[arg(long)]
    profile: Option<String>,
    /// The part of unicast datagrams that get lost, 0 to 1
    #[arg(long, value_name = "PART")]
    loss: Option<String>,
    /// The part of broadcasts that each receiver misses; this chip misses half
    #[arg(long, value_name = "PART")]
    broadcast_loss: Option<String>,
    /// The part of datagrams that arrive twice
    #[arg(long, value_name = "PART")]
    duplication: Option<String>,
    /// The part of datagrams that arrive with wrong bits
    #[arg(long, value_name = "PART")]
    corruption: Option<String>,
    /// The part of datagrams that come again later
    #[arg(long, value_name = "PART")]
    replayed: Option<String>,
    /// The part of datagrams that are overtaken
    #[arg(long, value_name = "PART")]
    reorder: Option<String>,
    /// The least and the most milliseconds that a datagram takes
    #[arg(long, value_name = "MS", num_args = 2)]
    latency: Vec<u64>,
    /// Bits a second of the channel that all share
    #[arg(long, value_name = "BITS")]
    bandwidth: Option<String>,
    /// By how many microseconds a second clocks are wrong, at most
    #[arg(long, value_name = "PPM")]
    drift: Option<String>,
    /// Nodes start at random times within so long
    #[arg(long, value_name = "SPAN")]
    start_within: Option<String>,
    /// How long faults befall the cluster when it has formed
    #[arg(long, value_name = "SPAN")]
    duration: Option<String>,
    /// Events a second
    #[arg(long, value_name = "RATE")]
    events: Option<String>,
    /// How many times a minute a node loses its power
    #[arg(long, value_name = "RATE")]
    kills: Option<String>,
    /// How many times a minute a node stands still
    #[arg(long, value_name = "RATE")]
    stalls: Option<String>,
    /// How many times a minute a link fails
    #[arg(long, value_name = "RATE")]
    flaps: Option<String>,
    /// How many times a minute the cluster is split
    #[arg(long, value_name = "RATE")]
    partitions: Option<String>,
    /// Kill so many nodes in the end, and wait until all others know
    #[arg(long, value_name = "COUNT")]
    kill: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  spore sim --nodes 32 --loss 0.1 --seed 7     see who knows whom, and when
  spore sim --nodes 8 --kill 2                 when is a death known to all?
  spore sim docs/scenarios/storm.toml --seeds 100 --jobs 2
  spore sim vopr --seeds 1000 --jobs 2         anything may fail, and then a core must converge
  spore sim vopr --replay 17 --trace run.pcap  one of them again, for Wireshark
  spore sim --sweep nodes=8,16,32,64 --seeds 20 --plot scale.svg

A span is 20ms, 1.5s, 10m or 24h; a number alone is seconds. The same arguments give the same run, and the same log hash.
Exit codes: 0 all that is promised was so, 1 something was not, and a command that repeats it is printed, 2 wrong usage.";

/// A scenario that is to be run.
#[derive(Debug)]
pub(super) struct Choice {
    /// The value that is swept over; empty if there is none.
    pub(super) label: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Fixed(Box<Plan>),
    Vopr,
}

impl Choice {
    pub(super) fn plan(&self, seed: u64) -> Plan {
        match &self.kind {
            Kind::Fixed(plan) => plan.as_ref().clone(),
            Kind::Vopr => vopr(seed),
        }
    }
}

impl Sim {
    pub(super) fn seeds(&self) -> Range<u64> {
        match self.replay {
            Some(seed) => seed..seed.saturating_add(1),
            None => self.seed..self.seed.saturating_add(self.seeds),
        }
    }

    /// The key of a sweep.
    pub(super) fn sweep_key(&self) -> &str {
        self.sweep.as_deref().and_then(|sweep| sweep.split_once('=')).map_or("", |(key, _)| key)
    }

    /// All scenarios that are to be run.
    pub(super) fn choices(&self) -> Result<Vec<Choice>> {
        let changes = self.changes()?;
        if self.scenario.as_ref().is_some_and(|name| name.as_os_str() == "vopr") {
            if !changes.is_empty() || self.sweep.is_some() {
                return Err(Misuse::error("vopr draws all of its scenario from the seed"));
            }
            return Ok(vec![Choice { label: String::new(), kind: Kind::Vopr }]);
        }
        let mut table = self.file()?;
        for (key, value) in changes {
            set(&mut table, &key, &value)?;
        }
        let Some(sweep) = &self.sweep else {
            return Ok(vec![choice("", table)?]);
        };
        let Some((key, values)) = sweep.split_once('=') else {
            return Err(Misuse::error(format_args!("{sweep}: write --sweep KEY=VALUE,VALUE,…")));
        };
        let swept = values.split(',').map(|value| {
            let mut table = table.clone();
            set(&mut table, key, value)?;
            choice(value, table)
        });
        swept.collect()
    }

    fn file(&self) -> Result<toml::Table> {
        let Some(path) = &self.scenario else { return Ok(toml::Table::new()) };
        let wrong = |what: String| Misuse::error(format_args!("{}: {what}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        // As it is, so that a mistake is told with its line.
        Plan::parse(&text).map_err(|error| wrong(error.to_string()))?;
        text.parse().map_err(|error: toml::de::Error| wrong(error.to_string()))
    }

    /// Keys, and the values that they are to have.
    fn changes(&self) -> Result<Vec<(String, String)>> {
        let it = &self.changes;
        let latency = match it.latency[..] {
            [min, max] => Some(format!("[\"{min}ms\", \"{max}ms\"]")),
            _ => None,
        };
        let options = [
            ("nodes", &it.nodes),
            ("profile", &it.profile),
            ("network.loss", &it.loss),
            ("network.broadcast_loss", &it.broadcast_loss),
            ("network.duplication", &it.duplication),
            ("network.corruption", &it.corruption),
            ("network.replay", &it.replayed),
            ("network.reorder", &it.reorder),
            ("network.latency", &latency),
            ("network.bandwidth", &it.bandwidth),
            ("clock.drift_ppm", &it.drift),
            ("start_within", &it.start_within),
            ("duration", &it.duration),
            ("events.rate", &it.events),
            ("chaos.kills", &it.kills),
            ("chaos.stalls", &it.stalls),
            ("chaos.flaps", &it.flaps),
            ("chaos.partitions", &it.partitions),
            ("kill", &it.kill),
            ("expect.whole_within", &self.limit),
            ("expect.heals_within", &self.limit),
            ("expect.deaths_within", &self.limit),
        ];
        let mut changes = Vec::new();
        for (key, value) in options {
            changes.extend(value.clone().map(|value| (key.to_owned(), value)));
        }
        for change in &self.set {
            let Some((key, value)) = change.split_once('=') else {
                return Err(Misuse::error(format_args!("{change}: write --set KEY=VALUE")));
            };
            changes.push((key.to_owned(), value.to_owned()));
        }
        Ok(changes)
    }

    /// The command that repeats one run.
    pub(super) fn repeat(&self, label: &str, seed: u64) -> String {
        let mut words = vec!["spore".to_owned(), "sim".to_owned()];
        words.extend(self.scenario.iter().map(|path| path.display().to_string()));
        for (key, value) in self.changes().unwrap_or_default() {
            words.extend(["--set".to_owned(), format!("{key}={value}")]);
        }
        if self.sweep.is_some() {
            words.extend(["--set".to_owned(), format!("{}={label}", self.sweep_key())]);
        }
        words.extend(["--replay".to_owned(), seed.to_string()]);
        words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

/// A word as a shell takes it for one.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

fn choice(label: &str, table: toml::Table) -> Result<Choice> {
    let plan = Plan::from_table(table).map_err(Misuse::error)?;
    plan.validate().map_err(Misuse::error)?;
    Ok(Choice { label: label.to_owned(), kind: Kind::Fixed(Box::new(plan)) })
}

/// Lets `key`, which may be of a table in the table, have a value: one of TOML, or else a text.
fn set(table: &mut toml::Table, key: &str, value: &str) -> Result<()> {
    let parsed = format!("value = {value}").parse::<toml::Table>().ok();
    let parsed = parsed.filter(|table| table.len() == 1).and_then(|mut it| it.remove("value"));
    let value = parsed.unwrap_or_else(|| toml::Value::String(value.to_owned()));
    let mut names: Vec<&str> = key.split('.').collect();
    let last = names.pop().unwrap_or_default();
    let mut table = table;
    for name in names {
        let inner = table.entry(name).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        let Some(inner) = inner.as_table_mut() else {
            return Err(Misuse::error(format_args!("{key}: {name} has no keys")));
        };
        table = inner;
    }
    table.insert(last.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{quoted, set};

    #[test]
    fn keys_are_set_where_they_belong_and_values_are_toml_or_text() {
        let mut table = "nodes = 4\n[network]\nloss = 0.1".parse().unwrap();
        for (key, value) in [
            ("network.loss", "0.3"),
            ("chaos.kills", "2"),
            ("duration", "10m"),
            ("network.latency", "[\"1ms\", \"9ms\"]"),
        ] {
            set(&mut table, key, value).unwrap();
        }
        let expected = "nodes = 4\nduration = '10m'\n[network]\nloss = 0.3\nlatency = ['1ms', '9ms']\n[chaos]\nkills = 2";
        assert_eq!(table, expected.parse().unwrap());
        assert!(set(&mut table, "nodes.many", "1").unwrap_err().to_string().contains("no keys"));
    }

    #[test]
    fn words_are_quoted_where_a_shell_would_part_them() {
        assert_eq!(quoted("network.loss=0.1"), "network.loss=0.1");
        assert_eq!(quoted("a b's"), r"'a b'\''s'");
    }
}
