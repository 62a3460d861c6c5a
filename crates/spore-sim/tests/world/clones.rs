//! Two nodes with one memory do not stay one identity for long.

use crate::{heals, lossy, scenario, secs, simulation};
use spore_core::NodeId;
use spore_sim::{Command, Memory, Scenario, Simulation, Spread};
use std::time::Duration;

/// Nodes of a cluster, and one more that has not started yet.
const NODES: usize = 6;
const SPARE: usize = NODES - 1;

fn cluster(seed: u64) -> Simulation {
    let script = vec![(secs(1_000_000), Command::Start(SPARE))];
    let scenario = Scenario { conditions: lossy(0.05), script, ..scenario(NODES, seed) };
    let mut sim = simulation(scenario);
    assert!(sim.run_until_complete(secs(60)).is_some(), "seed {seed}");
    sim.run_for(secs(5));
    sim
}

fn apply(sim: &mut Simulation, command: Command) {
    sim.apply(command).expect("they exist");
}

fn id(sim: &Simulation, node: usize) -> NodeId {
    sim.node(node).expect("it runs").own().id
}

/// How long it took until all were members of their own.
fn parts(name: &str, change: impl Fn(&mut Simulation)) {
    let spans = (0..10).map(|seed| {
        let mut sim = cluster(seed);
        change(&mut sim);
        // Two with one id may look like a whole cluster.
        sim.run_for(Duration::from_millis(500));
        let took = loop {
            let took = heals(&mut sim, secs(90), &format!("{name}, seed {seed}"));
            if id(&sim, 0) != id(&sim, SPARE) {
                break took;
            }
            sim.run_for(secs(1));
            assert!(sim.now() < secs(300), "{name}, seed {seed}: still the same id");
        };
        let before = [id(&sim, 0), id(&sim, SPARE)];
        sim.run_for(secs(60));
        assert!(sim.is_complete(), "{name}, seed {seed}");
        assert_eq!([id(&sim, 0), id(&sim, SPARE)], before, "{name}, seed {seed}: they keep them");
        took
    });
    println!("{name}: {}", Spread::of(spans).expect("there are seeds"));
}

#[test]
fn a_copy_of_a_running_node_takes_an_id_of_its_own() {
    parts("copied while it ran", |sim| {
        apply(sim, Command::CopyMemory { from: 0, to: SPARE });
        apply(sim, Command::Start(SPARE));
    });
}

#[test]
fn of_two_that_start_at_once_with_one_memory_one_keeps_the_id() {
    parts("started at once", |sim| {
        apply(sim, Command::Kill(0));
        apply(sim, Command::CopyMemory { from: 0, to: SPARE });
        apply(sim, Command::Start(0));
        apply(sim, Command::Start(SPARE));
    });
}

#[test]
fn an_old_copy_takes_an_id_of_its_own() {
    parts("an old copy", |sim| {
        apply(sim, Command::CopyMemory { from: 0, to: SPARE });
        for _ in 0..3 {
            apply(sim, Command::Restart(0, Memory::Kept));
            sim.run_for(secs(2));
        }
        apply(sim, Command::Start(SPARE));
    });
}

#[test]
fn a_node_whose_memory_was_set_back_takes_a_new_id() {
    for seed in 0..10 {
        let mut sim = cluster(seed);
        let before = id(&sim, 0);
        apply(&mut sim, Command::CopyMemory { from: 0, to: SPARE });
        for _ in 0..3 {
            apply(&mut sim, Command::Restart(0, Memory::Kept));
            sim.run_for(secs(2));
        }
        apply(&mut sim, Command::Kill(0));
        apply(&mut sim, Command::CopyMemory { from: SPARE, to: 0 });
        apply(&mut sim, Command::Start(0));
        let start = sim.now();
        while id(&sim, 0) == before {
            assert!(sim.now() < start + secs(60), "seed {seed}: still the used id");
            sim.run_for(secs(1));
        }
        heals(&mut sim, secs(60), &format!("seed {seed}"));
    }
}
