//! Settings of sprockets through the API, and what the status says of them.

use super::settings::{ask, read};
use super::world::{act, config, facts};
use crate::api::{Method, Methods, Policy, Request};
use crate::node::StoreFailed;
use crate::profile::Host;
use crate::services::{Catalogue, IDENTIFY, Service};
use crate::sprockets::{Manifest, Setting, Value};
use crate::store::MAX_VALUE;
use crate::time::{Duration, Instant};
use crate::wire::Rumor;
use crate::{Action, Completion, Config, Key, Node, Seed, Storage, Stored};
use serde_json::{Value as Json, json};
use std::boxed::Box;
use std::string::{String, ToString as _};
use std::vec::Vec;

static DOOR: Manifest = Manifest::new("door").has(&[
    Setting::number("limit", 30, -100..=100, "When it is too warm"),
    Setting::text("label", "", "What it is called"),
    Setting::flag("quiet", false, "Whether it is silent"),
]);
static LIGHT: Manifest = Manifest::new("light");
static BOTH: [&Manifest; 2] = [&LIGHT, &DOOR];

fn node(stored: &[u8]) -> Node<'static> {
    let storage = Box::leak(Box::new(Storage::<Host>::NEW));
    let config = Config { sprockets: &BOTH, ..config(1) };
    let stored = Stored { sprockets: stored, ..Stored::default() };
    let mut node = Node::new(Instant::ZERO, &config, facts(), &stored, &Seed([5; 32]), storage);
    act(&mut node, Instant::ZERO);
    node
}

const PATH: &str = "/api/sprockets/door/config";
const NOW: Instant = Instant::ZERO;

/// Asks a node that stores at once: status and document.
fn done(node: &mut Node<'_>, now: Instant, method: Method, path: &str, body: &str) -> (u16, Json) {
    let mut response = ask(node, now, method, path, body);
    act(node, now);
    assert!(node.poll_response(now, &mut response));
    let status = response.status;
    (status, serde_json::from_str(&read(node, now, response)).unwrap())
}

fn set(node: &mut Node<'_>, now: Instant, body: &Json) -> (u16, Json) {
    done(node, now, Method::Put, PATH, &body.to_string())
}

fn status(node: &mut Node<'_>) -> Json {
    let response = node.handle_request(NOW, &Request::new(Method::Get, "/api/node/status"));
    serde_json::from_str(&read(node, NOW, response)).unwrap()
}

#[test]
fn settings_are_listed_with_all_that_is_known_of_them_and_changed() {
    let mut node = node(&[]);
    let (status, document) = done(&mut node, NOW, Method::Get, PATH, "");
    let limit = json!({"name": "limit", "value": 30, "default": 30, "least": -100, "most": 100,
        "summary": "When it is too warm"});
    let label = json!({"name": "label", "value": "", "default": "",
        "summary": "What it is called"});
    let quiet = json!({"name": "quiet", "value": false, "default": false,
        "summary": "Whether it is silent"});
    let all = json!({"sprocket": "door", "settings": [limit, label, quiet]});
    assert_eq!((status, document), (200, all));
    let none = done(&mut node, NOW, Method::Get, "/api/sprockets/light/config", "");
    assert_eq!(none, (200, json!({"sprocket": "light", "settings": []})));

    let (status, document) = set(&mut node, NOW, &json!({"quiet": true, "limit": -5}));
    assert_eq!((status, &document["settings"][0]["value"]), (200, &json!(-5)));
    assert_eq!(node.sprocket_setting(1, "limit"), Some(Value::Number(-5)));
    assert_eq!(node.sprocket_setting(1, "quiet"), Some(Value::Bool(true)));
    assert_eq!(node.sprocket_setting(1, "other"), None);
    assert_eq!(node.sprocket_setting(2, "limit"), None);
    assert_eq!(set(&mut node, NOW, &json!({})).0, 200, "nothing is to be changed");
}

#[test]
fn what_cannot_be_set_changes_nothing_and_is_named() {
    let mut node = node(&[]);
    for (body, status, code, field) in [
        ("", 400, "invalid_json", None),
        ("[]", 400, "invalid_json", None),
        ("{\"limit\":5", 400, "invalid_json", None),
        ("{\"limit\":101}", 400, "invalid_field", Some("limit")),
        ("{\"limit\":\"5\"}", 400, "invalid_field", Some("limit")),
        ("{\"limit\":5,\"limit\":6}", 400, "invalid_field", Some("limit")),
        ("{\"quiet\":1}", 400, "invalid_field", Some("quiet")),
        ("{\"label\":\"a\\n\"}", 400, "invalid_field", Some("label")),
        ("{\"limit\":5,\"other\":1}", 400, "unknown_field", Some("other")),
    ] {
        let (found, document) = done(&mut node, NOW, Method::Put, PATH, body);
        let error = &document["error"];
        assert_eq!((found, &error["code"]), (status, &json!(code)), "{body}");
        assert_eq!(error["field"].as_str(), field, "{body}");
    }
    assert_eq!(node.sprocket_setting(1, "limit"), Some(Value::Number(30)));
    assert_eq!(node.poll_action(NOW), None, "nothing is stored");
    for path in ["/api/sprockets/window/config", "/api/sprockets/door", "/api/sprockets//config"] {
        assert_eq!(ask(&mut node, NOW, Method::Get, path, "").status, 404, "{path}");
    }
    assert_eq!(ask(&mut node, NOW, Method::Post, PATH, "{}").status, 405);
    // Also for sprockets that are not there.
    for path in [PATH, "/api/sprockets/window/config"] {
        assert_eq!(node.handle_request(NOW, &Request::new(Method::Get, path)).status, 401);
    }
}

#[test]
fn a_setting_is_in_force_when_it_is_durable_and_found_after_a_restart() {
    let mut node = node(&[]);
    let body = json!({"limit": 7, "label": "front"}).to_string();
    let mut response = ask(&mut node, NOW, Method::Put, PATH, &body);
    assert!(response.is_pending());
    assert_eq!(node.poll_action(NOW), Some(Action::Store(Key::Sprockets)));
    assert_eq!(node.sprocket_setting(1, "limit"), Some(Value::Number(30)));
    let busy = ask(&mut node, NOW, Method::Put, PATH, "{\"limit\":8}");
    assert_eq!(busy.status, 409);
    let mut value = [0; MAX_VALUE];
    let len = node.value(Key::Sprockets, &mut value);
    node.handle_completion(NOW, Completion::Store(Key::Sprockets, Ok(())));
    assert!(node.poll_response(NOW, &mut response));
    assert_eq!(response.status, 200);
    assert_eq!(node.sprocket_setting(1, "limit"), Some(Value::Number(7)));

    // What could not be stored is not in force, and what is in force is stored once more.
    let later = NOW + Duration::from_secs(2);
    let mut response = ask(&mut node, later, Method::Put, PATH, "{\"limit\":9}");
    assert_eq!(node.poll_action(later), Some(Action::Store(Key::Sprockets)));
    node.handle_completion(later, Completion::Store(Key::Sprockets, Err(StoreFailed)));
    assert!(node.poll_response(later, &mut response));
    assert_eq!(response.status, 500);
    assert_eq!(node.poll_action(later), Some(Action::Store(Key::Sprockets)));
    let mut again = [0; MAX_VALUE];
    let same = node.value(Key::Sprockets, &mut again);
    assert_eq!(again[..same], value[..len]);

    let restarted = super::sprockets::node(&value[..len]);
    assert_eq!(restarted.sprocket_setting(1, "limit"), Some(Value::Number(7)));
    assert_eq!(restarted.sprocket_setting(1, "label"), Some(Value::Text("front")));
}

#[test]
fn more_than_there_is_room_for_is_refused_as_a_whole() {
    static LONG: Manifest = Manifest::new("long").has(&[
        Setting::text("a", "", ""),
        Setting::text("b", "", ""),
        Setting::text("c", "", ""),
        Setting::text("d", "", ""),
    ]);
    static ONE: [&Manifest; 1] = [&LONG];
    let storage = Box::leak(Box::new(Storage::<Host>::NEW));
    let config = Config { sprockets: &ONE, ..config(1) };
    let stored = Stored::default();
    let mut node = Node::new(NOW, &config, facts(), &stored, &Seed([5; 32]), storage);
    act(&mut node, NOW);
    let text = "x".repeat(32);
    let body = json!({"a": text, "b": text, "c": text, "d": text}).to_string();
    let (status, document) = done(&mut node, NOW, Method::Put, "/api/sprockets/long/config", &body);
    assert_eq!((status, &document["error"]["code"]), (409, &json!("settings_full")));
    assert_eq!(node.sprocket_setting(0, "a"), Some(Value::Text("")));
}

#[test]
fn the_status_says_how_sprockets_are() {
    let mut node = node(&[]);
    node.handle_sprocket(1, Duration::from_micros(1_500));
    node.handle_sprocket(1, Duration::from_millis(101));
    node.blame_sprocket(0, 3);
    node.blame_sprocket(1, 2);
    assert_eq!(node.running_sprocket(0).map(Manifest::name), None);
    assert_eq!(node.running_sprocket(1).map(Manifest::name), Some("door"));
    node.fail_sprocket(1, "index out of bounds");
    assert_eq!(node.running_sprocket(1).map(Manifest::name), None);
    let sprockets = status(&mut node)["sprockets"].clone();
    let light = json!({"name": "light", "state": "quarantined", "message": null, "runs": 0,
        "slow": 0, "longest_us": 0, "refused": 0, "restarts": 3});
    let door = json!({"name": "door", "state": "failed", "message": "index out of bounds",
        "runs": 2, "slow": 1, "longest_us": 101_000, "refused": 0, "restarts": 2});
    assert_eq!(sprockets, json!([light, door]));
}

/// The names of the services that the node lists: in its status, and in the cluster.
fn offered(node: &mut Node<'_>) -> [Vec<String>; 2] {
    let names = |list: &Json| {
        let services = list["services"].as_array().unwrap().iter();
        services.map(|service| service["name"].as_str().unwrap().into()).collect()
    };
    let all = Request::new(Method::Get, "/api/cluster/services");
    let all = node.handle_request(NOW, &all);
    let all = serde_json::from_str(&read(node, NOW, all)).unwrap();
    [names(&status(node)), names(&all)]
}

#[test]
fn what_a_stopped_sprocket_offers_is_offered_no_more_and_seen_in_the_metrics() {
    static SERVICES: [Service; 2] = [
        match Service::new("bell", Policy::Open, Methods::NONE.with(Method::Get), "") {
            Ok(service) => service,
            Err(_) => panic!(),
        },
        IDENTIFY,
    ];
    static BELL: Manifest = Manifest::new("bell").offers(SERVICES.split_at(1).0);
    static ALL: [&Manifest; 2] = [&LIGHT, &BELL];
    let start = |stop: fn(&mut Node<'_>)| {
        let storage = Box::leak(Box::new(Storage::<Host>::NEW));
        let services = Catalogue::new(&SERVICES).unwrap();
        let config = Config { sprockets: &ALL, services, ..config(1) };
        let stored = Stored::default();
        let mut node = Node::new(NOW, &config, facts(), &stored, &Seed([5; 32]), storage);
        act(&mut node, NOW);
        let (bell, version) = (SERVICES[0].id(), status(&mut node)["status_version"].clone());
        let mut both = offered(&mut node);
        both.iter_mut().for_each(|names| names.sort());
        assert_eq!(both, [["bell", "identify"]; 2]);
        assert_eq!(node.providers(bell).count(), 1);
        stop(&mut node);
        assert_eq!(offered(&mut node), [["identify"]; 2]);
        assert_eq!(node.providers(bell).count(), 0);
        let Rumor::Alive { services, .. } = &node.own().rumor else { panic!() };
        assert!(!services.contains(bell), "others are told");
        assert_ne!(status(&mut node)["status_version"], version);
        // Who calls it nevertheless hears why, from the sprocket's shell.
        let call = node.handle_request(NOW, &Request::new(Method::Get, "/api/services/bell"));
        assert!(call.to_call().is_some());
        let metrics = node.handle_request(NOW, &Request::new(Method::Get, "/metrics"));
        let metrics = read(&node, NOW, metrics);
        assert!(metrics.contains("spore_sprocket_running{sprocket=\"light\"} 1\n"), "{metrics}");
        assert!(metrics.contains("spore_sprocket_running{sprocket=\"bell\"} 0\n"), "{metrics}");
        node
    };
    start(|node| node.fail_sprocket(1, "stuck"));
    let mut node = start(|node| node.blame_sprocket(1, 3));
    node.set_services(Catalogue::new(&SERVICES).unwrap());
    assert_eq!(offered(&mut node)[0], ["identify"], "it stays so");
}

#[test]
fn what_a_sprocket_publishes_too_often_is_refused_and_counted() {
    use crate::events::Scope;
    use crate::sprockets::Refused;
    let mut node = node(&[]);
    let mut publish = |payload: Option<&[u8]>| {
        node.publish_for(NOW, 1, (Scope::Local, false), "door/open", payload)
    };
    assert_eq!(publish(None), Err(Refused::TooLong));
    let taken: Vec<_> = (0..10).map(|_| publish(Some(b"1"))).collect();
    assert!(taken[..8].iter().all(Result::is_ok), "{taken:?}");
    assert_eq!(taken[8..], [Err(Refused::TooOften), Err(Refused::TooOften)]);
    let later = NOW + Duration::from_millis(500);
    assert!(node.publish_for(later, 1, (Scope::Local, false), "door/open", Some(b"1")).is_ok());
    let reserved = node.publish_for(later, 0, (Scope::Local, false), "node/x", Some(b"1"));
    assert!(matches!(reserved, Err(Refused::Event(_))), "{reserved:?}");
    let sprockets = status(&mut node)["sprockets"].clone();
    assert_eq!([&sprockets[0]["refused"], &sprockets[1]["refused"]], [&json!(1), &json!(3)]);
}
