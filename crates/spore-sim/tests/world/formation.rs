//! Clusters find themselves.

use crate::{lossy, promise, run_until, scenario, secs, simulation, whole};
use spore_sim::report::Life;
use spore_sim::scenario::Conditions;
use spore_sim::{Command, Scenario, Spread};
use std::time::Duration;

/// How long each of many clusters took to become whole after the last start.
fn sweep(nodes: usize, conditions: Conditions, seeds: u64, limit: Duration) -> Spread {
    let spans = (0..seeds).map(|seed| {
        let sim = whole(Scenario { conditions, ..scenario(nodes, seed) }, limit);
        let last = sim.report().lives.iter().map(|life| life.started).max();
        sim.now() - last.expect("there are nodes")
    });
    Spread::of(spans).expect("there are seeds")
}

#[test]
fn half_of_broadcasts_and_a_tenth_of_unicasts_lost_32_nodes_are_whole_100_of_100() {
    let spread = sweep(32, lossy(0.1), 100, secs(60));
    println!("whole at 50 % broadcast loss, 10 % unicast loss, N=32: {spread}");
    assert!(spread.p99 <= secs(5), "{spread}");
}

#[test]
fn a_clean_network_makes_a_whole_cluster_within_5_seconds() {
    for nodes in [2, 5, 32] {
        let spread = sweep(nodes, Conditions::default(), 20, secs(60));
        println!("whole on a clean network, N={nodes}: {spread}");
        assert!(spread.max <= secs(5), "N={nodes}: {spread}");
    }
}

/// How long a node that starts at 20 s took to be known to all, and to know all.
fn joins(nodes: usize, conditions: Conditions, seeds: u64) -> (Spread, Spread) {
    let joiner = nodes - 1;
    let mut lives: Vec<Life> = Vec::new();
    for seed in 0..seeds {
        let script = vec![(secs(20), Command::Start(joiner))];
        let mut sim = simulation(Scenario { conditions, script, ..scenario(nodes, seed) });
        sim.run_until(secs(20));
        let settled = |life: &Life| life.known.is_some() && life.complete.is_some();
        let report =
            run_until(&mut sim, secs(300), |report| report.last_life(joiner).is_some_and(settled));
        let life = report.last_life(joiner).expect("it started");
        assert!(settled(life), "seed {seed}: {life:?}");
        lives.push(life.clone());
    }
    let known = Spread::of(lives.iter().filter_map(Life::known_after));
    let complete = Spread::of(lives.iter().filter_map(Life::complete_after));
    known.zip(complete).expect("there are seeds")
}

#[test]
fn a_joiner_is_known_to_all_within_5_seconds_on_a_clean_network() {
    for nodes in [2, 5, 32] {
        let (known, complete) = joins(nodes, Conditions::default(), 20);
        println!("joiner on a clean network, N={nodes}: known {known}; knows all {complete}");
        assert!(known.max <= secs(5) && complete.max <= secs(5), "N={nodes}");
    }
}

/// Promise C1, on so many seeds.
fn joiners_under_loss(seeds: u64) {
    for (loss, limit) in [(0.0, 5), (0.1, 10), (0.3, 30)] {
        let (known, complete) = joins(32, lossy(loss), seeds);
        println!("joiner at {loss} loss, N=32: known {known}; knows all {complete}");
        let name = format!("p99_{:.0}", loss * 100.0);
        promise("C1", &[(&name, known.p99.as_secs_f64())]);
        assert!(known.p99 <= secs(limit), "at {loss} loss: {known}");
    }
}

#[test]
fn joiners_under_loss_20_seeds() {
    joiners_under_loss(20);
}

#[test]
#[ignore = "takes minutes"]
fn joiners_under_loss_1000_seeds_long() {
    joiners_under_loss(1000);
}

#[test]
#[ignore = "takes minutes"]
fn a_joiner_to_100_nodes_at_10_percent_loss_100_seeds_long() {
    let (known, complete) = joins(100, lossy(0.1), 100);
    println!("joiner at 10 % loss, N=100: known {known}; knows all {complete}");
    promise("C1", &[("n100_p99_10", known.p99.as_secs_f64()), ("seeds", known.count as f64)]);
    assert!(known.p99 <= secs(15), "{known}");
}

#[test]
#[ignore = "takes minutes"]
fn half_of_broadcasts_and_a_tenth_of_unicasts_lost_1000_seeds_long() {
    let spread = sweep(32, lossy(0.1), 1000, secs(120));
    println!("whole at 50 % broadcast loss, 10 % unicast loss, N=32: {spread}");
}
