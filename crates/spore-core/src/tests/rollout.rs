//! A rollout over HTTP, and from node to node.

use super::settings::{ask, read};
use super::world::{World, act, address, config, done, facts, sent};
use crate::api::{Method, Request};
use crate::node::StoreFailed;
use crate::ota::announcement::{Announcement, Ended};
use crate::ota::plan::{Image, Plan, RolloutId, SignedPlan};
use crate::ota::state::{Reason, State, UpdateState};
use crate::ota::{Cut, Done, Job, Refused, Running, Stage, Step};
use crate::profile::Host;
use crate::security::request::{Credentials, Signed, SigningKey as RequestKey};
use crate::security::{ClusterKey, ReleaseKey, Sealer, Subject};
use crate::services::ServiceIds;
use crate::settings::Settings;
use crate::store::MAX_VALUE;
use crate::time::{Duration, Instant};
use crate::wire::{Incarnation, Kind, MAX_DATAGRAM, Message, NodeId, Record, Rumor, U24};
use crate::{Action, Completion, Facts, Key, Node, Seed, Storage, Stored};
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use std::boxed::Box;
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

const PATH: &str = "/api/cluster/update";

fn key() -> SigningKey {
    SigningKey::from_bytes(&[5; 32])
}

/// The value of settings with the release key.
pub(super) fn settings() -> Vec<u8> {
    let release_key = Some(ReleaseKey(key().verifying_key().to_bytes()));
    let settings = Settings { release_key, ..Settings::default() };
    let mut value = [0; MAX_VALUE];
    let len = settings.encode(&mut value);
    value[..len].to_vec()
}

/// A plan that the release key has signed; nobody is its canary.
pub(super) fn signed(number: u32) -> SignedPlan {
    let mut board = [0; Image::BOARD];
    board[..3].copy_from_slice(b"sim");
    let plan = Plan {
        id: RolloutId { number, random: 0x89AB_CDEF },
        images: [Image { board, sequence: 9, digest: [0x5A; 16] }].into_iter().collect(),
        canaries: [NodeId([0; 6])].into_iter().collect(),
        waves: [10, 100].into_iter().collect(),
        gate: 60,
        max_failures: 1,
        expiry: 24,
        catches_up: true,
    };
    let mut message = [0; Plan::MESSAGE];
    let len = plan.message(&mut message);
    SignedPlan { signature: key().sign(&message[..len]).to_bytes(), plan }
}

/// The body that begins a rollout.
pub(super) fn document(number: u32) -> Vec<u8> {
    let mut bytes = [0; SignedPlan::MAX];
    let len = signed(number).encode(&mut bytes);
    bytes[..len].to_vec()
}

/// The value that a node stores of it.
pub(super) fn stored(number: u32) -> Vec<u8> {
    let mut value = [1, 0, 0, 0, 0].to_vec();
    let mut bytes = [0; SignedPlan::MAX];
    let len = signed(number).encode(&mut bytes);
    value.extend_from_slice(&bytes[..len]);
    value
}

/// Node number `n`, which has slots and the release key.
fn node(now: Instant, n: u8, settings: &[u8]) -> Node<'static> {
    let storage = Box::leak(Box::new(Storage::<Host>::NEW));
    let image = Some(Running { sequence: 8, stage: Stage::Confirmed });
    let stored = Stored { settings, ..Stored::default() };
    let facts = Facts { image, ..facts() };
    Node::new(now, &config(n), facts, &stored, &Seed([n; 32]), storage)
}

/// So many nodes that know each other; the last one has no release key.
pub(super) fn world(count: u8) -> World {
    let now = Instant::ZERO;
    let keyed = |n| if n == count && count > 2 { Vec::new() } else { settings() };
    let nodes = (1..=count).map(|n| (n, node(now, n, &keyed(n)))).collect();
    let mut world = World { now, nodes, air: Vec::new() };
    world.run(5_000);
    world
}

pub(super) fn state(world: &mut World, n: u8) -> Value {
    let now = world.now;
    let node = world.node(n);
    let response = node.handle_request(now, &Request::new(Method::Get, PATH));
    serde_json::from_str(&read(node, now, response)).unwrap()
}

/// Asks for it, and does what the node wants for it: status and document.
fn request(world: &mut World, method: Method, body: &[u8]) -> (u16, Value) {
    let now = world.now;
    let node = world.node(1);
    let mut response = ask(node, now, method, PATH, body);
    act(node, now);
    assert!(node.poll_response(now, &mut response));
    (response.status, serde_json::from_str(&read(node, now, response.clone())).unwrap())
}

fn code(answer: (u16, Value)) -> (u16, String) {
    (answer.0, answer.1["error"]["code"].as_str().unwrap().into())
}

#[test]
fn a_rollout_begins_spreads_and_is_halted_everywhere() {
    let mut world = world(4);
    assert_eq!(state(&mut world, 1)["rollout"], Value::Null);
    let (status, answer) = request(&mut world, Method::Post, &document(1));
    assert_eq!((status, &answer["rollout"]["state"]), (200, &json!("running")));
    let rollout = json!({
        "id": "1-89abcdef", "state": "running", "age_min": 0, "expiry_h": 24, "gate_s": 60,
        "max_failures": 1, "catches_up": true, "waves": [10, 100],
        "images": [{ "board": "sim", "sequence": 9, "digest": "5a".repeat(16) }],
        "canaries": ["000000000000"],
    });
    assert_eq!(answer["rollout"], rollout);
    assert_eq!(request(&mut world, Method::Post, &document(1)).0, 200, "the same again");
    world.run(5_000);
    for n in 1..=3 {
        let seen = state(&mut world, n);
        assert_eq!(seen["rollout"], rollout, "node {n}");
        let counts = json!({ "updated": 0, "pending": 3, "failed": 0, "rolled_back": 0, "absent": 0, "out": 1 });
        assert_eq!(seen["counts"], counts, "node {n}");
        let nodes = seen["nodes"].as_array().unwrap();
        let ids: Vec<_> = nodes.iter().map(|node| node["id"].as_str().unwrap()).collect();
        assert!(ids.len() == 4 && ids.is_sorted(), "{ids:?}");
    }
    assert_eq!(state(&mut world, 4)["rollout"], Value::Null, "it cannot tell who has signed it");
    let (status, answer) = request(&mut world, Method::Delete, b"");
    assert_eq!((status, &answer["rollout"]["state"]), (200, &json!("halted")));
    world.run(5_000);
    for n in 1..=3 {
        let seen = state(&mut world, n);
        assert_eq!(seen["rollout"]["state"], "halted", "node {n}");
        assert_eq!((&seen["counts"]["out"], &seen["counts"]["pending"]), (&json!(4), &json!(0)));
    }
    let answer = request(&mut world, Method::Post, &document(1));
    assert_eq!(answer.0, 200, "it was taken, and is halted");
    assert_eq!(answer.1["rollout"]["state"], "halted");
    assert_eq!(request(&mut world, Method::Post, &document(2)).1["rollout"]["state"], "running");
}

#[test]
fn who_never_takes_part_is_absent_when_it_is_dead() {
    let mut world = world(3);
    assert_eq!(request(&mut world, Method::Post, &document(1)).0, 200);
    world.run(5_000);
    let id = world.node(3).own().id.to_string();
    let seen = |world: &mut World| {
        let seen = state(world, 1);
        let node = seen["nodes"].as_array().unwrap().iter().find(|node| node["id"] == id).cloned();
        (
            node.unwrap()["state"].clone(),
            seen["counts"]["out"].clone(),
            seen["counts"]["absent"].clone(),
        )
    };
    assert_eq!(seen(&mut world), (json!("out"), json!(1), json!(0)));
    world.kill(3);
    world.run(20_000);
    assert_eq!(seen(&mut world), (json!("away"), json!(0), json!(1)));
}

#[test]
fn who_has_another_release_key_says_that_it_takes_no_part() {
    let mut world = world(2);
    assert_eq!(request(&mut world, Method::Post, &document(1)).0, 200);
    let now = world.now;
    let release_key = Some(ReleaseKey(SigningKey::from_bytes(&[6; 32]).verifying_key().to_bytes()));
    let other = Settings { release_key, ..Settings::default() };
    let mut value = [0; MAX_VALUE];
    let len = other.encode(&mut value);
    world.nodes.push((5, node(now, 5, &value[..len])));
    world.run(8_000);
    let counts = state(&mut world, 1)["counts"].clone();
    assert_eq!((&counts["out"], &counts["pending"]), (&json!(1), &json!(2)), "{counts}");
    assert_eq!(state(&mut world, 5)["rollout"], Value::Null);
}

#[test]
fn plans_that_are_wrong_are_refused_and_change_nothing() {
    let mut world = world(2);
    assert_eq!(code(request(&mut world, Method::Delete, b"")), (404, "no_rollout".into()));
    let good = document(2);
    let mut of_another_format = good.clone();
    of_another_format[0] = 2;
    let cut = &good[..good.len() - 1];
    let bodies: [&[u8]; 6] =
        [b"", b"{}", &[1; 40], cut, &of_another_format, &[&good[..], &good].concat()];
    for body in bodies {
        let (status, found) = code(request(&mut world, Method::Post, body));
        assert_eq!((status, &*found), (400, "invalid_field"), "{body:02x?}");
    }
    // Another gate than was signed.
    let mut forged = good.clone();
    forged[12] ^= 1;
    let answer = request(&mut world, Method::Post, &forged);
    assert_eq!(code(answer), (403, "rollout_unsigned".into()));
    assert_eq!(state(&mut world, 1)["rollout"], Value::Null);
    assert_eq!(request(&mut world, Method::Post, &good).0, 200);
    let answer = request(&mut world, Method::Post, &document(1));
    assert_eq!(code(answer), (409, "rollout_outdated".into()));
    // A plan that is not durable is not in force.
    let now = world.now;
    let node = world.node(1);
    let mut response = ask(node, now, Method::Post, PATH, document(3));
    assert_eq!(node.poll_action(now), Some(Action::Verify(Subject::Plan)));
    let verdict = node.question(Subject::Plan).unwrap().judge();
    node.handle_completion(now, Completion::Verify(Subject::Plan, verdict));
    assert_eq!(node.poll_action(now), Some(Action::Store(Key::Rollout)));
    node.handle_completion(now, Completion::Store(Key::Rollout, Err(StoreFailed)));
    assert!(node.poll_response(now, &mut response));
    assert_eq!(response.status, 500);
    assert_eq!(node.rollout().unwrap().signed, signed(2));
}

/// Messages of somebody who has the cluster key, and not the release key.
#[test]
fn a_forged_plan_of_a_member_changes_nothing() {
    let mut world = world(2);
    let mut forged = signed(9);
    forged.plan.gate = 0;
    let told = Announcement { signed: forged, ended: Ended::No, age: 0 };
    let now = world.now;
    world.node(2).cluster.rollout.adopt_unverified(now, told);
    let before = world.air.len();
    world.run(10_000);
    assert_eq!(state(&mut world, 2)["rollout"]["id"], "9-89abcdef");
    assert_eq!(state(&mut world, 1)["rollout"], Value::Null);
    let sent = world.air[before..].iter().filter(|(from, ..)| *from == address(2)).count();
    assert!(sent < 400, "{sent} datagrams in ten seconds");
}

#[test]
fn who_holds_to_another_rollout_takes_no_part_when_this_one_is_old() {
    let mut world = world(2);
    assert_eq!(request(&mut world, Method::Post, &document(1)).0, 200);
    let now = world.now;
    // The other one believes that somebody has signed this.
    let mut other = signed(9);
    other.plan.gate = 0;
    let told = |signed, age| Announcement { signed, ended: Ended::No, age };
    world.node(2).cluster.rollout.adopt_unverified(now, told(other, 0));
    world.run(5_000);
    for (age, pending, out) in [(9, 2, 0), (10, 1, 1)] {
        let now = world.now;
        world.node(1).cluster.rollout.hear(now, told(signed(1), age));
        let counts = state(&mut world, 1)["counts"].clone();
        assert_eq!(
            (&counts["pending"], &counts["out"]),
            (&json!(pending), &json!(out)),
            "{counts}"
        );
    }
}

/// What a body does that has the image already.
const FETCHED: [Action; 3] = [
    Action::Exchange(Job::Prepare([0x5A; 16])),
    Action::Exchange(Job::Check(0)),
    Action::Update(Step::Arm),
];

#[test]
fn the_image_is_put_on_trial_when_it_is_due_and_what_is_needed_after_that_is_stored_before() {
    let mut world = world(2);
    let own = world.node(1).own().id;
    let now = world.now;
    let mut plan = signed(1);
    plan.plan.canaries[0] = own;
    let told = Announcement { signed: plan, ended: Ended::No, age: 0 };
    let node = world.node(1);
    node.cluster.rollout.adopt_unverified(now, told);
    let mut actions = Vec::new();
    while let Some(action) = node.poll_action(now) {
        actions.push(action);
        match action {
            Action::Store(key) => node.handle_completion(now, Completion::Store(key, Ok(()))),
            Action::Exchange(job) => node.handle_completion(now, Completion::Exchange(done(job))),
            Action::Update(step) => node.handle_completion(now, Completion::Update(step, Ok(()))),
            _ => (),
        }
    }
    assert_eq!(actions, FETCHED);
    let later = now + Duration::from_secs(1);
    let mut buf = [0; MAX_DATAGRAM];
    while node.poll_transmit(later, &mut buf).is_some() {}
    assert_eq!(node.poll_action(later), Some(Action::Restart));
    let alone =
        &mut World { now, nodes: [(1, self::node(now, 1, &settings()))].into(), air: Vec::new() };
    alone.run(1_000);
    let (now, own) = (alone.now, alone.node(1).own().id);
    let mut plan = signed(1);
    plan.plan.canaries[0] = own;
    let told = Announcement { signed: plan, ended: Ended::No, age: 0 };
    let node = alone.node(1);
    node.cluster.rollout.adopt_unverified(now, told);
    for wanted in &FETCHED[..2] {
        assert_eq!(node.poll_action(now), Some(*wanted));
        let Action::Exchange(job) = *wanted else { panic!("{wanted:?}") };
        node.handle_completion(now, Completion::Exchange(done(job)));
    }
    assert_eq!(node.poll_action(now), Some(Action::Store(Key::Update)), "that it is alone");
    assert_eq!(node.poll_action(now), None, "not before that is stored");
    node.handle_completion(now, Completion::Store(Key::Update, Ok(())));
    assert_eq!(node.poll_action(now), Some(Action::Update(Step::Arm)));
}

/// What is said of member number `n`, who is there and so far.
pub(super) fn alive(n: u8, update: UpdateState) -> Record {
    let rumor = Rumor::Alive {
        address: *address(n).ip(),
        http_port: 80,
        status_version: 1,
        update,
        hostname: config(n).hostname,
        services: ServiceIds::EMPTY,
    };
    let incarnation = Incarnation { epoch: U24::MAX, refutation: U24::ZERO };
    Record { id: NodeId([n; 6]), incarnation, published: U24::ZERO, rumor }
}

#[test]
fn who_has_gone_back_is_rolled_back_and_counted_so() {
    let mut world = world(2);
    let now = world.now;
    let mut plan = signed(1);
    plan.plan.max_failures = 9;
    let told = Announcement { signed: plan, ended: Ended::No, age: 0 };
    let tag = told.id().tag();
    world.node(1).cluster.rollout.adopt_unverified(now, told);
    let failures = [
        (Reason::NOT_STARTED, "rolled_back"),
        (Reason::NO_NETWORK, "rolled_back"),
        (Reason::NO_PEER, "rolled_back"),
        (Reason::REFUSED, "failed"),
        (Reason::FLASH, "failed"),
    ];
    for (n, (reason, _)) in (50..).zip(failures) {
        let update = UpdateState::new(State::Failed(reason), tag);
        world.node(1).cluster.learn(now, &alive(n, update));
    }
    let seen = state(&mut world, 1);
    let nodes = seen["nodes"].as_array().unwrap();
    for (n, (reason, wanted)) in (50..).zip(failures) {
        let name = json!(format!("node-{n}"));
        let node = nodes.iter().find(|node| node["hostname"] == name).unwrap();
        assert_eq!((&node["state"], &node["reason"]), (&json!(wanted), &json!(reason.name())));
    }
    let counts = &seen["counts"];
    assert_eq!((&counts["rolled_back"], &counts["failed"]), (&json!(3), &json!(2)), "{counts}");
}

#[test]
fn who_leaves_sends_no_piece_of_an_image() {
    let mut world = world(2);
    let now = world.now;
    let node = world.node(1);
    node.serve_image(now, [0x5A; 16]);
    assert_eq!(node.poll_action(now), Some(Action::Exchange(Job::Offer([0x5A; 16]))));
    let cut = Cut { manifest: 2, count: 5 };
    node.handle_completion(now, Completion::Exchange(Done::Offered(Some((cut, false)))));
    node.cluster.exchange.handle_want(now, address(2), (0x5A5A_5A5A, 0), &[0b11]);
    let now = now + Duration::from_secs(1);
    let read = Job::Read { piece: 0, held: false };
    assert_eq!(node.poll_action(now), Some(Action::Exchange(read)));
    node.handle_piece(0, &[1, 2, 3]);
    node.handle_completion(now, Completion::Exchange(Done::Read(true)));
    assert!(node.cluster.exchange.has_letter(now), "it has a piece at hand");
    node.leave(now);
    let sealer = Sealer::new(&ClusterKey::from_bytes([7; 32]));
    let mut kinds = Vec::new();
    for step in 0..10 {
        let now = now + Duration::from_millis(50 * step);
        node.handle_timeout(now);
        for (_, mut bytes) in sent(node, now) {
            let (header, message) = sealer.open(&mut bytes).unwrap();
            kinds.push(Message::parse(message, header.sender).expect("others take it").kind);
        }
    }
    assert!(node.has_left() && !kinds.is_empty());
    assert!(kinds.iter().all(|kind| *kind == Kind::Announce), "{kinds:?}");
}

/// Whether an upload that is to be held is taken.
fn upload(node: &mut Node<'_>, now: Instant) -> Result<(), String> {
    let key = RequestKey::derive(&ClusterKey::from_bytes([7; 32]));
    let nonce = node.request_nonces.make(now);
    let (path, query) = ("/api/node/update", "start=no");
    let mac = key.sign(&Signed { method: "POST", path, query, nonce, body: b"" });
    let field = Credentials { nonce, mac }.to_string();
    let request =
        Request { query, authorization: Some(&field), ..Request::new(Method::Post, path) };
    let response = node.handle_head(now, &request).expect("it is answered at once");
    if response.is_upload() {
        return Ok(());
    }
    assert_eq!(response.status, 409);
    let document: Value = serde_json::from_str(&read(node, now, response)).unwrap();
    Err(document["error"]["code"].as_str().unwrap().into())
}

#[test]
fn the_other_slot_is_written_by_an_upload_or_for_a_rollout_and_never_by_both() {
    let fetching = |number| Announcement { signed: signed(number), ended: Ended::No, age: 0 };
    let in_use = Err("slot_in_use".into());
    let mut world = world(2);
    let now = world.now;
    let node = world.node(1);
    node.cluster.rollout.adopt_unverified(now, fetching(1));
    assert_eq!(node.poll_action(now), Some(FETCHED[0]));
    assert_eq!(upload(node, now), in_use);
    assert_eq!((node.upload(), node.rollout_image().is_some()), (None, true), "it goes on");
    // What the body has begun for a rollout that was halted is still under way.
    node.cluster.rollout.halt(now).unwrap();
    node.handle_timeout(now);
    assert_eq!(upload(node, now), in_use);
    node.handle_completion(now, Completion::Exchange(done(Job::Prepare([0x5A; 16]))));
    assert_eq!(upload(node, now), Ok(()));
    // The next rollout waits for the end of the upload.
    node.cluster.rollout.adopt_unverified(now, fetching(2));
    node.fetch_image(now, [0x5A; 16]);
    node.handle_timeout(now);
    act(node, now);
    let later = now + Duration::from_secs(60);
    node.handle_timeout(later);
    let actions: Vec<_> = core::iter::from_fn(|| node.poll_action(later)).collect();
    let writes = |action: &Action| matches!(action, Action::Exchange(_) | Action::Update(_));
    assert!(!actions.iter().any(writes), "{actions:?}");
    assert_eq!(upload(node, later), Err("update_under_way".into()));
    node.handle_installed(later, Err(Refused::Incomplete));
    assert_eq!(node.poll_action(later), Some(FETCHED[0]));
    // A plan that is in place of another one: what was fetched for that is fetched no more.
    node.handle_completion(later, Completion::Exchange(done(Job::Prepare([0x5A; 16]))));
    let mut of_others = fetching(3);
    of_others.signed.plan.images[0].board = [b'x'; Image::BOARD];
    node.cluster.rollout.adopt_unverified(later, of_others);
    node.handle_timeout(later);
    while let Some(action) = node.poll_action(later) {
        assert!(!writes(&action), "{action:?}");
    }
    assert_eq!(upload(node, later), Ok(()));
}
