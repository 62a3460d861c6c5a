//! Replacing the cluster key, with a member that is left out.

use super::pieces::read;
use super::world::{World, act, config, configured};
use crate::api::{Method, Request};
use crate::cluster::Status;
use crate::node::StoreFailed;
use crate::security::request::{Credentials, Signed, SigningKey};
use crate::security::rotation::{Enrolment, Lock, Secret, proof};
use crate::settings::Claim;
use crate::store::MAX_VALUE;
use crate::time::{Duration, Instant};
use crate::{Action, ClusterKey, Completion, Key, Node, Stored};
use serde_json::Value;
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

const START: Instant = Instant::from_micros(90_000_000);
const PATH: &str = "/api/cluster/key";

fn key(n: u8) -> ClusterKey {
    ClusterKey::from_bytes([n; 32])
}

fn secret(n: u8) -> Secret {
    Secret([n; 16])
}

/// The claim of node `n`, which is enrolled; the key is what it is configured with.
fn claim(n: u8) -> Vec<u8> {
    let enrolment = Some(Enrolment { secret: secret(n), number: 0, next: None });
    encoded(&Claim { enrolment, ..Claim::default() })
}

fn encoded(claim: &Claim) -> Vec<u8> {
    let mut value = [0; MAX_VALUE];
    let len = claim.encode(&mut value);
    value[..len].to_vec()
}

fn started(now: Instant, n: u8, claim: &[u8]) -> Node<'static> {
    configured(now, n, &config(n), &Stored { claim, ..Stored::default() })
}

/// The body that hands `sealed` over.
fn body(sealed: &[u8; 64]) -> String {
    format!("{{\"sealed\":\"{}\"}}", crate::text::hex::<128>(sealed))
}

/// What the next key is sealed as for node `n`.
fn sealed(n: u8, number: u32, next: u8) -> String {
    body(&Lock::rotation(&secret(n)).seal(number, [number as u8; 12], &[next; 32]))
}

/// Asks for `PATH` with a signature under `by`, stores what is to be stored, and reads the answer.
fn ask(node: &mut Node<'_>, now: Instant, by: u8, body: Option<&str>) -> (u16, Value) {
    let nonce = node.handle_request(now, &Request::new(Method::Get, "/api/auth/nonce"));
    let nonce: Value = serde_json::from_str(&read(node, now, nonce)).unwrap();
    let nonce = nonce["nonce"].as_str().unwrap().parse().unwrap();
    let method = if body.is_some() { Method::Put } else { Method::Get };
    let body = body.unwrap_or_default().as_bytes();
    let signed = Signed { method: method.name(), path: PATH, query: "", nonce, body };
    let mac = SigningKey::derive(&key(by)).sign(&signed);
    let field = Credentials { nonce, mac }.to_string();
    let request = Request { body, authorization: Some(&field), ..Request::new(method, PATH) };
    let mut response = node.handle_request(now, &request);
    if response.is_pending() {
        act(node, now);
        assert!(node.poll_response(now, &mut response));
    }
    (response.status, serde_json::from_str(&read(node, now, response)).unwrap())
}

/// What the node would remember if its claim was stored now.
fn remembered(node: &Node<'_>, stored: &[u8]) -> Claim {
    let mut value = [0; MAX_VALUE];
    value[..stored.len()].copy_from_slice(stored);
    let len = node.revise(&mut value, stored.len());
    Claim::decode(&value[..len]).unwrap()
}

#[test]
fn a_cluster_changes_its_key_and_the_one_that_is_left_out_hears_and_says_nothing_more() {
    let mut world = World::new(0);
    world.now = START;
    world.nodes = (1..=5).map(|n| (n, started(START, n, &claim(n)))).collect();
    world.run(5_000);
    let now = world.now;
    for n in 1..=4 {
        let (status, answer) = ask(world.node(n), now, 7, Some(&sealed(n, 1, 8)));
        let id = world.node(n).own().id;
        assert_eq!((status, &answer["staged"], &answer["number"]), (200, &true.into(), &1.into()));
        assert_eq!(answer["proof"], proof(&secret(n), id, 1, &key(8)).to_string());
        // Who did not hear the answer asks again.
        assert_eq!(ask(world.node(n), now, 7, Some(&sealed(n, 1, 8))).0, 200);
    }
    // The one that is left out hands on what it has seen, and gains nothing.
    assert_eq!(ask(world.node(5), now, 7, Some(&sealed(4, 1, 8))).0, 403);
    world.run(5_000);
    assert!((1..=5).all(|n| world.node(n).members().iter().all(|m| m.status() == Status::Active)));
    let dropped = |world: &mut World, n| world.node(n).traffic().unauthentic;
    assert_eq!((1..=5).map(|n| dropped(&mut world, n)).sum::<u32>(), 0, "all hear all");

    // One is told to use it; the others hear that.
    let now = world.now;
    assert_eq!(ask(world.node(1), now, 8, None).0, 200);
    world.air.clear();
    world.run(2_000);
    let heard = world.node(5).traffic().accepted;
    world.run(13_000);
    let now = world.now;
    let thief = world.node(5).own().id;
    for n in 1..=4 {
        let members = world.node(n).members();
        for member in members {
            let left_out = member.id() == thief;
            assert_eq!(member.status() == Status::Active, !left_out, "as {n} sees it");
        }
        let (status, answer) = ask(world.node(n), now, 8, None);
        assert_eq!((status, &answer["staged"]), (200, &false.into()));
        assert_eq!(ask(world.node(n), now, 7, None).0, 401, "the old key signs nothing any more");
    }
    assert_eq!(world.node(5).traffic().accepted, heard);

    // After a while nobody opens what it says, either.
    world.run(10_000);
    let before = (1..=4).map(|n| world.node(n).traffic().accepted).collect::<Vec<_>>();
    let dropped_before = dropped(&mut world, 1);
    let others: Vec<_> = (1..=4).collect();
    let words = world.air.iter().filter(|(from, ..)| *from == super::world::address(5));
    let words: Vec<_> = words.cloned().collect();
    for (from, to, bytes) in &words {
        world.deliver(*from, *to, bytes);
    }
    assert!(!words.is_empty() && dropped(&mut world, 1) > dropped_before);
    let after = others.iter().map(|n| world.node(*n).traffic().accepted).collect::<Vec<_>>();
    assert_eq!(before, after);
}

#[test]
fn what_is_sealed_for_another_or_is_older_or_altered_is_refused_and_changes_nothing() {
    let mut node = started(START, 1, &claim(1));
    act(&mut node, START);
    assert_eq!(ask(&mut node, START, 7, Some(&sealed(1, 5, 8))).0, 200);
    let before = remembered(&node, &claim(1));
    let mut altered = Lock::rotation(&secret(1)).seal(6, [1; 12], &[9; 32]);
    altered[3] = 7;
    let enrolment = Lock::enrolment(&key(7)).seal(9, [1; 12], &[9; 32]);
    for (what, body, status) in [
        ("sealed for another", sealed(2, 6, 9), 403),
        ("an older one", sealed(1, 4, 9), 403),
        ("another key of the same number", sealed(1, 5, 9), 403),
        ("altered", body(&altered), 403),
        ("another secret", body(&enrolment), 403),
        ("cut", body(&altered).replace("\"}", "0\"}"), 400),
        ("nothing", "{}".to_string(), 400),
        ("something else", "{\"key\":\"00\"}".to_string(), 400),
    ] {
        assert_eq!(ask(&mut node, START, 7, Some(&body)).0, status, "{what}");
        assert_eq!(remembered(&node, &claim(1)), before, "{what}");
    }
    // A later rotation, or the same after one that was given up, takes its place.
    assert_eq!(ask(&mut node, START, 7, Some(&sealed(1, 6, 9))).0, 200);
    assert_eq!(remembered(&node, &claim(1)).enrolment.unwrap().next, Some(key(9)));
}

#[test]
fn a_node_is_enrolled_once_and_keeps_the_rest_of_its_claim() {
    let stored = encoded(&Claim {
        key: Some(key(7)),
        access_point: Some("access-point".parse().unwrap()),
        ..Claim::default()
    });
    let mut node = started(START, 1, &stored);
    act(&mut node, START);
    let mut content = [0; 32];
    content[..16].copy_from_slice(&secret(3).0);
    let enrolment = body(&Lock::enrolment(&key(7)).seal(4, [1; 12], &content));
    assert_eq!(ask(&mut node, START, 7, None).1["proof"], Value::Null);
    assert_eq!(ask(&mut node, START, 7, Some(&enrolment)).0, 200);
    assert_eq!(ask(&mut node, START, 7, Some(&enrolment)).0, 403);
    let (_, answer) = ask(&mut node, START, 7, None);
    assert_eq!(answer["proof"], proof(&secret(3), node.own().id, 4, &key(7)).to_string());
    let expected = Enrolment { secret: secret(3), number: 4, next: None };
    let claim = Claim { enrolment: Some(expected), ..Claim::decode(&stored).unwrap() };
    assert_eq!(remembered(&node, &stored), claim);
}

#[test]
fn a_start_in_the_middle_goes_on_where_it_was() {
    let mut node = started(START, 1, &claim(1));
    act(&mut node, START);
    assert_eq!(ask(&mut node, START, 7, Some(&sealed(1, 1, 8))).0, 200);
    let staged = encoded(&remembered(&node, &claim(1)));
    let mut again = started(START, 1, &staged);
    act(&mut again, START);
    let (status, answer) = ask(&mut again, START, 7, None);
    assert_eq!((status, &answer["staged"]), (200, &true.into()));
    assert_eq!(Claim::decode(&staged).unwrap().key, None, "it holds only when it was switched");
    assert_eq!(ask(&mut again, START, 8, None).1["staged"], false);
    let switched = remembered(&again, &staged);
    assert_eq!((&switched.key, &switched.enrolment.as_ref().unwrap().next), (&Some(key(8)), &None));
    let mut later = started(START, 1, &encoded(&switched));
    act(&mut later, START);
    assert_eq!((ask(&mut later, START, 7, None).0, ask(&mut later, START, 8, None).0), (401, 200));
}

#[test]
fn who_is_configured_with_the_next_key_already_has_it_in_force() {
    let enrolment = Some(Enrolment { secret: secret(1), number: 1, next: Some(key(7)) });
    let staged = encoded(&Claim { enrolment, ..Claim::default() });
    let mut node = started(START, 1, &staged);
    act(&mut node, START);
    assert_eq!(ask(&mut node, START, 7, None).1["staged"], false, "at its start");
    let mut node = started(START, 1, &claim(1));
    act(&mut node, START);
    let (status, answer) = ask(&mut node, START, 7, Some(&sealed(1, 1, 7)));
    assert_eq!((status, &answer["staged"]), (200, &false.into()), "when it is given it");
    assert_eq!(
        remembered(&node, &claim(1)).key,
        Some(key(7)),
        "and it does not depend on that any more"
    );
    assert_eq!(ask(&mut node, START, 7, Some(&sealed(1, 2, 8))).1["staged"], true);
}

#[test]
fn what_could_not_be_stored_is_not_said_to_be_and_is_tried_again() {
    let mut node = started(START, 1, &claim(1));
    act(&mut node, START);
    let nonce = node.handle_request(START, &Request::new(Method::Get, "/api/auth/nonce"));
    let nonce: Value = serde_json::from_str(&read(&node, START, nonce)).unwrap();
    let nonce = nonce["nonce"].as_str().unwrap().parse().unwrap();
    let text = sealed(1, 1, 8);
    let signed = Signed { method: "PUT", path: PATH, query: "", nonce, body: text.as_bytes() };
    let field = Credentials { nonce, mac: SigningKey::derive(&key(7)).sign(&signed) }.to_string();
    let request = Request {
        body: text.as_bytes(),
        authorization: Some(&field),
        ..Request::new(Method::Put, PATH)
    };
    let mut response = node.handle_request(START, &request);
    assert!(response.is_pending() && !node.poll_response(START, &mut response));
    assert_eq!(node.poll_action(START), Some(Action::Store(Key::Claim)));
    node.handle_completion(START, Completion::Store(Key::Claim, Err(StoreFailed)));
    assert!(!node.poll_response(START, &mut response));
    let again = START + Duration::from_secs(5);
    assert!(node.poll_timeout().unwrap() <= again);
    assert_eq!(node.poll_action(again), Some(Action::Store(Key::Claim)));
    node.handle_completion(again, Completion::Store(Key::Claim, Ok(())));
    assert!(node.poll_response(again, &mut response) && response.status == 200);
}
