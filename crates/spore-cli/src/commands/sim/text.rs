//! What came of one run, as text and as JSON.

use crate::table::Table;
use serde_json::{Value, json};
use spore_sim::report::Life;
use spore_sim::trial::{Outcome, Plan};
use spore_sim::{Report, Spread};
use std::time::Duration;

/// More nodes than that are not listed one by one.
const LISTED: usize = 64;

fn seconds(at: Option<Duration>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| format!("{:.3}", at.as_secs_f64()))
}

fn lives(report: &Report) -> String {
    if report.lives.len() > LISTED {
        return String::new();
    }
    let header = ["NODE", "ID", "STARTED", "KNOWN TO ALL", "KNEW ALL", "KILLED", "DEAD TO ALL"];
    let mut table = Table::new(&header);
    for life in &report.lives {
        table.row([
            life.node.to_string(),
            life.id.to_string(),
            seconds(Some(life.started)),
            seconds(life.known),
            seconds(life.complete),
            seconds(life.ended),
            seconds(life.dead),
        ]);
    }
    format!("{table}All times are virtual seconds since the beginning.\n\n")
}

/// The report for people.
pub(super) fn report(plan: &Plan, outcome: &Outcome, worked: Duration) -> String {
    let Outcome { report, traffic, events, tally, .. } = outcome;
    let mut table = Table::new(&["FIGURE", "VALUE"]);
    let mut row = |what: &str, value: String| table.row([what.to_owned(), value]);
    let since = |at: Option<Duration>| at.map(|at| format!("{:.3} s", at.as_secs_f64()));
    row("whole after", since(outcome.whole).unwrap_or_else(|| "-".into()));
    for (what, value) in [
        ("whole again after healing", since(outcome.healed)),
        ("the core agreed after healing", since(outcome.core)),
        ("the rollout took", since(outcome.rollout)),
    ] {
        value.into_iter().for_each(|value| row(what, value));
    }
    for (what, spread) in spreads(report) {
        row(what, spread.to_string());
    }
    row("datagrams sent, a node and second", format!("{:.2}", traffic.per_second(traffic.sent)));
    row("bytes sent, a node and second", format!("{:.0}", traffic.per_second(traffic.sent_bytes)));
    row("false deaths", report.false_deaths.len().to_string());
    row("false suspicions", report.false_suspicions.to_string());
    if events.published > 0 {
        row("events published", events.published.to_string());
        row(
            "delivered, missed, neither",
            format!("{}, {}, {}", events.delivered, events.missed, events.open),
        );
        events.latency.into_iter().for_each(|spread| row("to a delivery", spread.to_string()));
    }
    for (what, count) in [
        ("power losses", tally.kills),
        ("stalls", tally.stalls),
        ("links and groups cut off", tally.cuts),
        ("clock steps", tally.steps),
        ("attempts without a key", tally.junk),
    ] {
        if count > 0 {
            row(what, count.to_string());
        }
    }
    let (now, worked) = (report.now.as_secs_f64(), worked.as_secs_f64());
    row(
        "virtual time",
        format!(
            "{now:.1} s in {worked:.2} s of a processor, {:.0} times as fast",
            now / worked.max(1e-6)
        ),
    );
    row("log hash", format!("{:016x}", report.log_hash));
    let title = if plan.title.is_empty() { String::new() } else { format!("{}\n\n", plan.title) };
    format!("{title}{}{table}", lives(report))
}

/// What lives have come to.
pub(super) fn spreads(report: &Report) -> impl Iterator<Item = (&'static str, Spread)> {
    let of = |what, span: fn(&Life) -> Option<Duration>| {
        Spread::of(report.lives.iter().filter_map(span)).map(|spread| (what, spread))
    };
    let spreads = [
        of("known to all, after the start", Life::known_after),
        of("knew all, after the start", Life::complete_after),
        of("dead to all, after the end", Life::dead_after),
    ];
    spreads.into_iter().flatten()
}

/// The report for programs. All points and spans of time are in virtual milliseconds.
pub(super) fn document(outcome: &Outcome) -> Value {
    let Outcome { report, traffic, events, tally, .. } = outcome;
    let millis = |at: Option<Duration>| at.map(|at| at.as_secs_f64() * 1_000.0);
    let lives = report.lives.iter().map(|life| {
        json!({
            "node": life.node,
            "id": life.id.to_string(),
            "started_ms": millis(Some(life.started)),
            "known_ms": millis(life.known),
            "complete_ms": millis(life.complete),
            "ended_ms": millis(life.ended),
            "dead_ms": millis(life.dead),
        })
    });
    json!({
        "seed": outcome.seed,
        "failures": outcome.failures,
        "complete_ms": millis(outcome.whole),
        "healed_ms": millis(outcome.healed),
        "core_ms": millis(outcome.core),
        "rollout_ms": millis(outcome.rollout),
        "now_ms": millis(Some(report.now)),
        "lives": lives.collect::<Vec<_>>(),
        "datagrams_per_node_second": traffic.per_second(traffic.sent),
        "bytes_per_node_second": traffic.per_second(traffic.sent_bytes),
        "false_deaths": report.false_deaths.len(),
        "false_suspicions": report.false_suspicions,
        "events": {
            "published": events.published,
            "delivered": events.delivered,
            "missed": events.missed,
            "open": events.open,
            "p99_ms": millis(events.latency.map(|it| it.p99)),
        },
        "done": {
            "kills": tally.kills,
            "stalls": tally.stalls,
            "cuts": tally.cuts,
            "steps": tally.steps,
            "junk": tally.junk,
        },
        "log_hash": format!("{:016x}", report.log_hash),
    })
}
