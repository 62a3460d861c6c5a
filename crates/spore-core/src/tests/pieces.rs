//! Every piece of an answer fits into the buffer that the shell promises.

use super::world::{World, config};
use crate::api::{Error, MIN_PIECE, Method, Methods, Request, Response};
use crate::ota::state::UpdateState;
use crate::ota::{Running, Stage};
use crate::profile::Host;
use crate::services::ServiceIds;
use crate::time::Instant;
use crate::wire::{Hostname, Incarnation, NodeId, Record, Rumor, U24};
use crate::{Facts, Node, Resources, Seed, Storage};
use core::net::Ipv4Addr;
use serde_json::Value;
use std::boxed::Box;
use std::string::String;
use std::vec::Vec;

/// Reads a whole body through the smallest buffer.
pub(super) fn read(node: &Node<'_>, now: Instant, mut response: Response) -> String {
    let mut body = Vec::new();
    let mut buf = [0; MIN_PIECE];
    loop {
        match node.poll_body(now, &mut response.body, &mut buf) {
            0 => return String::from_utf8(body).unwrap(),
            len => body.extend_from_slice(&buf[..len]),
        }
    }
}

pub(super) fn get(node: &mut Node<'_>, now: Instant, path: &str) -> Value {
    let request = Request::new(Method::Get, path);
    let response = node.handle_request(now, &request);
    serde_json::from_str(&read(node, now, response)).unwrap()
}

/// A node whose every field has its longest value.
fn longest() -> (Node<'static>, Instant) {
    let storage = Box::leak(Box::new(Storage::<Host>::NEW));
    let text = "abcdefghijklmnopqrstuvwxyz012345";
    let facts = Facts {
        board: text,
        version: text,
        reset_reason: text,
        crashes: 0,
        chip_id: u32::MAX,
        flash_size: u32::MAX,
        image: Some(Running { sequence: u32::MAX, stage: Stage::Confirmed }),
    };
    let mut config = config(1);
    config.hostname = Hostname::new(&"a".repeat(Hostname::MAX)).unwrap();
    config.address = Ipv4Addr::BROADCAST;
    config.http_port = u16::MAX;
    let mut node =
        Node::new(Instant::ZERO, &config, facts, &Default::default(), &Seed([1; 32]), storage);
    node.handle_resources(Resources { free_memory: u64::MAX });
    let now = Instant::from_micros(u64::MAX);
    let rumor = Rumor::Alive {
        address: Ipv4Addr::BROADCAST,
        http_port: u16::MAX,
        status_version: u16::MAX,
        update: UpdateState::NONE,
        hostname: config.hostname.clone(),
        services: ServiceIds::EMPTY,
    };
    let incarnation = Incarnation { epoch: U24::MAX, refutation: U24::MAX };
    for n in 0..100 {
        let id = NodeId([0xFF, 0xFF, 0xFF, 0xFF, 0xFF, n]);
        node.cluster
            .learn(now, &Record { id, incarnation, published: U24::MAX, rumor: rumor.clone() });
    }
    (node, now)
}

#[test]
fn the_longest_status_and_the_longest_members_are_whole() {
    let (mut node, now) = longest();
    let status = get(&mut node, now, "/api/node/status");
    assert_eq!(status["free_memory"].as_u64(), Some(u64::MAX));
    assert_eq!(status["endpoints"].as_array().unwrap().len(), crate::api::ROUTES.len());
    let members = get(&mut node, now, "/api/cluster/members");
    assert_eq!(members["members"].as_array().unwrap().len(), 101);
}

#[test]
fn every_error_is_whole_with_and_without_a_node() {
    let (node, now) = longest();
    let errors = [
        Error::BadRequest,
        Error::NotFound,
        Error::MethodNotAllowed(Methods::NONE.with(Method::Get)),
        Error::RequestTimeout,
        Error::PayloadTooLarge,
        Error::UriTooLong,
        Error::HeadTooLarge,
        Error::NotImplemented,
        Error::Busy,
        Error::StreamsBusy,
        Error::VersionNotSupported,
    ];
    for error in errors {
        let text = read(&node, now, Response::error(error));
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["error"]["code"], error.code());
        let mut buf = [0; MIN_PIECE];
        let len = Response::error(error).body.fill_error(&mut buf);
        assert_eq!(&buf[..len], text.as_bytes());
    }
}

#[test]
fn a_list_that_changes_while_it_is_read_stays_well_formed_and_repeats_nobody() {
    let (mut node, now) = longest();
    let request = Request::new(Method::Get, "/api/cluster/members");
    let mut response = node.handle_request(now, &request);
    let (mut body, mut buf) = (Vec::new(), [0; MIN_PIECE]);
    let first = node
        .members()
        .first()
        .map(|member| member.record(&node.cluster.directory, U24::ZERO))
        .unwrap();
    for n in 0u8.. {
        let len = node.poll_body(now, &mut response.body, &mut buf);
        if len == 0 {
            break;
        }
        body.extend_from_slice(&buf[..len]);
        // Rows before and behind the place that was reached.
        let id = NodeId([n.wrapping_mul(83), 1, 2, 3, 4, n]);
        node.cluster.learn(now, &Record { id, ..first.clone() });
    }
    let document: Value = serde_json::from_slice(&body).unwrap();
    let ids: Vec<_> = document["members"].as_array().unwrap().iter().map(|m| &m["id"]).collect();
    let mut sorted: Vec<_> = ids.iter().map(|id| id.as_str().unwrap()).collect();
    sorted.dedup();
    assert_eq!(sorted.len(), ids.len());
    assert!(ids.len() >= 101);
}

#[test]
fn the_node_that_is_asked_marks_itself() {
    let mut world = World::new(3);
    world.run(1_000);
    let now = world.now;
    let id = std::format!("{}", world.node(2).own().id);
    let members = get(world.node(2), now, "/api/cluster/members");
    for member in members["members"].as_array().unwrap() {
        assert_eq!(member["self"], member["id"] == id.as_str());
        assert_eq!(member["rtt_us"].is_null(), member["id"] == id.as_str());
    }
}
