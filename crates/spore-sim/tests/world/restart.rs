//! Nodes come back.

use crate::{heals, lossy, scenario, secs, whole};
use spore_sim::scenario::{Conditions, Flash};
use spore_sim::{Command, Memory, Scenario, Spread};
use std::time::Duration;

/// Restarts node after node, some of them at once, and tells how long each time it took until the
/// cluster was whole again.
fn restarts(memory: Memory, conditions: Conditions, limit: Duration) -> Spread {
    let mut spans = Vec::new();
    for seed in 0..3 {
        let mut sim = whole(Scenario { conditions, ..scenario(16, seed) }, secs(60));
        for round in 0..10 {
            for node in [round, (round * 7 + 3) % 16] {
                sim.apply(Command::Restart(node, memory)).expect("it exists");
            }
            spans.push(heals(&mut sim, limit, &format!("seed {seed}, round {round}")));
            sim.run_for(secs(3));
        }
    }
    Spread::of(spans).expect("there are seeds")
}

#[test]
fn restarts_with_the_identity_kept_converge_within_10_seconds() {
    for loss in [0.0, 0.1] {
        let spread = restarts(Memory::Kept, lossy(loss), secs(60));
        println!("restarts with identity at {loss} loss, N=16: {spread}");
        assert!(spread.p99 <= secs(10), "at {loss} loss: {spread}");
    }
}

#[test]
fn restarts_with_the_identity_lost_converge_when_the_former_one_is_dead() {
    for loss in [0.0, 0.1] {
        let spread = restarts(Memory::Lost, lossy(loss), secs(60));
        println!("restarts without identity at {loss} loss, N=16: {spread}");
        assert!(spread.p99 <= secs(30), "at {loss} loss: {spread}");
    }
}

#[test]
fn a_node_whose_flash_often_fails_joins_later_but_joins() {
    for seed in 0..5 {
        let flash = Flash { failure: 0.5, ..Flash::default() };
        let mut sim = whole(Scenario { flash, ..scenario(8, seed) }, secs(120));
        sim.apply(Command::Restart(3, Memory::Kept)).expect("it exists");
        heals(&mut sim, secs(120), &format!("seed {seed}"));
    }
}
