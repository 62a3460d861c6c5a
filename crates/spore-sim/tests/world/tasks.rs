//! Clustered tasks: one member runs each, and another takes over.

use crate::{lossy, scenario, secs, whole};
use spore_core::api::{Method, Request};
use spore_core::security::request::{Credentials, Nonce, Signed, SigningKey};
use spore_core::tasks::{TaskKind, TaskSpec, Tasks};
use spore_sim::log::Entry;
use spore_sim::scenario::Conditions;
use spore_sim::{Command, Memory, Scenario, Simulation, Spread};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

const SECOND: spore_core::time::Duration = spore_core::time::Duration::from_secs(1);

static ALARM: &[TaskSpec] =
    &[match TaskSpec::new("alarm", "", TaskKind::Periodic { interval: SECOND }) {
        Ok(spec) => match spec.clustered() {
            Ok(spec) => spec,
            Err(_) => panic!("it is periodic"),
        },
        Err(_) => panic!("a task's name and interval"),
    }];

/// When which node began which run.
#[derive(Debug, Default)]
struct Runs(Vec<(Duration, usize)>, BTreeSet<String>);

impl Runs {
    /// How often each node ran the task from `start` to `end`.
    fn within(&self, start: Duration, end: Duration) -> BTreeMap<usize, usize> {
        let mut runners = BTreeMap::new();
        for (_, node) in self.0.iter().filter(|(at, _)| (start..end).contains(at)) {
            *runners.entry(*node).or_insert(0) += 1;
        }
        runners
    }

    fn last(&self) -> usize {
        self.0.last().expect("it has run").1
    }

    /// When one of `nodes` first ran it after `start`.
    fn first_of(&self, start: Duration, nodes: impl Fn(usize) -> bool) -> Option<Duration> {
        self.0.iter().find(|(at, node)| *at >= start && nodes(*node)).map(|(at, _)| *at)
    }
}

/// A cluster at rest in which everyone carries the alarm, and who has run it.
fn carriers(nodes: usize, seed: u64, conditions: Conditions) -> (Simulation, Rc<RefCell<Runs>>) {
    let tasks = Tasks::new(ALARM).expect("one task");
    let mut sim = whole(Scenario { tasks, conditions, ..scenario(nodes, seed) }, secs(60));
    let runs = watched(&mut sim);
    sim.run_for(secs(30));
    (sim, runs)
}

fn watched(sim: &mut Simulation) -> Rc<RefCell<Runs>> {
    let runs = Rc::new(RefCell::new(Runs::default()));
    let list = Rc::clone(&runs);
    sim.set_sink(Box::new(move |at, entry| {
        if let Entry::TaskBegan { node, run } = *entry {
            let Runs(runs, ids) = &mut *list.borrow_mut();
            runs.push((at, node));
            assert!(ids.insert(run.id.to_string()), "{} is there twice", run.id);
        }
    }));
    runs
}

/// Runs on for `span`: how often each node ran it.
fn runners(sim: &mut Simulation, runs: &RefCell<Runs>, span: Duration) -> BTreeMap<usize, usize> {
    let start = sim.now();
    sim.run_for(span);
    runs.borrow().within(start, sim.now())
}

/// Changes the task on a node, as an operator does.
fn patch(sim: &mut Simulation, node: usize, body: &str) {
    let path = "/api/tasks/alarm";
    let (_, nonce) = sim.get(node, "/api/auth/nonce").expect("it runs");
    let nonce: Nonce = nonce.split('"').nth(3).expect("a nonce").parse().expect("a nonce");
    let signed = Signed { method: "PATCH", path, query: "", nonce, body: body.as_bytes() };
    let mac = SigningKey::derive(sim.key()).sign(&signed);
    let field = Credentials { nonce, mac }.to_string();
    let request = Request {
        authorization: Some(&field),
        body: body.as_bytes(),
        ..Request::new(Method::Patch, path)
    };
    let (status, answer) = sim.request(node, &request).expect("it runs");
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn one_node_runs_it_while_views_agree_hour_after_hour_at_5_percent_loss() {
    for seed in 0..3 {
        let (mut sim, runs) = carriers(16, seed, lossy(0.05));
        let hours = runners(&mut sim, &runs, secs(3 * 3_600));
        println!("seed {seed}: runs in three hours by node {hours:?}");
        assert_eq!(hours.len(), 1, "seed {seed}");
        let count = *hours.values().next().expect("one node");
        assert!((10_790..=10_810).contains(&count), "seed {seed}: {count}");
    }
}

#[test]
fn when_its_owner_dies_another_runs_it_within_20_seconds() {
    let spans = (0..20).map(|seed| {
        let (mut sim, runs) = carriers(8, seed, lossy(0.05));
        let owner = runs.borrow().last();
        sim.apply(Command::Kill(owner)).expect("it exists");
        let killed = sim.now();
        sim.run_for(secs(30));
        let heirs = runners(&mut sim, &runs, secs(60));
        assert_eq!(heirs.len(), 1, "seed {seed}: {heirs:?}");
        let first = runs.borrow().first_of(killed, |node| node != owner);
        first.unwrap_or_else(|| panic!("seed {seed}: nobody took over")) - killed
    });
    let spread = Spread::of(spans).expect("there are seeds");
    println!("a killed owner is replaced, N=8 at 5 % loss: {spread}");
    assert!(spread.max <= secs(20), "{spread}");
}

#[test]
fn when_its_owner_leaves_another_runs_it_within_5_seconds() {
    let spans = (0..20).map(|seed| {
        let (mut sim, runs) = carriers(8, seed, lossy(0.05));
        let owner = runs.borrow().last();
        sim.apply(Command::Leave(owner)).expect("it exists");
        let left = sim.now();
        sim.run_for(secs(10));
        let heirs = runners(&mut sim, &runs, secs(60));
        assert_eq!(heirs.len(), 1, "seed {seed}: {heirs:?}");
        let first = runs.borrow().first_of(left, |node| node != owner);
        first.unwrap_or_else(|| panic!("seed {seed}: nobody took over")) - left
    });
    let spread = Spread::of(spans).expect("there are seeds");
    println!("an owner that leaves is replaced, N=8 at 5 % loss: {spread}");
    assert!(spread.max <= secs(5), "{spread}");
}

#[test]
fn each_half_of_a_split_cluster_has_one_owner_and_the_whole_one_again() {
    for seed in 0..5 {
        let (mut sim, runs) = carriers(8, seed, lossy(0.0));
        sim.apply(Command::Isolate(vec![0, 1, 2, 3])).expect("there are 8 nodes");
        sim.run_for(secs(30));
        let split = runners(&mut sim, &runs, secs(60));
        let one_each = split.len() == 2 && split.keys().filter(|node| **node < 4).count() == 1;
        assert!(one_each, "seed {seed}: {split:?}");
        sim.apply(Command::Heal).expect("always possible");
        sim.run_for(secs(60));
        let healed = runners(&mut sim, &runs, secs(60));
        assert_eq!(healed.len(), 1, "seed {seed}: {healed:?}");
    }
}

#[test]
fn who_has_disabled_it_does_not_run_it_after_a_restart_either() {
    for seed in 0..5 {
        let (mut sim, runs) = carriers(8, seed, lossy(0.05));
        let owner = runs.borrow().last();
        patch(&mut sim, owner, r#"{"enabled":false}"#);
        let disabled = sim.now();
        sim.run_for(secs(10));
        let heirs = runners(&mut sim, &runs, secs(60));
        assert!(heirs.len() == 1 && !heirs.contains_key(&owner), "seed {seed}: {heirs:?}");
        let first = runs.borrow().first_of(disabled, |node| node != owner);
        let took = first.expect("another one runs it") - disabled;
        assert!(took <= secs(5), "seed {seed}: {took:?}");
        sim.apply(Command::Restart(owner, Memory::Kept)).expect("it exists");
        let heirs = runners(&mut sim, &runs, secs(120));
        assert!(heirs.len() == 1 && !heirs.contains_key(&owner), "seed {seed}: {heirs:?}");
        patch(&mut sim, owner, r#"{"enabled":true}"#);
        sim.run_for(secs(10));
        let again = runners(&mut sim, &runs, secs(30));
        assert_eq!(again.keys().copied().collect::<Vec<_>>(), [owner], "seed {seed}");
    }
}

#[test]
fn a_restarted_owner_leaves_it_to_others_until_it_knows_them() {
    for seed in 0..5 {
        let (mut sim, runs) = carriers(8, seed, lossy(0.05));
        let owner = runs.borrow().last();
        sim.apply(Command::Restart(owner, Memory::Kept)).expect("it exists");
        let early = runners(&mut sim, &runs, Duration::from_millis(9_500));
        assert!(!early.contains_key(&owner), "seed {seed}: {early:?}");
        sim.run_for(secs(20));
        let late = runners(&mut sim, &runs, secs(60));
        assert_eq!(late.keys().copied().collect::<Vec<_>>(), [owner], "seed {seed}");
    }
}

/// With more carriers than rows, all know the one that is to run it.
#[test]
fn partial_views_have_one_owner_too() {
    for seed in 0..3 {
        let tasks = Tasks::new(ALARM).expect("one task");
        let mut sim = crate::simulation(Scenario { tasks, esp01: 80, ..scenario(80, seed) });
        let runs = watched(&mut sim);
        sim.run_until(secs(60));
        let runners = runners(&mut sim, &runs, secs(120));
        println!("80 boards with lists for 64, seed {seed}: runs by node {runners:?}");
        assert_eq!(runners.len(), 1, "seed {seed}: {runners:?}");
        let owner = runs.borrow().last();
        sim.apply(Command::Kill(owner)).expect("it exists");
        sim.run_for(secs(150));
        let heirs = self::runners(&mut sim, &runs, secs(120));
        println!("after its death: {heirs:?}");
        assert!(heirs.len() == 1 && !heirs.contains_key(&owner), "seed {seed}: {heirs:?}");
    }
}

/// Tasks of nodes that are held up, with slow and fast clocks, keep their pace and never run twice
/// at once; the engine asks for a run at the moment that it is due.
#[test]
fn a_stalled_node_misses_due_times_and_makes_up_for_none() {
    let (mut sim, runs) = carriers(1, 1, lossy(0.0));
    let before = runs.borrow().0.len();
    sim.apply(Command::Stall(0, secs(10))).expect("it exists");
    let start = sim.now();
    sim.run_for(secs(20));
    let after: Vec<_> = runs.borrow().0[before..].iter().map(|(at, _)| *at - start).collect();
    assert!((10..=11).contains(&after.len()), "{after:?}");
    let millis = Duration::from_millis(999)..Duration::from_millis(1_001);
    let steady = after[1..].windows(2).all(|pair| millis.contains(&(pair[1] - pair[0])));
    assert!(steady, "{after:?}");
    let (_, list) = sim.get(0, "/api/tasks").expect("it runs");
    let (_, missed) = list.rsplit_once("\"missed\":").expect("it is the last one listed");
    let missed = missed.split(',').next().and_then(|count| count.parse::<u32>().ok());
    // It was stalled within a run, or right after it.
    assert!(matches!(missed, Some(8..=10)), "{list}");
}
