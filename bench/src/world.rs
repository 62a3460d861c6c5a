//! A simulated world for any [`Engine`]: the network and its faults are those of `spore-sim`, the time is virtual, and one
//! seed repeats it all.

use crate::address;
use crate::cluster::{Cluster, Traffic};
use crate::contender::Contender;
use crate::engine::{self, Engine, Output};
use crate::views::Views;
use anyhow::Result;
use fastrand::Rng;
use spore_core::Destination;
use spore_sim::network::{Fault, Flight, Latency, Loss, Passage};
use spore_sim::simulation::INBOX;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::Duration;

/// Bytes that IPv4 and UDP add to each datagram.
pub(crate) const OVERHEAD: u64 = 28;

/// The share of broadcasts that gets lost at least: that which an ESP8266 misses. Only SPORE sends any.
pub(crate) const BROADCAST_LOSS: f64 = 0.5;

#[derive(Debug, PartialEq, Eq)]
enum Event {
    Start(usize),
    Deliver { to: usize, from: SocketAddrV4, bytes: Rc<[u8]> },
    Wake(usize),
    Resume(usize),
}

/// Events of the same time happen in the order in which they were added.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    at: Duration,
    sequence: u64,
    event: Event,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Datagrams that wait, and who has sent them.
type Inbox = VecDeque<(SocketAddrV4, Rc<[u8]>)>;

/// A node that runs, or has not yet, or does not any more.
#[derive(Default)]
struct Node {
    engine: Option<Box<dyn Engine>>,
    wake: Option<Duration>,
    /// Until when it stands still, and what waits for it meanwhile.
    stall: Option<(Duration, Inbox)>,
}

/// A world that runs.
pub(crate) struct World {
    contender: Contender,
    /// How large the cluster is, as its members are told.
    size: usize,
    now: Duration,
    queue: BinaryHeap<Reverse<Entry>>,
    sequence: u64,
    nodes: Vec<Node>,
    forming: usize,
    faults: [Box<dyn Fault>; 2],
    rng: Rng,
    output: Output,
    flights: Vec<Flight>,
    views: Views,
    traffic: Traffic,
}

impl World {
    /// A world in which `size` nodes start within `window`, and `more` can be started later. This share of all
    /// unicasts gets lost.
    pub(crate) fn new(
        contender: Contender,
        size: usize,
        more: usize,
        window: Duration,
        loss: f64,
        seed: u64,
    ) -> Self {
        let loss = Loss { unicast: loss, broadcast: loss.max(BROADCAST_LOSS) };
        let mut world = Self {
            contender,
            size,
            now: Duration::ZERO,
            queue: BinaryHeap::new(),
            sequence: 0,
            nodes: (0..size + more).map(|_| Node::default()).collect(),
            forming: size,
            faults: [Box::new(loss), Box::new(Latency::default())],
            rng: Rng::with_seed(seed),
            output: Output::default(),
            flights: Vec::new(),
            views: Views::new(size + more),
            traffic: Traffic::default(),
        };
        for node in 0..size {
            let window = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
            let at = Duration::from_micros(world.rng.u64(..=window));
            world.push(at, Event::Start(node));
        }
        world
    }

    /// Ends a node, to measure what memory that frees.
    pub(crate) fn take(&mut self, node: usize) -> Option<Box<dyn Engine>> {
        self.nodes[node].engine.take()
    }

    fn begin(&mut self, node: usize) {
        let seed = self.rng.u64(..);
        self.nodes[node].engine =
            Some(engine::start(self.contender, self.now, node, self.size, seed));
        self.views.started(self.now, node);
        self.wake(node);
    }

    fn push(&mut self, at: Duration, event: Event) {
        self.sequence += 1;
        self.queue.push(Reverse(Entry { at, sequence: self.sequence, event }));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start(node) => {
                self.forming -= 1;
                self.begin(node);
            }
            Event::Deliver { to, from, bytes } => match &mut self.nodes[to].stall {
                Some((_, inbox)) if inbox.len() < INBOX => inbox.push_back((from, bytes)),
                Some(_) => (),
                None => self.deliver(to, from, &bytes),
            },
            Event::Wake(node) => {
                let Node { wake, stall, .. } = &self.nodes[node];
                if *wake == Some(self.now) && stall.is_none() {
                    self.wake(node);
                }
            }
            Event::Resume(node) => self.resume(node),
        }
    }

    fn resume(&mut self, node: usize) {
        let now = self.now;
        let Some((_, inbox)) = self.nodes[node].stall.take_if(|(until, _)| *until <= now) else {
            return;
        };
        // Whether a shell sees first that its deadline has passed or that datagrams wait is chance.
        let deadline_first = self.rng.bool();
        if deadline_first {
            self.wake(node);
        }
        for (from, bytes) in inbox {
            self.deliver(node, from, &bytes);
        }
        if !deadline_first {
            self.wake(node);
        }
    }

    fn deliver(&mut self, to: usize, from: SocketAddrV4, bytes: &[u8]) {
        self.act(to, |engine, now, out| engine.receive(now, from, &mut bytes.to_vec(), out));
    }

    fn wake(&mut self, node: usize) {
        self.act(node, |engine, now, out| engine.wake(now, out));
    }

    /// Lets `verb` do something with an engine, and carries out what it wants.
    fn act(&mut self, node: usize, verb: impl FnOnce(&mut dyn Engine, Duration, &mut Output)) {
        let (now, mut output) = (self.now, std::mem::take(&mut self.output));
        let Some(engine) = &mut self.nodes[node].engine else { return };
        verb(engine.as_mut(), now, &mut output);
        let wake = engine.deadline().map(|at| at.max(now));
        if wake != self.nodes[node].wake {
            self.nodes[node].wake = wake;
            if let Some(at) = wake {
                self.push(at, Event::Wake(node));
            }
        } else if wake == Some(now) {
            self.push(now, Event::Wake(node));
        }
        for change in output.changes.drain(..) {
            self.views.change(now, node, change);
        }
        for (destination, bytes) in output.datagrams.drain(..) {
            self.send(node, destination, &Rc::from(bytes));
        }
        self.output = output;
    }

    fn send(&mut self, from: usize, destination: Destination, bytes: &Rc<[u8]>) {
        self.traffic.packets += 1;
        self.traffic.bytes += bytes.len() as u64 + OVERHEAD;
        match destination {
            Destination::Broadcast => {
                for to in (0..self.nodes.len()).filter(|to| *to != from) {
                    self.carry(&Passage { from, to, broadcast: true }, bytes);
                }
            }
            Destination::Unicast(to) => {
                if let Some(to) = address::node(*to.ip()).filter(|to| *to < self.nodes.len()) {
                    self.carry(&Passage { from, to, broadcast: false }, bytes);
                }
            }
        }
    }

    fn carry(&mut self, passage: &Passage, bytes: &Rc<[u8]>) {
        if self.nodes[passage.to].engine.is_none() {
            return;
        }
        let mut flights = std::mem::take(&mut self.flights);
        flights.push(Flight { delay: Duration::ZERO, bytes: Rc::clone(bytes) });
        for fault in &mut self.faults {
            fault.befall(passage, &mut flights, &mut self.rng);
        }
        for Flight { delay, bytes } in flights.drain(..) {
            let (to, from) = (passage.to, address::of(passage.from));
            self.push(self.now + delay, Event::Deliver { to, from, bytes });
        }
        self.flights = flights;
    }
}

impl Cluster for World {
    fn now(&self) -> Duration {
        self.now
    }

    fn run(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> Result<bool> {
        let end = self.now + limit;
        while !done(self) {
            let Some(Reverse(entry)) = self.queue.peek().filter(|Reverse(entry)| entry.at <= end)
            else {
                self.now = end;
                return Ok(false);
            };
            self.now = entry.at;
            if let Some(Reverse(entry)) = self.queue.pop() {
                self.happen(entry.event);
            }
        }
        Ok(true)
    }

    fn is_whole(&self) -> bool {
        self.forming == 0 && self.views.is_whole()
    }

    fn start(&mut self, node: usize) -> Result<()> {
        self.begin(node);
        Ok(())
    }

    fn kill(&mut self, node: usize) {
        self.nodes[node] = Node::default();
        self.views.ended(self.now, node);
    }

    fn stall(&mut self, node: usize, span: Duration) -> Result<()> {
        let until = self.now + span;
        self.nodes[node].stall.get_or_insert_with(|| (until, VecDeque::new())).0 = until;
        self.push(until, Event::Resume(node));
        Ok(())
    }

    fn draw(&mut self) -> usize {
        self.views.draw(&mut self.rng)
    }

    fn views(&mut self) -> &mut Views {
        &mut self.views
    }

    fn settled_after(&self, node: usize) -> Option<Duration> {
        self.views.settled_after(node)
    }

    fn traffic(&mut self) -> Result<Traffic> {
        Ok(std::mem::take(&mut self.traffic))
    }

    fn heap(&mut self) -> Result<Option<usize>> {
        // All nodes share one heap.
        Ok(None)
    }

    fn check(&self) {
        for (index, node) in self.nodes.iter().enumerate() {
            let Some(engine) = &node.engine else { continue };
            let mut members = engine.members();
            members.sort_unstable();
            let told = self.views.listed(index);
            assert_eq!(
                members, told,
                "node {index}, {}, lists others than it has told of",
                self.contender
            );
        }
    }
}
