//! Events arrive: promise E1.
//!
//! In every world the simulator itself watches that no node delivers an event twice in one boot or
//! out of its publisher's order, and that it reports all that it leaves out: see
//! [`ledger`](spore_sim::ledger).

use crate::{heals, is_chosen, lossy, promise, scenario, secs, whole};
use fastrand::Rng;
use spore_core::wire::EventKey;
use spore_core::{Filter, PublishError};
use spore_sim::ledger::Tally;
use spore_sim::network::{Corruption, Duplication, Latency};
use spore_sim::scenario::{Clocks, Conditions, Publication};
use spore_sim::{Command, Memory, Scenario, Simulation, Spread};
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
    promise(
        "E1",
        &[
            ("deliveries", delivered as f64),
            ("missed", missed as f64),
            ("unreported", open as f64),
            (&format!("p99_{:.0}", loss * 100.0), spread.p99.as_secs_f64()),
            ("max", spread.max.as_secs_f64()),
        ],
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
fn at_30_percent_loss_events_take_longer_and_none_is_lost_silently() {
    assert!(sweep(0..2, secs(120), 0.3).p99 < secs(4));
}

#[test]
#[ignore = "takes many minutes"]
fn every_event_arrives_once_in_order_and_soon_long() {
    assert!(sweep(0..1_000, secs(120), 0.1).p99 < secs(3));
}

#[test]
fn what_bursts_on_all_nodes_at_once_push_out_is_reported() {
    let (mut delivered, mut missed) = (0, 0);
    for seed in 0..6 {
        let mut sim = mixed(32, seed, lossy(0.1));
        sim.run_for(secs(5));
        let (start, mut rng) = (sim.now(), Rng::with_seed(seed));
        for _ in 0..4 {
            // Nobody knows of the others yet: each of them has room for a few, mostly.
            for node in 0..32 {
                for _ in 0..rng.usize(..4) {
                    let _ = sim.publish(node, &publication(&mut rng));
                }
            }
            sim.run_for(secs(rng.u64(5..20)));
        }
        let end = sim.now();
        agree(&mut sim, secs(30));
        sim.run_for(secs(90));
        let tally = sim.ledger().tally(start, end);
        assert_eq!(tally.open, 0, "seed {seed}: neither delivered nor reported");
        (delivered, missed) = (delivered + tally.delivered, missed + tally.missed);
    }
    println!(
        "bursts of about 48 events on 32 nodes: {delivered} delivered, {missed} missed and reported"
    );
    assert!(delivered > 0 && missed > delivered / 4);
}

#[test]
fn on_bad_air_and_with_bad_clocks_order_is_kept_and_nothing_is_lost_silently() {
    let (base, mean) = (Duration::from_millis(2), Duration::from_millis(150));
    for seed in 0..3 {
        let conditions = Conditions {
            latency: Latency::Tail { base, mean },
            duplication: Duplication(0.2),
            corruption: Corruption(0.05),
            ..lossy(0.2)
        };
        let clocks = Clocks { drift_ppm: 50_000, ..Clocks::default() };
        let world = Scenario { conditions, clocks, esp01: 8, ..scenario(16, seed) };
        let mut sim = whole(world, secs(60));
        sim.run_for(secs(5));
        let (start, mut rng) = (sim.now(), Rng::with_seed(seed));
        publish_for(&mut sim, secs(120), &mut rng);
        let end = sim.now();
        agree(&mut sim, secs(60));
        sim.run_for(secs(60));
        let Tally { delivered, missed, open, latencies, .. } = sim.ledger().tally(start, end);
        let spread = Spread::of(latencies).expect("events were delivered");
        println!("on bad air: {delivered} delivered, {missed} missed and reported; {spread}");
        assert_eq!(open, 0, "seed {seed}: neither delivered nor reported");
        assert!(missed * 1_000 <= delivered, "seed {seed}: {missed} missed");
    }
}

/// The keys of the cluster's events that a node has delivered and still has, in that order.
fn delivered(sim: &Simulation, node: usize) -> Vec<EventKey> {
    let node = sim.node(node).expect("it runs");
    let (mut after, mut keys) = (0, Vec::new());
    while let Some(delivery) = node.next_event(after, Filter::ALL) {
        after = delivery.seq;
        keys.extend(delivery.key);
    }
    keys
}

/// Whether all nodes that run have the same window.
fn windows_are_equal(sim: &Simulation) -> bool {
    let nodes = 0..sim.report().traffic.len();
    let mut digests = nodes.filter_map(|node| sim.node(node)).map(|node| node.window_digest());
    let first = digests.next();
    digests.all(|digest| Some(digest) == first)
}

/// Runs on until all windows are equal. Returns how long it took.
#[track_caller]
fn agree(sim: &mut Simulation, limit: Duration) -> Duration {
    let (start, seed) = (sim.now(), sim.report().log_hash);
    while !windows_are_equal(sim) {
        assert!(sim.now() < start + limit, "windows differ after {limit:?}; log {seed:016x}");
        sim.run_for(Duration::from_millis(100));
    }
    sim.now() - start
}

#[test]
fn a_joiner_gets_the_window_in_order_and_soon() {
    let mut times = Vec::new();
    for seed in 0..10 {
        let nodes = 12;
        let script = vec![(secs(3_600), Command::Start(nodes - 1))];
        let (conditions, esp01) = (lossy(0.1), if seed % 2 == 0 { nodes } else { 0 });
        let world = Scenario { conditions, esp01, script, ..scenario(nodes, seed) };
        let mut sim = whole(world, secs(60));
        let mut rng = Rng::with_seed(seed);
        publish_for(&mut sim, secs(60), &mut rng);
        agree(&mut sim, secs(30));
        let window = delivered(&sim, 0);
        sim.apply(Command::Start(nodes - 1)).expect("it exists");
        let start = sim.now();
        while delivered(&sim, nodes - 1).len() < window.len() {
            assert!(sim.now() < start + secs(20), "seed {seed}");
            sim.run_for(Duration::from_millis(50));
        }
        times.push(sim.now() - start);
        let mut sorted = window.clone();
        sorted.sort_unstable();
        assert_eq!(delivered(&sim, nodes - 1), sorted, "seed {seed}: the oldest first");
        // Of each publisher it says what it has missed, and no more.
        sim.run_for(secs(60));
        let joiner = sim.ledger().receivers().last().expect("it has started");
        assert_eq!((joiner.node, joiner.lost), (nodes - 1, 0));
    }
    println!("a joiner of 12 at 0.1 loss has the window after {}", Spread::of(times).unwrap());
}

/// What became of events that somebody else than their publisher has got, in all lives that were
/// there in time, and long enough to say so.
#[derive(Debug, Default)]
struct Heard {
    delivered: usize,
    missed: usize,
    /// Neither, by a node that stood still until nobody could tell it of the event any more: see
    /// [`Publication::excused`](spore_sim::ledger::Publication::excused).
    excused: usize,
    open: usize,
}

fn heard_of(sim: &Simulation, from: Duration, to: Duration) -> Heard {
    let lives: Vec<_> = sim.ledger().receivers().iter().enumerate().collect();
    let mut heard = Heard::default();
    for publication in sim.ledger().publications() {
        if !(from..to).contains(&publication.at) || publication.delivered.len() < 2 {
            continue;
        }
        for (life, receiver) in &lives {
            let ended = receiver.ended.is_some_and(|ended| ended < publication.at + secs(40));
            if ended || receiver.started + secs(10) > publication.at {
            } else if publication.delivered.iter().any(|(other, _)| other == life) {
                heard.delivered += 1;
            } else if publication.missed.contains(life) {
                heard.missed += 1;
            } else if publication.excused.contains(life) {
                heard.excused += 1;
            } else {
                heard.open += 1;
            }
        }
    }
    heard
}

/// Kills and starts random nodes while events are published. Also returns how often.
fn kills(seed: u64, nodes: usize, span: Duration) -> (Heard, u32) {
    let mut sim = mixed(nodes, seed, lossy(0.1));
    let (mut rng, start, mut kills) = (Rng::with_seed(seed), sim.now(), 0);
    while sim.now() < start + span {
        let node = rng.usize(..nodes);
        match rng.u8(..4) {
            0 => sim.apply(Command::Kill(node)),
            1 => sim.apply(Command::Restart(node, Memory::Kept)),
            2 => sim.apply(Command::Stall(node, Duration::from_millis(rng.u64(..8_000)))),
            _ => Ok(()),
        }
        .expect("it exists");
        kills += 1;
        publish_for(&mut sim, Duration::from_millis(rng.u64(..5_000)), &mut rng);
        for node in 0..nodes {
            if rng.bool() {
                sim.apply(Command::Start(node)).expect("it exists");
            }
        }
    }
    let end = sim.now();
    (0..nodes).for_each(|node| sim.apply(Command::Start(node)).expect("it exists"));
    heals(&mut sim, secs(60), "after the kills");
    agree(&mut sim, secs(30));
    sim.run_for(secs(60));
    (heard_of(&sim, start, end), kills)
}

fn kill_many(seeds: std::ops::Range<u64>, nodes: usize, span: Duration) {
    let seeds: Vec<_> = seeds.filter(|seed| is_chosen(*seed)).collect();
    let (mut all, mut killed, count) = (Heard::default(), 0, seeds.len());
    for seed in seeds {
        let (heard, kills) = self::kills(seed, nodes, span);
        if heard.excused + heard.open > 0 {
            println!("seed {seed}: {heard:?}");
        }
        all.delivered += heard.delivered;
        all.missed += heard.missed;
        all.excused += heard.excused;
        all.open += heard.open;
        killed += kills;
    }
    let Heard { delivered, missed, excused, open } = all;
    println!(
        "E1 with {killed} kills, restarts and stalls, 0.1 loss, N={nodes}, {count} worlds of {span:?}: \
         {delivered} deliveries, {missed} missed and reported, 0 twice, {open} gaps unreported, and \
         {excused} of nodes that stood still until nobody could tell them"
    );
    promise(
        "E1",
        &[
            ("disturbances", killed.into()),
            ("deliveries", delivered as f64),
            ("missed", missed as f64),
            ("twice", 0.0),
            ("unreported", open as f64),
            ("excused", excused as f64),
        ],
    );
    assert_eq!(open, 0, "neither delivered nor reported");
    assert!(excused * 10_000 <= delivered, "{excused} excused of {delivered}");
}

#[test]
fn whoever_is_killed_no_event_comes_twice_and_every_gap_is_reported() {
    kill_many(0..2, 12, secs(600));
}

#[test]
#[ignore = "takes many minutes"]
fn whoever_is_killed_no_event_comes_twice_and_every_gap_is_reported_long() {
    kill_many(0..200, 12, secs(600));
}

#[test]
fn after_a_split_windows_are_equal_again_and_what_was_missed_is_reported() {
    let (mut missed, mut times) = (0, Vec::new());
    for seed in 0..4 {
        let mut sim = mixed(16, seed, lossy(0.1));
        let mut rng = Rng::with_seed(seed);
        publish_for(&mut sim, secs(20), &mut rng);
        let start = sim.now();
        sim.apply(Command::Isolate((0..5).collect())).expect("they exist");
        publish_for(&mut sim, secs(60), &mut rng);
        let end = sim.now();
        sim.apply(Command::Heal).expect("always");
        heals(&mut sim, secs(60), "after the split");
        times.push(agree(&mut sim, secs(30)));
        sim.run_for(secs(120));
        let tally = sim.ledger().tally(start, end);
        assert_eq!(tally.open, 0, "seed {seed}: neither delivered nor reported");
        missed += tally.missed;
    }
    println!(
        "after splits of 60 s windows are equal {} after the views; {missed} missed and reported",
        Spread::of(times).expect("there were splits")
    );
    assert!(missed > 0, "more was published than a window holds");
}

#[test]
fn at_rest_windows_that_are_full_cost_nothing() {
    let mut sim = mixed(32, 1, lossy(0.0));
    let mut rng = Rng::with_seed(1);
    let rate = |sim: &Simulation| {
        let total = sim.report().total();
        (total.per_second(total.sent), total.per_second(total.sent_bytes))
    };
    sim.run_for(secs(30));
    sim.clear_counters();
    sim.run_for(secs(120));
    let before = rate(&sim);
    sim.clear_counters();
    publish_for(&mut sim, secs(120), &mut rng);
    let busy = rate(&sim);
    agree(&mut sim, secs(30));
    sim.run_for(secs(10));
    sim.clear_counters();
    sim.run_for(secs(120));
    let after = rate(&sim);
    println!(
        "N=32, a node sends a second: {:.2} datagrams and {:.0} bytes before the first event, \
         {:.2} and {:.0} while 2 events a second are published, {:.2} and {:.0} afterwards",
        before.0, before.1, busy.0, busy.1, after.0, after.1
    );
    assert!((after.0 - before.0).abs() < 0.1 && (after.1 - before.1).abs() < 20.0);
}
