//! Hostile input changes nothing.

use crate::{heals, scenario, secs, whole};
use spore_core::NodeId;
use spore_core::api::{Method, Request};
use spore_core::cluster::Member;
use spore_core::cluster::Status;
use spore_sim::junk::{DatagramKind, Junk};
use spore_sim::scenario::Publication;
use spore_sim::{Scenario, Simulation};
use std::time::Duration;

const NODES: usize = 5;

fn cluster(seed: u64) -> Simulation {
    let mut sim = whole(Scenario { recording: 2_000, ..scenario(NODES, seed) }, secs(60));
    for n in 0..15 {
        let publication = Publication {
            topic: format!("topic/{}", n % 4),
            payload: vec![7; n * 10],
            retained: n % 3 == 0,
        };
        sim.publish(n % NODES, &publication).expect("it runs").expect("there is room");
        sim.run_for(secs(2));
    }
    sim
}

/// What each node knows: the others, the events of the cluster, and how many it has delivered.
type View = (Vec<(NodeId, Status)>, u32, u32);

fn views(sim: &Simulation) -> Vec<View> {
    let view = |member: &Member| (member.id(), member.status());
    let nodes = (0..NODES).map(|node| sim.node(node).expect("it runs"));
    nodes
        .map(|node| {
            let members = node.members().iter().map(view).collect();
            (members, node.window_digest(), node.last_event())
        })
        .collect()
}

/// Throws a thousand datagrams of `kind` at a running cluster, one each 10 ms.
fn throw(sim: &mut Simulation, kind: DatagramKind, seed: u64) {
    let recording: Vec<_> = sim.recording().cloned().collect();
    assert!(recording.len() > 100, "there is something to work on");
    let mut junk = Junk::new(seed).with_key(&sim.key().clone());
    for n in 0..1_000 {
        let datagram = junk.datagram_of(kind, &recording);
        let (to, from) = (n % NODES, sim.address((n + 1) % NODES));
        sim.inject(to, from, &datagram);
        sim.run_for(Duration::from_millis(10));
    }
}

#[test]
fn a_thousand_hostile_datagrams_of_each_kind_change_no_member_list_and_no_window() {
    let harmless = DatagramKind::KEYLESS.into_iter().chain(DatagramKind::SEALED);
    for (seed, kind) in (1..).zip(harmless) {
        let mut sim = cluster(seed);
        let before = views(&sim);
        throw(&mut sim, kind, seed);
        assert!(sim.is_complete(), "{kind:?}");
        assert_eq!(views(&sim), before, "{kind:?}");
        assert_eq!(sim.report().false_deaths, [], "{kind:?}");
        assert_eq!(sim.report().false_suspicions, 0, "{kind:?}");
    }
}

#[test]
fn a_member_gone_bad_makes_nobody_panic() {
    let mut sim = cluster(1);
    sim.excuse_events();
    throw(&mut sim, DatagramKind::SealedInsider, 1);
    for node in 0..NODES {
        let (status, body) = sim.get(node, "/api/cluster/members").expect("it runs");
        assert_eq!(status, 200);
        assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok(), "{body}");
    }
}

#[test]
fn junk_from_the_air_while_the_cluster_forms_does_not_keep_it_from_forming() {
    for seed in 0..5 {
        let recorded = cluster(seed);
        let recording: Vec<_> = recorded.recording().cloned().collect();
        let mut sim = crate::simulation(scenario(NODES, seed));
        let mut junk = Junk::new(seed).with_key(&sim.key().clone());
        // With the key somebody can speak in the name of those who never were.
        sim.excuse_events();
        for n in 0..500 {
            let datagram = junk.datagram(&recording);
            sim.inject(n % NODES, sim.address((n + 2) % NODES), &datagram);
            sim.run_for(Duration::from_millis(10));
        }
        heals(&mut sim, secs(20), &format!("seed {seed}"));
    }
}

#[test]
fn hostile_paths_get_an_error_as_json_and_change_nothing() {
    let mut sim = cluster(1);
    let before = views(&sim);
    let mut junk = Junk::new(1);
    let methods = [Method::Get, Method::Head, Method::Post, Method::Delete, Method::Other];
    for n in 0..1_000 {
        let request = junk.http_request();
        let text = String::from_utf8_lossy(&request);
        let (path, query) = text.split_once(' ').unwrap_or((&text, ""));
        let method = methods[n % methods.len()];
        let (status, body) = sim
            .request(n % NODES, &Request { query, ..Request::new(method, path) })
            .expect("a running node answers");
        assert!((400..500).contains(&status), "{status} for {text:?}");
        let json: serde_json::Value = serde_json::from_str(&body).expect("errors are JSON");
        assert!(json["error"]["code"].is_string(), "{body}");
    }
    assert_eq!(views(&sim), before);
}
