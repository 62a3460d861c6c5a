//! Split clusters heal.

use crate::{heals, lossy, promise, scenario, secs, whole};
use spore_sim::scenario::Conditions;
use spore_sim::{Command, Scenario, Simulation, Spread};
use std::time::Duration;

/// How long a cluster took to be whole again after a partition of `span`.
fn healing(
    nodes: usize,
    conditions: Conditions,
    seeds: u64,
    split: Split,
    span: Duration,
) -> Spread {
    let spans = (0..seeds).map(|seed| {
        let mut sim = whole(Scenario { conditions, ..scenario(nodes, seed) }, secs(60));
        sim.run_for(secs(5));
        split(&mut sim);
        sim.run_for(span);
        sim.apply(Command::Heal).expect("always possible");
        heals(&mut sim, secs(300), &format!("seed {seed}"))
    });
    Spread::of(spans).expect("there are seeds")
}

type Split = fn(&mut Simulation);

fn halves(sim: &mut Simulation) {
    sim.apply(Command::Isolate((0..16).collect())).expect("there are 32 nodes");
}

/// One node is cut off.
fn apart(sim: &mut Simulation) {
    sim.apply(Command::Isolate(vec![0])).expect("there are 32 nodes");
}

/// Half of the cluster is heard by the other half, but hears nothing from it.
fn one_way(sim: &mut Simulation) {
    let (from, to) = ((0..16).collect(), (16..32).collect());
    sim.apply(Command::Block { from, to }).expect("there are 32 nodes");
}

/// One node is heard by all, but hears nobody.
fn deaf(sim: &mut Simulation) {
    let (from, to) = ((1..32).collect(), vec![0]);
    sim.apply(Command::Block { from, to }).expect("there are 32 nodes");
}

#[test]
fn halves_are_whole_again_within_60_seconds_after_healing() {
    let spread = healing(32, lossy(0.0), 5, halves, secs(60));
    println!("healing of halves, N=32: {spread}");
    assert!(spread.max <= secs(60), "{spread}");
}

#[test]
fn halves_know_of_each_other_as_dead_while_they_are_apart() {
    let mut sim = whole(scenario(8, 1), secs(60));
    sim.apply(Command::Isolate(vec![0, 1, 2, 3])).expect("there are 8 nodes");
    sim.run_for(secs(60));
    for node in 0..8 {
        let members = sim.node(node).expect("it runs").members();
        let live = members.iter().filter(|member| member.status().is_live()).count();
        assert_eq!((members.len(), live), (7, 3), "as {node} sees it");
    }
}

#[test]
fn a_one_way_partition_heals_within_60_seconds() {
    let spread = healing(32, lossy(0.0), 5, one_way, secs(60));
    println!("healing of a one-way partition, N=32: {spread}");
    assert!(spread.max <= secs(60), "{spread}");
}

#[test]
fn a_deaf_node_is_whole_again_within_60_seconds() {
    let spread = healing(32, lossy(0.0), 5, deaf, secs(60));
    println!("healing of a deaf node, N=32: {spread}");
    assert!(spread.max <= secs(60), "{spread}");
}

#[test]
#[ignore = "takes minutes"]
fn partitions_heal_within_30_seconds_200_seeds_long() {
    let splits: [(&str, Split); 4] =
        [("halves", halves), ("one_way", one_way), ("deaf", deaf), ("apart", apart)];
    for (name, split) in splits {
        for loss in [0.0, 0.05] {
            let spread = healing(32, lossy(loss), 200, split, secs(60));
            println!("healing of {name} at {loss} loss, N=32: {spread}");
            let figure = format!("{name}_{:.0}", loss * 100.0);
            promise("C4", &[(&figure, spread.p99.as_secs_f64())]);
            assert!(spread.p99 <= secs(30), "{name} at {loss} loss: {spread}");
        }
    }
}

/// Whether each node of `core` lists each other one as active.
fn agree(sim: &Simulation, core: &[usize]) -> bool {
    let id = |node: &usize| sim.node(*node).map(|node| node.own().id);
    core.iter().all(|node| {
        let Some(members) = sim.node(*node).map(spore_core::Node::members) else { return false };
        let active = |id| members.iter().any(|m| m.id() == id && m.status().name() == "active");
        core.iter().filter(|other| *other != node).filter_map(id).all(active)
    })
}

/// How long a random core of nine took to agree after a minute in which links were cut at random,
/// while the other seven stay cut off, mute or deaf, or stall.
fn core_converges(seed: u64) -> Duration {
    let mut sim = whole(Scenario { conditions: lossy(0.05), ..scenario(16, seed) }, secs(60));
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut nodes: Vec<usize> = (0..16).collect();
    let apply = |sim: &mut Simulation, command| sim.apply(command).expect("they exist");
    for _ in 0..12 {
        apply(&mut sim, Command::Heal);
        rng.shuffle(&mut nodes);
        let (from, to) = (nodes[..8].to_vec(), nodes[4..].to_vec());
        apply(&mut sim, Command::Block { from, to });
        sim.run_for(secs(5));
    }
    apply(&mut sim, Command::Heal);
    let (core, rest) = nodes.split_at(9);
    let all: Vec<usize> = (0..16).collect();
    apply(&mut sim, Command::Isolate(rest[..2].to_vec()));
    apply(&mut sim, Command::Block { from: rest[2..4].to_vec(), to: all.clone() });
    apply(&mut sim, Command::Block { from: all, to: rest[4..6].to_vec() });
    let start = sim.now();
    for second in 0..300 {
        if second % 20 == 0 {
            apply(&mut sim, Command::Stall(rest[6], secs(10)));
        }
        if agree(&sim, core) {
            break;
        }
        sim.run_for(secs(1));
    }
    assert!(agree(&sim, core), "seed {seed}: the core does not agree");
    sim.now() - start
}

#[test]
fn a_random_core_converges_within_60_seconds_while_the_rest_stays_broken() {
    let spread = Spread::of((0..10).map(core_converges)).expect("there are seeds");
    println!("a core of 9 of 16 at 5 % loss: {spread}");
    promise(
        "C4",
        &[("core_p99", spread.p99.as_secs_f64()), ("core_max", spread.max.as_secs_f64())],
    );
    assert!(spread.max <= secs(60), "{spread}");
}

#[test]
#[ignore = "takes minutes"]
fn a_random_core_converges_200_seeds_long() {
    let spread = Spread::of((0..200).map(core_converges)).expect("there are seeds");
    println!("a core of 9 of 16 at 5 % loss: {spread}");
    promise(
        "C4",
        &[("core_p99", spread.p99.as_secs_f64()), ("core_max", spread.max.as_secs_f64())],
    );
    assert!(spread.p99 <= secs(60), "{spread}");
}
