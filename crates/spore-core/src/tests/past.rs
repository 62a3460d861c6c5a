//! Recordings of epochs that are over, played by somebody without the key.

use super::world::{World, address, node, sent};
use crate::Destination;
use crate::cluster::Member;
use crate::security::Identity;
use crate::wire::{NodeId, U24};
use core::net::SocketAddrV4;
use std::vec::Vec;

type Datagram = (SocketAddrV4, Destination, Vec<u8>);

/// Three nodes, the third of which has restarted; and the unicasts of its life before that to the
/// first one.
fn recorded() -> (World, Vec<Datagram>) {
    let mut world = World::new(3);
    world.run(6_000);
    let id = world.node(3).own().id;
    let from_third =
        |(from, to, _): &&Datagram| *from == address(3) && *to == Destination::Unicast(address(1));
    let recording: Vec<_> = world.air.iter().filter(from_third).cloned().collect();
    world.kill(3);
    let stored = Identity { id, epoch: U24::new(1).unwrap() };
    let reborn = node(world.now, 3, Some(stored));
    world.nodes.push((3, reborn));
    world.run(3_000);
    (world, recording)
}

/// Plays a recording to node 1 from somewhere else. What it sends in answer: how many and how long.
fn play(world: &mut World, recording: &[Datagram]) -> Vec<usize> {
    let now = world.now;
    let victim = address(99);
    let node = world.node(1);
    let mut lengths = Vec::new();
    for (_, _, bytes) in recording {
        node.handle_datagram(now, victim, &mut bytes.clone());
        let drawn =
            sent(node, now).into_iter().filter(|(to, _)| *to == Destination::Unicast(victim));
        lengths.extend(drawn.map(|(_, bytes)| bytes.len()));
    }
    lengths
}

#[test]
fn what_a_recording_of_the_past_draws_is_small_and_tells_no_news() {
    let (mut world, recording) = recorded();
    // There is news, of many.
    let now = world.now;
    let own = world.node(2).own().clone();
    for n in 0..20 {
        let record = crate::wire::Record { id: NodeId([1, 2, 3, 4, 5, n]), ..own.clone() };
        world.node(1).cluster.learn(now, &record);
    }
    let news = |world: &mut World| -> Vec<u8> {
        world.node(1).members().iter().map(Member::news).collect()
    };
    let before = news(&mut world);
    let _ = sent(world.node(1), now);
    let waiting = news(&mut world);
    assert!(waiting.iter().any(|news| *news > 0), "{before:?}");
    let lengths = play(&mut world, &recording);
    assert!(!lengths.is_empty(), "a node whose memory was set back is answered");
    let longest = recording.iter().map(|(_, _, bytes)| bytes.len()).min().unwrap();
    assert!(lengths.iter().all(|len| *len <= longest), "{lengths:?}, {longest}");
    assert_eq!(news(&mut world), waiting);
}

#[test]
fn recordings_of_the_past_are_answered_twice_an_interval_and_others_are_relayed_for() {
    let (mut world, recording) = recorded();
    let pings: Vec<_> = core::iter::repeat_n(recording, 20).flatten().collect();
    let drawn = play(&mut world, &pings).len();
    assert!((1..=2).contains(&drawn), "{drawn}");

    // Node 2 hears nothing from node 3 directly, and asks node 1.
    let (now, third) = (world.now, world.node(3).own().id);
    let request = world.node(2).cluster.ask_for_test(now, third);
    assert!(request);
    let asked = sent(world.node(2), now);
    let before = world.node(1).traffic().accepted;
    for (to, bytes) in &asked {
        if *to == Destination::Unicast(address(1)) {
            world.node(1).handle_datagram(now, address(2), &mut bytes.clone());
        }
    }
    assert!(world.node(1).traffic().accepted > before);
    let relayed = sent(world.node(1), now);
    assert!(relayed.iter().any(|(to, _)| *to == Destination::Unicast(address(3))), "relayed");
}

/// A cluster whose first node has missed a start of the third one; and what the third one has sent
/// since, to anybody.
fn missed() -> (World, Vec<Datagram>) {
    let mut world = World::new(3);
    world.run(6_000);
    let Identity { id, epoch } = identity(&mut world);
    let first = world.nodes.remove(0);
    world.kill(3);
    let stored = Identity { id, epoch: U24::new(epoch.get() + 1).unwrap() };
    let reborn = node(world.now, 3, Some(stored));
    world.nodes.push((3, reborn));
    let before = world.air.len();
    world.run(3_000);
    let recording = world.air.split_off(before);
    let recording = recording.into_iter().filter(|(from, ..)| *from == address(3)).collect();
    world.nodes.insert(0, first);
    (world, recording)
}

fn identity(world: &mut World) -> Identity {
    let own = world.node(3).own();
    Identity { id: own.id, epoch: own.incarnation.epoch }
}

#[test]
fn a_recording_of_a_start_that_was_missed_is_not_believed_and_the_node_itself_is() {
    let (mut world, recording) = missed();
    let Identity { id, epoch } = identity(&mut world);
    let of = |world: &mut World| world.node(1).member(id).unwrap().incarnation().epoch;
    let (known, accepted) = (of(&mut world), world.node(1).traffic().accepted);
    assert!(known < epoch && recording.len() > 5, "{}", recording.len());
    let longest = recording.iter().map(|(_, _, bytes)| bytes.len()).max().unwrap();
    let drawn = play(&mut world, &recording);
    assert_eq!((world.node(1).traffic().accepted, of(&mut world)), (accepted, known));
    assert!(drawn.len() <= 2 * recording.len(), "{} of {}", drawn.len(), recording.len());
    assert!(drawn.iter().all(|len| *len <= longest), "{drawn:?}, {longest}");

    world.run(1_500);
    assert_eq!(of(&mut world), epoch, "it has proved to be fresh");
    let accepted = world.node(1).traffic().accepted;
    play(&mut world, &recording);
    assert_eq!(world.node(1).traffic().accepted, accepted);
}
