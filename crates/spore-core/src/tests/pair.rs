//! What nodes make of each other.

use super::world::{World, act, address, facts, node, sent};
use crate::cluster::{Member, Status};
use crate::security::Identity;
use crate::store::MAX_VALUE;
use crate::time::{Duration, Instant};
use crate::wire::{Incarnation, NodeId, U24};
use crate::{Action, Completion, Destination, Event, Key, Node};
use std::vec::Vec;

fn statuses(world: &mut World, n: u8) -> Vec<Status> {
    world.node(n).members().iter().map(|member| member.status()).collect()
}

#[test]
fn two_nodes_find_each_other() {
    let mut world = World::new(2);
    world.run(100);
    for n in [1, 2] {
        let member = &world.node(n).members()[0];
        assert_eq!(member.status(), Status::Active);
        assert_eq!(member.hostname().as_str(), if n == 1 { "node-2" } else { "node-1" });
        assert!(member.last_seen().is_some());
    }
    assert!(matches!(world.node(1).poll_event(), Some(Event::MemberJoined(_))));
}

#[test]
fn a_silent_node_is_suspected_and_dies_within_15_seconds_for_all() {
    let mut world = World::new(5);
    world.run(5_000);
    for n in 1..=5 {
        assert_eq!(statuses(&mut world, n), [Status::Active; 4], "as {n} sees it");
    }
    world.kill(3);
    world.run(15_000);
    for n in [1, 2, 4, 5] {
        let dead = statuses(&mut world, n).iter().filter(|s| **s == Status::Dead).count();
        assert_eq!(dead, 1, "as {n} sees it");
    }
}

/// The identity that the node wants to be stored.
fn to_store(node: &Node<'_>) -> Identity {
    let mut value = [0; MAX_VALUE];
    let len = node.value(Key::Identity, &mut value);
    Identity::decode(&value[..len]).unwrap()
}

#[test]
fn nothing_is_sent_before_the_epoch_is_durable() {
    let now = Instant::ZERO;
    let mut node = node(now, 1, None);
    node.handle_timeout(now);
    assert!(sent(&mut node, now).is_empty());
    assert_eq!(node.poll_action(now), Some(Action::Store(Key::Identity)));
    let identity = to_store(&node);
    assert_eq!(identity.id, node.own().id);
    assert_eq!(node.poll_action(now), None, "it is asked for once");
    node.handle_completion(now, Completion::Store(Key::Identity, Err(crate::node::StoreFailed)));
    node.handle_timeout(now);
    assert!(sent(&mut node, now).is_empty());
    let again = node.poll_timeout().expect("a second attempt");
    assert_eq!(node.poll_action(again), Some(Action::Store(Key::Identity)));
    assert_eq!(to_store(&node), identity);
    node.handle_completion(again, Completion::Store(Key::Identity, Ok(())));
    node.handle_timeout(again);
    assert_eq!(sent(&mut node, again)[0].0, Destination::Broadcast);
}

#[test]
fn a_restarted_node_keeps_its_id_takes_the_next_epoch_and_outranks_its_death() {
    let mut world = World::new(2);
    world.run(2_000);
    let id = world.node(2).own().id;
    world.kill(2);
    world.run(15_000);
    assert_eq!(statuses(&mut world, 1), [Status::Dead]);
    let stored = Identity { id, epoch: U24::new(1).unwrap() };
    let reborn = node(world.now, 2, Some(stored));
    world.nodes.push((2, reborn));
    world.run(1_000);
    assert_eq!(world.node(2).own().id, id);
    assert_eq!(world.node(2).own().incarnation.epoch.get(), 2);
    assert_eq!(statuses(&mut world, 1), [Status::Active]);
}

#[test]
fn a_spent_epoch_leads_to_a_new_id() {
    let stored = Identity { id: NodeId([1; 6]), epoch: U24::MAX };
    let node = node(Instant::ZERO, 1, Some(stored));
    assert_ne!(to_store(&node).id, stored.id);
}

#[test]
fn a_recording_changes_nothing() {
    let mut world = World::new(3);
    world.run(3_000);
    let recording = world.air.clone();
    let state = |world: &mut World, n| {
        let node = world.node(n);
        let row = |m: &Member| (m.id(), m.status(), m.incarnation(), m.last_seen());
        let members: Vec<_> = node.members().iter().map(row).collect();
        (node.traffic().accepted, node.own().clone(), members)
    };
    let before: Vec<_> = (1..=3).map(|n| state(&mut world, n)).collect();
    for (from, to, bytes) in &recording {
        world.deliver(*from, *to, bytes);
    }
    let after: Vec<_> = (1..=3).map(|n| state(&mut world, n)).collect();
    assert_eq!(before, after);
    // A node that has forgotten everything believes none of it either.
    let mut reborn = node(world.now, 9, None);
    act(&mut reborn, world.now);
    for (from, _, bytes) in &recording {
        reborn.handle_datagram(world.now, *from, &mut bytes.clone());
    }
    assert_eq!(reborn.traffic().accepted, 0);
    assert!(reborn.members().is_empty());
    assert!(reborn.traffic().unverified > 0, "it was asked for a proof");
}

#[test]
fn a_stranger_with_another_key_is_not_heard() {
    let mut world = World::new(2);
    world.run(1_000);
    let now = world.now;
    let storage =
        std::boxed::Box::leak(std::boxed::Box::new(crate::Storage::<crate::profile::Esp01>::NEW));
    let mut config = super::world::config(9);
    config.key = Some(crate::ClusterKey::from_bytes([8; 32]));
    let seed = crate::Seed([9; 32]);
    let mut stranger = crate::Node::new(now, &config, facts(), &Default::default(), &seed, storage);
    act(&mut stranger, now);
    stranger.handle_timeout(now);
    for (to, bytes) in sent(&mut stranger, now) {
        world.deliver(address(9), to, &bytes);
    }
    assert_eq!(world.node(1).traffic().unauthentic, 1);
    assert_eq!(world.node(1).members().len(), 1);
}

#[test]
fn a_false_rumour_is_refuted() {
    let mut world = World::new(3);
    world.run(3_000);
    let victim = world.node(3).own().clone();
    // Node 1 believes for some reason that node 3 is dead.
    let now = world.now;
    let record = crate::wire::Record { rumor: crate::wire::Rumor::Dead, ..victim.clone() };
    world.node(1).cluster.learn(now, &record);
    world.run(8_000);
    for n in [1, 2] {
        assert_eq!(statuses(&mut world, n), [Status::Active; 2], "as {n} sees it");
    }
    let expected = Incarnation { refutation: U24::new(1).unwrap(), ..victim.incarnation };
    assert_eq!(world.node(3).own().incarnation, expected);
}

#[test]
fn a_full_list_is_a_partial_view_and_the_dead_make_room() {
    let mut world = World::new(1);
    world.run(10);
    let now = world.now;
    let own = world.node(1).own().clone();
    let record = |n: u16, rumor: Option<crate::wire::Rumor>| {
        let [high, low] = n.to_be_bytes();
        let id = NodeId([1, 2, 3, 4, high, low]);
        crate::wire::Record { id, rumor: rumor.unwrap_or(own.rumor.clone()), ..own.clone() }
    };
    for n in 0..600 {
        world.node(1).cluster.learn(now, &record(n, None));
    }
    assert_eq!(world.node(1).members().len(), 511);
    let later = now + Duration::from_secs(60);
    world.node(1).cluster.learn(later, &record(5, Some(crate::wire::Rumor::Dead)));
    world.node(1).cluster.learn(later, &record(599, None));
    let members = world.node(1).members();
    assert_eq!(members.len(), 511);
    assert!(members.iter().any(|member| member.id() == record(599, None).id));
    assert!(members.iter().all(|member| member.id() != record(5, None).id));
}

#[test]
fn a_board_asks_all_that_are_dying_within_the_room_of_its_queue() {
    let mut now = Instant::from_micros(1);
    let storage =
        std::boxed::Box::leak(std::boxed::Box::new(crate::Storage::<crate::profile::Esp01>::NEW));
    let seed = crate::Seed([3; 32]);
    let mut node = crate::Node::new(
        now,
        &super::world::config(1),
        facts(),
        &Default::default(),
        &seed,
        storage,
    );
    act(&mut node, now);
    let alive = node.own().clone();
    for n in 0..40 {
        let record = crate::wire::Record { id: NodeId([1, 2, 3, 4, 5, n]), ..alive.clone() };
        node.cluster.learn(now, &record);
        let rumor = crate::wire::Rumor::Suspect;
        node.cluster.learn(now, &crate::wire::Record { rumor, ..record });
    }
    let mut datagrams = 0;
    for _ in 0..4_900 {
        now = now + Duration::from_millis(1);
        node.handle_timeout(now);
        datagrams += sent(&mut node, now).len();
    }
    assert_eq!(node.traffic().overflowed, 0);
    assert!(datagrams < 80, "{datagrams} datagrams in 5 s");
    assert!(node.members().iter().all(|member| member.status() == Status::Suspect));
}

#[test]
fn a_renewed_suspicion_has_all_its_time_and_a_delay_of_the_observer_does_not_count() {
    let mut world = World::new(3);
    world.run(3_000);
    let victim = world.node(3).own().clone();
    world.kill(3);
    let suspect = |refutation| crate::wire::Record {
        rumor: crate::wire::Rumor::Suspect,
        incarnation: Incarnation {
            refutation: U24::new(refutation).unwrap(),
            ..victim.incarnation
        },
        ..victim.clone()
    };
    let status = |world: &mut World| {
        let members = world.node(1).members();
        members.iter().find(|member| member.id() == victim.id).map(Member::status)
    };
    let now = world.now;
    world.node(1).cluster.learn(now, &suspect(0));
    world.run(4_900);
    let now = world.now;
    world.node(1).cluster.learn(now, &suspect(1));
    world.run(4_500);
    assert_eq!(status(&mut world), Some(Status::Suspect), "4.5 s after the second suspicion");

    // Nobody wakes node 1 for 10 s.
    world.now = world.now + Duration::from_secs(10);
    let now = world.now;
    world.node(1).handle_timeout(now);
    assert_eq!(status(&mut world), Some(Status::Suspect), "after its own delay");
    // What was left, and an interval more for each point that speaks against node 1 itself.
    world.run(5_000);
    assert_eq!(status(&mut world), Some(Status::Dead));
}

#[test]
fn a_node_without_a_key_has_nothing_to_say_when_it_leaves() {
    let now = Instant::ZERO;
    let storage =
        std::boxed::Box::leak(std::boxed::Box::new(crate::Storage::<crate::profile::Esp01>::NEW));
    let config = crate::Config { key: None, ..super::world::config(1) };
    let seed = crate::Seed([3; 32]);
    let mut node = Node::new(now, &config, facts(), &Default::default(), &seed, storage);
    act(&mut node, now);
    assert!(!node.has_left());
    node.leave(now);
    assert!(node.has_left());
}

#[test]
fn a_node_that_is_alone_gets_well_again() {
    let mut world = World::new(1);
    world.run(2_000);
    world.node(1).cluster.fall_ill();
    world.run(2_000);
    assert!(!world.node(1).cluster.is_well());
    // Eight points, at intervals of nine seconds and less.
    world.run(60_000);
    assert!(world.node(1).cluster.is_well());
}
