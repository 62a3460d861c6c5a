//! Remembered peers bring nodes together where no broadcast gets through.

use crate::{heals, lossy, scenario, secs, whole};
use spore_sim::network::Loss;
use spore_sim::scenario::{Conditions, Flash};
use spore_sim::{Command, Memory, Scenario, Simulation, Spread};

/// No broadcast arrives, and not every unicast.
fn silent(unicast: f64) -> Conditions {
    Conditions { loss: Loss { unicast, broadcast: 1.0 }, ..Conditions::default() }
}

/// A cluster that was whole for `age` seconds, and has lost its power and its broadcasts.
fn dark(nodes: usize, seed: u64, age: u64, flash: Flash) -> Simulation {
    let scenario = Scenario { conditions: lossy(0.05), flash, ..scenario(nodes, seed) };
    let mut sim = whole(scenario, secs(60));
    sim.run_for(secs(age));
    for node in 0..nodes {
        sim.apply(Command::Kill(node)).expect("it exists");
    }
    sim.apply(Command::Conditions(silent(0.05))).expect("it is possible");
    sim
}

fn start(sim: &mut Simulation, nodes: impl Iterator<Item = usize>) {
    for node in nodes {
        sim.apply(Command::Start(node)).expect("it exists");
    }
}

#[test]
fn a_cluster_is_whole_again_after_a_power_cut_without_any_broadcast() {
    let spans = (0..10).map(|seed| {
        let mut sim = dark(16, seed, 60, Flash::default());
        start(&mut sim, 0..16);
        heals(&mut sim, secs(60), &format!("seed {seed}"))
    });
    let spread = Spread::of(spans).expect("there are seeds");
    println!("warm start of 16 without broadcasts: {spread}");
    assert!(spread.max <= secs(15), "{spread}");
}

#[test]
fn who_has_forgotten_its_peers_finds_nobody_without_broadcasts() {
    // The test of the tests around it: without memory there is no way.
    let mut sim = dark(4, 1, 60, Flash::default());
    for node in 0..4 {
        sim.apply(Command::Restart(node, Memory::Lost)).expect("it exists");
    }
    assert_eq!(sim.run_until_complete(sim.now() + secs(120)), None);
}

#[test]
fn peers_are_remembered_from_the_first_seconds_on() {
    for nodes in [2, 16] {
        for seed in 0..10 {
            let mut sim = dark(nodes, seed, 3, Flash::default());
            start(&mut sim, 0..nodes);
            heals(&mut sim, secs(60), &format!("seed {seed} of {nodes}"));
        }
    }
}

#[test]
fn peers_that_are_gone_or_have_new_ids_do_no_harm() {
    for seed in 0..5 {
        let mut sim = dark(12, seed, 60, Flash::default());
        // Three never come back, and four have forgotten who they are.
        for node in 0..4 {
            sim.apply(Command::Restart(node, Memory::Lost)).expect("it exists");
        }
        start(&mut sim, 4..9);
        heals(&mut sim, secs(60), &format!("seed {seed}"));
        assert_eq!(sim.report().false_deaths, [], "seed {seed}");
    }
}

#[test]
fn one_that_starts_long_before_its_peers_goes_on_calling_them() {
    let mut sim = dark(4, 1, 60, Flash::default());
    start(&mut sim, 0..1);
    sim.run_for(secs(600));
    let sent = sim.report().traffic[0].sent;
    start(&mut sim, 1..4);
    heals(&mut sim, secs(90), "after ten minutes alone");
    assert!(sent < 1_500, "{sent} datagrams in ten minutes alone");
}

#[test]
fn a_flash_that_often_fails_remembers_in_the_end() {
    for seed in 0..3 {
        let flash = Flash { failure: 0.5, ..Flash::default() };
        let mut sim = dark(6, seed, 300, flash);
        start(&mut sim, 0..6);
        heals(&mut sim, secs(90), &format!("seed {seed}"));
    }
}
