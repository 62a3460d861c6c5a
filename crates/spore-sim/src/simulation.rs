//! [`Simulation`]: runs a scenario.

mod commands;
pub(crate) mod memory;
mod radio;
pub(crate) mod slots;
mod stalls;
mod tasks;
mod turns;
mod view;

use crate::body::{Body, Output};
use crate::checks::{Truth, passed_limit};
use crate::ledger::{self, Delivered, Ledger};
use crate::log::{Entry, Log, Sink};
use crate::network::{Air, Fault, Flight, Network, Passage};
use crate::nonces::Nonces;
use crate::queue::{Event, Input, Queue};
use crate::scenario::{Command, Publication, Scenario, ScenarioError};
use crate::watch::Watch;
use fastrand::Rng;
use slots::Slots;
use spore_core::{ClusterKey, Destination, Filter, PublishError, Scope};
use spore_radio::Router;
use std::collections::VecDeque;
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::Duration;

/// So many datagrams wait for a node that is stalled, or slow; what comes on top is lost, as in a
/// socket's buffer.
pub const INBOX: usize = 16;

/// A datagram as it was sent.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// When.
    pub at: Duration,
    /// By whom.
    pub from: SocketAddrV4,
    /// To whom.
    pub to: Destination,
    /// Its bytes.
    pub bytes: Rc<[u8]>,
}

impl AsRef<[u8]> for Recorded {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A world that runs.
#[derive(Debug)]
pub struct Simulation {
    pub(crate) scenario: Scenario,
    pub(crate) key: ClusterKey,
    pub(crate) now: Duration,
    pub(crate) queue: Queue,
    pub(crate) bodies: Vec<Body>,
    pub(crate) network: Network,
    /// The routers on the air.
    pub(crate) air: Vec<Router>,
    /// What is on the air, if that has a limit.
    pub(crate) channel: Option<Air>,
    pub(crate) rng: Rng,
    pub(crate) watch: Watch,
    pub(crate) nonces: Nonces,
    /// The nodes with which nothing is wrong any more.
    core: Vec<usize>,
    pub(crate) ledger: Ledger,
    pub(crate) truth: Truth,
    /// Whether some member may lie.
    excused: bool,
    /// Whether some node's memory was copied to another one.
    copied: bool,
    pub(crate) log: Log,
    pub(crate) recording: VecDeque<Recorded>,
    pub(crate) output: Output,
    pub(crate) flights: Vec<Flight>,
}

impl Simulation {
    /// A world at its beginning, with nothing running yet.
    pub fn new(scenario: Scenario) -> Result<Self, ScenarioError> {
        scenario.validate()?;
        let mut rng = Rng::with_seed(scenario.seed);
        let network = Network::new(&scenario.conditions, rng.fork());
        let mut key = [0; 32];
        rng.fill(&mut key);
        let mut queue = Queue::default();
        let window = scenario.start_within.as_micros();
        let window = u64::try_from(window).unwrap_or(u64::MAX);
        let mut forming = 0;
        for node in (0..scenario.nodes).filter(|node| !scenario.is_scripted(*node)) {
            queue.push(Duration::from_micros(rng.u64(..=window)), Event::FirstStart { node });
            forming += 1;
        }
        for (at, command) in &scenario.script {
            queue.push(*at, Event::Command(Box::new(command.clone())));
        }
        let address = |index| Body::address(index, scenario.port);
        let rows = |node| scenario.capacity(node).rows();
        let rows: Vec<_> = (0..scenario.nodes).map(rows).collect();
        let fleet = scenario.fleet.clone().map(Rc::new);
        Ok(Self {
            bodies: (0..scenario.nodes)
                .map(|index| Body::new(address(index), fleet.as_ref().map(Slots::new)))
                .collect(),
            channel: scenario.channel.map(Air::new),
            watch: Watch::new(&rows, forming),
            key: ClusterKey::from_bytes(key),
            now: Duration::ZERO,
            queue,
            network,
            air: scenario.wifi.as_ref().map_or_else(Vec::new, |wifi| wifi.routers.clone()),
            rng,
            nonces: Nonces::default(),
            core: Vec::new(),
            ledger: Ledger::default(),
            truth: Truth::default(),
            excused: false,
            copied: false,
            log: Log::default(),
            recording: VecDeque::new(),
            output: Output::default(),
            flights: Vec::new(),
            scenario,
        })
    }

    /// Sends every event to `sink` too, as it happens.
    pub fn set_sink(&mut self, sink: Sink) {
        self.log.set_sink(sink);
    }

    /// Puts one more fault into the network, after those of the conditions.
    pub fn add_fault(&mut self, fault: Box<dyn Fault>) {
        self.network.add(fault);
    }

    /// Lets the world run until `at`. Nothing happens if that is past.
    pub fn run_until(&mut self, at: Duration) {
        while self.step(at) {}
    }

    /// Lets the world run for `span`.
    pub fn run_for(&mut self, span: Duration) {
        self.run_until(self.now + span);
    }

    /// Lets the world run until the cluster is whole (see [`complete`](crate::Report::complete)), which is then
    /// now, or until `limit`, in which case the answer is `None`.
    pub fn run_until_complete(&mut self, limit: Duration) -> Option<Duration> {
        while !self.is_complete() {
            if !self.step(limit) {
                return None;
            }
        }
        Some(self.now)
    }

    /// Lets the next thing happen that is due by `limit`; false if there is none, and it is
    /// `limit` now.
    pub(crate) fn step(&mut self, limit: Duration) -> bool {
        let Some((at, event)) = self.queue.pop(limit) else {
            self.now = self.now.max(limit);
            return false;
        };
        self.now = at;
        self.happen(event);
        true
    }

    /// Does `command` now.
    pub fn apply(&mut self, command: Command) -> Result<(), ScenarioError> {
        command.validate(self.bodies.len())?;
        self.obey(command);
        Ok(())
    }

    /// Hands `bytes` to the socket of a node now, as if they had come from `from`. Nothing happens
    /// if it does not run. Panics if there is no such node.
    pub fn inject(&mut self, to: usize, from: SocketAddrV4, bytes: &[u8]) {
        self.come(to, Input::Datagram { from, bytes: Rc::from(bytes), broadcast: false });
    }

    /// Members may lie from now on, so the nodes are not held to their promises about what they deliver and whom they list.
    pub fn excuse_events(&mut self) {
        self.excused = true;
    }

    /// Publishes an event for the cluster on a node. `None` if it does not run. Panics if there is
    /// no such node.
    pub fn publish(
        &mut self,
        node: usize,
        publication: &Publication,
    ) -> Option<Result<(), PublishError>> {
        let Publication { topic, payload, retained } = publication;
        let life = self.bodies[node].life.as_mut()?;
        let local = life.clock.local(self.now);
        let published = life.engine.with(|node| {
            let number = node.publish(local, Scope::Cluster, topic, payload, *retained)?;
            Ok(node.next_event(number - 1, Filter::ALL).and_then(|delivery| delivery.key))
        });
        if let Ok(Some(key)) = published {
            self.log.add(self.now, &Entry::Published { node, key });
            let content = ledger::content(topic, payload, *retained);
            self.ledger.published(self.now, node, key, content);
        }
        self.settle(node);
        Some(published.map(|_| ()))
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Input { node, boot, input } => {
                if boot.is_none_or(|boot| boot == self.bodies[node].boot) {
                    self.come(node, input);
                }
            }
            Event::Wake { node } => self.wake(node),
            Event::Free { node, boot } => self.free(node, boot),
            Event::Resume { node, boot } => self.resume(node, boot),
            Event::Hang { node, boot } => self.hang(node, boot),
            Event::Bite { node, boot } => self.bite(node, boot),
            Event::FirstStart { node } => {
                self.watch.formed();
                self.start(node);
            }
            Event::Command(command) => self.obey(*command),
        }
    }

    /// Does what a shell must do after each verb: fetches all that the engine has to give.
    pub(crate) fn settle(&mut self, node: usize) {
        let body = &mut self.bodies[node];
        let Some(life) = &mut body.life else { return };
        let mut output = std::mem::take(&mut self.output);
        let wake = life.wake;
        life.drain(self.now, body.slots.as_mut(), &mut output);
        if let Some(at) = life.wake.filter(|at| wake != Some(*at)) {
            self.queue.push(at, Event::Wake { node });
        }
        if output.restart {
            self.queue.push(self.now, Event::restart(node));
        }
        for (lost, delivery) in output.deliveries.drain(..) {
            if let Delivered::Event(key, _) = delivery {
                self.log.add(self.now, &Entry::EventDelivered { node, key });
            }
            let result = self.ledger.delivered(self.now, node, lost, delivery);
            // Of two nodes with one memory, both may publish the same number.
            if let (Err(wrong), false) = (result, self.copied || self.excused) {
                panic!("seed {}: node {node} {wrong} at {:?}", self.scenario.seed, self.now);
            }
        }
        let engine = life.engine.node();
        self.truth.note(engine.own());
        let members = engine.members();
        // Every change of a member list is an event.
        let wrong = (!output.events.is_empty()).then(|| {
            let wrong = passed_limit(engine, self.scenario.capacity(node).rows());
            wrong.or_else(|| self.truth.contradicts(members))
        });
        if let (Some(Some(wrong)), false) = (wrong, self.copied || self.excused) {
            panic!("seed {}: node {node} {wrong} at {:?}", self.scenario.seed, self.now);
        }
        for event in &output.events {
            self.log.add(self.now, &Entry::Membership { observer: node, event: *event });
            self.watch.event(self.now, node, *event, members);
        }
        // Every change of a status is an event; a change of epoch is not, and matters only while
        // a node that has started is not yet known.
        if (!output.events.is_empty() || self.watch.is_curious()) && self.watch.look(node, members)
        {
            self.watch.note(self.now);
        }
        let left = life.engine.node().has_left();
        for (command, credentials) in output.commands.drain(..) {
            self.command_radio(node, command, credentials.as_ref());
        }
        for fetch in output.fetches.drain(..) {
            self.fetch(node, &fetch);
        }
        for (destination, bytes) in output.datagrams.drain(..) {
            self.send(node, destination, &bytes);
        }
        for job in output.jobs.drain(..) {
            self.begin_work(node, job);
        }
        for step in output.steps.drain(..) {
            self.begin_step(node, step);
        }
        for run in output.runs.drain(..) {
            self.run_task(node, &run);
        }
        for (key, value) in output.values.drain(..) {
            self.begin_store(node, key, value);
        }
        self.output = output;
        if left {
            self.bodies[node].left = true;
            self.kill(node);
        }
    }

    fn send(&mut self, from: usize, destination: Destination, bytes: &Rc<[u8]>) {
        let body = &mut self.bodies[from];
        body.traffic.sent += 1;
        body.traffic.sent_bytes += bytes.len() as u64;
        if let Some(life) = &mut body.life {
            let fresh = self.nonces.is_fresh(&mut life.nonce, bytes);
            // Of two nodes with one memory, one must send something for the other to notice.
            let excused = self.copied;
            assert!(
                fresh || excused,
                "seed {}: node {from} used a nonce twice",
                self.scenario.seed
            );
        }
        let (address, to) = (body.address, destination);
        self.log.show(self.now, &Entry::Sent { from: address, to, bytes });
        if self.scenario.recording > 0 {
            if self.recording.len() == self.scenario.recording {
                self.recording.pop_front();
            }
            let bytes = Rc::clone(bytes);
            self.recording.push_back(Recorded { at: self.now, from: address, to, bytes });
        }
        if self.bodies[from].is_deaf() {
            return;
        }
        let sent = match &mut self.channel {
            None => Some(self.now),
            Some(air) => air.send(self.now, bytes.len(), 2),
        };
        let Some(sent) = sent else { return };
        match destination {
            Destination::Broadcast => {
                for to in (0..self.bodies.len()).filter(|to| *to != from) {
                    self.carry(sent, &Passage { from, to, broadcast: true }, bytes);
                }
            }
            Destination::Unicast(to) => {
                if let Some(to) = self.node_at(to) {
                    self.carry(sent, &Passage { from, to, broadcast: false }, bytes);
                }
            }
        }
    }

    /// Carries to one receiver what was sent at `sent`.
    fn carry(&mut self, sent: Duration, passage: &Passage, bytes: &Rc<[u8]>) {
        if self.scenario.wifi.is_some() && !self.are_in_reach(passage.from, passage.to) {
            return;
        }
        self.network.carry(passage, bytes, &mut self.flights);
        let (from, to) = (self.bodies[passage.from].address, passage.to);
        let broadcast = passage.broadcast;
        for Flight { delay, bytes } in self.flights.drain(..) {
            let input = Input::Datagram { from, bytes, broadcast };
            self.queue.push(sent + delay, Event::Input { node: to, boot: None, input });
        }
    }

    /// Looks at all views again, since someone started or ended.
    fn review(&mut self) {
        for (index, body) in self.bodies.iter().enumerate() {
            if let Some(node) = body.node() {
                self.watch.look(index, node.members());
            }
        }
        self.watch.recount();
        self.watch.note(self.now);
    }
}
