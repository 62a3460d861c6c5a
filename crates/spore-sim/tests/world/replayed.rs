//! A replay does nothing: promise S2.
//!
//! The test is the air between the nodes: it takes every datagram out of the simulated network,
//! hands each over late and out of order, and others again and again, now and after restarts of
//! their receivers.

use crate::{promise, scenario, secs, simulation};
use fastrand::Rng;
use spore_sim::network::{Fault, Flight, Passage};
use spore_sim::scenario::{Flash, Publication};
use spore_sim::{Command, Memory, Scenario, Simulation};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

const NODES: usize = 4;
const TICK: Duration = Duration::from_millis(5);
/// What is so far behind the newest one may be refused.
const WINDOW: u32 = 64;
/// Replays for each datagram that was sent.
const REPLAYS: u32 = 16;

/// A datagram on its way from one node to another.
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
        let parcels = parcels.map(|flight| Parcel { from, to, bytes: flight.bytes });
        self.0.borrow_mut().extend(parcels);
    }
}

/// Id, epoch and counter.
type Nonce = ([u8; 6], u32, u32);

/// The nonce of a datagram.
fn nonce(bytes: &[u8]) -> Nonce {
    let number = |at: usize| u32::from_be_bytes([0, bytes[at], bytes[at + 1], bytes[at + 2]]);
    (bytes[1..7].try_into().expect("it has a head"), number(7), number(10))
}

/// What a receiver has taken from a sender since its own last start.
#[derive(Clone, Copy, Debug)]
struct Taken {
    epoch: u32,
    highest: u32,
    /// The number of the one that proved its sender fresh: the first one.
    proof: u32,
}

#[derive(Debug, Default)]
struct Figures {
    handed: u64,
    applied: u64,
    restarts: u64,
    late: u64,
}

struct Air {
    sim: Simulation,
    rng: Rng,
    tapped: Rc<RefCell<Vec<Parcel>>>,
    /// What is to arrive for the first time, and when.
    waiting: Vec<(Duration, Parcel)>,
    history: Vec<Parcel>,
    /// By receiver: what was ever applied.
    applied: HashSet<(usize, Nonce)>,
    /// By receiver: what it knows of its senders.
    taken: [HashMap<[u8; 6], Taken>; NODES],
    figures: Figures,
    /// Nothing comes very late any more, and nobody restarts.
    calm: bool,
}

impl Air {
    fn new(seed: u64) -> Self {
        let flash = Flash { torn: 0.5, ..Flash::default() };
        let mut sim = simulation(Scenario { flash, ..scenario(NODES, seed) });
        let tapped = Rc::default();
        sim.add_fault(Box::new(Tap(Rc::clone(&tapped))));
        Self {
            sim,
            rng: Rng::with_seed(seed),
            tapped,
            waiting: Vec::new(),
            history: Vec::new(),
            applied: HashSet::new(),
            taken: std::array::from_fn(|_| HashMap::new()),
            figures: Figures::default(),
            calm: false,
        }
    }

    fn tick(&mut self) {
        self.sim.run_for(TICK);
        let now = self.sim.now();
        for parcel in std::mem::take(&mut *self.tapped.borrow_mut()) {
            // One in twenty comes so late that others overtake it by tens.
            let most = if self.rng.u8(..20) == 0 && !self.calm { 9_000 } else { 60 };
            let due = now + Duration::from_millis(self.rng.u64(..most));
            self.history.push(parcel.clone());
            self.waiting.push((due, parcel));
        }
        let waiting = std::mem::take(&mut self.waiting);
        let (mut due, later): (Vec<_>, _) = waiting.into_iter().partition(|(due, _)| *due <= now);
        self.waiting = later;
        self.rng.shuffle(&mut due);
        for (_, parcel) in due {
            self.hand_over(&parcel);
            for _ in 0..REPLAYS {
                self.replay();
            }
        }
        if self.rng.u8(..) == 0 {
            let payload = vec![self.rng.u8(..); self.rng.usize(..100)];
            let publication = Publication { topic: "topic".into(), payload, retained: false };
            // One that is starting, or has published much, refuses to.
            let _ = self.sim.publish(self.rng.usize(..NODES), &publication);
        }
        // Each node about every eight seconds.
        let often = 1_600 / u32::try_from(NODES).expect("few");
        if !self.calm && self.rng.u32(..often) == 0 {
            let node = self.rng.usize(..NODES);
            let memory = if self.rng.u8(..8) == 0 { Memory::Lost } else { Memory::Kept };
            self.sim.apply(Command::Restart(node, memory)).expect("it exists");
            self.taken[node].clear();
            self.figures.restarts += 1;
        }
    }

    /// Something that was sent before: one of the last ones, or any; to its receiver, or another.
    fn replay(&mut self) {
        let len = self.history.len();
        let from = if self.rng.bool() { len.saturating_sub(100) } else { 0 };
        let mut parcel = self.history[self.rng.usize(from..len)].clone();
        if self.rng.u8(..8) == 0 {
            parcel.to = self.rng.usize(..NODES);
        }
        self.hand_over(&parcel);
    }

    fn hand_over(&mut self, parcel: &Parcel) {
        let Parcel { from, to, ref bytes } = *parcel;
        let accepted = |sim: &Simulation| sim.node(to).map_or(0, |node| node.traffic().accepted);
        let before = accepted(&self.sim);
        self.sim.inject(to, self.sim.address(from), bytes);
        let applied = accepted(&self.sim) > before;
        self.figures.handed += 1;
        let nonce = nonce(bytes);
        let (sender, epoch, counter) = nonce;
        // Who is not listed any more must prove again that he is fresh.
        let listed = self
            .sim
            .node(to)
            .is_some_and(|node| node.members().iter().any(|member| member.id().0 == sender));
        if !listed {
            self.taken[to].remove(&sender);
        }
        let taken = self.taken[to].get(&sender).copied();
        if !applied {
            let fresh = !self.applied.contains(&(to, nonce));
            let due = taken.is_some_and(|taken| taken.must_accept(epoch, counter));
            assert!(!(fresh && due), "a fresh one was lost: {nonce:?} at {to}, {taken:?}");
            return;
        }
        let first = self.applied.insert((to, nonce));
        assert!(first, "applied twice: {nonce:?} at {to}");
        self.figures.applied += 1;
        let late = taken.is_some_and(|taken| epoch == taken.epoch && counter < taken.highest);
        self.figures.late += u64::from(late);
        let proof = Taken { epoch, highest: counter, proof: counter };
        let taken = self.taken[to].entry(sender).or_insert(proof);
        if epoch > taken.epoch {
            *taken = proof;
        }
        taken.highest = taken.highest.max(counter);
    }
}

impl Taken {
    /// Whether a datagram that was never applied has to be.
    fn must_accept(&self, epoch: u32, counter: u32) -> bool {
        let in_window = counter + WINDOW > self.highest;
        epoch == self.epoch && in_window && counter > self.proof
    }
}

fn run(seed: u64, datagrams: u64) -> Figures {
    let mut air = Air::new(seed);
    while air.figures.handed < datagrams {
        air.tick();
    }
    // The replays have not kept the nodes from being a cluster.
    air.calm = true;
    let whole = air.sim.now() + secs(60);
    while !air.sim.is_complete() {
        assert!(air.sim.now() < whole, "seed {seed}: not whole");
        air.tick();
    }
    air.figures
}

fn sweep(seeds: u64, each: u64) {
    let mut total = Figures::default();
    for seed in 0..seeds {
        let Figures { handed, applied, restarts, late } = run(seed, each);
        total.handed += handed;
        total.applied += applied;
        total.restarts += restarts;
        total.late += late;
    }
    let Figures { handed, applied, restarts, late } = total;
    println!(
        "S2: {handed} sealed datagrams handed over across {restarts} restarts: {applied} applied, \
         {late} of them overtaken by others; 0 applied twice, 0 fresh ones in the window lost"
    );
    let (handed_over, restarted) = (handed as f64, restarts as f64);
    promise(
        "S2",
        &[("datagrams", handed_over), ("restarts", restarted), ("twice", 0.0), ("lost", 0.0)],
    );
    assert!(applied * 100 > handed && late * 50 > applied && restarts > 0, "{total:?}");
}

#[test]
fn a_replayed_or_reordered_datagram_is_applied_once_across_restarts() {
    sweep(2, 60_000);
}

#[test]
#[ignore = "takes minutes"]
fn a_replayed_or_reordered_datagram_is_applied_once_across_restarts_long() {
    sweep(10, 110_000);
}
