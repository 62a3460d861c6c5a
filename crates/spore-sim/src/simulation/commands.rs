//! What commands do to a world.

use super::{Simulation, memory};
use crate::body::{self, Running};
use crate::checks::Turns;
use crate::clock::Clock;
use crate::engine::Engine;
use crate::flash::NorChip;
use crate::log::Entry;
use crate::network::Network;
use crate::scenario::{Command, Memory, Nature};
use spore_core::api::Assets;
use spore_core::network::{Radio, RadioConfig};
use spore_core::{Catalogue, Config, Seed, Stored};
use spore_radio::RadioModel;
use std::collections::VecDeque;
use std::time::Duration;

impl Simulation {
    pub(super) fn obey(&mut self, command: Command) {
        self.log.show(self.now, &Entry::Obeyed(&command));
        match command {
            Command::Start(node) => self.start(node),
            Command::Kill(node) => self.kill(node),
            Command::Restart(node, memory) => {
                self.kill(node);
                if memory == Memory::Lost {
                    self.bodies[node].chip = NorChip::blank(memory::SECTORS);
                }
                self.start(node);
            }
            Command::Leave(node) => self.leave(node),
            Command::CopyMemory { from, to } => {
                self.bodies[to].chip = self.bodies[from].chip.clone();
                self.copied = true;
            }
            Command::Stall(node, span) => self.stall(node, span),
            Command::Slow(node, span) => self.bodies[node].pace = span,
            Command::HealCore(core) => self.heal_core(&core),
            Command::StepClock(node, span) => self.step_clock(node, span),
            Command::Offer(node, catalogue) => self.offer(node, catalogue),
            Command::Publish(node, publication) => {
                // A node that may not publish now does not.
                let _ = self.publish(node, &publication);
            }
            Command::Block { from, to } => {
                self.change_network(|network| network.partition.block(&from, &to));
            }
            Command::Unblock { from, to } => {
                self.change_network(|network| network.partition.unblock(&from, &to));
            }
            Command::Isolate(group) => {
                let rest = (0..self.bodies.len()).filter(|node| !group.contains(node));
                let rest: Vec<_> = rest.collect();
                self.change_network(|network| {
                    network.partition.block(&group, &rest);
                    network.partition.block(&rest, &group);
                });
            }
            Command::Heal => self.change_network(|network| network.partition.heal()),
            Command::Air(routers) => self.set_air(routers),
            Command::JoinAccessPoint(node) => self.set_client(node, true),
            Command::LeaveAccessPoint(node) => self.set_client(node, false),
            Command::Conditions(conditions) => {
                self.change_network(|network| network.set_conditions(&conditions));
            }
        }
    }

    fn change_network(&mut self, change: impl FnOnce(&mut Network)) {
        change(&mut self.network);
        self.log.add(self.now, &Entry::NetworkChanged);
    }

    pub(super) fn start(&mut self, node: usize) {
        if self.bodies[node].life.is_some() {
            return;
        }
        let clocks = self.scenario.clocks;
        let drift = i32::try_from(clocks.drift_ppm).unwrap_or(i32::MAX);
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let offset = self.rng.u64(micros(clocks.from)..=micros(clocks.offset));
        let offset = Duration::from_micros(offset);
        let clock = Clock::new(self.now, offset, self.rng.i32(-drift..=drift));
        let mut seed = [0; 32];
        self.rng.fill(&mut seed);
        let body = &mut self.bodies[node];
        if let Some(slots) = &mut body.slots {
            // Each start of an image that crashes is followed by the next one.
            slots.boot();
            while slots.nature() == Nature::Crashes {
                slots.boot();
            }
        }
        let release = self.scenario.fleet.as_ref().map(|fleet| memory::settings(fleet.release_key));
        let config = Config {
            hostname: body::hostname(node),
            address: *body.address.ip(),
            port: self.scenario.port,
            http_port: 80,
            key: Some(self.key.clone()),
            services: self.scenario.services,
            assets: Assets::NONE,
            tasks: self.scenario.tasks,
            sprockets: &[],
            timing: self.scenario.timing,
            radio: self.scenario.wifi.as_ref().map(|wifi| RadioConfig {
                kind: Radio::Modelled,
                password: Some(wifi.password),
                credentials: wifi.credentials,
            }),
        };
        // Only then, so that wired worlds are what they were.
        let radio = config.radio.is_some().then(|| RadioModel::new(self.rng.fork()));
        let (local, capacity) = (clock.local(self.now), self.scenario.capacity(node));
        let settings = release.as_deref().unwrap_or_default();
        let mut stored = Stored { settings, ..Stored::default() };
        let remembered = body.remembered();
        for (key, value, damaged) in &remembered {
            if !value.is_empty() {
                stored.set(*key, value);
            }
            if *damaged {
                stored.doubt(*key);
            }
        }
        let engine = Engine::start(
            local,
            capacity,
            &config,
            body::facts(node, body.slots.as_mut()),
            &stored,
            &Seed(seed),
        );
        let own = engine.node().own().clone();
        body.boot += 1;
        body.left = false;
        let since = self.now;
        body.life = Some(Running {
            engine,
            clock,
            radio,
            since,
            wake: None,
            turns: Turns::default(),
            stall: None,
            hangs: None,
            put_off: Vec::new(),
            working: 0,
            busy: false,
            inbox: VecDeque::new(),
            delivered: 0,
            nonce: None,
        });
        if body.slots.as_ref().is_some_and(|slots| slots.nature() == Nature::Hangs) {
            self.will_hang(node);
        }
        self.log.add(self.now, &Entry::Started(node, own.id));
        self.watch.started(self.now, node, &own);
        self.ledger.started(self.now, node);
        self.review();
        self.settle(node);
    }

    fn heal_core(&mut self, core: &[usize]) {
        self.change_network(|network| network.heal_core(core));
        for &node in core {
            self.bodies[node].pace = Duration::ZERO;
            self.start(node);
            self.end_stall(node);
        }
        self.core = core.to_vec();
    }

    fn leave(&mut self, node: usize) {
        let Some(life) = &mut self.bodies[node].life else { return };
        let local = life.clock.local(self.now);
        life.engine.with(|node| node.leave(local));
        self.log.add(self.now, &Entry::Leaving(node));
        self.watch.leaves(node);
        self.settle(node);
    }

    fn step_clock(&mut self, node: usize, span: Duration) {
        let Some(life) = &mut self.bodies[node].life else { return };
        life.clock.step(span);
        // Before the engine sees it: whether the image is kept goes by the same clock.
        self.hang_sooner(node, span);
        // A shell wakes its engine when the stepped clock has passed the deadline.
        self.settle(node);
    }

    pub(super) fn kill(&mut self, node: usize) {
        let body = &mut self.bodies[node];
        let Some(mut life) = body.life.take() else { return };
        let inbox = std::mem::take(&mut life.inbox);
        body.traffic.up += self.now - life.since;
        body.cut_store(self.now, self.scenario.flash.torn, &mut self.rng);
        if let Some(slots) = body.slots.as_mut().filter(|_| life.working > 0) {
            slots.cut(self.scenario.flash.torn, &mut self.rng);
        }
        self.log.add(self.now, &Entry::Killed(node));
        self.watch.ended(self.now, node);
        self.ledger.ended(self.now, node);
        self.hang_up(inbox);
        self.review();
    }

    fn offer(&mut self, node: usize, catalogue: Catalogue) {
        if let Some(life) = &mut self.bodies[node].life {
            life.engine.with(|node| node.set_services(catalogue));
            self.settle(node);
        }
    }
}
