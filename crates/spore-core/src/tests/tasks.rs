//! Tasks through the verbs and the API: run, listed, changed, carried.

use super::world::{World, act, config, facts};
use crate::api::{MIN_PIECE, Method, Request, Response};
use crate::profile::Host;
use crate::security::request::{Credentials, Signed, SigningKey};
use crate::services::IDENTIFY;
use crate::store::MAX_VALUE;
use crate::tasks::{TaskKind, TaskSpec, Tasks};
use crate::time::{Duration, Instant};
use crate::{
    Action, Catalogue, ClusterKey, Completion, Config, Event, Key, Node, Seed, ServiceId, Storage,
    Stored,
};
use serde_json::{Value, json};
use std::boxed::Box;
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

pub(super) static BLINK: TaskSpec = spec("blink", 100);
static SPECS: &[TaskSpec] =
    &[spec("blink", 100), clustered("alarm", 1_000), spec("pause", 5_000).disabled()];

const fn spec(name: &'static str, millis: u64) -> TaskSpec {
    let interval = Duration::from_millis(millis);
    match TaskSpec::new(name, "For a test", TaskKind::Periodic { interval }) {
        Ok(spec) => spec,
        Err(_) => panic!(),
    }
}

const fn clustered(name: &'static str, millis: u64) -> TaskSpec {
    match spec(name, millis).clustered() {
        Ok(spec) => spec,
        Err(_) => panic!(),
    }
}

fn with_tasks(n: u8) -> Config {
    Config { tasks: Tasks::new(SPECS).unwrap(), ..config(n) }
}

fn start(now: Instant, config: &Config, stored: &Stored<'_>) -> Node<'static> {
    let [.., n] = config.address.octets();
    let storage = Box::leak(Box::new(Storage::<Host>::NEW));
    Node::new(now, config, facts(), stored, &Seed([n; 32]), storage)
}

fn read(node: &Node<'_>, now: Instant, mut response: Response) -> Value {
    let (mut body, mut buf) = (Vec::new(), [0; MIN_PIECE]);
    loop {
        match node.poll_body(now, &mut response.body, &mut buf) {
            0 => return serde_json::from_slice(&body).unwrap(),
            len => body.extend_from_slice(&buf[..len]),
        }
    }
}

fn list(node: &mut Node<'_>, now: Instant) -> Value {
    let response = node.handle_request(now, &Request::new(Method::Get, "/api/tasks"));
    assert_eq!(response.status, 200);
    read(node, now, response)["tasks"].take()
}

fn task(node: &mut Node<'_>, now: Instant, name: &str) -> Value {
    let list = list(node, now);
    list.as_array().unwrap().iter().find(|task| task["name"] == name).unwrap().clone()
}

fn patch(node: &mut Node<'_>, now: Instant, name: &str, body: &Value) -> Response {
    let key = SigningKey::derive(&ClusterKey::from_bytes([7; 32]));
    let (path, body) = (format!("/api/tasks/{name}"), body.to_string());
    let nonce = node.request_nonces.make(now);
    let body = body.as_bytes();
    let mac = key.sign(&Signed { method: "PATCH", path: &path, query: "", nonce, body });
    let field = Credentials { nonce, mac }.to_string();
    let request =
        Request { authorization: Some(&field), body, ..Request::new(Method::Patch, &path) };
    node.handle_request(now, &request)
}

/// Changes a task on a body that stores at once: status and document.
fn change(node: &mut Node<'_>, now: Instant, name: &str, body: &Value) -> (u16, Value) {
    let mut response = patch(node, now, name, body);
    act(node, now);
    assert!(node.poll_response(now, &mut response));
    let status = response.status;
    (status, read(node, now, response))
}

/// The actions that are wanted now, but for those that are not about tasks, which are granted.
fn runs(node: &mut Node<'_>, now: Instant) -> Vec<u8> {
    let mut runs = Vec::new();
    while let Some(action) = node.poll_action(now) {
        match action {
            Action::RunTask(index) => runs.push(index),
            Action::Store(key) => node.handle_completion(now, Completion::Store(key, Ok(()))),
            _ => (),
        }
    }
    runs
}

fn at(millis: u64) -> Instant {
    Instant::from_micros(1_000_000) + Duration::from_millis(millis)
}

#[test]
fn a_due_task_is_run_measured_and_listed() {
    let mut node = start(at(0), &with_tasks(1), &Stored::default());
    assert_eq!(runs(&mut node, at(0)), [0_u8; 0]);
    assert!(node.poll_timeout().is_some_and(|due| due <= at(100)));
    assert_eq!(runs(&mut node, at(100)), [0]);
    let run = node.task_run(0).unwrap();
    let id = format!("{}-1-1", node.own().id);
    assert_eq!((run.task.name(), run.id.to_string()), ("blink", id));
    assert_eq!(task(&mut node, at(130), "blink")["running"], true);
    node.handle_completion(at(350), Completion::Ran(0));
    let shown = task(&mut node, at(350), "blink");
    assert_eq!(
        shown,
        json!({
            "name": "blink", "kind": "user", "schedule": "periodic", "summary": "For a test",
            "enabled": true, "interval_ms": 100, "clustered": false, "owner": null,
            "running": false, "runs": 1, "missed": 2, "last_us": 250_000, "longest_us": 250_000,
            "last_started_ms": 100, "next_ms": 50,
        })
    );
    let told = std::iter::from_fn(|| node.poll_event());
    let overrun = Event::TaskOverrun { task: &BLINK, micros: 250_000 };
    assert!(told.into_iter().any(|event| event == overrun));
    assert_eq!(node.task_run(3), None);
    node.handle_completion(at(350), Completion::Ran(200));
}

#[test]
fn the_tasks_of_the_engine_are_on_the_list_with_their_figures() {
    let mut world = World::new(3);
    world.run(20_000);
    let now = world.now;
    let node = world.node(1);
    let names: Vec<String> = list(node, now)
        .as_array()
        .unwrap()
        .iter()
        .map(|task| format!("{} {} {}", task["name"], task["kind"], task["schedule"]))
        .collect();
    let wanted = [
        r#""send-discovery" "system" "periodic""#,
        r#""listen-discovery" "system" "event""#,
        r#""probe" "system" "periodic""#,
        r#""status-poll" "system" "periodic""#,
    ];
    assert_eq!(names, wanted);
    let discovery = task(node, now, "send-discovery");
    let sent = discovery["runs"].as_u64().unwrap();
    assert!((5..=9).contains(&sent), "{discovery}");
    assert!(discovery["interval_ms"] == 8_000 && discovery["next_ms"].as_u64() <= Some(10_000));
    let listen = task(node, now, "listen-discovery");
    assert_eq!(listen["runs"], node.traffic().accepted);
    assert!(listen["interval_ms"].is_null() && listen["next_ms"].is_null());
    let probe = task(node, now, "probe");
    assert!(probe["runs"].as_u64().unwrap() >= 15 && probe["interval_ms"] == 1_000, "{probe}");
    assert!(task(node, now, "status-poll")["runs"].as_u64().unwrap() > 0);
    assert_eq!(probe["last_us"], 0, "nobody told how long it took");

    // Held up, and slow.
    let late = now + Duration::from_secs(10);
    node.handle_timeout(late);
    node.handle_elapsed(late + Duration::from_micros(700));
    let probe = task(node, late, "probe");
    assert_eq!((&probe["last_us"], &probe["longest_us"]), (&json!(700), &json!(700)));
    assert!((8..=10).contains(&probe["missed"].as_u64().unwrap()), "{probe}");
}

#[test]
fn a_change_is_answered_when_it_is_stored_and_found_again_after_a_restart() {
    let config = with_tasks(1);
    let mut node = start(at(0), &config, &Stored::default());
    act(&mut node, at(0));
    let mut response = patch(&mut node, at(10), "blink", &json!({"enabled": false}));
    assert!(response.is_pending());
    assert!(task(&mut node, at(10), "blink")["enabled"] == true);
    assert_eq!(node.poll_action(at(10)), Some(Action::Store(Key::Tasks)));
    assert!(!node.poll_response(at(10), &mut response));
    let refused = patch(&mut node, at(10), "pause", &json!({"enabled": true}));
    assert_eq!(read(&node, at(10), refused)["error"]["code"], "change_under_way");
    let mut value = [0; MAX_VALUE];
    let len = node.value(Key::Tasks, &mut value);
    node.handle_completion(at(20), Completion::Store(Key::Tasks, Ok(())));
    assert!(node.poll_response(at(20), &mut response));
    assert_eq!(response.status, 200);
    let shown = read(&node, at(20), response);
    assert!(shown["name"] == "blink" && shown["enabled"] == false && shown["next_ms"].is_null());
    assert_eq!(runs(&mut node, at(500)), [0_u8; 0]);

    let stored = Stored { tasks: &value[..len], ..Stored::default() };
    let mut node = start(at(0), &config, &stored);
    assert_eq!(runs(&mut node, at(500)), [0_u8; 0]);
    assert_eq!(task(&mut node, at(500), "blink")["enabled"], false);
    let (status, shown) = change(&mut node, at(500), "blink", &json!({"run": true}));
    assert_eq!((status, &shown["enabled"]), (200, &json!(false)));
    assert_eq!(task(&mut node, at(500), "blink")["runs"], 1, "by hand");
}

#[test]
fn what_could_not_be_stored_changes_nothing_and_runs_nothing() {
    let mut node = start(at(0), &with_tasks(1), &Stored::default());
    act(&mut node, at(0));
    let wanted = json!({"interval_ms": 50, "run": true});
    let mut response = patch(&mut node, at(10), "blink", &wanted);
    assert_eq!(node.poll_action(at(10)), Some(Action::Store(Key::Tasks)));
    let failed = Completion::Store(Key::Tasks, Err(crate::node::StoreFailed));
    node.handle_completion(at(10), failed);
    assert!(node.poll_response(at(10), &mut response));
    assert_eq!(response.status, 500);
    assert_eq!(read(&node, at(10), response)["error"]["code"], "store_failed");
    assert_eq!(task(&mut node, at(10), "blink")["interval_ms"], 100);
    assert_eq!(runs(&mut node, at(99)), [0_u8; 0]);
}

#[test]
fn refusals_have_their_codes() {
    let mut node = start(at(0), &with_tasks(1), &Stored::default());
    act(&mut node, at(0));
    for (name, body, status, code) in [
        ("blank", json!({"run": true}), 404, "not_found"),
        ("{name}", json!({"run": true}), 404, "not_found"),
        ("probe", json!({"enabled": false}), 409, "task_protected"),
        ("blink", json!({"interval_ms": 9}), 400, "invalid_field"),
        ("blink", json!({"interval": 9}), 400, "unknown_field"),
        ("blink", json!([]), 400, "invalid_json"),
    ] {
        let response = patch(&mut node, at(1), name, &body);
        let found = (response.status, read(&node, at(1), response)["error"]["code"].take());
        assert_eq!(found, (status, json!(code)), "{name} {body}");
    }
    assert_eq!(runs(&mut node, at(100)), [0]);
    let response = patch(&mut node, at(101), "blink", &json!({"run": true}));
    assert_eq!(read(&node, at(101), response)["error"]["code"], "task_under_way");
    for (method, path, status) in [
        (Method::Get, "/api/tasks/blink", 405),
        (Method::Patch, "/api/tasks", 405),
        (Method::Get, "/api/tasks/", 404),
        (Method::Patch, "/api/tasks/a/b", 404),
        (Method::Patch, "/api/tasks/blink", 401),
    ] {
        let response = node.handle_request(at(102), &Request::new(method, path));
        assert_eq!(response.status, status, "{path}");
    }
}

#[test]
fn discovery_and_status_poll_are_paced_stopped_and_run_by_hand() {
    let mut world = World::new(2);
    world.run(5_000);
    let now = world.now;
    let node = world.node(1);
    let wanted = json!({"enabled": false, "interval_ms": 60_000});
    assert_eq!(change(node, now, "send-discovery", &wanted).0, 200);
    let shown = task(node, now, "send-discovery");
    assert!(shown["interval_ms"] == 60_000 && shown["next_ms"].is_null(), "{shown}");
    let runs = shown["runs"].clone();
    assert_eq!(change(node, now, "status-poll", &json!({"enabled": false})).0, 200);
    let air = world.air.len();
    world.run(200_000);
    let broadcasts = |world: &World, from| {
        let mine = |from| {
            move |(by, to, _): &&(_, crate::Destination, _)| {
                *by == super::world::address(from) && *to == crate::Destination::Broadcast
            }
        };
        world.air[from..].iter().filter(mine(1)).count()
    };
    assert_eq!(broadcasts(&world, air), 0, "it is silent, and a member all the same");
    let now = world.now;
    assert_eq!(world.node(2).members()[0].status().name(), "active");
    let before = task(world.node(1), now, "send-discovery");
    assert_eq!(before["runs"], runs);
    assert_eq!(change(world.node(1), now, "send-discovery", &json!({"run": true})).0, 200);
    let air = world.air.len();
    world.run(10);
    assert_eq!(broadcasts(&world, air), 1);
    let now = world.now;
    assert_eq!(
        task(world.node(1), now, "send-discovery"),
        before,
        "what is done by hand is not counted"
    );
    let wanted = json!({"enabled": true, "interval_ms": null});
    let now = world.now;
    assert_eq!(change(world.node(1), now, "send-discovery", &wanted).0, 200);
    assert_eq!(task(world.node(1), now, "send-discovery")["interval_ms"], 8_000);
}

#[test]
fn a_status_poll_by_hand_is_a_run_for_each_fetch_and_none_while_it_is_paused() {
    let polled = |world: &mut World, wanted: &Value| {
        let now = world.now;
        assert_eq!(change(world.node(1), now, "status-poll", wanted).0, 200);
        world.run(10);
        let now = world.now;
        task(world.node(1), now, "status-poll")["runs"].as_u64().unwrap()
    };
    let mut alone = World::new(1);
    assert_eq!(polled(&mut alone, &json!({"run": true})), 0, "there is nothing to fetch");
    let mut world = World::new(2);
    let before = polled(&mut world, &json!({"enabled": false}));
    world.run(5_000);
    assert_eq!(polled(&mut world, &json!({"run": true})), before);
    assert_eq!(polled(&mut world, &json!({"enabled": true, "run": true})), before + 1);
    assert_eq!(polled(&mut world, &json!({"run": true})), before + 2, "nobody has answered");
}

#[test]
fn a_carried_task_is_told_of_owned_by_one_and_no_service() {
    let mut world = World::new(0);
    world.nodes = (1..=3)
        .map(|n| {
            let services: &'static [crate::Service] = &[IDENTIFY];
            let services = Catalogue::new(services).unwrap();
            let config = match n {
                3 => Config { services, ..config(n) },
                _ => Config { services, ..with_tasks(n) },
            };
            (n, start(world.now, &config, &Stored::default()))
        })
        .collect();
    world.run(15_000);
    let now = world.now;
    let id = ServiceId::of_task("alarm");
    let owners: Vec<_> = (1..=3).map(|n| world.node(n).cluster.owner(id)).collect();
    assert!(owners[0].is_some() && owners.iter().all(|owner| *owner == owners[0]));
    let ids: Vec<_> = (1..=2).map(|n| world.node(n).own().id).collect();
    let (owner, other) = if owners[0] == Some(ids[0]) { (1, 2) } else { (2, 1) };
    assert_eq!(world.node(owner).own().id, owners[0].unwrap());
    let mut ran = |n| task(world.node(n), now, "alarm")["runs"].as_u64().unwrap();
    assert!(ran(owner) >= 4 && ran(other) == 0, "{} {}", ran(owner), ran(other));
    for n in 1..=3 {
        let list = Request::new(Method::Get, "/api/cluster/services");
        let response = world.node(n).handle_request(now, &list);
        let services = read(world.node(n), now, response)["services"].take();
        assert_eq!(services.as_array().unwrap().len(), 1, "{services}");
    }
    // Who disables it does not carry it.
    let version = |world: &mut World, n| match &world.node(n).own().rumor {
        crate::wire::Rumor::Alive { status_version, .. } => *status_version,
        _ => 0,
    };
    let before = version(&mut world, owner);
    assert_eq!(change(world.node(owner), now, "alarm", &json!({"enabled": false})).0, 200);
    assert_eq!(version(&mut world, owner), before + 1);
    world.run(3_000);
    let now = world.now;
    let heir = world.node(other).own().id;
    assert!((1..=3).all(|n| world.node(n).cluster.owner(id) == Some(heir)));
    assert_eq!(task(world.node(owner), now, "alarm")["owner"], json!(heir));
}

/// The engine's memory on a board, but for the node's own.
#[test]
fn the_memory_of_the_tasks_is_small() {
    use crate::tasks::scheduler::{Scheduler, TaskStorage};
    let sizes = size_of::<TaskStorage>() + size_of::<Scheduler<'_>>();
    // On a board, where pointers are half as long, it is less.
    assert!(sizes <= 1_000, "{sizes}");
}
