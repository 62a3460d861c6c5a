//! Anything may fail, and then a core must converge.

use crate::{is_chosen, promise};
use spore_sim::Spread;
use spore_sim::trial::{Outcome, Trial, vopr};

fn run(seed: u64) -> Outcome {
    let plan = vopr(seed);
    let trial = Trial::new(&plan, seed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let outcome = trial.run();
    assert!(outcome.failures.is_empty(), "seed {seed}: {:?}", outcome.failures);
    outcome
}

fn sweep(seeds: u64) {
    let outcomes: Vec<_> = (0..seeds).filter(|seed| is_chosen(*seed)).map(run).collect();
    let core = Spread::of(outcomes.iter().filter_map(|it| it.core)).expect("there are seeds");
    let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    println!(
        "vopr: {} worlds with {} kills, {} stalls, {} cuts, {} clock steps, {} attempts without a key, {} events: \
         0 violations; a core agreed after {core}",
        outcomes.len(),
        sum(|it| it.tally.kills),
        sum(|it| it.tally.stalls),
        sum(|it| it.tally.cuts),
        sum(|it| it.tally.steps),
        sum(|it| it.tally.junk),
        sum(|it| it.tally.published),
    );
    let [p99, max] = [core.p99, core.max].map(|span| span.as_secs_f64());
    let worlds = outcomes.len() as f64;
    promise("C4", &[("worlds", worlds), ("violations", 0.0), ("p99", p99), ("max", max)]);
}

/// Ten seeds, and the hashes of their logs.
const HASHES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/world/replays.txt");
const TEN: std::ops::Range<u64> = 0..10;

#[test]
fn ten_seeds_hold_all_promises_and_have_the_hashes_that_are_checked_in() {
    let line = |seed: u64| format!("{seed} {:016x}\n", run(seed).report.log_hash);
    let lines: String = TEN.map(line).collect();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(HASHES, &lines).expect("it can be written");
    }
    let checked_in = std::fs::read_to_string(HASHES).expect("it is there");
    let same = lines.lines().zip(checked_in.lines()).filter(|(a, b)| a == b).count();
    promise("C6", &[("replayed", same as f64)]);
    assert_eq!(
        lines, checked_in,
        "something is done differently than when these hashes were written; if it should be, \
         BLESS=1 cargo test -p spore-sim --test world ten_seeds writes them anew"
    );
}

#[test]
#[ignore = "takes minutes"]
fn a_random_core_converges_whatever_befalls_it_and_the_others_1000_seeds_long() {
    sweep(1_000);
}
