//! A node that starts after a crash.

use super::settings::{ask, read};
use super::world::{World, act, config, configured, facts};
use crate::api::{Called, Error, MIN_PIECE, Method, Request};
use crate::crash::{Cause, CrashRecord, SAFE_AFTER};
use crate::events::Filter;
use crate::node::StoreFailed;
use crate::profile::Host;
use crate::security::request::{Credentials, Nonce, Signed, SigningKey};
use crate::services::{Catalogue, IDENTIFY, Service};
use crate::sprockets::Manifest;
use crate::store::MAX_VALUE;
use crate::tasks::{TaskKind, TaskSpec, Tasks};
use crate::time::{Duration, Instant};
use crate::{Action, ClusterKey, Completion, Config, Facts, Key, Node, Seed, Storage, Stored};
use serde_json::{Value, json};
use std::boxed::Box;
use std::string::ToString as _;
use std::vec::Vec;

/// The value of a record of a crash at `pc`, so many seconds after the start.
pub(super) fn value(pc: u32, uptime: u32) -> Vec<u8> {
    let record = CrashRecord {
        pc: Some(pc),
        uptime: Some(uptime),
        ..CrashRecord::new(Cause::Panic, "0.0.0")
    };
    let mut buf = [0; MAX_VALUE];
    let len = record.encode(&mut buf);
    buf[..len].to_vec()
}

fn start(crash: &[u8], crashed: &[u8]) -> Node<'static> {
    let stored = Stored { crash, crashed, ..Stored::default() };
    configured(Instant::ZERO, 1, &config(1), &stored)
}

/// How often the node wants the record to be stored at `now`, if that does not succeed.
fn stores(node: &mut Node<'_>, now: Instant) -> usize {
    let mut stores = 0;
    while let Some(action) = node.poll_action(now) {
        if let Action::Store(key) = action {
            let crash = key == Key::Crash;
            stores += usize::from(crash);
            let result = if crash { Err(StoreFailed) } else { Ok(()) };
            node.handle_completion(now, Completion::Store(key, result));
        }
    }
    stores
}

#[test]
fn a_record_is_stored_once_if_it_is_new() {
    let mut now = Instant::ZERO;
    let first = value(0x4020_1000, 5);
    assert_eq!(stores(&mut start(&[], &[]), now), 0);
    assert_eq!(stores(&mut start(&first, &[]), now), 0);
    assert_eq!(stores(&mut start(&[], b"what is this"), now), 0);
    assert_eq!(stores(&mut start(&first, &value(0x4020_1004, 5)), now), 1);
    assert_eq!(stores(&mut start(&first, &value(0x4020_1000, 90)), now), 0, "soon, and the same");
    assert_eq!(stores(&mut start(&first, &value(0x4020_1000, 600)), now), 1, "not soon");
    let mut node = start(&[], &first);
    assert_eq!(stores(&mut node, now), 1);
    now = now + Duration::from_secs(5);
    assert!(node.poll_timeout().is_some_and(|at| at <= now));
    assert_eq!(node.value(Key::Crash, &mut [0; MAX_VALUE]), 0, "the body has it");
    act(&mut node, now);
    assert_eq!(stores(&mut node, now + Duration::from_secs(100)), 0);
}

#[test]
fn holders_of_the_key_are_led_to_the_record_and_told_where_there_is_none() {
    let now = Instant::ZERO;
    let path = "/api/node/crash";
    let key = SigningKey::derive(&ClusterKey::from_bytes([7; 32]));
    let first = value(0x4020_1000, 5);
    for (crash, crashed) in [(&first[..], &[][..]), (&[], &first), (&first, &first), (&[], &[])] {
        let mut node = start(crash, crashed);
        let unsigned = node.handle_request(now, &Request::new(Method::Get, path));
        assert_eq!(unsigned.status, 401);
        let mut response = node.handle_request(now, &Request::new(Method::Get, "/api/auth/nonce"));
        let mut buf = [0; MIN_PIECE];
        let len = node.poll_body(now, &mut response.body, &mut buf);
        let document: Value = serde_json::from_slice(&buf[..len]).unwrap();
        let nonce: Nonce = document["nonce"].as_str().unwrap().parse().unwrap();
        let signed = Signed { method: "GET", path, query: "", nonce, body: b"" };
        let credentials = Credentials { nonce, mac: key.sign(&signed) }.to_string();
        let request =
            Request { authorization: Some(&credentials), ..Request::new(Method::Get, path) };
        let mut response = node.handle_request(now, &request);
        match response.to_call() {
            Some(call) => {
                assert_eq!(call.with(&request), Called::Crash);
                assert!(!(crash.is_empty() && crashed.is_empty()));
            }
            None => {
                assert!(crash.is_empty() && crashed.is_empty());
                assert_eq!(response.status, 404);
                let len = node.poll_body(now, &mut response.body, &mut buf);
                let document: Value = serde_json::from_slice(&buf[..len]).unwrap();
                assert_eq!(document["error"]["code"], Error::NoCrash.code());
            }
        }
    }
}

/// The payloads under `node/crashed` that were delivered on node `n`.
fn told(world: &mut World, n: u8) -> Vec<Value> {
    let (node, mut last, mut told) = (world.node(n), 0, Vec::new());
    while let Some(delivery) = node.next_event(last, Filter::new("node/crashed").unwrap()) {
        last = delivery.seq;
        assert!(!delivery.retained && delivery.key.is_some());
        told.push(serde_json::from_slice(&delivery.payload).unwrap());
    }
    told
}

#[test]
fn the_cluster_is_told_once_and_not_of_an_earlier_crash() {
    let first = value(0x4020_1000, 5);
    let mut world = World::new(3);
    world.run(2_000);
    world.kill(3);
    let stored = Stored { crashed: &first, ..Stored::default() };
    let now = world.now;
    world.nodes.push((9, configured(now, 9, &config(9), &stored)));
    world.run(10_000);
    let notice = json!({ "cause": "panic", "pc": "0x40201000", "safe_mode": false });
    for n in [1, 2, 9] {
        assert_eq!(told(&mut world, n), core::slice::from_ref(&notice), "on {n}");
    }
    let stored = Stored { crash: &first, ..Stored::default() };
    let now = world.now;
    world.nodes.push((8, configured(now, 8, &config(8), &stored)));
    world.run(10_000);
    assert_eq!(told(&mut world, 1).len(), 1);
}

#[test]
fn a_node_that_is_alone_waits_for_somebody_to_tell() {
    let first = value(0x4020_1000, 5);
    let mut world = World::new(0);
    let stored = Stored { crashed: &first, ..Stored::default() };
    world.nodes.push((1, configured(world.now, 1, &config(1), &stored)));
    world.run(60_000);
    assert!(told(&mut world, 1).is_empty());
    let now = world.now;
    world.nodes.push((2, configured(now, 2, &config(2), &Stored::default())));
    world.run(10_000);
    assert_eq!(told(&mut world, 2).len(), 1);
}

fn status(node: &mut Node<'_>, now: Instant) -> Value {
    let response = node.handle_request(now, &Request::new(Method::Get, "/api/node/status"));
    serde_json::from_str(&read(node, now, response)).unwrap()
}

#[test]
fn after_too_many_crashes_in_a_row_nothing_runs_of_what_the_program_adds() {
    static TASKS: [TaskSpec; 1] = [
        match TaskSpec::new("count", "", TaskKind::Periodic { interval: Duration::from_secs(1) }) {
            Ok(task) => task,
            Err(_) => panic!(),
        },
    ];
    static MANIFEST: Manifest = Manifest::new("light");
    static SPROCKETS: [&Manifest; 1] = [&MANIFEST];
    static SERVICES: [Service; 1] = [IDENTIFY];
    let first = value(0x4020_1000, 5);
    for crashes in [SAFE_AFTER - 1, SAFE_AFTER] {
        let safe = crashes == SAFE_AFTER;
        let mut world = World::new(1);
        world.run(1_000);
        let now = world.now;
        let services = Catalogue::new(&SERVICES).unwrap();
        let config = Config {
            services,
            tasks: Tasks::new(&TASKS).unwrap(),
            sprockets: &SPROCKETS,
            ..config(9)
        };
        let stored = Stored { crashed: &first, ..Stored::default() };
        let facts = Facts { crashes, ..facts() };
        let storage = Box::leak(Box::new(Storage::<Host>::NEW));
        world.nodes.push((9, Node::new(now, &config, facts, &stored, &Seed([9; 32]), storage)));
        world.run(10_000);
        let now = world.now;
        let node = world.node(9);
        let seen = status(node, now);
        let state = if safe { "suspended" } else { "running" };
        assert_eq!(
            (&seen["safe_mode"], &seen["sprockets"][0]["state"]),
            (&json!(safe), &json!(state))
        );
        assert_eq!(seen["services"].as_array().unwrap().is_empty(), safe);
        assert_eq!(node.running_sprocket(0).is_none(), safe);
        assert_eq!(node.task_run(0).unwrap().id.number == 0, safe, "its task has run");
        let call = node.handle_request(now, &Request::new(Method::Post, "/api/services/identify"));
        assert_eq!(call.status == 404, safe, "{call:?}");
        let log = node.handle_request(now, &Request::new(Method::Get, "/api/node/log"));
        let log = read(node, now, log);
        assert_eq!(log.contains("node/safe-mode"), safe, "{log}");
        // It is a member as any other, whose settings can be changed; the others are told.
        let mut set = ask(node, now, Method::Put, "/api/node/config", r#"{"hostname":"attic"}"#);
        act(node, now);
        assert!(node.poll_response(now, &mut set));
        assert_eq!(set.status, 200);
        let notice = json!({ "cause": "panic", "pc": "0x40201000", "safe_mode": safe });
        assert_eq!(told(&mut world, 1), [notice]);
    }
}
