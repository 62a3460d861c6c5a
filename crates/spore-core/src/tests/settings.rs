//! Settings through the API: in force when durable, known to all, there after a restart.

use super::world::{World, act, config, facts};
use crate::api::{MIN_PIECE, Method, Request, Response};
use crate::node::StoreFailed;
use crate::profile::Host;
use crate::security::request::{Credentials, Signed, SigningKey};
use crate::security::{Question, ReleaseKey, Subject, Succession, Verdict};
use crate::settings::Settings;
use crate::store::MAX_VALUE;
use crate::time::{Duration, Instant};
use crate::{Action, ClusterKey, Completion, Event, Key, Node, Seed, Storage, Stored};
use serde_json::{Value, json};
use std::borrow::ToOwned as _;
use std::boxed::Box;
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

pub(super) fn read(node: &Node<'_>, now: Instant, mut response: Response) -> String {
    let (mut body, mut buf) = (Vec::new(), [0; MIN_PIECE]);
    loop {
        match node.poll_body(now, &mut response.body, &mut buf) {
            0 => return String::from_utf8(body).unwrap(),
            len => body.extend_from_slice(&buf[..len]),
        }
    }
}

/// Sends a request that is signed as it must be.
pub(super) fn ask(
    node: &mut Node<'_>,
    now: Instant,
    method: Method,
    path: &str,
    body: impl AsRef<[u8]>,
) -> Response {
    let key = SigningKey::derive(&ClusterKey::from_bytes([7; 32]));
    let nonce = node.request_nonces.make(now);
    let body = body.as_ref();
    let mac = key.sign(&Signed { method: method.name(), path, query: "", nonce, body });
    let field = Credentials { nonce, mac }.to_string();
    let request = Request { authorization: Some(&field), body, ..Request::new(method, path) };
    node.handle_request(now, &request)
}

fn put(node: &mut Node<'_>, now: Instant, body: &Value) -> Response {
    ask(node, now, Method::Put, "/api/node/config", body.to_string())
}

fn config_of(node: &mut Node<'_>, now: Instant) -> Value {
    let response = ask(node, now, Method::Get, "/api/node/config", "");
    serde_json::from_str(&read(node, now, response)).unwrap()
}

/// Changes settings on a body that stores at once: status and document.
fn change(node: &mut Node<'_>, now: Instant, body: &Value) -> (u16, Value) {
    let mut response = put(node, now, body);
    act(node, now);
    assert!(node.poll_response(now, &mut response));
    let status = response.status;
    (status, serde_json::from_str(&read(node, now, response)).unwrap())
}

fn code(node: &Node<'_>, now: Instant, response: Response) -> String {
    let document: Value = serde_json::from_str(&read(node, now, response)).unwrap();
    document["error"]["code"].as_str().unwrap().into()
}

#[test]
fn a_change_is_answered_and_in_force_when_it_is_stored_and_not_before() {
    let mut world = World::new(1);
    world.run(10);
    let now = world.now;
    let node = world.node(1);
    let mut response = put(node, now, &json!({"hostname": "attic"}));
    assert!(response.is_pending());
    assert_eq!(node.poll_action(now), Some(Action::Store(Key::Settings)));
    assert_eq!(node.poll_action(now), None, "it is asked for once");
    assert!(!node.poll_response(now, &mut response));
    assert_eq!(config_of(node, now)["hostname"], "node-1");
    let refused = put(node, now, &json!({"hostname": "cellar"}));
    assert_eq!((refused.status, &*code(node, now, refused)), (409, "change_under_way"));

    node.handle_completion(now, Completion::Store(Key::Settings, Ok(())));
    assert_eq!(config_of(node, now)["hostname"], "attic");
    assert!(node.poll_response(now, &mut response));
    let expected = json!(
        {
            "version": 1, "hostname": "attic", "release_key": null, "claimed": true,
            "damaged": false,
        }
    );
    assert_eq!(response.status, 200);
    let document: Value = serde_json::from_str(&read(node, now, response)).unwrap();
    assert_eq!(document, expected);
    assert!(std::iter::from_fn(|| node.poll_event()).any(|event| event == Event::SettingsChanged));
}

#[test]
fn what_could_not_be_stored_changes_nothing() {
    let mut world = World::new(1);
    world.run(10);
    let now = world.now;
    let node = world.node(1);
    let before = node.own().clone();
    let mut response = put(node, now, &json!({"hostname": "attic"}));
    assert_eq!(node.poll_action(now), Some(Action::Store(Key::Settings)));
    node.handle_completion(now, Completion::Store(Key::Settings, Err(StoreFailed)));
    assert!(node.poll_response(now, &mut response));
    assert_eq!((response.status, &*code(node, now, response)), (500, "store_failed"));
    assert_eq!(*node.own(), before);
    assert_eq!(config_of(node, now)["version"], 0);
    act(node, now);
    assert_eq!(change(node, now, &json!({"hostname": "attic"})).0, 200, "the next one may");
}

/// A store that failed may have had its effect: without this, it would show after a restart.
#[test]
fn what_is_in_force_is_stored_once_more_after_a_failure_until_that_succeeds() {
    let mut world = World::new(1);
    world.run(10);
    let now = world.now;
    let node = world.node(1);
    assert_eq!(change(node, now, &json!({"hostname": "cellar"})).0, 200);
    let mut response = put(node, now, &json!({"hostname": "attic"}));
    let stored = |node: &Node<'_>| {
        let mut value = [0; crate::store::MAX_VALUE];
        let len = node.value(Key::Settings, &mut value);
        let settings = crate::settings::Settings::decode(&value[..len]).unwrap();
        (settings.version, String::from(settings.hostname.unwrap().as_str()))
    };
    let ask = Some(Action::Store(Key::Settings));
    assert_eq!(node.poll_action(now), ask);
    assert_eq!(stored(node), (2, "attic".into()));
    let failed = Completion::Store(Key::Settings, Err(StoreFailed));
    node.handle_completion(now, failed);
    assert!(node.poll_response(now, &mut response));
    assert_eq!(response.status, 500);

    assert_eq!(node.poll_action(now), ask, "at once");
    assert_eq!(stored(node), (1, "cellar".into()));
    assert_eq!(node.poll_action(now), None);
    node.handle_completion(now, failed);
    assert_eq!(node.poll_action(now), None, "after a pause");
    let later = now + Duration::from_secs(10);
    assert!(node.poll_timeout().is_some_and(|at| at <= later));
    assert_eq!(node.poll_action(later), ask);
    // A change waits for it, and is stored then.
    let mut response = put(node, later, &json!({"hostname": "loft"}));
    assert_eq!(node.poll_action(later), None);
    assert_eq!(stored(node), (1, "cellar".into()));
    node.handle_completion(later, Completion::Store(Key::Settings, Ok(())));
    assert!(!node.poll_response(later, &mut response));
    assert_eq!(node.poll_action(later), ask);
    assert_eq!(stored(node), (2, "loft".into()));
    node.handle_completion(later, Completion::Store(Key::Settings, Ok(())));
    assert!(node.poll_response(later, &mut response));
    assert_eq!(response.status, 200);
    assert_eq!(node.poll_action(later + Duration::from_secs(60)), None);
}

/// Whoever asked may be gone: the outcome waits a second for it, and the next change no longer.
#[test]
fn an_outcome_that_nobody_fetches_blocks_the_next_change_for_a_second() {
    let mut world = World::new(1);
    world.run(10);
    let now = world.now;
    let node = world.node(1);
    let mut lost = put(node, now, &json!({"hostname": "attic"}));
    act(node, now);
    assert_eq!(put(node, now, &json!({"hostname": "cellar"})).status, 409);
    let later = now + Duration::from_secs(1);
    assert_eq!(change(node, later, &json!({"hostname": "cellar"})).0, 200);
    assert!(node.poll_response(later, &mut lost), "it is not left waiting for ever");
    assert_eq!((lost.status, &*code(node, later, lost)), (503, "unfinished"));
}

#[test]
fn a_new_name_reaches_the_others_and_survives_a_restart() {
    let mut world = World::new(3);
    world.run(3_000);
    let now = world.now;
    let id = world.node(1).own().id;
    let (status, _) = change(world.node(1), now, &json!({"hostname": "attic"}));
    assert_eq!(status, 200);
    world.run(5_000);
    for n in [2, 3] {
        let member = world.node(n).members().iter().find(|member| member.id() == id).cloned();
        assert_eq!(member.unwrap().hostname().as_str(), "attic", "at {n}");
    }

    let mut value = [0; MAX_VALUE];
    let settings = world.node(1).settings().clone();
    let len = settings.encode(&mut value);
    let storage = Box::leak(Box::new(Storage::<Host>::NEW));
    let stored = Stored { settings: &value[..len], ..Stored::default() };
    let mut again = Node::new(now, &config(1), facts(), &stored, &Seed([5; 32]), storage);
    let document = config_of(&mut again, now);
    assert_eq!((&document["hostname"], &document["version"]), (&json!("attic"), &json!(1)));
}

/// Otherwise a bit of flash that flips would let a holder of the cluster key alone choose who signs
/// images.
#[test]
fn settings_that_were_damaged_take_no_release_key_now_and_after_every_start() {
    let (now, mut value) = (Instant::ZERO, [0; MAX_VALUE]);
    let keys = [1, 2].map(|byte| {
        let key = ed25519_dalek::SigningKey::from_bytes(&[byte; 32]);
        ReleaseKey(key.verifying_key().to_bytes())
    });
    let earlier = Settings { version: 4, release_key: Some(keys[0]), ..Settings::default() };
    let mut len = earlier.encode(&mut value);
    let text = |key: ReleaseKey| String::from(key.to_hex().as_str());
    let signature = "11".repeat(64);
    for settings_damaged in [true, false, false] {
        let stored = Stored { settings: &value[..len], settings_damaged, ..Stored::default() };
        let storage = Box::leak(Box::new(Storage::<Host>::NEW));
        let node = &mut Node::new(now, &config(1), facts(), &stored, &Seed([5; 32]), storage);
        assert_eq!(node.poll_action(now), Some(Action::Store(Key::Identity)));
        node.handle_completion(now, Completion::Store(Key::Identity, Ok(())));
        let document = config_of(node, now);
        assert_eq!((&document["damaged"], &document["release_key"]), (&json!(true), &Value::Null));
        for key in keys {
            for body in [
                json!({"release_key": text(key)}),
                json!({"release_key": text(key), "release_key_signature": signature}),
                json!({"release_key": text(key), "hostname": "cellar"}),
            ] {
                let refused = put(node, now, &body);
                assert_eq!(refused.status, 409, "{body}");
                assert_eq!(code(node, now, refused), "settings_damaged");
            }
        }
        assert_eq!(config_of(node, now), document, "nothing was changed");
        // A name is taken, and what is stored with it does not forget.
        let name = format!("attic-{}", document["version"]);
        assert_eq!(change(node, now, &json!({"hostname": name})).0, 200);
        len = node.settings().encode(&mut value);
    }
}

#[test]
fn versions_guard_against_changes_that_cross() {
    let mut world = World::new(1);
    world.run(10);
    let now = world.now;
    let node = world.node(1);
    assert_eq!(change(node, now, &json!({"hostname": "a", "version": 0})).0, 200);
    let refused = put(node, now, &json!({"hostname": "b", "version": 0}));
    assert_eq!((refused.status, &*code(node, now, refused)), (409, "version_conflict"));
    let same = json!({"version": 1, "hostname": "a"});
    assert_eq!(change(node, now, &same), (200, config_of(node, now)), "nothing is to be changed");
    assert_eq!(node.settings().version, 1);
    let (status, document) = change(node, now, &json!({"hostname": "b", "version": 1}));
    assert_eq!((status, &document["version"]), (200, &json!(2)));
    for body in ["", "[]", "{\"hostname\":1}", "{\"secret\":1}"] {
        let refused = ask(node, now, Method::Put, "/api/node/config", body);
        assert_eq!(refused.status, 400, "{body}");
    }
    assert_eq!(config_of(node, now), document);
}

#[test]
fn the_first_release_key_is_taken_and_the_next_one_only_from_the_first() {
    let mut world = World::new(1);
    world.run(10);
    let now = world.now;
    let node = world.node(1);
    // Their private halves are of ones and of twos.
    let key = |byte| {
        let key = ed25519_dalek::SigningKey::from_bytes(&[byte; 32]).verifying_key();
        ReleaseKey(key.to_bytes())
    };
    let (key, successor) = (key(1), key(2));
    let [first, second] = [key, successor].map(|key| key.to_hex().as_str().to_owned());
    let weak = format!("01{}", "00".repeat(31));
    let no_key = format!("02{}", "00".repeat(31));
    for bad in [&weak, &no_key] {
        let (status, answer) = change(node, now, &json!({"release_key": bad}));
        assert_eq!((status, &answer["error"]["field"]), (400, &json!("release_key")), "{bad}");
        assert_eq!(config_of(node, now)["release_key"], Value::Null);
    }
    assert_eq!(change(node, now, &json!({"release_key": first})).0, 200);
    assert_eq!(change(node, now, &json!({"release_key": first})).0, 200, "the same again");
    let refused = put(node, now, &json!({"release_key": second}));
    assert_eq!((refused.status, &*code(node, now, refused)), (403, "release_key_unsigned"));

    let body = json!({"release_key": second, "release_key_signature": "33".repeat(64)});
    for verdict in [Verdict::Unsigned, Verdict::NoKey, Verdict::Genuine] {
        let mut response = put(node, now, &body);
        assert_eq!(node.poll_action(now), Some(Action::Verify(Subject::Successor)));
        assert_eq!(node.poll_action(now), None, "nothing is stored before it is verified");
        let succession = Succession { key: Some(key), successor, signature: [0x33; 64] };
        assert!(matches!(
            node.question(Subject::Successor),
            Some(Question::Successor(asked)) if asked == succession
        ));
        assert_eq!(succession.message()[..19], *b"SPORE release key 1");
        assert_eq!(succession.message()[19..], successor.0);
        node.handle_completion(now, Completion::Verify(Subject::Successor, verdict));
        act(node, now);
        assert!(node.poll_response(now, &mut response));
        let (status, expected) = match verdict {
            Verdict::Unsigned => (403, &first),
            Verdict::NoKey => (400, &first),
            Verdict::Genuine => (200, &second),
        };
        assert_eq!(response.status, status);
        assert_eq!(config_of(node, now)["release_key"], *expected);
    }
}

#[test]
fn a_restart_comes_when_the_answer_has_left_and_after_a_change() {
    let mut world = World::new(1);
    world.run(10);
    let now = world.now;
    let node = world.node(1);
    let response = ask(node, now, Method::Post, "/api/node/restart", "");
    assert_eq!(response.status, 202);
    assert_eq!(read(node, now, response), "{\"restarting\":true}");
    let due = now + Duration::from_millis(500);
    assert_eq!(node.poll_action(due - Duration::from_micros(1)), None);
    assert!(node.poll_timeout().is_some_and(|at| at <= due));
    // Asking again does not put it off, and a change that is under way is ended first.
    ask(node, due - Duration::from_millis(1), Method::Post, "/api/node/restart", "");
    assert!(put(node, due, &json!({"hostname": "attic"})).is_pending());
    assert_eq!(node.poll_action(due), Some(Action::Store(Key::Settings)));
    assert_eq!(node.poll_action(due), None);
    node.handle_completion(due, Completion::Store(Key::Settings, Ok(())));
    // The answer to the change needs time to leave, too.
    let later = due + Duration::from_millis(500);
    assert_eq!(node.poll_action(later - Duration::from_micros(1)), None);
    assert_eq!(node.poll_action(later), Some(Action::Restart));
    assert_eq!(node.poll_action(later + Duration::from_secs(9)), None, "once");
}

#[test]
fn the_log_tells_what_happened_and_a_flood_of_refusals_is_one_line() {
    let mut world = World::new(2);
    world.run(3_000);
    let now = world.now;
    let node = world.node(1);
    while node.poll_event().is_some() {}
    for n in 0..1_000 {
        let at = now + Duration::from_millis(n);
        let request = Request::new(Method::Post, "/api/node/restart");
        assert_eq!(node.handle_request(at, &request).status, 401);
        while node.poll_event().is_some() {}
    }
    let later = now + Duration::from_secs(20);
    node.handle_request(later, &Request::new(Method::Post, "/api/node/restart"));
    while node.poll_event().is_some() {}
    let log = |node: &mut Node<'_>, query| {
        let request = Request { query, ..Request::new(Method::Get, "/api/node/log") };
        let response = node.handle_request(later, &request);
        serde_json::from_str::<Value>(&read(node, later, response)).unwrap()["log"].take()
    };
    let all = log(node, "");
    let names: Vec<_> =
        all.as_array().unwrap().iter().map(|entry| entry["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["cluster/member/joined", "node/requests/refused"]);
    assert_eq!(all[1]["count"], 1_001, "on end they are one");
    assert_eq!(all[1]["uptime_ms"], 23_000);
    assert!(all[0]["member"].is_string() && all[1]["member"].is_null());
    assert_eq!(log(node, "after=1"), json!([all[1]]));
    assert_eq!(log(node, "&after=3"), json!([]));
    assert_eq!(log(node, "after=4294967295"), json!([]));
    for query in ["after=-1", "after=1&after=2", "after=1&x=y&after=1"] {
        let request = Request { query, ..Request::new(Method::Get, "/api/node/log") };
        assert_eq!(node.handle_request(later, &request).status, 400, "{query}");
    }
    let before = node.answers().refused;
    assert_eq!(before, 1_001);

    for n in 0..100 {
        let at = later + Duration::from_secs(20 * (n + 1));
        node.handle_request(at, &Request::new(Method::Post, "/api/node/restart"));
        change(node, at, &json!({"hostname": format!("name-{n}")}));
        while node.poll_event().is_some() {}
    }
    let full = log(node, "");
    let sequence: Vec<_> =
        full.as_array().unwrap().iter().map(|entry| entry["seq"].as_u64().unwrap()).collect();
    assert_eq!(sequence, (138..=201).collect::<Vec<_>>(), "the last 64, on a host");
}

#[test]
fn metrics_are_whole_and_have_one_type_for_each_family() {
    let mut world = World::new(3);
    world.run(3_000);
    let now = world.now;
    let node = world.node(1);
    let response = node.handle_request(now, &Request::new(Method::Get, "/metrics"));
    assert_eq!(response.content_type, "text/plain; version=0.0.4; charset=utf-8");
    let text = read(node, now, response);
    assert!(text.ends_with('\n'));
    let mut family = String::new();
    let mut families = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            family = rest.split(' ').next().unwrap().into();
            assert!(!families.contains(&family), "{family} twice");
            families.push(family.clone());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, family);
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert_eq!(name.split('{').next().unwrap(), family);
            value.parse::<u64>().unwrap();
        }
    }
    assert!(families.len() >= 8);
    assert!(text.contains("spore_members{status=\"active\"} 3\n"), "{text}");
    let sent = format!("spore_datagrams_total{{outcome=\"sent\"}} {}\n", node.traffic().sent);
    assert!(text.contains(&sent), "{text}");
}
