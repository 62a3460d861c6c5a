//! Whoever can be reached through others is not taken for dead.

use crate::{lossy, promise, scenario, secs, whole};
use spore_sim::{Command, Scenario, Simulation};
use std::time::Duration;

/// A cluster in which each node of `cut` does not reach the next one.
fn cut(nodes: usize, loss: f64, seed: u64, cut: &[usize]) -> Simulation {
    let mut sim = whole(Scenario { conditions: lossy(loss), ..scenario(nodes, seed) }, secs(60));
    // The news of the start has spread.
    sim.run_for(secs(10));
    for &node in cut {
        let (from, to) = (vec![node], vec![(node + 1) % nodes]);
        sim.apply(Command::Block { from, to }).expect("they exist");
    }
    sim.clear_counters();
    sim
}

/// Lets it run, and returns how many false deaths and suspicions there were.
fn alarms(sim: &mut Simulation, span: Duration, what: &str) -> (usize, u64) {
    sim.run_for(span);
    let report = sim.report();
    let alarms = (report.false_deaths.len(), report.false_suspicions);
    println!("{what}: {} false deaths, {} suspicions noted in {span:?}", alarms.0, alarms.1);
    alarms
}

#[test]
fn a_member_that_one_other_cannot_reach_is_not_even_suspected() {
    for seed in 0..2 {
        // 0 does not reach 1, which does not hear it; 4 does not reach 5, nor 5 6.
        let mut sim = cut(8, 0.0, seed, &[0, 4, 5]);
        let alarms = alarms(&mut sim, secs(1_200), "three links cut one way, N=8");
        assert_eq!(alarms, (0, 0), "seed {seed}");
        assert!(sim.is_complete(), "seed {seed}");
    }
}

#[test]
fn one_way_cuts_kill_nobody_under_loss() {
    for seed in 0..2 {
        let mut sim = cut(16, 0.05, seed, &[0, 2, 4, 6, 8, 10, 12, 14]);
        let (deaths, _) = alarms(&mut sim, secs(600), "half of all cut at 5 % loss, N=16");
        assert_eq!(deaths, 0, "seed {seed}");
    }
}

#[test]
#[ignore = "takes minutes"]
fn one_way_cuts_kill_nobody_in_4_hours_20_seeds_long() {
    for loss in [0.0, 0.05, 0.1] {
        let (mut deaths, mut suspicions) = (0, 0);
        for seed in 0..20 {
            let mut sim = cut(32, loss, seed, &[0, 1, 2, 10, 20, 21, 31]);
            sim.run_for(secs(4 * 3_600));
            deaths += sim.report().false_deaths.len();
            suspicions += sim.report().false_suspicions;
        }
        println!(
            "seven links cut one way at {loss} loss, N=32, 20 times 4 h: {deaths} false deaths, \
             {suspicions} suspicions noted"
        );
        promise("C4", &[(&format!("deaths_{:.0}", loss * 100.0), deaths as f64)]);
        assert_eq!(deaths, 0, "at {loss} loss");
    }
}

/// Node 0 is heard by node 1 alone, and hears all; or it is heard by all, and hears node 1 alone.
fn by_a_thread(sim: &mut Simulation, mute: bool) {
    let rest: Vec<_> = (2..8).collect();
    let (from, to) = if mute { (vec![0], rest) } else { (rest, vec![0]) };
    sim.apply(Command::Block { from, to }).expect("they exist");
}

#[test]
fn one_that_a_single_other_reaches_does_not_die() {
    for seed in 0..3 {
        for mute in [false, true] {
            let mut sim = cut(8, 0.0, seed, &[]);
            by_a_thread(&mut sim, mute);
            let (deaths, _) = alarms(&mut sim, secs(300), "reached by one alone, N=8");
            assert_eq!(deaths, 0, "seed {seed}, mute {mute}");
        }
    }
}

#[test]
fn whoever_really_dies_is_dead_for_all_while_links_are_cut() {
    for seed in 0..5 {
        let mut sim = cut(8, 0.0, seed, &[0, 4, 5]);
        sim.run_for(secs(5));
        sim.apply(Command::Kill(3)).expect("it exists");
        sim.run_for(secs(15));
        let dead = sim.report().last_life(3).and_then(|life| life.dead_after());
        assert!(dead.is_some(), "seed {seed}");
        assert_eq!(sim.report().false_deaths, [], "seed {seed}");
    }
}
