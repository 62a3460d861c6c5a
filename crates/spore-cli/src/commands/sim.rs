//! `spore sim`.

use crate::misuse::Misuse;
use crate::output;
use crate::table::Table;
use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};
use spore_sim::network::{Conditions, Corruption, Duplication, Latency, Loss};
use spore_sim::report::Life;
use spore_sim::{Command, Report, Scenario, Simulation, Spread};
use std::time::{Duration, Instant};

/// Run a cluster in virtual time, and say when its nodes knew each other.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Sim {
    /// How many nodes
    #[arg(long, default_value_t = 32)]
    nodes: usize,
    /// What all chance comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The part of unicast datagrams that get lost, 0 to 1
    #[arg(long, value_name = "PART", default_value_t = 0.0)]
    loss: f64,
    /// The part of broadcasts that each receiver misses; this chip misses half
    #[arg(long, value_name = "PART", default_value_t = 0.5)]
    broadcast_loss: f64,
    /// The part of datagrams that arrive twice
    #[arg(long, value_name = "PART", default_value_t = 0.0)]
    duplication: f64,
    /// The part of datagrams that arrive with wrong bits
    #[arg(long, value_name = "PART", default_value_t = 0.0)]
    corruption: f64,
    /// The least and the most milliseconds that a datagram takes; far apart, they reorder
    #[arg(long, value_name = "MS", num_args = 2, default_values_t = [1, 10])]
    latency: Vec<u64>,
    /// Nodes start at random times within so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    start_within: u64,
    /// Kill so many nodes when the cluster is complete, and wait until all others know
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    kill: usize,
    /// Give up after so many virtual seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    limit: u64,
    /// Print the report as one line of JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  spore sim --nodes 32 --loss 0.1 --seed 7    see who knows whom, and when
  spore sim --nodes 8 --kill 2                when is a death known to all?

The same arguments give the same run, and the same log hash.
Exit code 1: the cluster was not complete, or a death not known to all, within the limit.";

impl Sim {
    pub(crate) fn run(self) -> Result<()> {
        if self.nodes > 0 && self.kill >= self.nodes {
            let most = self.nodes.saturating_sub(1);
            return Err(Misuse::error(format_args!(
                "of {} nodes at most {most} can be killed",
                self.nodes
            )));
        }
        let mut sim = Simulation::new(self.scenario()).map_err(Misuse::error)?;
        let start = Instant::now();
        let complete = sim.run_until_complete(self.limit());
        let known = complete.is_some() && self.kill(&mut sim)?;
        let report = sim.report();
        if self.json {
            output::print_line(document(&report, complete))?;
        } else {
            output::print(text(&report, complete, start.elapsed()))?;
        }
        match (complete, known) {
            (None, _) => bail!("not complete after {} virtual seconds", self.limit),
            (Some(_), false) => bail!("a death was not known to all within the limit"),
            (Some(_), true) => Ok(()),
        }
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(self.limit)
    }

    fn scenario(&self) -> Scenario {
        let millis = |index: usize| Duration::from_millis(self.latency[index]);
        Scenario {
            nodes: self.nodes,
            seed: self.seed,
            start_within: Duration::from_secs(self.start_within),
            conditions: Conditions {
                latency: Latency::Uniform { min: millis(0), max: millis(1) },
                loss: Loss { unicast: self.loss, broadcast: self.broadcast_loss },
                duplication: Duplication(self.duplication),
                corruption: Corruption(self.corruption),
            },
            ..Scenario::default()
        }
    }

    /// Kills the last nodes; whether all others know it within the limit.
    fn kill(&self, sim: &mut Simulation) -> Result<bool> {
        for node in self.nodes - self.kill..self.nodes {
            sim.apply(Command::Kill(node))?;
        }
        let end = sim.now() + self.limit();
        let known = |sim: &Simulation| {
            sim.report().lives.iter().all(|life| life.ended.is_none() || life.dead.is_some())
        };
        while !known(sim) && sim.now() < end {
            sim.run_for(Duration::from_millis(100));
        }
        Ok(known(sim))
    }
}

fn seconds(at: Option<Duration>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| format!("{:.3}", at.as_secs_f64()))
}

fn text(report: &Report, complete: Option<Duration>, real: Duration) -> String {
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
    let total = report.total();
    let spreads: String =
        spreads(report).map(|(what, spread)| format!("{what}: {spread}\n")).collect();
    format!(
        "{table}All times are virtual seconds since the beginning.\n\
         {spreads}\
         traffic: {:.1} datagrams and {:.0} bytes sent per node and second\n\
         false deaths: {}\n\
         complete at: {} s\n\
         {:.1} virtual seconds in {:.2} real ones\n\
         log hash: {:016x}\n",
        total.per_second(total.sent),
        total.per_second(total.sent_bytes),
        report.false_deaths.len(),
        seconds(complete),
        report.now.as_secs_f64(),
        real.as_secs_f64(),
        report.log_hash,
    )
}

fn spreads(report: &Report) -> impl Iterator<Item = (&'static str, Spread)> {
    let of = |what, span: fn(&Life) -> Option<Duration>| {
        Spread::of(report.lives.iter().filter_map(span)).map(|spread| (what, spread))
    };
    let spreads = [
        of("known to all, after the start", Life::known_after),
        of("knew all, after the start", Life::complete_after),
        of("dead to all, after the kill", Life::dead_after),
    ];
    spreads.into_iter().flatten()
}

fn document(report: &Report, complete: Option<Duration>) -> Value {
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
    let total = report.total();
    json!({
        "complete_ms": millis(complete),
        "now_ms": millis(Some(report.now)),
        "lives": lives.collect::<Vec<_>>(),
        "datagrams_per_node_second": total.per_second(total.sent),
        "bytes_per_node_second": total.per_second(total.sent_bytes),
        "false_deaths": report.false_deaths.len(),
        "log_hash": format!("{:016x}", report.log_hash),
    })
}
