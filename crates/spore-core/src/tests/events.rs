//! Events between a few nodes: what is published on one is delivered on all.

mod kinds;
mod missed;

use super::world::{World, act, address, config, facts, node, sent};
use crate::events::{Delivery, Filter, GUARDED, PublishError, Scope};
use crate::profile::Esp01;
use crate::time::{Duration, Instant};
use crate::wire::{NodeId, U24};
use crate::{Event, Node, Seed, Storage};
use std::string::{String, ToString as _};
use std::vec::Vec;

const CLUSTER: Scope = Scope::Cluster;

fn publish(world: &mut World, n: u8, topic: &str, payload: &[u8]) -> Result<u32, PublishError> {
    let now = world.now;
    world.node(n).publish(now, CLUSTER, topic, payload, false)
}

/// What was delivered on a node whose topic matches, and is still there.
fn delivered(world: &mut World, n: u8, filter: &str) -> Vec<(String, Vec<u8>)> {
    let (filter, mut after, mut all) = (Filter::new(filter).unwrap(), 0, Vec::new());
    while let Some(delivery) = world.node(n).next_event(after, filter) {
        assert!(delivery.seq > after);
        after = delivery.seq;
        all.push((delivery.topic.to_string(), delivery.payload.to_vec()));
    }
    all
}

fn payloads(world: &mut World, n: u8, filter: &str) -> Vec<u8> {
    delivered(world, n, filter).into_iter().map(|(_, payload)| payload[0]).collect()
}

#[test]
fn what_is_published_on_one_node_is_delivered_on_all_in_order() {
    let mut world = World::new(5);
    world.run(3_000);
    for n in 0..10 {
        publish(&mut world, 1 + n % 5, "kitchen/lamp", &[n]).unwrap();
        world.run(600);
    }
    for n in 1..=5 {
        assert_eq!(payloads(&mut world, n, "kitchen/+"), (0..10).collect::<Vec<_>>());
        assert!(delivered(&mut world, n, "cellar/#").is_empty());
    }
    let own = world.node(2).own().clone();
    let filter = Filter::new("kitchen/#").unwrap();
    let node = world.node(1);
    let delivery = node.next_event(0, filter).unwrap();
    assert_eq!((delivery.scope, delivery.retained), (CLUSTER, false));
    let second = node.next_event(delivery.seq, filter).unwrap().key.unwrap();
    assert_eq!((second.publisher, second.epoch), (own.id, own.incarnation.epoch));
    assert_eq!(second.seq.get(), 1);
}

#[test]
fn a_joiner_gets_the_window_and_hears_what_it_has_missed() {
    let mut world = World::new(3);
    world.run(3_000);
    for n in 0..30 {
        publish(&mut world, 1, "count", &[n]).unwrap();
        world.run(1_000);
    }
    let now = world.now;
    world.nodes.push((4, node(now, 4, None)));
    world.run(4_000);
    assert_eq!(payloads(&mut world, 4, "count"), (18..30).collect::<Vec<_>>());
    let publisher = world.node(1).own().id;
    let epoch = world.node(1).own().incarnation.epoch;
    let [from, to] = [1, 18].map(|n| U24::new(n).unwrap());
    let missed = Event::EventsMissed { publisher, epoch, from, to };
    let events: Vec<_> = std::iter::from_fn(|| world.node(4).poll_event()).collect();
    assert_eq!(events.iter().filter(|event| **event == missed).count(), 1, "{events:?}");
    let all = delivered(&mut world, 4, "#");
    let at = |topic| all.iter().position(|(other, _)| other == topic).unwrap();
    assert!(at("events/missed") < at("count"), "the gap comes before what follows it");
}

#[test]
fn retained_events_stay_while_others_go() {
    let mut world = World::new(2);
    world.run(3_000);
    let now = world.now;
    for (topic, payload) in [("lamp", 1), ("door", 2), ("lamp", 3)] {
        world.node(1).publish(now, CLUSTER, topic, &[payload], true).unwrap();
    }
    for n in 0..20 {
        world.run(1_000);
        publish(&mut world, 2, "tick", &[n]).unwrap();
    }
    let now = world.now;
    world.nodes.push((3, node(now, 3, None)));
    world.run(4_000);
    assert_eq!(payloads(&mut world, 3, "door"), [2]);
    assert_eq!(payloads(&mut world, 3, "lamp"), [3]);
    assert_eq!(payloads(&mut world, 3, "tick"), (8..20).collect::<Vec<_>>());
}

#[test]
fn an_event_of_a_node_that_has_just_started_is_not_old() {
    let mut world = World::new(2);
    world.run(3_000);
    for n in 0..20 {
        publish(&mut world, 1, "tick", &[n]).unwrap();
        world.run(1_000);
    }
    let now = world.now;
    let mut fresh = node(now, 3, None);
    act(&mut fresh, now);
    fresh.publish(now, CLUSTER, "hello", &[1], false).unwrap();
    fresh.publish(now, CLUSTER, "hello", &[2], false).unwrap();
    world.nodes.push((3, fresh));
    world.run(4_000);
    for n in 1..=3 {
        assert_eq!(payloads(&mut world, n, "hello"), [1, 2], "on {n}");
    }
    assert!(payloads(&mut world, 3, "tick").len() >= 10);
}

#[test]
fn of_a_node_that_was_alone_for_long_what_it_said_lately_is_new_and_its_order_is_kept() {
    let mut world = World::new(2);
    world.run(3_000);
    let now = world.now;
    let mut alone = node(now, 3, None);
    act(&mut alone, now);
    alone.publish(now, CLUSTER, "alone/state", &[1], true).unwrap();
    alone.publish(now, CLUSTER, "alone/old", &[2], false).unwrap();
    for n in 0..20 {
        publish(&mut world, 1, "tick", &[n]).unwrap();
        world.run(2_000);
    }
    let now = world.now;
    alone.publish(now, CLUSTER, "alone/new", &[3], false).unwrap();
    alone.publish(now, CLUSTER, "alone/new", &[4], true).unwrap();
    let id = alone.own().id;
    world.nodes.push((3, alone));
    world.run(15_000);
    let second = U24::new(2).unwrap();
    for n in 1..=2 {
        assert_eq!(payloads(&mut world, n, "alone/#"), [1, 3, 4], "on {n}");
        let events: Vec<_> = std::iter::from_fn(|| world.node(n).poll_event()).collect();
        let missed = |event: &&Event| {
            matches!(**event, Event::EventsMissed { publisher, from, to, .. }
                if publisher == id && from == second && to == second)
        };
        assert_eq!(events.iter().filter(missed).count(), 1, "on {n}: {events:?}");
    }
    assert_eq!(payloads(&mut world, 3, "tick").last(), Some(&19));
}

#[test]
fn more_events_than_the_cluster_can_carry_are_refused() {
    let mut world = World::new(2);
    world.run(3_000);
    for n in 0..8 {
        publish(&mut world, 1, "mine", &[n]).unwrap();
    }
    assert_eq!(publish(&mut world, 1, "mine", &[8]), Err(PublishError::TooMany), "its own share");
    world.run(1_000);
    for n in 0..4 {
        publish(&mut world, 2, "other", &[n]).unwrap();
    }
    assert_eq!(publish(&mut world, 2, "other", &[4]), Err(PublishError::TooMany));
    world.run(GUARDED.as_millis() - 1_000 + 100);
    publish(&mut world, 2, "other", &[4]).unwrap();
    world.run(2_000);
    for n in 1..=2 {
        assert_eq!(payloads(&mut world, n, "mine"), (1..8).collect::<Vec<_>>());
        assert_eq!(payloads(&mut world, n, "other"), (0..5).collect::<Vec<_>>());
    }
}

/// How many events a joiner can publish as soon as it has the full window of a cluster in which one
/// event of so many bytes was published each `pause` milliseconds.
fn room_of_a_joiner(pause: u64, payload: usize) -> usize {
    let mut world = World::new(3);
    world.run(3_000);
    for n in 0..14 {
        publish(&mut world, 1 + n % 3, "tick", &std::vec![n; payload]).unwrap();
        world.run(pause);
    }
    let now = world.now;
    world.nodes.push((4, node(now, 4, None)));
    let digest = world.node(1).window_digest();
    while world.node(4).window_digest() != digest {
        assert!(world.now.since(now) < Duration::from_secs(1), "it has no window yet");
        world.run(10);
    }
    let hello = std::vec![1; payload];
    let room = (0..20).take_while(|_| publish(&mut world, 4, "hello", &hello).is_ok()).count();
    assert_eq!(publish(&mut world, 4, "hello", &hello), Err(PublishError::TooMany));
    world.run(2_000);
    for n in 1..=4 {
        assert_eq!(payloads(&mut world, n, "hello").len(), room, "on {n}");
        assert!(payloads(&mut world, n, "tick").contains(&13), "the youngest is there, on {n}");
    }
    room
}

#[test]
fn a_joiner_of_a_busy_cluster_has_room_for_half_a_window_at_once() {
    assert_eq!(room_of_a_joiner(400, 1), 6);
    assert_eq!(room_of_a_joiner(10_000, 1), 6, "it cannot know that these are old");
    assert_eq!(room_of_a_joiner(1_100, 256), 2, "half of the bytes");
}

#[test]
fn what_cannot_be_published_is_refused_and_changes_nothing() {
    let mut world = World::new(1);
    let now = world.now;
    let node = world.node(1);
    assert_eq!(node.publish(now, CLUSTER, "a", b"", false), Err(PublishError::NotReady));
    act(node, now);
    let reserved = ["cluster/member/joined", "node", "events/x"];
    for (topics, error) in
        [(["", "a//b", "a/+"], PublishError::Topic), (reserved, PublishError::Reserved)]
    {
        for topic in topics {
            for scope in [CLUSTER, Scope::Local] {
                assert_eq!(node.publish(now, scope, topic, b"", false), Err(error), "{topic}");
            }
        }
    }
    assert_eq!(node.publish(now, CLUSTER, "a", &[0; 257], false), Err(PublishError::Payload));
    assert_eq!(node.publish(now, Scope::Local, "a", b"", true), Err(PublishError::Retained));
    assert_eq!((node.last_event(), node.next_event(0, Filter::ALL)), (0, None));
    assert_eq!(node.publish(now, CLUSTER, "a", &[0; 256], false), Ok(1));
    node.leave(now);
    assert_eq!(node.publish(now, CLUSTER, "a", b"", false), Err(PublishError::NotReady));
    let storage = std::boxed::Box::leak(std::boxed::Box::new(Storage::<Esp01>::NEW));
    let config = crate::Config { key: None, ..config(1) };
    let stored = Default::default();
    let mut node = Node::new(now, &config, facts(), &stored, &Seed([1; 32]), storage);
    act(&mut node, now);
    assert_eq!(node.publish(now, CLUSTER, "a", b"", false), Err(PublishError::Unclaimed));
    assert_eq!(node.publish(now, Scope::Local, "a", b"", false), Ok(1));
}

#[test]
fn local_and_system_events_are_on_the_bus_too_and_what_is_lost_is_counted() {
    let storage = std::boxed::Box::leak(std::boxed::Box::new(Storage::<Esp01>::NEW));
    let now = Instant::from_micros(5_000_000);
    let stored = Default::default();
    let mut node = Node::new(now, &config(1), facts(), &stored, &Seed([1; 32]), storage);
    act(&mut node, now);
    let later = now + Duration::from_secs(2);
    for n in 1..=6 {
        assert_eq!(node.publish(later, Scope::Local, "door", &[n], false), Ok(n.into()));
    }
    node.restart(later);
    assert_eq!(node.publish(later, CLUSTER, "lamp", b"on", true), Ok(8));
    assert_eq!(node.last_event(), 8);
    let seq = |delivery: Option<Delivery<'_>>| delivery.map(|it| (it.seq, it.lost));
    assert_eq!(seq(node.next_event(0, Filter::ALL)), Some((3, 2)), "a board keeps four");
    assert_eq!(seq(node.next_event(3, Filter::ALL)), Some((4, 0)));
    assert_eq!(seq(node.next_event(0, Filter::new("node/#").unwrap())), Some((7, 2)));
    assert_eq!(seq(node.next_event(7, Filter::new("lamp").unwrap())), Some((8, 0)));
    assert_eq!(node.next_event(8, Filter::ALL), None);
    let asked = node.next_event(6, Filter::ALL).unwrap();
    assert_eq!((asked.topic, &*asked.payload), ("node/restart/asked", &b"{}"[..]));
    assert_eq!((asked.scope, asked.uptime_ms, asked.key), (Scope::Local, 2_000, None));
    let lamp = node.next_event(7, Filter::ALL).unwrap();
    assert!(lamp.retained && lamp.uptime_ms.abs_diff(2_000) < 66);
    let door = node.next_event(2, Filter::ALL).unwrap();
    assert!(door.scope == Scope::Local && door.uptime_ms.abs_diff(2_000) < 66);
}

#[test]
fn a_node_that_leaves_tells_what_it_has_just_published() {
    let mut world = World::new(3);
    world.run(3_000);
    publish(&mut world, 1, "bye", &[1]).unwrap();
    let now = world.now;
    world.node(1).leave(now);
    world.run(1_000);
    for n in 2..=3 {
        assert_eq!(payloads(&mut world, n, "bye"), [1], "on {n}");
    }
}

#[test]
fn events_that_were_recorded_change_nothing_and_those_of_a_stranger_are_not_believed() {
    let mut world = World::new(3);
    world.run(3_000);
    publish(&mut world, 1, "count", &[1]).unwrap();
    world.run(3_000);
    let recording = world.air.clone();
    let before: Vec<_> = (1..=3).map(|n| world.node(n).last_event()).collect();
    for (from, to, bytes) in &recording {
        world.deliver(*from, *to, bytes);
    }
    let after: Vec<_> = (1..=3).map(|n| world.node(n).last_event()).collect();
    assert_eq!(before, after);
    let mut reborn = node(world.now, 9, None);
    act(&mut reborn, world.now);
    for (from, _, bytes) in &recording {
        reborn.handle_datagram(world.now, *from, &mut bytes.clone());
    }
    assert_eq!(reborn.last_event(), 0);
    assert!(
        sent(&mut reborn, world.now)
            .iter()
            .all(|(to, _)| *to != crate::Destination::Unicast(address(9)))
    );
}

#[test]
fn at_rest_nothing_is_sent_for_events() {
    let mut world = World::new(4);
    world.run(3_000);
    for n in 0..14 {
        publish(&mut world, 1 + n % 4, "count", &[n; 100]).unwrap();
        world.run(1_000);
    }
    world.run(5_000);
    let before = world.air.len();
    world.run(20_000);
    let key = crate::ClusterKey::from_bytes([7; 32]);
    let sealer = crate::security::Sealer::new(&key);
    for (_, _, bytes) in &mut world.air[before..] {
        let (header, message) = sealer.open(bytes).unwrap();
        let message = crate::wire::Message::parse(message, header.sender).unwrap();
        let kind = message.kind;
        assert!(!matches!(kind, crate::wire::Kind::Events | crate::wire::Kind::Window { .. }));
    }
}

#[test]
fn the_memory_that_events_take_on_a_board_is_known() {
    let size = size_of::<crate::profile::EventStorage<Esp01>>();
    let more = size_of::<crate::events::Events<'_>>();
    std::println!("events on a board: {size} bytes of storage, {more} of the node");
    // The log, and a queue that it has replaced, are older than events, and took 528 bytes.
    assert!(size + more - 528 <= 4_800, "{size} + {more}");
    assert_eq!(size_of::<NodeId>(), 6);
}
