//! Who offers what, as one node sees it: limits, listings, hostile answers.

use super::pieces::{get, read};
use super::world::{World, act, node};
use crate::api::{MIN_PIECE, Method, Methods, Policy, Request};
use crate::ota::state::UpdateState;
use crate::profile::Esp01;
use crate::services::{ServiceId, ServiceIds};
use crate::time::{Duration, Instant};
use crate::wire::{Hostname, Incarnation, NodeId, Record, Rumor, U24};
use crate::{Action, Catalogue, Completion, Fetch, FetchFailed, Node, Seed, Service, Storage};
use core::net::Ipv4Addr;
use std::boxed::Box;
use std::collections::BTreeSet;
use std::format;
use std::string::String;
use std::vec::Vec;

fn catalogue(names: &[&str]) -> Catalogue {
    let services: Vec<Service> = names
        .iter()
        .map(|name| Box::leak(String::from(*name).into_boxed_str()))
        .map(|name| {
            Service::new(name, Policy::Open, Methods::NONE.with(Method::Get), "a summary").unwrap()
        })
        .collect();
    Catalogue::new(services.leak()).unwrap()
}

fn member(n: u8) -> NodeId {
    NodeId([n, 2, 3, 4, 5, n])
}

/// What a member says of itself, at its longest.
fn record(id: NodeId, version: u16, services: &[&str]) -> Record {
    let mut ids = ServiceIds::EMPTY;
    services.iter().for_each(|name| assert!(ids.insert(ServiceId::of(name))));
    let rumor = Rumor::Alive {
        address: Ipv4Addr::BROADCAST,
        http_port: u16::MAX,
        status_version: version,
        update: UpdateState::NONE,
        hostname: Hostname::new(&"a".repeat(Hostname::MAX)).unwrap(),
        services: ids,
    };
    let epoch = U24::new(u32::from(version)).unwrap();
    Record { id, incarnation: Incarnation::first(epoch), published: U24::ZERO, rumor }
}

/// A node with the capacities of a board that may act.
fn board() -> Node<'static> {
    let storage = Box::leak(Box::new(Storage::<Esp01>::NEW));
    let mut config = super::world::config(1);
    // Nobody is there to answer probes.
    config.timing.probe_interval = Duration::from_secs(1_000_000);
    let facts = super::world::facts();
    let now = Instant::ZERO;
    let mut node = Node::new(now, &config, facts, &Default::default(), &Seed([9; 32]), storage);
    act(&mut node, now);
    node
}

fn providers(node: &Node<'_>, name: &str) -> Vec<NodeId> {
    node.providers(ServiceId::of(name)).map(|(id, _)| id).collect()
}

/// Lets time pass until the node wants to fetch something.
fn next_fetch(node: &mut Node<'_>, now: &mut Instant) -> Option<Fetch> {
    for _ in 0..200_000 {
        *now = *now + Duration::from_millis(10);
        node.handle_timeout(*now);
        match node.poll_action(*now) {
            Some(Action::Fetch(fetch)) => return Some(fetch),
            Some(other) => panic!("{other:?} is not due"),
            None => (),
        }
    }
    None
}

fn status(id: NodeId, names: &[&str]) -> String {
    let services: Vec<_> = names.iter().map(|name| format!("{{\"name\":\"{name}\"}}")).collect();
    let services = services.join(",");
    format!(
        "{{\"id\":\"{id}\",\"board\":\"esp01\",\"version\":\"1.2.3\",\"services\":[{services}]}}"
    )
}

#[test]
fn all_nodes_know_who_offers_what_and_hear_of_changes() {
    let mut world = World::new(4);
    world.node(2).set_services(catalogue(&["relay", "sensor"]));
    world.node(3).set_services(catalogue(&["relay"]));
    world.run(3_000);
    let [two, three] = [2, 3].map(|n| world.node(n).own().id);
    for n in 1..=4 {
        let found: BTreeSet<_> = providers(world.node(n), "relay").into_iter().collect();
        assert_eq!(found, BTreeSet::from([two, three]), "node {n}");
        assert_eq!(providers(world.node(n), "sensor"), [two], "node {n}");
        assert_eq!(providers(world.node(n), "lamp"), [], "node {n}");
    }
    world.node(2).set_services(catalogue(&["lamp"]));
    world.run(5_000);
    for n in 1..=4 {
        assert_eq!(providers(world.node(n), "relay"), [three], "node {n}");
        assert_eq!(providers(world.node(n), "lamp"), [two], "node {n}");
    }
    world.kill(2);
    world.run(20_000);
    assert_eq!(providers(world.node(1), "lamp"), [], "the dead offer nothing");
}

#[test]
fn a_service_with_64_providers_is_listed_through_the_smallest_buffer() {
    let mut node = board();
    node.set_services(catalogue(&["identify", "own"]));
    for n in 0..63 {
        let record = record(member(n), 1, &["identify", "relay"]);
        node.cluster.learn(Instant::ZERO, &record);
    }
    let list = get(&mut node, Instant::ZERO, "/api/cluster/services");
    let list = list["services"].as_array().unwrap();
    let ids: Vec<_> = list.iter().map(|service| service["id"].as_str().unwrap()).collect();
    assert!(ids.is_sorted());
    let of = |name: &str| {
        let id = format!("{}", ServiceId::of(name));
        list.iter().find(|service| service["id"] == *id).unwrap()
    };
    assert_eq!((list.len(), of("identify")["name"].as_str()), (3, Some("identify")));
    assert!(of("relay")["name"].is_null(), "nobody has told its name yet");
    for (name, count) in [("identify", 64), ("relay", 63), ("own", 1)] {
        let providers = of(name)["providers"].as_array().unwrap();
        let ids: BTreeSet<_> = providers.iter().map(|it| it["id"].as_str().unwrap()).collect();
        assert_eq!((providers.len(), ids.len()), (count, count), "{name}");
    }
}

#[test]
fn a_list_of_services_that_changes_while_it_is_read_stays_well_formed() {
    let mut node = board();
    for n in 0..40 {
        node.cluster.learn(Instant::ZERO, &record(member(n), 1, &["a", "b", "c"]));
    }
    let request = Request { method: Method::Get, path: "/api/cluster/services", ..REQUEST };
    let mut response = node.handle_request(Instant::ZERO, &request);
    let (mut body, mut buf) = (Vec::new(), [0; MIN_PIECE]);
    for n in 0u8.. {
        let len = node.poll_body(Instant::ZERO, &mut response.body, &mut buf);
        if len == 0 {
            break;
        }
        body.extend_from_slice(&buf[..len]);
        let names = [["a"], ["d"], ["e"]][usize::from(n % 3)];
        node.cluster.learn(Instant::ZERO, &record(member(n % 40), 2 + u16::from(n), &names));
    }
    let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let ids: Vec<_> = document["services"].as_array().unwrap().iter().map(|s| &s["id"]).collect();
    assert!(ids.len() >= 3 && ids.iter().map(|id| id.as_str()).is_sorted_by(|a, b| a < b));
}

const REQUEST: Request<'static> = Request::new(Method::Get, "");

#[test]
fn more_services_than_there_is_room_for_make_catalogues_partial_and_leave_no_trace() {
    let mut node = board();
    let now = Instant::ZERO;
    let names: Vec<String> = (0..40).map(|n| format!("s{n}")).collect();
    let of = |n: usize| [names[n % 40].as_str(), names[(n + 1) % 40].as_str()];
    for n in 0..40u8 {
        node.cluster.learn(now, &record(member(n), 1, &of(n.into())));
    }
    let known: Vec<_> = names.iter().filter(|name| !providers(&node, name).is_empty()).collect();
    assert_eq!(known.len(), 16, "as many as a board has room for");
    assert_eq!(node.services_lost(), 80 - 32, "15 members are whole, two have one of two");
    // Those who offer nothing any more make room for others.
    for n in 0..24u8 {
        node.cluster.learn(now, &record(member(n), 2, &[]));
    }
    for n in 30..40u8 {
        node.cluster.learn(now, &record(member(n), 2, &of(n.into())));
    }
    assert!((30..40).all(|n| providers(&node, &names[n]).contains(&member(n as u8))));
}

#[test]
fn a_status_that_was_fetched_is_shown_and_hostile_ones_change_nothing() {
    let (mut node, mut now) = (board(), Instant::ZERO);
    node.cluster.learn(now, &record(member(1), 7, &["relay", "sensor"]));
    let shown = |node: &mut Node<'_>, now| {
        let request = Request { path: "/api/cluster/members", ..REQUEST };
        let members = node.handle_request(now, &request);
        let members: serde_json::Value = serde_json::from_str(&read(node, now, members)).unwrap();
        let services = get(node, now, "/api/cluster/services");
        let member = members["members"].as_array().unwrap().iter().find(|m| m["self"] == false);
        let member = member.unwrap();
        format!("{} {} {services}", member["board"], member["version"])
    };
    let unknown = shown(&mut node, now);
    assert!(unknown.starts_with("null null") && unknown.contains("\"name\":null"), "{unknown}");
    let good = status(member(1), &["relay", "sensor"]);
    let hostile = [
        status(member(2), &["relay"]),
        status(member(1), &["relay", "Sensor"]),
        good.replace("\"esp01\"", "[[[[[[[[[1]]]]]]]]]"),
        good.replace("1.2.3", &"9".repeat(600)),
        good[..good.len() - 1].into(),
        String::new(),
    ];
    for document in hostile {
        let fetch = next_fetch(&mut node, &mut now).expect("it tries again");
        assert_eq!(fetch.member, member(1));
        document.as_bytes().chunks(50).all(|piece| node.handle_fetched(piece));
        node.handle_completion(now, Completion::Fetch(Ok(())));
        assert_eq!(shown(&mut node, now), unknown, "{document}");
    }
    next_fetch(&mut node, &mut now).expect("it tries again");
    // Nobody has called the member's services "lamp".
    let more = status(member(1), &["relay", "sensor", "lamp"]);
    assert!(more.as_bytes().chunks(50).all(|piece| node.handle_fetched(piece)));
    node.handle_completion(now, Completion::Fetch(Ok(())));
    let known = shown(&mut node, now);
    assert!(known.starts_with("\"esp01\" \"1.2.3\""), "{known}");
    assert!(known.contains("\"relay\"") && known.contains("\"sensor\"") && !known.contains("lamp"));
    assert_eq!(next_fetch(&mut node, &mut now), None, "it has what there is");
    assert!(!node.handle_fetched(b"{}"), "what nobody asked for is not wanted");
}

#[test]
fn each_member_is_asked_in_turn_and_no_two_within_a_second() {
    let (mut node, mut now) = (board(), Instant::ZERO);
    for n in 0..20 {
        node.cluster.learn(now, &record(member(n), 1, &[]));
    }
    let (mut asked, mut last) = (BTreeSet::new(), None);
    while let Some(fetch) = next_fetch(&mut node, &mut now) {
        assert!(last.is_none_or(|last| now.since(last) >= Duration::from_secs(1)));
        assert!(asked.insert(fetch.member), "twice");
        last = Some(now);
        assert!(node.handle_fetched(status(fetch.member, &[]).as_bytes()));
        node.handle_completion(now, Completion::Fetch(Ok(())));
    }
    assert_eq!(asked.len(), 20);
}

#[test]
fn a_node_that_does_not_know_its_services_any_more_says_so() {
    let mut offering = node(Instant::ZERO, 1, None);
    let version = |node: &Node<'_>| match &node.own().rumor {
        Rumor::Alive { status_version, services, .. } => (*status_version, services.clone()),
        _ => panic!("it is alive"),
    };
    let (before, _) = version(&offering);
    offering.set_services(catalogue(&["relay"]));
    let (with, services) = version(&offering);
    assert!(with != before && services.contains(ServiceId::of("relay")));
    for _ in 0..70_000u32 {
        offering.set_services(Catalogue::EMPTY);
        assert_ne!(version(&offering).0, 0, "0 stands for a status that was never fetched");
    }
}

/// How `member` is, as a client of `node` hears it when it is asked now, and `answer` is what it says.
fn figures(node: &mut Node<'_>, now: &mut Instant, id: NodeId, answer: &str) -> serde_json::Value {
    let path = format!("/api/cluster/members/{id}");
    let mut response = node.handle_request(*now, &Request::new(Method::Get, &path));
    assert!(response.is_pending() && !node.poll_response(*now, &mut response));
    let fetch = next_fetch(node, now).expect("it is asked");
    assert_eq!(fetch.member, id);
    let read_all = answer.as_bytes().chunks(40).all(|piece| node.handle_fetched(piece));
    node.handle_completion(
        *now,
        Completion::Fetch(if read_all { Ok(()) } else { Err(FetchFailed) }),
    );
    assert!(node.poll_response(*now, &mut response));
    assert_eq!(response.status, 200);
    let member: serde_json::Value = serde_json::from_str(&read(node, *now, response)).unwrap();
    assert_eq!(member["id"], format!("{id}"));
    member["figures"].clone()
}

#[test]
fn a_member_is_asked_how_it_is_when_a_client_wants_to_know() {
    let (mut node, mut now) = (board(), Instant::ZERO);
    node.cluster.learn(now, &record(member(1), 1, &[]));
    node.cluster.learn(now, &record(member(2), 1, &[]));
    let good = status(member(1), &[]).replace(
        "\"services\"",
        "\"uptime_ms\":61000,\"free_memory\":18000,\"rssi\":-70,\"reset_reason\":\"panic\",\"services\"",
    );
    let wanted = serde_json::json!({
        "uptime_ms": 61_000, "free_memory": 18_000, "rssi": -70, "reset_reason": "panic",
    });
    // Before its turn among those whose status is new.
    assert_eq!(figures(&mut node, &mut now, member(1), &good), wanted);
    let path = |n| format!("/api/cluster/members/{}", member(n));
    let ask = |node: &mut Node<'_>, now, n| {
        node.handle_request(now, &Request::new(Method::Get, &path(n)))
    };
    let mut known = ask(&mut node, now, 1);
    assert!(node.poll_response(now, &mut known), "what it has just said is still so");
    assert_eq!(read(&node, now, known).matches("61000").count(), 1);
    let mut other = ask(&mut node, now, 2);
    let busy = ask(&mut node, now + Duration::from_secs(9), 1);
    assert_eq!((busy.status, busy.retry_after), (503, Some(1)), "one at a time");
    let mut late = ask(&mut node, now + Duration::from_secs(10), 1);
    assert!(!node.poll_response(now, &mut late));
    assert!(node.poll_response(now, &mut other), "nobody waits for the other one any more");
    assert!(read(&node, now, other).contains("\"figures\":null"));
    // Each again, but not sooner than is good for those who are asked.
    now = now + Duration::from_secs(10);
    let before = now;
    assert_eq!(figures(&mut node, &mut now, member(1), &good[..50]), serde_json::Value::Null);
    assert!(now.since(before) < Duration::from_millis(250), "a while after the last one");
    now = now + Duration::from_secs(1);
    assert_eq!(figures(&mut node, &mut now, member(1), "[]"), serde_json::Value::Null);
    let before = now;
    let own = status(member(2), &[]);
    assert_eq!(figures(&mut node, &mut now, member(2), &own)["rssi"], serde_json::Value::Null);
    assert!(now.since(before) >= Duration::from_millis(250), "right after the last one");
    let own = node.own().id;
    let own = get(&mut node, now, &format!("/api/cluster/members/{own}"));
    assert_eq!(own["figures"]["reset_reason"], "power-on");
    assert!(own["figures"]["uptime_ms"].as_u64() > Some(10_000));
    for nobody in ["0123456789ab", "0123456789AB", "", "x", "0123456789ab0"] {
        let path = format!("/api/cluster/members/{nobody}");
        let response = node.handle_request(now, &Request::new(Method::Get, &path));
        assert_eq!(response.status, 404, "{nobody:?}");
    }
    let asked = format!("/api/cluster/members/{}", member(1));
    let request = Request { query: "all=1", ..Request::new(Method::Get, &asked) };
    assert_eq!(node.handle_request(now, &request).status, 400);
}

#[test]
fn who_is_no_active_member_is_not_asked() {
    let mut world = World::new(3);
    world.run(5_000);
    let three = world.node(3).own().id;
    world.kill(3);
    world.run(20_000);
    let now = world.now;
    let node = world.node(1);
    let path = format!("/api/cluster/members/{three}");
    let mut response = node.handle_request(now, &Request::new(Method::Get, &path));
    assert!(node.poll_response(now, &mut response));
    let dead: serde_json::Value = serde_json::from_str(&read(node, now, response)).unwrap();
    assert_eq!((&dead["status"], &dead["figures"]), (&"dead".into(), &serde_json::Value::Null));
}
