//! The power goes while a board writes an image, or the selector: none is bricked, and each runs the old image or the new one.

use crate::rollout::{self, NEW};
use crate::{scenario, secs, whole};
use fastrand::Rng;
use spore_sim::scenario::{Flash, Fleet, Nature, Work};
use spore_sim::{Command, Scenario, Simulation, images};
use std::time::Duration;

const NODES: usize = 3;

/// Kills boards while they are at work for an update; how many kills have met their flash, and how many boards were updated all the
/// same. Whoever is killed too often while it tries an image has not passed its trial, and then the rollout is halted.
fn kills(seed: u64) -> (u32, usize) {
    let mut rng = Rng::with_seed(seed);
    let fleet = Fleet { work: Work::BOARD, ..rollout::fleet(Nature::Good) };
    let flash = Flash { torn: 0.7, ..Flash::default() };
    let mut sim = whole(Scenario { fleet: Some(fleet), flash, ..scenario(NODES, seed) }, secs(60));
    sim.hold_image(0, &images::container(NEW));
    let canary = sim.node(1).expect("it runs").own().id;
    let plan = rollout::signed(rollout::plan(1, NEW, canary));
    assert_eq!(rollout::begin(&mut sim, 0, &plan), 200);
    let runs = |sim: &Simulation, node: usize| sim.started_images(node).last() == Some(&NEW);
    let end = sim.now() + secs(300);
    while sim.now() < end && !(0..NODES).all(|node| runs(&sim, node)) {
        sim.run_for(Duration::from_millis(rng.u64(1..20)));
        for node in 0..NODES {
            // Often enough that many are met, and not so often that none gets further.
            if sim.node(node).is_some() && !sim.is_free(node) && rng.u8(..4) == 0 {
                sim.apply(Command::Kill(node)).expect("it exists");
                sim.run_for(Duration::from_millis(rng.u64(..2_000)));
                // It is bricked if this panics.
                sim.apply(Command::Start(node)).expect("it exists");
                sim.run_for(secs(2));
            }
        }
    }
    // Whatever is tried is decided by then.
    sim.run_for(secs(120));
    for node in 0..NODES {
        sim.apply(Command::Kill(node)).expect("it exists");
        sim.apply(Command::Start(node)).expect("it exists");
        let (started, confirmed) = (sim.started_images(node), sim.confirmed_images(node));
        assert!(started.iter().all(|image| [1, NEW].contains(image)), "seed {seed}: {started:?}");
        assert_eq!(started.last(), confirmed.last(), "seed {seed}: node {node}");
    }
    (sim.cut_updates(), (0..NODES).filter(|node| runs(&sim, *node)).count())
}

#[test]
fn a_board_that_is_killed_while_it_writes_an_image_runs_the_old_one_or_the_new_one() {
    let worlds: Vec<_> = (0..20).map(kills).collect();
    let cuts: u32 = worlds.iter().map(|(cuts, _)| cuts).sum();
    let updated: usize = worlds.iter().map(|(_, updated)| updated).sum();
    println!(
        "{cuts} updates were cut in 20 worlds of {NODES}: 0 boards bricked, {updated} updated"
    );
    assert!(cuts > 40 && updated > 40, "{cuts} cuts, {updated} updated");
}
