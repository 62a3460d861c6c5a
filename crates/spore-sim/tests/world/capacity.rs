//! More nodes than a board can list.

use crate::{scenario, secs, simulation};
use spore_sim::{Command, Scenario, Simulation};
use std::collections::BTreeSet;

/// How many members an ESP-01 lists besides itself.
const ROWS: usize = 63;

/// Each row that a running node lists as live belongs to a running node. Returns the number of
/// live rows in each view.
fn live_rows(sim: &Simulation) -> Vec<usize> {
    let running: Vec<_> = (0..80).filter_map(|node| sim.node(node)).collect();
    let ids: BTreeSet<_> = running.iter().map(|node| node.own().id).collect();
    let views = running.iter().map(|node| {
        let live = node.members().iter().filter(|member| member.status().is_live());
        let listed: BTreeSet<_> = live.map(|member| member.id()).collect();
        assert!(listed.is_subset(&ids), "{} lists someone who does not run", node.own().id);
        listed.len()
    });
    views.collect()
}

#[test]
fn boards_in_a_cluster_of_80_have_partial_views_of_live_members() {
    for seed in 0..3 {
        let mut sim = simulation(Scenario { esp01: 72, ..scenario(80, seed) });
        sim.run_until(secs(60));
        let views = live_rows(&sim);
        assert!(views[..72].iter().all(|rows| *rows == ROWS), "seed {seed}: {views:?}");
        assert!(views[72..].iter().all(|rows| *rows == 79), "seed {seed}: {views:?}");
    }
}

#[test]
fn the_dead_leave_partial_views_and_others_take_their_rows() {
    for seed in 0..3 {
        let mut sim = simulation(Scenario { esp01: 72, ..scenario(80, seed) });
        sim.run_until(secs(60));
        for node in 0..10 {
            sim.apply(Command::Kill(node)).expect("it exists");
        }
        sim.run_for(secs(60));
        let views = live_rows(&sim);
        let least = views.iter().min().copied();
        println!("seed {seed}: a board lists at least {least:?} of 69 others as live");
        assert!(least >= Some(ROWS - 10), "seed {seed}: {views:?}");
    }
}
