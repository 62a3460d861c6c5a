//! What a node does all day, as often as one likes: `cargo xtask bench costs` counts the instructions.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::vec::Vec;

use spore_core::security::{Header, OVERHEAD, Sealer};
use spore_core::time::{Duration, Instant};
use spore_core::wire::{MAX_DATAGRAM, U24};
use spore_core::{Action, ClusterKey, Completion, Destination, FetchFailed, Node, NodeId, Scope};

use super::{engine, server};
use crate::Inputs;

/// Nodes of a cluster in which [`seconds`] pass.
const NODES: u8 = 8;
/// Bytes of the message in a probe at rest.
const MESSAGE: usize = 74;
/// After so long the cluster is at rest.
const REST: Duration = Duration::from_secs(60);

/// Sets something up, and then does it so many times.
type Work = fn(u32);

/// All works, by name.
const WORKS: &[(&str, Work)] = &[
    ("seal", |count| (0..count).for_each(|number| drop(sealed(number)))),
    ("open", |count| (0..count).for_each(open)),
    ("second", |count| seconds(NODES, count, false)),
    ("second-with-event", |count| seconds(NODES, count, true)),
    ("second-alone", |count| seconds(1, count, false)),
    ("request", server::requests),
];

/// The names of all works.
pub fn works() -> impl Iterator<Item = &'static str> {
    WORKS.iter().map(|(name, _)| *name)
}

/// Sets up the work of this name, and does it so many times. Whether there is such a work.
pub fn work(name: &str, count: u32) -> bool {
    let found = WORKS.iter().find(|(other, _)| *other == name);
    found.map(|(_, work)| work(count)).is_some()
}

/// A datagram as large as a probe at rest.
#[inline(never)]
fn sealed(number: u32) -> (Sealer, [u8; MESSAGE + OVERHEAD]) {
    let sealer = Sealer::new(&ClusterKey::from_bytes([7; 32]));
    let counter = U24::new(number).unwrap_or(U24::ZERO);
    let header = Header { sender: NodeId([1; 6]), epoch: U24::ZERO, counter };
    let mut datagram = [0x5A; MESSAGE + OVERHEAD];
    assert_eq!(sealer.seal(&header, &mut datagram, MESSAGE), Some(datagram.len()));
    (sealer, datagram)
}

/// Seals one, and opens it: what opening costs is the difference.
fn open(number: u32) {
    let (sealer, mut datagram) = sealed(number);
    assert!(sealer.open(&mut datagram).is_ok());
}

/// A cluster of so many at rest, in which so many seconds pass; one node publishes an event in each, if there is to be one.
fn seconds(nodes: u8, count: u32, with_event: bool) {
    let mut inputs = Inputs::for_group("seconds");
    let mut nodes: Vec<_> = (1..=nodes).map(|n| engine::node(&mut inputs, n)).collect();
    let mut now = pass(&mut nodes, Instant::ZERO, REST);
    for _ in 0..count {
        if with_event {
            let published = nodes[0].publish(now, Scope::Cluster, "kitchen/lamp", b"on", false);
            assert!(published.is_ok(), "one a second can be published: {published:?}");
        }
        now = pass(&mut nodes, now, Duration::from_secs(1));
    }
    let known = nodes.iter().map(|node| node.members().iter().count());
    assert_eq!(known.min(), Some(nodes.len() - 1), "somebody is not known");
}

/// Lets time pass: whoever has something to do does it, and what it sends is there at once.
fn pass(nodes: &mut [Node<'_>], mut now: Instant, span: Duration) -> Instant {
    let end = now + span;
    act(nodes, now, (0..nodes.len()).collect());
    loop {
        let due = |node: &Node<'_>| node.poll_timeout().unwrap_or(end);
        let Some(index) = (0..nodes.len()).min_by_key(|index| due(&nodes[*index])) else { break };
        now = due(&nodes[index]).max(now);
        if now >= end {
            break;
        }
        nodes[index].handle_timeout(now);
        act(nodes, now, VecDeque::from([index]));
    }
    end
}

/// Lets nodes do what they have to do, and then those that they have sent something to.
fn act(nodes: &mut [Node<'_>], now: Instant, mut acting: VecDeque<usize>) {
    while let Some(index) = acting.pop_front() {
        for (to, datagram) in sent(&mut nodes[index], now) {
            for other in (0..nodes.len()).filter(|other| *other != index) {
                let own = engine::address(other);
                if matches!(to, Destination::Broadcast) || to == Destination::Unicast(own) {
                    let from = engine::address(index);
                    nodes[other].handle_datagram(now, from, &mut datagram.clone());
                    acting.push_back(other);
                }
            }
        }
    }
}

/// Does for a node what its body does, and collects what it sends.
fn sent(node: &mut Node<'_>, now: Instant) -> Vec<(Destination, Vec<u8>)> {
    while let Some(action) = node.poll_action(now) {
        let completion = match action {
            Action::Store(key) => Completion::Store(key, Ok(())),
            Action::RunTask(index) => Completion::Ran(index),
            Action::Fetch(fetch) => {
                let status = format!(r#"{{"id":"{}","version":"1"}}"#, fetch.member);
                let taken = node.handle_fetched(status.as_bytes());
                Completion::Fetch(if taken { Ok(()) } else { Err(FetchFailed) })
            }
            _ => continue,
        };
        node.handle_completion(now, completion);
    }
    let (mut sent, mut datagram) = (Vec::new(), [0; MAX_DATAGRAM]);
    while let Some(transmit) = node.poll_transmit(now, &mut datagram) {
        sent.push((transmit.destination, datagram[..transmit.len].to_vec()));
    }
    while node.poll_event().is_some() {}
    sent
}
