//! Who offers what, and what members say of themselves: known to all, and never by a storm.

use crate::{lossy, scenario, secs, whole};
use spore_core::api::{Method, Methods, Policy};
use spore_core::{Catalogue, NodeId, Service, ServiceId};
use spore_sim::log::Entry;
use spore_sim::{Command, Scenario, Simulation};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

const NODES: usize = 32;

static RELAY: &[Service] = &[service("relay", "Switches something")];

const fn service(name: &'static str, summary: &'static str) -> Service {
    match Service::new(name, Policy::Open, Methods::NONE.with(Method::Post), summary) {
        Ok(service) => service,
        Err(_) => panic!("a service's name and summary"),
    }
}

fn relay() -> Catalogue {
    Catalogue::new(RELAY).expect("one service")
}

/// How often which node was asked by which, and when.
type Asked = Rc<RefCell<Vec<(Duration, usize, usize)>>>;

/// A world that takes down who asks whom.
fn watched(mut sim: Simulation) -> (Simulation, Asked) {
    let asked = Asked::default();
    let list = Rc::clone(&asked);
    sim.set_sink(Box::new(move |at, entry| {
        if let Entry::Asked { from, to } = *entry {
            list.borrow_mut().push((at, from, to));
        }
    }));
    (sim, asked)
}

fn id(sim: &Simulation, node: usize) -> NodeId {
    sim.node(node).expect("it runs").own().id
}

/// Whether `node` knows the name of the relay service, and the build of all others.
fn is_informed(sim: &mut Simulation, node: usize, others: usize) -> bool {
    let services = sim.get(node, "/api/cluster/services").expect("it runs").1;
    let members = sim.get(node, "/api/cluster/members").expect("it runs").1;
    let unknown = members.matches("\"version\":null").count();
    services.contains("\"name\":\"relay\"")
        && members.matches("\"id\"").count() == others + 1
        && unknown == 0
}

/// Runs until every node knows what the relay service is called: how long it took.
fn until_named(sim: &mut Simulation, limit: Duration) -> Duration {
    let start = sim.now();
    while sim.now() < start + limit {
        sim.run_for(secs(1));
        let named = |node| sim.get(node, "/api/cluster/services").expect("it runs").1;
        if (0..NODES).map(named).all(|services| services.contains("\"name\":\"relay\"")) {
            return sim.now() - start;
        }
    }
    panic!("not everyone knows after {limit:?}");
}

/// A cluster at rest in which everyone has fetched what there is.
fn at_rest(scenario: Scenario) -> Simulation {
    let mut sim = whole(scenario, secs(60));
    sim.run_for(secs(180));
    sim
}

#[test]
fn a_new_service_is_known_to_all_at_once_and_fetched_once_by_each_without_a_storm() {
    for seed in 0..3 {
        let (mut sim, asked) = watched(at_rest(scenario(NODES, seed)));
        let start = sim.now();
        sim.run_for(secs(600));
        assert!(asked.borrow().is_empty(), "seed {seed}: at rest nothing is fetched");

        let changed = sim.now();
        sim.apply(Command::Offer(5, relay())).expect("it exists");
        sim.run_for(secs(10));
        let provider = id(&sim, 5);
        for node in 0..NODES {
            let found: Vec<_> =
                sim.node(node).unwrap().providers(ServiceId::of("relay")).map(|it| it.0).collect();
            assert_eq!(found, [provider], "seed {seed}: node {node} after 10 s");
        }
        sim.run_for(secs(120));
        let asked = asked.borrow();
        let mut by: Vec<_> = asked.iter().map(|(_, from, _)| *from).collect();
        by.sort_unstable();
        let others: Vec<_> = (0..NODES).filter(|node| *node != 5).collect();
        assert_eq!(by, others, "seed {seed}: each node asks exactly once");
        assert!(asked.iter().all(|(.., to)| *to == 5));
        let most = busiest_second(&asked);
        let last = asked.iter().map(|(at, ..)| *at - changed).max().unwrap();
        println!("seed {seed}: {most} requests in the busiest second, the last after {last:?}");
        assert!(most <= 8 && last <= secs(25), "seed {seed}: {most} a second, {last:?}");
        assert!(start < changed);
        drop(asked);
        assert!((0..NODES).all(|node| is_informed(&mut sim, node, NODES - 1)), "seed {seed}");
    }
}

/// The most requests that arrived within any one second.
fn busiest_second(asked: &[(Duration, usize, usize)]) -> usize {
    let within = |start: Duration| {
        asked.iter().filter(move |(at, ..)| (start..start + secs(1)).contains(at))
    };
    asked.iter().map(|(at, ..)| within(*at).count()).max().unwrap_or(0)
}

#[test]
fn a_forming_cluster_asks_each_member_about_once_a_second() {
    let (mut sim, asked) =
        watched(crate::simulation(Scenario { services: relay(), ..scenario(NODES, 4) }));
    sim.run_for(secs(180));
    let asked = asked.borrow();
    assert_eq!(asked.len(), NODES * (NODES - 1), "everyone asks everyone once");
    let most = (0..NODES).map(|node| {
        let of: Vec<_> = asked.iter().filter(|(.., to)| *to == node).copied().collect();
        busiest_second(&of)
    });
    let most = most.max().unwrap();
    println!("forming: at most {most} requests in a second at one node");
    assert!(most <= 8, "{most}");
}

#[test]
fn with_thirty_percent_of_fetches_failing_all_know_it_in_bounded_time() {
    for seed in 0..3 {
        let mut sim = at_rest(Scenario {
            fetch_failure: 0.3,
            conditions: lossy(0.1),
            ..scenario(NODES, seed)
        });
        sim.apply(Command::Offer(9, relay())).expect("it exists");
        let took = until_named(&mut sim, secs(300));
        println!("seed {seed}: all know it after {took:?}");
    }
}

#[test]
fn between_the_nodes_of_a_core_that_has_healed_no_fetch_fails() {
    let mut sim = at_rest(Scenario { fetch_failure: 1.0, ..scenario(3, 1) });
    sim.apply(Command::HealCore(vec![0, 1])).expect("they exist");
    sim.clear_counters();
    for node in 0..3 {
        sim.apply(Command::Offer(node, relay())).expect("it exists");
    }
    sim.run_for(secs(60));
    let traffic = sim.report().traffic;
    assert!(traffic[0].served > 0 && traffic[1].served > 0, "{traffic:?}");
    assert!(traffic[2].fetches > 0 && traffic[2].served == 0, "{traffic:?}");
}

#[test]
fn a_member_that_does_not_answer_is_left_alone_after_a_while_and_asked_again_when_it_changes() {
    let mut sim = at_rest(Scenario { fetch_failure: 1.0, ..scenario(3, 1) });
    sim.run_until(secs(595));
    let first = sim.report().total().fetches;
    assert!((30..=48).contains(&first), "eight attempts of each at each other: {first}");
    sim.clear_counters();
    sim.run_until(secs(2100));
    let rounds = sim.report().total().fetches;
    assert!((6..=18).contains(&rounds), "one more chance every ten minutes: {rounds}");
    sim.clear_counters();
    sim.apply(Command::Offer(0, relay())).expect("it exists");
    sim.run_for(secs(20));
    assert!(sim.report().total().fetches >= 4, "two ask, and ask again");
}

#[test]
fn a_restarted_node_is_asked_again_although_its_version_starts_anew() {
    let (mut sim, asked) = watched(at_rest(Scenario { services: relay(), ..scenario(8, 2) }));
    sim.apply(Command::Restart(3, spore_sim::Memory::Kept)).expect("it exists");
    sim.run_for(secs(60));
    let asked = asked.borrow();
    let of_it = asked.iter().filter(|(.., to)| *to == 3).count();
    assert_eq!(of_it, 7, "each of the others asks it once");
}

#[test]
fn suspects_and_the_dead_are_not_asked() {
    let (mut sim, asked) = watched(at_rest(scenario(6, 3)));
    // It goes with a change that nobody has fetched yet.
    sim.apply(Command::Offer(0, relay())).expect("it exists");
    sim.run_for(Duration::from_millis(200));
    sim.apply(Command::Kill(0)).expect("it exists");
    sim.run_for(secs(30));
    sim.clear_counters();
    asked.borrow_mut().clear();
    sim.run_for(secs(300));
    assert_eq!(sim.report().total().fetches, 0);
}
