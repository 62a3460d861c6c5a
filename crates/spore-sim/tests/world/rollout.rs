//! Rollouts: a good image reaches all, in its order; a bad one never gets past the canary.

use crate::{is_chosen, lossy, promise, scenario, secs, whole};
use ed25519_dalek::{Signer as _, SigningKey};
use fastrand::Rng;
use spore_core::NodeId;
use spore_core::api::{Method, Request};
use spore_core::ota::announcement::Ended;
use spore_core::ota::plan::{Image, Plan, RolloutId, SignedPlan};
use spore_core::security::ReleaseKey;
use spore_core::security::request::{self, Credentials, Signed};
use spore_sim::scenario::{Fleet, Nature, Work};
use spore_sim::{Command, Memory, Scenario, Simulation, images};
use std::collections::BTreeSet;
use std::time::Duration;

const NODES: usize = 10;
const OLD: u32 = 1;
pub(crate) const NEW: u32 = 2;
const GATE: u16 = 20;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[5; 32])
}

pub(crate) fn fleet(nature: Nature) -> Fleet {
    let release_key = ReleaseKey(key().verifying_key().to_bytes());
    let images = vec![(NEW, nature), (NEW + 1, Nature::Good)];
    Fleet { release_key, first: OLD, images, work: Work::NONE }
}

fn world(nature: Nature, seed: u64) -> Scenario {
    let fleet = Some(fleet(nature));
    Scenario { fleet, conditions: lossy(0.05), ..scenario(NODES, seed) }
}

fn id(sim: &Simulation, node: usize) -> NodeId {
    sim.node(node).expect("it runs").own().id
}

/// A plan for image `sequence`, whose one canary is `canary`.
pub(crate) fn plan(number: u32, sequence: u32, canary: NodeId) -> Plan {
    let mut board = [0; Image::BOARD];
    board[..images::BOARD.len()].copy_from_slice(images::BOARD.as_bytes());
    let image = Image { board, sequence, digest: images::id(sequence) };
    Plan {
        id: RolloutId { number, random: 7 },
        images: [image].into_iter().collect(),
        canaries: [canary].into_iter().collect(),
        waves: [30, 100].into_iter().collect(),
        gate: GATE,
        max_failures: 1,
        expiry: 24,
        catches_up: true,
    }
}

pub(crate) fn signed(plan: Plan) -> SignedPlan {
    let mut message = [0; Plan::MESSAGE];
    let len = plan.message(&mut message);
    SignedPlan { signature: key().sign(&message[..len]).to_bytes(), plan }
}

/// A request as the operator signs it; the status of the answer.
fn ask(sim: &mut Simulation, node: usize, method: Method, body: &[u8]) -> u16 {
    let (_, nonce) = sim.get(node, "/api/auth/nonce").expect("it runs");
    let nonce = nonce.split('"').nth(3).and_then(|nonce| nonce.parse().ok()).expect("a nonce");
    let (path, name) = ("/api/cluster/update", method.name());
    let signed = Signed { method: name, path, query: "", nonce, body };
    let mac = request::SigningKey::derive(sim.key()).sign(&signed);
    let field = Credentials { nonce, mac }.to_string();
    let request = Request { authorization: Some(&field), body, ..Request::new(method, path) };
    sim.request(node, &request).expect("it runs").0
}

pub(crate) fn begin(sim: &mut Simulation, node: usize, signed: &SignedPlan) -> u16 {
    let mut bytes = [0; SignedPlan::MAX];
    let len = signed.encode(&mut bytes);
    ask(sim, node, Method::Post, &bytes[..len])
}

/// A whole cluster in which node 0 holds the new image; with the plan whose canary is node 1.
fn ready(scenario: Scenario) -> (Simulation, Plan) {
    let mut sim = whole(scenario, secs(120));
    sim.hold_image(0, &images::container(NEW));
    let plan = plan(1, NEW, id(&sim, 1));
    (sim, plan)
}

fn runs(sim: &Simulation, node: usize) -> u32 {
    *sim.started_images(node).last().expect("it was started")
}

fn ended(sim: &Simulation, node: usize) -> Option<Ended> {
    sim.node(node)?.rollout().map(|told| told.ended)
}

/// Runs until `done`, looking twice a second; how long that took.
#[track_caller]
fn until(
    sim: &mut Simulation,
    limit: Duration,
    what: &str,
    mut done: impl FnMut(&Simulation) -> bool,
) -> Duration {
    let start = sim.now();
    while !done(sim) {
        assert!(sim.now() - start < limit, "{what}: not after {limit:?}");
        sim.run_for(Duration::from_millis(500));
    }
    sim.now() - start
}

#[test]
fn a_good_image_reaches_all_nodes_the_canary_first_and_then_in_waves() {
    for seed in 0..3 {
        let (mut sim, plan) = ready(world(Nature::Good, seed));
        let waves: Vec<u8> = (0..NODES).map(|node| plan.wave(id(&sim, node))).collect();
        assert_eq!(begin(&mut sim, 2, &signed(plan)), 200);
        let mut order = Vec::new();
        let all = until(&mut sim, secs(600), &format!("seed {seed}"), |sim| {
            let new: Vec<_> = (0..NODES).filter(|node| runs(sim, *node) == NEW).collect();
            let began = sim.now();
            order.extend(
                new.into_iter()
                    .filter(|node| !order.iter().any(|(other, _)| other == node))
                    .map(|node| (node, began))
                    .collect::<Vec<_>>(),
            );
            order.len() == NODES
        });
        assert_eq!(order[0].0, 1, "seed {seed}: the canary comes first: {order:?}");
        for pair in order.windows(2) {
            let [(before, at), (after, then)] = [pair[0], pair[1]];
            assert!(waves[before] <= waves[after], "seed {seed}: {order:?}, {waves:?}");
            // A trial takes ten seconds at least.
            let apart =
                waves[before] == waves[after] || then - at >= secs(10 + u64::from(GATE)) - secs(1);
            assert!(apart, "seed {seed}: {order:?}");
        }
        sim.run_for(secs(30));
        let (status, state) = sim.get(3, "/api/cluster/update").expect("it runs");
        assert_eq!(status, 200);
        assert!(state.contains(&format!("\"updated\":{NODES},")), "seed {seed}: {state}");
        println!("seed {seed}: {NODES} nodes updated after {all:?}; waves {waves:?}");
    }
}

/// In a world with loss, and nodes that lose their power: no node but the canary ever starts the bad image.
fn bad(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let nature = if seed.is_multiple_of(4) { Nature::Deaf } else { Nature::Crashes };
    let (mut sim, plan) = ready(world(nature, seed));
    assert_eq!(begin(&mut sim, rng.usize(..NODES), &signed(plan)), 200);
    let end = sim.now() + secs(if nature == Nature::Deaf { 700 } else { 150 });
    while sim.now() < end {
        let node = rng.usize(..NODES);
        sim.apply(Command::Restart(node, Memory::Kept)).expect("it exists");
        sim.run_for(Duration::from_millis(rng.u64(..20_000)));
    }
    sim.run_for(secs(30));
    for node in 0..NODES {
        let started = sim.started_images(node);
        assert!(
            node == 1 || started.iter().all(|image| *image == OLD),
            "seed {seed}: {node}: {started:?}"
        );
        assert_eq!(started.last(), Some(&OLD), "seed {seed}: node {node} has not gone back");
        assert_eq!(ended(&sim, node), Some(Ended::Halted), "seed {seed}: node {node}");
    }
    // It is started three times at most, and fewer if it gives up itself.
    let canary = sim.started_images(1);
    let tries = canary.iter().filter(|image| **image == NEW).count();
    assert!((1..=3).contains(&tries), "seed {seed}: {canary:?}");
    let (_, state) = sim.get(0, "/api/cluster/update").expect("it runs");
    let told = ["\"failed\":1,", "\"rolled_back\":1,"].iter().filter(|it| state.contains(**it));
    assert_eq!(told.count(), 1, "seed {seed}: {state}");
}

#[test]
fn a_bad_image_never_gets_past_the_canary() {
    sweep_of_bad(20);
}

fn sweep_of_bad(seeds: u64) {
    let seeds: Vec<u64> = (0..seeds).filter(|seed| is_chosen(*seed)).collect();
    seeds.iter().for_each(|seed| bad(*seed));
    promise("O6", &[("worlds", seeds.len() as f64), ("past", 0.0)]);
}

#[test]
#[ignore = "takes minutes"]
fn a_bad_image_never_gets_past_the_canary_long() {
    sweep_of_bad(1_000);
}

/// Has the canary of a small cluster try an image of this nature; how often that was started, and when after its first start the
/// old image ran again.
fn tried(nature: Nature, seed: u64) -> (usize, Duration) {
    let (mut sim, plan) = ready(Scenario { nodes: 4, ..world(nature, seed) });
    let what = format!("seed {seed}, {nature:?}");
    assert_eq!(begin(&mut sim, 2, &signed(plan)), 200, "{what}");
    let tries =
        |sim: &Simulation| sim.started_images(1).iter().filter(|image| **image == NEW).count();
    until(&mut sim, secs(120), &format!("{what}: it is tried"), |sim| tries(sim) > 0);
    let back =
        until(&mut sim, secs(320), &format!("{what}: it is gone"), |sim| runs(sim, 1) == OLD);
    let starts = tries(&sim);
    sim.run_for(secs(60));
    assert_eq!((runs(&sim, 1), tries(&sim)), (OLD, starts), "{what}: it came back");
    let (_, state) = sim.get(1, "/api/node/update").expect("it runs");
    let quarantined = format!("\"quarantined\":{NEW},");
    assert!(state.contains(&quarantined) && state.contains("rolled_back"), "{what}: {state}");
    (starts, back)
}

/// Images that never confirm themselves, that hang, and that crash, in turn.
fn bad_images_go(seeds: impl Iterator<Item = u64>) {
    let natures = [Nature::Deaf, Nature::Hangs, Nature::Crashes];
    let mut worst = [(0, Duration::ZERO); 3];
    let mut worlds = 0_u32;
    for seed in seeds {
        let kind = (seed % 3) as usize;
        let (starts, back) = tried(natures[kind], seed);
        assert!((1..=3).contains(&starts), "seed {seed}: started {starts} times");
        worst[kind] = (worst[kind].0.max(starts), worst[kind].1.max(back));
        worlds += 1;
    }
    let [deaf, hangs, crashes] = worst.map(|(_, back)| back.as_secs_f64());
    let starts = worst.iter().map(|(starts, _)| *starts).max().unwrap_or(0);
    promise(
        "O3",
        &[
            ("seeds", f64::from(worlds)),
            ("starts", starts as f64),
            ("deaf", deaf),
            ("hangs", hangs),
            ("crashes", crashes),
        ],
    );
}

#[test]
fn a_bad_image_is_gone_after_three_starts() {
    bad_images_go(0..6);
}

#[test]
#[ignore = "takes minutes"]
fn a_bad_image_is_gone_after_three_starts_1000_of_1000_seeds_long() {
    bad_images_go((0..1_000).filter(|seed| is_chosen(*seed)));
}

#[test]
fn a_halt_by_the_operator_halts_everywhere_and_for_good() {
    for seed in 0..3 {
        let (mut sim, plan) = ready(world(Nature::Good, seed));
        assert_eq!(begin(&mut sim, 2, &signed(plan)), 200);
        until(&mut sim, secs(60), "the canary has begun", |sim| runs(sim, 1) == NEW);
        assert_eq!(ask(&mut sim, 3, Method::Delete, b""), 200);
        let halted =
            |sim: &Simulation| (0..NODES).all(|node| ended(sim, node) == Some(Ended::Halted));
        let took = until(&mut sim, secs(60), &format!("seed {seed}: halted"), halted);
        println!("seed {seed}: halted everywhere after {took:?}");
        for node in 0..NODES {
            sim.apply(Command::Restart(node, Memory::Kept)).expect("it exists");
        }
        sim.run_for(secs(300));
        assert!(halted(&sim), "seed {seed}");
        let updated: BTreeSet<_> = (0..NODES).filter(|node| runs(&sim, *node) == NEW).collect();
        assert_eq!(
            updated,
            BTreeSet::from([1]),
            "seed {seed}: what is updated stays so, and nothing else"
        );
    }
}

#[test]
fn a_replayed_lower_or_forged_plan_changes_nothing() {
    let (mut sim, first) = ready(world(Nature::Good, 1));
    let canary = id(&sim, 1);
    let second = signed(plan(2, NEW, canary));
    assert_eq!(begin(&mut sim, 0, &second), 200);
    let all = |sim: &Simulation| (0..NODES).all(|node| runs(sim, node) == NEW);
    until(&mut sim, secs(600), "all are updated", all);
    sim.run_for(secs(30));
    let before: Vec<_> = (0..NODES).map(|node| sim.started_images(node).len()).collect();
    assert_eq!(begin(&mut sim, 4, &signed(first)), 409, "a lower one");
    assert_eq!(begin(&mut sim, 4, &second), 200, "the same again is no news");
    let reused = signed(Plan { gate: 0, ..second.plan.clone() });
    assert_eq!(begin(&mut sim, 4, &reused), 409, "an id is never used again");
    let forged = SignedPlan { plan: plan(9, NEW + 1, canary), ..second.clone() };
    assert_eq!(begin(&mut sim, 4, &forged), 403);
    sim.run_for(secs(60));
    for (node, starts) in before.into_iter().enumerate() {
        assert_eq!(sim.started_images(node).len(), starts, "node {node} has restarted");
        let told = sim.node(node).and_then(|node| node.rollout()).expect("it has heard");
        assert_eq!(told.signed, second, "node {node}");
    }
}

#[test]
fn a_node_that_was_away_catches_up_or_stays_out_as_the_plan_says() {
    for (catches_up, wanted) in [(true, NEW), (false, OLD)] {
        let (mut sim, plan) = ready(world(Nature::Good, 3));
        sim.apply(Command::Kill(5)).expect("it exists");
        sim.run_for(secs(20));
        assert_eq!(begin(&mut sim, 2, &signed(Plan { catches_up, ..plan })), 200);
        let others = |sim: &Simulation| (0..NODES).all(|node| node == 5 || runs(sim, node) == NEW);
        until(&mut sim, secs(600), "all others are updated", others);
        sim.run_for(secs(900));
        sim.apply(Command::Start(5)).expect("it exists");
        sim.run_for(secs(120));
        assert_eq!(runs(&sim, 5), wanted, "catches up: {catches_up}");
    }
}

/// One that has begun and is unplugged in the midst of it goes on after its return, whatever the plan says of late ones.
#[test]
fn a_node_that_loses_its_power_in_the_midst_finishes_after_its_return() {
    let (mut sim, plan) = ready(world(Nature::Good, 4));
    assert_eq!(begin(&mut sim, 2, &signed(Plan { catches_up: false, ..plan })), 200);
    until(&mut sim, secs(60), "it has heard", |sim| ended(sim, 5).is_some());
    sim.apply(Command::Kill(5)).expect("it exists");
    let others = |sim: &Simulation| (0..NODES).all(|node| node == 5 || runs(sim, node) == NEW);
    until(&mut sim, secs(600), "all others are updated", others);
    sim.run_for(secs(900));
    sim.apply(Command::Start(5)).expect("it exists");
    until(&mut sim, secs(120), "it finishes", |sim| runs(sim, 5) == NEW);
}
