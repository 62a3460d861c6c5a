//! The dead are known to be dead, the living are not taken for dead.

use crate::{lossy, promise, run_until, scenario, secs, simulation, whole};
use spore_sim::report::Life;
use spore_sim::scenario::Conditions;
use spore_sim::{Command, Report, Scenario, Spread};
use std::time::Duration;

/// How long a killed node took to be dead for all others.
fn deaths(nodes: usize, conditions: Conditions, seeds: u64) -> Spread {
    let spans = (0..seeds).map(|seed| {
        let mut sim = simulation(Scenario { conditions, ..scenario(nodes, seed) });
        // At any moment of the rounds of probes.
        sim.run_until(secs(20) + Duration::from_millis(seed * 137 % 2_000));
        sim.apply(Command::Kill(0)).expect("node 0 exists");
        let dead = |report: &Report| report.last_life(0).and_then(Life::dead_after);
        let report = run_until(&mut sim, secs(120), |report| dead(report).is_some());
        dead(&report).unwrap_or_else(|| panic!("seed {seed}: not dead for all after 120 s"))
    });
    Spread::of(spans).expect("there are seeds")
}

#[test]
fn a_killed_node_is_dead_for_all_within_15_seconds_on_a_clean_network() {
    for nodes in [2, 5, 32] {
        let spread = deaths(nodes, Conditions::default(), 20);
        println!("death on a clean network, N={nodes}: {spread}");
        assert!(spread.max <= secs(15), "N={nodes}: {spread}");
    }
}

/// Promise C2, on so many seeds.
fn deaths_under_loss(seeds: u64) {
    let mut longest = Duration::ZERO;
    for (loss, limit) in [(0.0, 15), (0.1, 15), (0.3, 25)] {
        let spread = deaths(32, lossy(loss), seeds);
        println!("death at {loss} loss, N=32: {spread}");
        promise("C2", &[(&format!("p99_{:.0}", loss * 100.0), spread.p99.as_secs_f64())]);
        assert!(spread.p99 <= secs(limit), "at {loss} loss: {spread}");
        longest = longest.max(spread.max);
    }
    promise("C2", &[("max", longest.as_secs_f64())]);
}

#[test]
fn deaths_under_loss_20_seeds() {
    deaths_under_loss(20);
}

#[test]
#[ignore = "takes minutes"]
fn deaths_under_loss_1000_seeds_long() {
    deaths_under_loss(1000);
}

/// Lets 32 nodes live for `span` and returns how many false deaths and suspicions there were.
fn life(conditions: Conditions, span: Duration, seed: u64) -> (usize, u64) {
    let mut sim = whole(Scenario { conditions, ..scenario(32, seed) }, secs(60));
    sim.run_for(span);
    let report = sim.report();
    (report.false_deaths.len(), report.false_suspicions)
}

#[test]
fn nobody_is_falsely_dead_in_an_hour_at_5_percent_loss() {
    let (deaths, suspicions) = life(lossy(0.05), secs(3_600), 1);
    println!("1 h at 5 % loss, N=32: {deaths} false deaths, {suspicions} suspicions noted");
    promise("C3", &[("deaths", deaths as f64), ("suspicions", suspicions as f64)]);
    assert_eq!(deaths, 0);
}

#[test]
#[ignore = "takes minutes"]
fn nobody_is_falsely_dead_in_24_hours_at_5_percent_loss_long() {
    let (deaths, suspicions) = life(lossy(0.05), secs(24 * 3_600), 2);
    println!("24 h at 5 % loss, N=32: {deaths} false deaths, {suspicions} suspicions noted");
    promise("C3", &[("deaths", deaths as f64), ("suspicions", suspicions as f64)]);
    assert_eq!(deaths, 0);
}

/// When suspects were asked by all in their last interval alone, there were 25 in half an hour.
#[test]
#[ignore = "takes minutes"]
fn of_100_nodes_at_30_percent_loss_at_most_eight_are_falsely_dead_in_50_minutes_long() {
    let mut all = 0;
    for seed in [2, 3] {
        let conditions = lossy(0.3);
        let mut sim = simulation(Scenario { conditions, ..scenario(100, seed) });
        // Hardly ever nobody at all is suspected, so it is not waited for.
        sim.run_for(secs(430));
        let formed = sim.report();
        sim.run_for(secs(25 * 60));
        let report = sim.report();
        let deaths = report.false_deaths.len() - formed.false_deaths.len();
        let suspicions = report.false_suspicions - formed.false_suspicions;
        println!(
            "25 min at 30 % loss, N=100, seed {seed}: {deaths} false deaths, {suspicions} suspicions noted"
        );
        all += deaths;
    }
    assert!(all <= 8, "{all} false deaths");
}

#[test]
fn a_node_that_stalls_5_seconds_in_20_makes_no_healthy_one_look_dead() {
    let mut all = 0;
    for seed in 0..3 {
        let mut sim = whole(scenario(32, seed), secs(60));
        for _ in 0..15 {
            sim.apply(Command::Stall(0, secs(5))).expect("node 0 exists");
            sim.run_for(secs(20));
        }
        let report = sim.report();
        let healthy = report.false_deaths.iter().filter(|death| death.node != 0).count();
        let stalled = report.false_deaths.len() - healthy;
        println!("stalls, seed {seed}: {stalled} times the stalled node looked dead");
        assert_eq!(healthy, 0, "seed {seed}: {:?}", report.false_deaths);
        all += healthy;
    }
    promise("C3", &[("healthy", all as f64), ("runs", 3.0)]);
}
