//! Events arrive: promise E1.
//!
//! In every world the simulator itself watches that no node delivers an event twice in one boot or
//! out of its publisher's order, and that it reports all that it leaves out: see
//! [`ledger`](spore_sim::ledger).

use crate::{lossy, scenario, secs, whole};
use fastrand::Rng;
use spore_core::PublishError;
use spore_sim::ledger::Tally;
use spore_sim::scenario::{Conditions, Publication};
use spore_sim::{Scenario, Simulation, Spread};
use std::time::Duration;

/// Two a second, on average.
const MEAN: Duration = Duration::from_millis(500);

fn publication(rng: &mut Rng) -> Publication {
    let topic = format!("room/{}/state", rng.u8(..20));
    // Mostly short; now and then the longest there is.
    let len = if rng.u8(..16) == 0 { 256 } else { rng.usize(..64) };
    Publication { topic, payload: vec![rng.u8(..); len], retained: rng.u8(..8) == 0 }
}

/// What was refused, of how many.
#[derive(Debug, Default)]
struct Refused {
    published: u32,
    refused: u32,
}

/// Lets random nodes publish, at random times, [`MEAN`] apart from each other.
fn publish_for(sim: &mut Simulation, span: Duration, rng: &mut Rng) -> Refused {
    let (end, mut refused) = (sim.now() + span, Refused::default());
    let nodes = sim.report().traffic.len();
    loop {
        let pause = MEAN.mul_f64(-(1.0 - rng.f64()).ln());
        if sim.now() + pause >= end {
            sim.run_until(end);
            return refused;
        }
        sim.run_for(pause);
        match sim.publish(rng.usize(..nodes), &publication(rng)) {
            Some(Ok(())) => refused.published += 1,
            Some(Err(PublishError::TooMany)) => refused.refused += 1,
            // It starts, or is not there.
            Some(Err(_)) | None => (),
        }
    }
}

fn mixed(nodes: usize, seed: u64, conditions: Conditions) -> Simulation {
    let esp01 = nodes / 2;
    whole(Scenario { conditions, esp01, ..scenario(nodes, seed) }, secs(60))
}

/// Ten minutes of events in a cluster that is whole; what became of all but the last ones.
fn steady(seed: u64, span: Duration, conditions: Conditions) -> (Tally, Refused) {
    let mut sim = mixed(32, seed, conditions);
    sim.run_for(secs(5));
    let start = sim.now();
    let mut rng = Rng::with_seed(seed);
    let refused = publish_for(&mut sim, span, &mut rng);
    let end = sim.now();
    sim.run_for(secs(30));
    let tally = sim.ledger().tally(start, end);
    assert!(sim.ledger().receivers().iter().all(|receiver| receiver.lost == 0), "seed {seed}");
    (tally, refused)
}

fn sweep(seeds: std::ops::Range<u64>, span: Duration, loss: f64) -> Spread {
    let count = seeds.end - seeds.start;
    let (mut all, mut refusals) = (Tally::default(), Refused::default());
    for seed in seeds {
        let (tally, Refused { published, refused }) = steady(seed, span, lossy(loss));
        all.published += tally.published;
        all.delivered += tally.delivered;
        all.missed += tally.missed;
        all.open += tally.open;
        all.latencies.extend(tally.latencies);
        refusals.published += published;
        refusals.refused += refused;
    }
    let Tally { published, delivered, missed, open, latencies } = all;
    let spread = Spread::of(latencies).expect("events were delivered");
    println!(
        "E1 at {loss} loss, N=32, {count} worlds: {published} events published, {} refused, \
         {delivered} deliveries, {missed} missed and reported, {open} open; latency {spread}",
        refusals.refused
    );
    assert_eq!(open, 0, "neither delivered nor reported");
    let all = (delivered + missed) as f64;
    assert!(missed as f64 <= all * 1e-4, "{missed} of {all} missed");
    spread
}

#[test]
fn every_event_arrives_once_in_order_and_soon() {
    assert!(sweep(0..2, secs(120), 0.1).p99 < secs(3));
}

#[test]
#[ignore = "takes many minutes"]
fn every_event_arrives_once_in_order_and_soon_long() {
    assert!(sweep(0..1_000, secs(120), 0.1).p99 < secs(3));
}
