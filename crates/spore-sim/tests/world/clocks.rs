//! No node relies on another one's clock, nor on a good one of its own.

use crate::{heals, lossy, promise, scenario, secs, whole};
use spore_sim::scenario::Clocks;
use spore_sim::{Command, Memory, Scenario};

#[test]
fn a_drift_of_5_percent_either_way_changes_nothing_that_matters() {
    let mut longest = None;
    for seed in 0..5 {
        let clocks = Clocks { drift_ppm: 50_000, ..Clocks::default() };
        let conditions = lossy(0.05);
        let mut sim = whole(Scenario { clocks, conditions, ..scenario(32, seed) }, secs(60));
        sim.run_for(secs(120));
        assert_eq!(sim.report().false_deaths, [], "seed {seed}");
        sim.apply(Command::Kill(0)).expect("it exists");
        sim.run_for(secs(25));
        let dead = sim.report().last_life(0).and_then(|life| life.dead_after());
        assert!(dead.is_some_and(|dead| dead <= secs(20)), "seed {seed}: {dead:?}");
        sim.apply(Command::Restart(1, Memory::Lost)).expect("it exists");
        sim.apply(Command::Start(0)).expect("it exists");
        heals(&mut sim, secs(60), &format!("seed {seed}"));
        longest = longest.max(dead);
    }
    let longest = longest.expect("there are seeds").as_secs_f64();
    promise("C5", &[("seeds", 5.0), ("false_deaths", 0.0), ("death_max", longest)]);
}

#[test]
fn clocks_may_start_anywhere() {
    for seed in 0..5 {
        // Up to some years, so that a counter of 32-bit milliseconds has wrapped often.
        let clocks = Clocks { offset: secs(8 * 365 * 24 * 3600), ..Clocks::default() };
        let mut sim = whole(Scenario { clocks, ..scenario(8, seed) }, secs(20));
        sim.run_for(secs(120));
        assert!(sim.is_complete(), "seed {seed}");
    }
}

#[test]
fn a_clock_that_jumps_forward_makes_nobody_look_dead() {
    for seed in 0..3 {
        let mut sim = whole(Scenario { conditions: lossy(0.05), ..scenario(16, seed) }, secs(60));
        sim.run_for(secs(5));
        sim.clear_counters();
        for round in 0..20 {
            // From half a second to a day, at any node.
            let span = [secs(1) / 2, secs(7), secs(60), secs(3_600), secs(86_400)][round % 5];
            sim.apply(Command::StepClock(round * 5 % 16, span)).expect("it exists");
            sim.run_for(secs(10));
        }
        assert_eq!(sim.report().false_deaths, [], "seed {seed}");
        assert!(sim.is_complete(), "seed {seed}");
    }
}
