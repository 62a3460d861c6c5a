//! The promises about membership, each tried on many simulated clusters.
//!
//! What takes longer than a quick gate can wait is ignored and has a name that ends in `_long`; it
//! runs with `cargo nextest run --run-ignored all`. Figures are printed: add `--no-capture`.

mod capacity;
mod clocks;
mod clones;
mod credentials;
mod events;
mod faults;
mod fleet;
mod formation;
mod indirect;
mod junk;
mod kills;
mod leaving;
mod liveness;
mod partition;
mod replay;
mod replayed;
mod restart;
mod rollout;
mod rotation;
mod scenario;
mod services;
mod slow;
mod tasks;
mod traffic;
mod trial;
mod updates;
mod vopr;
mod warm;
mod wifi;

use spore_sim::network::Loss;
use spore_sim::scenario::Conditions;
use spore_sim::{Report, Scenario, Simulation};
use std::time::Duration;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Prints figures of a promise as `cargo xtask promises` reads them; times are in seconds.
fn promise(id: &str, figures: &[(&str, f64)]) {
    let figures: String =
        figures.iter().map(|(name, value)| format!(" {name}={value:.2}")).collect();
    println!("promise {id}{figures}");
}

/// Whether a sweep is to run this seed: all of them, or the one that `SEED` in the environment names.
fn is_chosen(seed: u64) -> bool {
    std::env::var("SEED").map_or(true, |chosen| chosen == seed.to_string())
}

/// A network that loses this share of all unicasts, and half of all broadcasts, as an ESP8266
/// does.
fn lossy(unicast: f64) -> Conditions {
    Conditions { loss: Loss { unicast, broadcast: 0.5 }, ..Conditions::default() }
}

/// So many nodes on a clean network, started within two seconds.
fn scenario(nodes: usize, seed: u64) -> Scenario {
    Scenario { nodes, seed, start_within: secs(2), ..Scenario::default() }
}

fn simulation(scenario: Scenario) -> Simulation {
    Simulation::new(scenario).expect("the test's scenario is valid")
}

/// The world of `scenario` when its cluster is whole, which must come within `limit`.
#[track_caller]
fn whole(scenario: Scenario, limit: Duration) -> Simulation {
    let seed = scenario.seed;
    let mut sim = simulation(scenario);
    assert!(sim.run_until_complete(limit).is_some(), "seed {seed}: not whole after {limit:?}");
    sim
}

/// Runs on until `done`, looking every second, or until `limit` has passed.
fn run_until(sim: &mut Simulation, limit: Duration, done: impl Fn(&Report) -> bool) -> Report {
    let end = sim.now() + limit;
    loop {
        let report = sim.report();
        if done(&report) || sim.now() >= end {
            return report;
        }
        sim.run_for(secs(1));
    }
}

/// Runs on until the cluster is whole again, which must come within `limit`. Returns how long it
/// took.
#[track_caller]
fn heals(sim: &mut Simulation, limit: Duration, what: &str) -> Duration {
    let start = sim.now();
    match sim.run_until_complete(start + limit) {
        Some(now) => now - start,
        None => panic!("{what}: not whole after another {limit:?}"),
    }
}
