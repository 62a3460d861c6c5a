//! No key, no change: promise S1 for datagrams.
//!
//! The test is the air between the nodes. Before it hands over a genuine datagram, it hands over
//! all that somebody without the key can make of it, and after it the same one again.

use crate::{promise, rollout, scenario, secs, simulation};
use fastrand::Rng;
use spore_core::ClusterKey;
use spore_core::node::Traffic;
use spore_core::security::{Header, Sealer};
use spore_core::wire::{Kind, MAX_DATAGRAM, Message, NodeId, Rumor};
use spore_sim::network::{Fault, Flight, Passage};
use spore_sim::scenario::{Nature, Publication};
use spore_sim::{Command, Scenario, Simulation, images};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

const NODES: usize = 4;
const TICK: Duration = Duration::from_millis(5);
/// Version, sender, epoch and counter.
const HEADER: usize = 13;
const TAG: usize = 16;
/// All that a datagram can be.
const KINDS: [&str; 14] = [
    "announce",
    "left",
    "ping",
    "ack",
    "ping-req",
    "relay ping",
    "relay ack",
    "indirect ack",
    "events",
    "window",
    "window, asking",
    "rollout",
    "want",
    "piece",
];

#[derive(Clone, Debug)]
struct Parcel {
    from: usize,
    to: usize,
    bytes: Rc<[u8]>,
}

/// Takes all datagrams out of the network. What carries no bytes is a part of a TCP connection.
#[derive(Debug)]
struct Tap(Rc<RefCell<Vec<Parcel>>>);

impl Fault for Tap {
    fn befall(&mut self, passage: &Passage, flights: &mut Vec<Flight>, _: &mut Rng) {
        let Passage { from, to, .. } = *passage;
        let parcels = flights.extract_if(.., |flight| !flight.bytes.is_empty());
        self.0.borrow_mut().extend(parcels.map(|it| Parcel { from, to, bytes: it.bytes }));
    }
}

/// The header of a genuine datagram, its message, and what it is.
fn open(key: &ClusterKey, bytes: &[u8]) -> (Header, Vec<u8>, &'static str) {
    let mut bytes = bytes.to_vec();
    let (header, message) = Sealer::new(key).open(&mut bytes).expect("genuine");
    let parsed = Message::parse(message, header.sender).expect("genuine");
    let kind = match (parsed.kind, &parsed.own.rumor) {
        (Kind::Announce, Rumor::Left) => 1,
        (Kind::Announce, _) => 0,
        (Kind::Ping(_), _) => 2,
        (Kind::Ack(_), _) => 3,
        (Kind::PingReq { .. }, _) => 4,
        (Kind::RelayPing { .. }, _) => 5,
        (Kind::RelayAck { .. }, _) => 6,
        (Kind::IndirectAck { .. }, _) => 7,
        (Kind::Events, _) => 8,
        (Kind::Window { asks: false }, _) => 9,
        (Kind::Window { asks: true }, _) => 10,
        (Kind::Rollout, _) => 11,
        (Kind::Want { .. }, _) => 12,
        (Kind::Piece { .. }, _) => 13,
    };
    (header, message.to_vec(), KINDS[kind])
}

fn seal(key: &ClusterKey, header: &Header, message: &[u8]) -> Vec<u8> {
    let mut bytes = [0; MAX_DATAGRAM];
    Sealer::message(&mut bytes)[..message.len()].copy_from_slice(message);
    let len = Sealer::new(key).seal(header, &mut bytes, message.len()).expect("it fits");
    bytes[..len].to_vec()
}

/// What can be made of a genuine datagram without the key, and one thing more that even a member
/// must not do: to speak under another one's id.
fn forgeries(key: &ClusterKey, genuine: &[u8], other: NodeId, rng: &mut Rng) -> Vec<Vec<u8>> {
    let (header, message, _) = open(key, genuine);
    let mut made: Vec<Vec<u8>> = (0..genuine.len()).map(|len| genuine[..len].to_vec()).collect();
    let mut flipped = |at: usize, bit: u8| {
        let mut bytes = genuine.to_vec();
        bytes[at] ^= 1 << bit;
        made.push(bytes);
    };
    let seal_at = genuine.len() - TAG;
    for at in (0..HEADER).chain(seal_at..genuine.len()) {
        (0..8).for_each(|bit| flipped(at, bit));
    }
    for _ in 0..64 {
        flipped(rng.usize(HEADER..seal_at), rng.u8(..8));
    }
    for more in [1, 2, 16, 100] {
        made.push([genuine, &vec![rng.u8(..); more]].concat());
    }
    let mut foreign = genuine.to_vec();
    foreign[1..7].copy_from_slice(&other.0);
    made.push(foreign);
    let mut other_key = *key.as_bytes();
    other_key[rng.usize(..32)] ^= 1 << rng.u8(..8);
    for key in [ClusterKey::from_bytes(other_key), ClusterKey::from_bytes([0; 32])] {
        made.push(seal(&key, &header, &message));
    }
    made.push(message.clone());
    made.push(seal(key, &Header { sender: other, ..header }, &message));
    made
}

/// All that a datagram could change at a node: what it says of itself, its member list, its rollout and how much of the image it has, and what
/// it has sent and delivered and is about to do.
fn state(sim: &Simulation, node: usize) -> Option<String> {
    let node = sim.node(node)?;
    let traffic = node.traffic();
    let (own, members) = (node.own(), node.members());
    let (due, delivered) = (node.poll_timeout(), node.last_event());
    let (rollout, progress) = (node.rollout(), node.image_progress());
    let Traffic { accepted, sent, .. } = traffic;
    Some(format!(
        "{own:?} {members:?} {rollout:?} {progress:?} {accepted} {sent} {due:?} {delivered}"
    ))
}

#[derive(Debug, Default)]
struct Figures {
    genuine: BTreeMap<&'static str, u32>,
    forged: u64,
    replayed: u64,
}

struct Air {
    sim: Simulation,
    key: ClusterKey,
    rng: Rng,
    tapped: Rc<RefCell<Vec<Parcel>>>,
    /// What was believed, to be handed over again later.
    believed: Vec<Parcel>,
    figures: Figures,
    each: u32,
}

impl Air {
    fn new(seed: u64, each: u32) -> Self {
        let fleet = Some(rollout::fleet(Nature::Good));
        let mut sim = simulation(Scenario { fleet, ..scenario(NODES, seed) });
        let tapped = Rc::default();
        sim.add_fault(Box::new(Tap(Rc::clone(&tapped))));
        let (key, rng) = (sim.key().clone(), Rng::with_seed(seed));
        let (believed, figures) = (Vec::new(), Figures::default());
        Self { sim, key, rng, tapped, believed, figures, each }
    }

    /// Lets the cluster run; nothing gets from node 0 to node 1 or back if `cut`. Meanwhile the
    /// nodes publish, some of them twice at once.
    fn run(&mut self, span: Duration, cut: bool) {
        let end = self.sim.now() + span;
        while self.sim.now() < end {
            if self.rng.u8(..) == 0 {
                let topic = format!("topic/{}", self.rng.u8(..8));
                let (payload, retained) = (vec![self.rng.u8(..); 20], self.rng.bool());
                let publication = Publication { topic, payload, retained };
                let node = self.rng.usize(..NODES);
                for _ in 0..self.rng.usize(1..=2) {
                    // More than the cluster can carry is refused.
                    let _ = self.sim.publish(node, &publication);
                }
            }
            self.sim.run_for(TICK);
            let parcels = self.tapped.take();
            for parcel in parcels {
                if !(cut && parcel.from.max(parcel.to) == 1) {
                    self.hand_over(&parcel);
                }
            }
        }
    }

    fn inject(&mut self, parcel: &Parcel, bytes: &[u8]) {
        self.sim.inject(parcel.to, self.sim.address(parcel.from), bytes);
    }

    fn hand_over(&mut self, parcel: &Parcel) {
        let (_, _, kind) = open(&self.key, &parcel.bytes);
        let done = self.figures.genuine.get(kind).copied().unwrap_or(0);
        let Some(other) = self.sim.node((parcel.to + 1) % NODES).map(|node| node.own().id) else {
            return self.inject(parcel, &parcel.bytes);
        };
        if done >= self.each || other.0 == parcel.bytes[1..7] {
            return self.inject(parcel, &parcel.bytes);
        }
        // An empty one first: so nothing is due any more but what the next ones bring about.
        self.inject(parcel, &[]);
        let before = state(&self.sim, parcel.to);
        for bytes in forgeries(&self.key, &parcel.bytes, other, &mut self.rng) {
            self.inject(parcel, &bytes);
            self.figures.forged += 1;
            assert_eq!(state(&self.sim, parcel.to), before, "a forged {kind}: {bytes:02x?}");
        }
        let accepted = |sim: &Simulation| sim.node(parcel.to).map(|it| it.traffic().accepted);
        let count = accepted(&self.sim);
        self.inject(parcel, &parcel.bytes);
        if accepted(&self.sim) > count {
            *self.figures.genuine.entry(kind).or_default() += 1;
            self.believed.push(parcel.clone());
            self.replay(parcel);
        }
    }

    /// Hands over again what was believed before, whoever brings it.
    fn replay(&mut self, parcel: &Parcel) {
        self.inject(parcel, &[]);
        let before = state(&self.sim, parcel.to);
        for from in (0..NODES).filter(|&from| from != parcel.to) {
            self.inject(&Parcel { from, ..parcel.clone() }, &parcel.bytes);
            self.figures.replayed += 1;
            assert_eq!(state(&self.sim, parcel.to), before, "replayed: {:02x?}", parcel.bytes);
        }
    }
}

/// How many datagrams were made without the key, and how many replayed.
fn sweep(seed: u64, each: u32) -> [u64; 2] {
    let mut air = Air::new(seed, each);
    air.run(secs(5), false);
    // All fetch the image, and wait for a canary that is not there.
    air.sim.hold_image(0, &images::container(rollout::NEW));
    let plan = rollout::signed(rollout::plan(1, rollout::NEW, NodeId([0; 6])));
    assert_eq!(rollout::begin(&mut air.sim, 2, &plan), 200);
    // So they are asked about through others.
    let span = 20 * u64::from(each);
    air.run(secs(span.max(60)), true);
    air.run(secs(5), false);
    air.sim.apply(Command::Leave(NODES - 1)).expect("it exists");
    air.run(secs(3), false);
    for parcel in std::mem::take(&mut air.believed) {
        air.replay(&parcel);
    }
    let Figures { genuine, forged, replayed } = &air.figures;
    let kinds: Vec<&str> = genuine.keys().copied().collect();
    let count: u32 = genuine.values().sum();
    println!(
        "S1: {count} genuine datagrams of {} kinds believed; {forged} made of them without the key \
         and {replayed} replays: 0 believed, 0 changes of state",
        kinds.len()
    );
    assert!(KINDS.iter().all(|kind| kinds.contains(kind)), "{genuine:?}");
    [*forged, *replayed]
}

fn sweeps(seeds: std::ops::Range<u64>, each: u32) {
    let all: Vec<_> = seeds.map(|seed| sweep(seed, each)).collect();
    let [forged, replayed] =
        [0, 1].map(|n| all.iter().map(|figures| figures[n]).sum::<u64>() as f64);
    promise("S1", &[("forged", forged), ("replayed", replayed), ("believed", 0.0)]);
}

#[test]
fn nothing_made_of_a_datagram_without_the_key_changes_anything() {
    sweeps(1..2, 5);
}

#[test]
#[ignore = "takes a minute"]
fn nothing_made_of_a_datagram_without_the_key_changes_anything_long() {
    sweeps(0..5, 60);
}
