//! One seed replays everything.

use crate::{lossy, promise, scenario, secs, simulation, whole};
use spore_sim::network::{Corruption, Duplication, Latency, Loss};
use spore_sim::scenario::{Conditions, Publication};
use spore_sim::{Command, Memory, Report, Scenario};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// A little of everything that can happen.
fn eventful(seed: u64) -> Scenario {
    let (base, mean) = (Duration::from_millis(2), Duration::from_millis(20));
    let publish = |node| {
        let (topic, payload) = ("a/b".into(), vec![1, 2, 3]);
        Command::Publish(node, Publication { topic, payload, retained: node == 5 })
    };
    Scenario {
        conditions: Conditions {
            latency: Latency::Tail { base, mean },
            loss: Loss { unicast: 0.1, broadcast: 0.5 },
            duplication: Duplication(0.05),
            corruption: Corruption(0.05),
            ..Conditions::default()
        },
        script: vec![
            (secs(3), publish(0)),
            (secs(4), Command::Kill(0)),
            (secs(5), Command::Stall(1, secs(2))),
            (secs(6), Command::Restart(2, Memory::Lost)),
            (secs(7), Command::Isolate(vec![3])),
            (secs(8), publish(5)),
            (secs(9), Command::Heal),
            (secs(9), Command::Start(4)),
        ],
        ..scenario(6, seed)
    }
}

fn run(seed: u64) -> Report {
    let mut sim = simulation(eventful(seed));
    sim.run_until(secs(12));
    sim.report()
}

/// Runs each of the seeds twice.
fn replays(seeds: u64) {
    let mut hashes = BTreeSet::new();
    for seed in 0..seeds {
        let report = run(seed);
        assert_eq!(report, run(seed), "seed {seed}");
        assert!(hashes.insert(report.log_hash), "seed {seed} ran as an earlier one did");
    }
    println!("replay: {} of {seeds} seeds gave the same log hash again", hashes.len());
    promise(
        "C6",
        &[("same", hashes.len() as f64), ("different", seeds as f64 - hashes.len() as f64)],
    );
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another_one_100_of_100() {
    replays(100);
}

#[test]
#[ignore = "takes a while"]
fn the_same_seed_gives_the_same_run_and_another_seed_another_one_1000_of_1000_long() {
    replays(1_000);
}

#[test]
#[ignore = "is about the speed of a release build"]
fn an_hour_of_32_nodes_runs_1000_times_as_fast_as_real_time_long() {
    let span = secs(3_600);
    // Other programs can only slow a run down, so the fastest one tells what this machine can.
    let runs = (1..=3).map(|seed| {
        let conditions = lossy(0.05);
        let mut sim = whole(Scenario { conditions, ..scenario(32, seed) }, secs(60));
        let start = Instant::now();
        sim.run_for(span);
        span.as_secs_f64() / start.elapsed().as_secs_f64()
    });
    let speed = runs.fold(0.0, f64::max);
    println!("speed: {speed:.0} times real time at 5 % loss, N=32, on one core");
    promise("C6", &[("speed", speed)]);
    assert!(speed >= 1_000.0, "{speed:.0} times real time");
}

#[test]
fn looking_at_a_world_does_not_change_it() {
    let mut sim = simulation(eventful(1));
    for millis in (0..=12_000).step_by(7) {
        sim.run_until(Duration::from_millis(millis));
        let _ = (sim.report(), sim.node(2), sim.is_complete());
    }
    sim.run_until(secs(12));
    assert_eq!(sim.report(), run(1));
}
