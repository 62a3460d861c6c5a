//! No nonce is used twice: what happens when an epoch's nonces are spent.

use super::world::{World, act, node, sent};
use crate::cluster::Status;
use crate::node::StoreFailed;
use crate::security::{Identity, Nonces};
use crate::time::{Duration, Instant};
use crate::wire::{NodeId, U24};
use crate::{Action, Completion, Key};
use std::collections::HashSet;
use std::vec::Vec;

/// The readable start of each datagram: version and nonce.
fn headers(world: &World) -> Vec<[u8; 13]> {
    world.air.iter().map(|(_, _, bytes)| bytes[..13].try_into().unwrap()).collect()
}

#[test]
fn a_node_goes_on_under_its_next_epoch_before_the_nonces_run_out() {
    let mut world = World::new(2);
    world.run(2_000);
    let id = world.node(1).own().id;
    world.node(1).spend_nonces(Nonces::RESERVE + 2);
    world.run(10_000);
    let own = world.node(1).own();
    assert_eq!((own.id, own.incarnation.epoch.get()), (id, 2));
    let statuses: Vec<_> = world.node(2).members().iter().map(|m| m.status()).collect();
    assert_eq!(statuses, [Status::Active], "its peer goes on seeing one active member");
    let headers = headers(&world);
    let distinct: HashSet<_> = headers.iter().collect();
    assert_eq!(distinct.len(), headers.len(), "no header twice");
}

#[test]
fn a_node_that_cannot_store_its_next_epoch_falls_silent_with_the_last_nonce() {
    let now = Instant::ZERO;
    let mut node = node(now, 1, None);
    act(&mut node, now);
    node.spend_nonces(3);
    let mut datagrams = 0;
    for second in 0..60 {
        let now = Instant::ZERO + Duration::from_secs(second);
        if node.poll_action(now).is_some() {
            node.handle_completion(now, Completion::Store(Key::Identity, Err(StoreFailed)));
        }
        node.handle_timeout(now);
        datagrams += sent(&mut node, now).len();
    }
    assert_eq!(datagrams, 3);
    let later = Instant::ZERO + Duration::from_secs(61);
    act(&mut node, later);
    node.handle_timeout(later);
    assert!(!sent(&mut node, later).is_empty(), "it speaks again once that succeeds");
}

#[test]
fn after_the_last_epoch_a_node_takes_a_new_id_and_the_old_one_dies() {
    let mut world = World::new(1);
    let before_last = U24::new(U24::MAX.get() - 1).unwrap();
    let stored = Identity { id: NodeId([9; 6]), epoch: before_last };
    world.nodes.push((2, node(world.now, 2, Some(stored))));
    world.run(2_000);
    assert_eq!(world.node(2).own().incarnation.epoch, U24::MAX);
    world.node(2).spend_nonces(Nonces::RESERVE);
    world.run(15_000);
    let own = world.node(2).own().clone();
    assert_ne!(own.id, stored.id);
    let status = |world: &mut World, id| {
        world.node(1).members().iter().find(|m| m.id() == id).map(|member| member.status())
    };
    assert_eq!(status(&mut world, own.id), Some(Status::Active));
    assert_eq!(status(&mut world, stored.id), Some(Status::Dead));
}

#[test]
fn an_identity_is_asked_for_until_it_is_stored_and_then_no_more() {
    let now = Instant::ZERO;
    let mut node = node(now, 1, None);
    assert!(matches!(node.poll_action(now), Some(Action::Store(Key::Identity))));
    node.handle_completion(now, Completion::Store(Key::Identity, Ok(())));
    assert_eq!(node.poll_action(now + Duration::from_secs(10)), None);
    // A second report of the same action changes nothing.
    let before = node.own().clone();
    node.handle_completion(now, Completion::Store(Key::Identity, Ok(())));
    assert_eq!(*node.own(), before);
}
