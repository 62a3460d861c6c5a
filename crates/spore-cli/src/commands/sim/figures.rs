//! What came of many runs: a row for each value of a sweep, or one for all.

use super::run::Finished;
use super::text::spreads;
use crate::table::Table;
use serde_json::{Value, json};
use spore_sim::Spread;
use spore_sim::trial::Outcome;
use std::time::Duration;

/// Something that takes time in each run, or in each life of a node.
#[derive(Clone, Debug, Default)]
struct Spans {
    whole: Vec<Duration>,
    healed: Vec<Duration>,
    core: Vec<Duration>,
    rollout: Vec<Duration>,
    dead: Vec<Duration>,
    event: Vec<Duration>,
}

/// The runs of one scenario.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) label: String,
    runs: usize,
    spans: Spans,
    datagrams: Vec<f64>,
    bytes: Vec<f64>,
    false_deaths: usize,
    false_suspicions: u64,
    virtual_time: Duration,
    worked: Duration,
    /// The label, the seed, and what was wrong.
    pub(super) failures: Vec<(String, u64, String)>,
}

/// Columns: their name, and which figure stands there.
type Column = (&'static str, fn(&Group) -> Option<Spread>);

const SPANS: [Column; 6] = [
    ("WHOLE AFTER", |it| Spread::of(it.spans.whole.iter().copied())),
    ("HEALED AFTER", |it| Spread::of(it.spans.healed.iter().copied())),
    ("CORE AGREED AFTER", |it| Spread::of(it.spans.core.iter().copied())),
    ("ROLLOUT TOOK", |it| Spread::of(it.spans.rollout.iter().copied())),
    ("DEATH KNOWN AFTER", |it| Spread::of(it.spans.dead.iter().copied())),
    ("EVENT P99 OF RUNS", |it| Spread::of(it.spans.event.iter().copied())),
];

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

impl Group {
    pub(super) fn new(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            runs: 0,
            spans: Spans::default(),
            datagrams: Vec::new(),
            bytes: Vec::new(),
            false_deaths: 0,
            false_suspicions: 0,
            virtual_time: Duration::ZERO,
            worked: Duration::ZERO,
            failures: Vec::new(),
        }
    }

    pub(super) fn runs(&self) -> usize {
        self.runs
    }

    pub(super) fn add(&mut self, finished: &Finished) {
        self.runs += 1;
        self.worked += finished.worked;
        match &finished.outcome {
            Ok(outcome) => self.add_outcome(outcome),
            Err(what) => self.failures.push((self.label.clone(), finished.seed, what.clone())),
        }
    }

    fn add_outcome(&mut self, outcome: &Outcome) {
        let Outcome { report, traffic, events, .. } = outcome;
        self.spans.whole.extend(outcome.whole);
        self.spans.healed.extend(outcome.healed);
        self.spans.core.extend(outcome.core);
        self.spans.rollout.extend(outcome.rollout);
        self.spans.event.extend(events.latency.map(|it| it.p99));
        let dead = spreads(report).find(|(what, _)| what.starts_with("dead"));
        self.spans.dead.extend(dead.map(|(_, spread)| spread.max));
        self.datagrams.push(traffic.per_second(traffic.sent));
        self.bytes.push(traffic.per_second(traffic.sent_bytes));
        self.false_deaths += report.false_deaths.len();
        self.false_suspicions += report.false_suspicions;
        self.virtual_time += report.now;
        if !outcome.failures.is_empty() {
            let what = outcome.failures.join("; ");
            self.failures.push((self.label.clone(), outcome.seed, what));
        }
    }

    pub(super) fn datagrams(&self) -> f64 {
        mean(&self.datagrams)
    }

    pub(super) fn bytes(&self) -> f64 {
        mean(&self.bytes)
    }

    /// How many times as fast as real time it ran, on one core.
    pub(super) fn speed(&self) -> f64 {
        self.virtual_time.as_secs_f64() / self.worked.as_secs_f64().max(1e-6)
    }

    /// The spans of time that there are.
    pub(super) fn spans(&self) -> impl Iterator<Item = (&'static str, Spread)> {
        SPANS.iter().filter_map(|(name, spread)| spread(self).map(|spread| (*name, spread)))
    }
}

/// The table for people.
pub(super) fn table(groups: &[Group]) -> String {
    let there = |column: &&Column| groups.iter().any(|group| (column.1)(group).is_some());
    let columns: Vec<&Column> = SPANS.iter().filter(there).collect();
    let mut header = vec!["VALUE", "RUNS", "FAILED"];
    header.extend(columns.iter().map(|(name, _)| *name));
    header.extend(["DATAGRAMS", "BYTES", "FALSE DEATHS", "FALSE SUSPICIONS", "SPEED"]);
    let mut table = Table::new(&header);
    for group in groups {
        let label = if group.label.is_empty() { "-" } else { &group.label };
        let mut row =
            vec![label.to_owned(), group.runs.to_string(), group.failures.len().to_string()];
        row.extend(columns.iter().map(|(_, spread)| spread(group).map_or("-".into(), three)));
        row.extend([
            format!("{:.2}", group.datagrams()),
            format!("{:.0}", group.bytes()),
            group.false_deaths.to_string(),
            group.false_suspicions.to_string(),
            format!("{:.0}", group.speed()),
        ]);
        table.row(row);
    }
    format!(
        "{table}Spans are p50, p99 and max over runs, in virtual seconds; a death is the last one of its run. Datagrams and bytes are those that a \
         node sends a second. Speed: so many times as fast as real time, on one core.\n"
    )
}

fn three(Spread { p50, p99, max, .. }: Spread) -> String {
    let [p50, p99, max] = [p50, p99, max].map(|span| span.as_secs_f64());
    format!("{p50:.2} {p99:.2} {max:.2}")
}

/// The table for programs. Spans are in virtual milliseconds.
pub(super) fn document(groups: &[Group]) -> Value {
    let millis = |span: Duration| span.as_secs_f64() * 1_000.0;
    let group = |group: &Group| {
        let spans: serde_json::Map<_, _> = group
            .spans()
            .map(|(name, Spread { p50, p99, max, count })| {
                let [p50, p99, max] = [p50, p99, max].map(millis);
                let value = json!({"p50_ms": p50, "p99_ms": p99, "max_ms": max, "count": count});
                (name.to_lowercase().replace(' ', "_"), value)
            })
            .collect();
        let failures = group.failures.iter();
        json!({
            "value": group.label,
            "runs": group.runs,
            "failures": failures.map(|(_, seed, what)| json!({"seed": seed, "what": what})).collect::<Vec<_>>(),
            "spans": spans,
            "datagrams_per_node_second": group.datagrams(),
            "bytes_per_node_second": group.bytes(),
            "false_deaths": group.false_deaths,
            "false_suspicions": group.false_suspicions,
        })
    };
    Value::Array(groups.iter().map(group).collect())
}
