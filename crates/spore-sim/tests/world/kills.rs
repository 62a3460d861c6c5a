//! The power may go at any moment: promise M2.
//!
//! In every world the simulator itself watches that no nonce is used twice: the same id and epoch
//! in two lives, or the same counter in one, ends the run.

use crate::{heals, promise, scenario, secs, whole};
use fastrand::Rng;
use spore_sim::scenario::Flash;
use spore_sim::{Command, Memory, Scenario, Simulation, Spread};
use std::time::Duration;

const NODES: usize = 8;

fn millis(rng: &mut Rng, below: u64) -> Duration {
    Duration::from_millis(rng.u64(..below))
}

/// Kills one of the nodes, and brings it back after at most two seconds; every other time it is
/// killed again while it stores its epoch, once or more. Returns how many kills that were.
fn kill_and_start(sim: &mut Simulation, rng: &mut Rng) -> u32 {
    let node = rng.usize(..NODES);
    let mut kills = 0;
    loop {
        sim.apply(Command::Kill(node)).expect("it exists");
        kills += 1;
        sim.run_for(millis(rng, 2_000));
        sim.apply(Command::Start(node)).expect("it exists");
        if rng.bool() {
            return kills;
        }
        // The store takes 60 ms.
        sim.run_for(millis(rng, 70));
    }
}

#[derive(Default)]
struct Figures {
    kills: u32,
    rejoined: Vec<Duration>,
    /// Nodes that came back under another id than they once had in use.
    renamed: usize,
}

/// So many kills in one world.
fn kills(seed: u64, count: u32, figures: &mut Figures) {
    let mut rng = Rng::with_seed(seed);
    let flash = Flash { torn: 0.7, ..Flash::default() };
    let mut sim = whole(Scenario { flash, ..scenario(NODES, seed) }, secs(60));
    let id = |sim: &Simulation, node| sim.node(node).expect("it runs").own().id;
    let ids: Vec<_> = (0..NODES).map(|node| id(&sim, node)).collect();
    let end = figures.kills + count;
    while figures.kills < end {
        // A random instant.
        sim.run_for(millis(&mut rng, 3_000));
        figures.kills += kill_and_start(&mut sim, &mut rng);
        let what = format!("seed {seed}, after {} kills", figures.kills);
        figures.rejoined.push(heals(&mut sim, secs(10), &what));
    }
    sim.run_for(secs(30));
    assert!(sim.is_complete(), "seed {seed}: views differ half a minute later");
    figures.renamed += (0..NODES).filter(|node| id(&sim, *node) != ids[*node]).count();
}

fn sweep(seeds: u64, each: u32) {
    let mut figures = Figures::default();
    (0..seeds).for_each(|seed| kills(seed, each, &mut figures));
    let Figures { kills, rejoined, renamed } = figures;
    let spread = Spread::of(rejoined).expect("there are kills");
    println!(
        "M2: {kills} kills in {seeds} worlds of {NODES}: whole again after {spread}; \
         0 nonces used twice, 0 views differ, {renamed} ids lost"
    );
    let (p99, max) = (spread.p99.as_secs_f64(), spread.max.as_secs_f64());
    promise(
        "M2",
        &[("kills", kills.into()), ("p99", p99), ("max", max), ("lost_ids", renamed as f64)],
    );
    assert!(spread.max <= secs(10) && renamed == 0);
}

#[test]
fn a_node_killed_at_any_moment_is_back_within_10_seconds_with_its_id() {
    sweep(4, 60);
}

#[test]
#[ignore = "takes minutes"]
fn a_node_killed_at_any_moment_is_back_within_10_seconds_with_its_id_long() {
    sweep(100, 100);
}

/// A node of two, killed in the midst of each of its first stores; with the epochs that it had.
fn torn_epochs(seed: u64, torn: f64) -> Vec<u32> {
    let flash = Flash { torn, ..Flash::default() };
    let mut sim = whole(Scenario { flash, ..scenario(2, seed) }, secs(60));
    let own = |sim: &Simulation| sim.node(0).expect("it runs").own().clone();
    let before = own(&sim);
    let mut epochs = vec![before.incarnation.epoch.get()];
    for _ in 0..5 {
        sim.apply(Command::Restart(0, Memory::Kept)).expect("it exists");
        // Less than the flash takes.
        sim.run_for(Duration::from_millis(20));
        assert_eq!(own(&sim).id, before.id, "seed {seed}");
        epochs.push(own(&sim).incarnation.epoch.get());
    }
    heals(&mut sim, secs(30), &format!("seed {seed}, after five restarts"));
    epochs
}

#[test]
fn a_torn_epoch_is_the_old_one_or_the_new_one_and_none_that_had_sent() {
    for torn in [0.0, 1.0] {
        let (mut old, mut new) = (0, 0);
        for seed in 0..40 {
            let epochs = torn_epochs(seed, torn);
            // What was used stays behind; what was being stored may be tried again.
            assert!(epochs[1..].iter().all(|epoch| *epoch > epochs[0]), "seed {seed}: {epochs:?}");
            for pair in epochs[1..].windows(2) {
                match pair[1] - pair[0] {
                    0 => old += 1,
                    1 => new += 1,
                    _ => panic!("seed {seed}: {epochs:?}"),
                }
            }
        }
        println!(
            "{} epochs cut short, torn {torn}: {old} times the old one, {new} the new one",
            old + new
        );
        assert!(old > 20 && new > 10, "{old}, {new}");
    }
}

#[test]
fn a_node_that_lost_its_epoch_takes_a_new_id_and_the_old_one_dies() {
    for seed in 0..5 {
        let mut sim = whole(scenario(4, seed), secs(60));
        let before = sim.node(0).expect("it runs").own().id;
        sim.apply(Command::Restart(0, Memory::Lost)).expect("it exists");
        heals(&mut sim, secs(30), &format!("seed {seed}"));
        assert_ne!(sim.node(0).expect("it runs").own().id, before);
        assert!(sim.report().lives.iter().any(|life| life.id == before && life.dead.is_some()));
    }
}
