//! More nodes than a board can list.

use crate::{scenario, secs, simulation};
use spore_sim::{Command, Scenario, Simulation};
use std::collections::BTreeSet;
use std::time::Duration;

/// How many members an ESP-01 lists besides itself.
const ROWS: usize = 63;

/// In a partial view a dead member is told of by others only if they list it too; at worst it is
/// found by the second of two rounds of probes, and has its time as a suspect then.
const DEATHS_FOUND: Duration = Duration::from_secs(150);

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
    for seed in 0..2 {
        let mut sim = simulation(Scenario { esp01: 72, ..scenario(80, seed) });
        sim.run_until(secs(30));
        let views = live_rows(&sim);
        assert!(views[..72].iter().all(|rows| *rows == ROWS), "seed {seed}: {views:?}");
        assert!(views[72..].iter().all(|rows| *rows == 79), "seed {seed}: {views:?}");
    }
}

#[test]
fn the_dead_leave_partial_views_and_others_take_their_rows() {
    for seed in 0..2 {
        let mut sim = simulation(Scenario { esp01: 72, ..scenario(80, seed) });
        sim.run_until(secs(30));
        for node in 0..10 {
            sim.apply(Command::Kill(node)).expect("it exists");
        }
        sim.run_for(DEATHS_FOUND);
        let views = live_rows(&sim);
        let least = views.iter().min().copied();
        // The rows of the dead went to living ones that had none.
        assert_eq!(least, Some(ROWS), "seed {seed}: {views:?}");
    }
}

#[test]
fn a_cluster_larger_than_its_boards_lists_is_as_quiet_as_any() {
    let mut sim = simulation(Scenario { esp01: 80, ..scenario(80, 1) });
    sim.run_until(secs(30));
    sim.clear_counters();
    sim.run_for(secs(30));
    let total = sim.report().total();
    let (sent, bytes) = (total.per_second(total.sent), total.per_second(total.sent_bytes));
    println!(
        "80 boards with lists for 64: a node sends {sent:.2} datagrams, {bytes:.0} bytes a second"
    );
    assert!(sent <= 10.0 && bytes <= 2_000.0);
}

#[test]
fn leaving_works_with_full_lists() {
    let mut sim = simulation(Scenario { esp01: 80, ..scenario(80, 1) });
    sim.run_until(secs(30));
    sim.clear_counters();
    let leaver = sim.node(79).expect("it runs").own().id;
    sim.apply(Command::Leave(79)).expect("it exists");
    sim.run_for(secs(20));
    assert!(sim.node(79).is_none(), "it has left");
    let live = (0..79).filter_map(|node| sim.node(node)).filter(|node| {
        let row = node.members().iter().find(|member| member.id() == leaver);
        row.is_some_and(|row| row.status().is_live())
    });
    assert_eq!(live.count(), 0, "all who list it know that it has left");
    assert_eq!(sim.report().false_deaths, [], "leaving");
}
