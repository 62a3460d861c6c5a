//! What befalls the nodes at random, and what the script says.

use super::plan::{Events, Plan, PlanError};
use super::span::Span;
use crate::junk::{DatagramKind, Junk};
use crate::scenario::Publication;
use crate::{Command, Memory, Simulation};
use fastrand::Rng;
use serde::Deserialize;
use spore_core::api::{Method, Request};
use std::time::Duration;

/// Turns within which a node has sent all that it had to send.
const MOST_DUE: usize = 64;

/// How often what befalls the cluster, in times a minute, each at most 6,000, and how long it lasts: from the first span to the second, each
/// as likely as another. All default to 0 times. What lasts may overlap with more of its kind.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// A node loses its power,
    pub kills: f64,
    /// has it back after so long (default 0 to 10 s),
    pub down: [Span; 2],
    /// and with this probability from 0 to 1 remembers nothing. Default 0.
    pub forgets: f64,
    /// A node does nothing,
    pub stalls: f64,
    /// for so long. Default 1 to 8 s.
    pub stall: [Span; 2],
    /// Nothing gets over a link, in one direction or in both,
    pub flaps: f64,
    /// for so long. Default 1 to 20 s.
    pub flap: [Span; 2],
    /// A random group of nodes is not reached by the others, does not reach them, or both,
    pub partitions: f64,
    /// for so long. Default 5 to 60 s.
    pub partition: [Span; 2],
    /// A node's clock jumps forward,
    pub steps: f64,
    /// by so much. Default 0 to 1 h.
    pub step: [Span; 2],
    /// Somebody without a key tries to change something, over UDP or HTTP.
    pub junk: f64,
}

impl Default for Rates {
    fn default() -> Self {
        let secs = |from, to| [Span::secs(from), Span::secs(to)];
        Self {
            kills: 0.0,
            down: secs(0, 10),
            forgets: 0.0,
            stalls: 0.0,
            stall: secs(1, 8),
            flaps: 0.0,
            flap: secs(1, 20),
            partitions: 0.0,
            partition: secs(5, 60),
            steps: 0.0,
            step: secs(0, 3_600),
            junk: 0.0,
        }
    }
}

impl Rates {
    pub(super) fn validate(&self) -> Result<(), PlanError> {
        let refuse = |key: &str, choose: &str| {
            Err(PlanError::Value { key: format!("chaos.{key}"), choose: choose.into() })
        };
        for (key, rate) in [
            ("kills", self.kills),
            ("stalls", self.stalls),
            ("flaps", self.flaps),
            ("partitions", self.partitions),
            ("steps", self.steps),
            ("junk", self.junk),
        ] {
            if !(0.0..=6_000.0).contains(&rate) {
                return refuse(key, "0 to 6000 times a minute");
            }
        }
        for (key, [from, to]) in [
            ("down", self.down),
            ("stall", self.stall),
            ("flap", self.flap),
            ("partition", self.partition),
            ("step", self.step),
        ] {
            if from > to {
                return refuse(key, "the least first, and then the most");
            }
        }
        match (0.0..=1.0).contains(&self.forgets) {
            true => Ok(()),
            false => refuse("forgets", "0 to 1"),
        }
    }
}

/// Something that comes again and again, or once.
#[derive(Clone, Debug)]
enum Act {
    Kill,
    Stall,
    Flap,
    Split,
    Step,
    Junk,
    Publish,
    /// Once.
    Do(Vec<Command>),
}

/// What is going to befall a world. All chance comes from its seed.
#[derive(Debug)]
pub(super) struct Chaos {
    rates: Rates,
    events: Events,
    nodes: usize,
    /// Nothing happens to these at random.
    core: Vec<usize>,
    rng: Rng,
    junk: Junk,
    due: Vec<(Duration, Act)>,
    pub(super) tally: Tally,
}

/// What was done to a world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Nodes that lost their power.
    pub kills: u64,
    /// Nodes that stood still.
    pub stalls: u64,
    /// Links and groups that were cut off.
    pub cuts: u64,
    /// Clocks that jumped.
    pub steps: u64,
    /// Things that were tried without a key. None changed anything.
    pub junk: u64,
    /// Events that were published.
    pub published: u64,
    /// Events that were refused, since there were too many, or the node did not run.
    pub refused: u64,
}

impl Chaos {
    /// All that `plan` wants, from `now` on.
    pub(super) fn new(plan: &Plan, seed: u64, now: Duration) -> Self {
        // Another stream than that of the world.
        let rng = Rng::with_seed(seed ^ 0x43_48_41_4F_53);
        let (rates, events, nodes) = (plan.chaos.clone(), plan.events.clone(), plan.nodes);
        let (core, junk, due) = (Vec::new(), Junk::new(seed), Vec::new());
        let mut chaos =
            Self { rates, events, nodes, core, rng, junk, due, tally: Tally::default() };
        for act in
            [Act::Kill, Act::Stall, Act::Flap, Act::Split, Act::Step, Act::Junk, Act::Publish]
        {
            chaos.again(now, act);
        }
        for step in &plan.step {
            // They were validated with the plan.
            let commands = step.command(nodes).unwrap_or_default();
            chaos.due.push((now + step.at.0, Act::Do(commands)));
        }
        chaos
    }

    /// When the next thing happens.
    pub(super) fn next(&self) -> Option<Duration> {
        self.due.iter().map(|(at, _)| *at).min()
    }

    /// Nothing befalls these any more, but the script; and no events are published.
    pub(super) fn spare(&mut self, core: &[usize]) {
        self.core = core.to_vec();
        self.due.retain(|(_, act)| match act {
            Act::Publish => false,
            // They run already.
            Act::Do(commands) => !commands
                .iter()
                .any(|it| matches!(it, Command::Restart(node, _) if core.contains(node))),
            _ => true,
        });
    }

    /// Nothing befalls anybody any more; whoever has lost its power has it back.
    pub(super) fn end(&mut self) {
        self.due.clear();
    }

    /// Does what is due. What is wrong with what came of it, if anything is.
    pub(super) fn act(&mut self, sim: &mut Simulation) -> Result<(), String> {
        let now = sim.now();
        // In the order in which it was added, as far as it is of the same time.
        while let Some(index) = self.first_due(now) {
            let (_, act) = self.due.remove(index);
            self.perform(sim, &act)?;
            self.again(now, act);
        }
        Ok(())
    }

    fn first_due(&self, now: Duration) -> Option<usize> {
        let due = self.due.iter().enumerate().filter(|(_, (at, _))| *at <= now);
        due.min_by_key(|(index, (at, _))| (*at, *index)).map(|(index, _)| index)
    }

    /// It comes again, as often as it should on average.
    fn again(&mut self, now: Duration, act: Act) {
        let rates = &self.rates;
        let rate = match act {
            Act::Kill => rates.kills,
            Act::Stall => rates.stalls,
            Act::Flap => rates.flaps,
            Act::Split => rates.partitions,
            Act::Step => rates.steps,
            Act::Junk => rates.junk,
            Act::Publish => self.events.rate * 60.0,
            Act::Do(_) => 0.0,
        };
        if rate > 0.0 {
            let most = Duration::from_secs_f64(120.0 / rate);
            let gap = self.between([Span::default(), Span(most)]).max(Duration::from_micros(1));
            self.due.push((now + gap, act));
        }
    }

    fn between(&mut self, [Span(from), Span(to)]: [Span; 2]) -> Duration {
        let span = u64::try_from((to - from).as_micros()).unwrap_or(u64::MAX);
        from + Duration::from_micros(self.rng.u64(..=span))
    }

    /// A node that something may befall.
    fn victim(&mut self) -> Option<usize> {
        let all: Vec<_> = (0..self.nodes).filter(|node| !self.core.contains(node)).collect();
        self.rng.choice(all)
    }

    fn later(&mut self, at: Duration, commands: Vec<Command>) {
        self.due.push((at, Act::Do(commands)));
    }

    fn perform(&mut self, sim: &mut Simulation, act: &Act) -> Result<(), String> {
        let now = sim.now();
        let Some(victim) = self.victim() else { return Ok(()) };
        let apply =
            |sim: &mut Simulation, command| sim.apply(command).map_err(|error| error.to_string());
        match act {
            Act::Kill => {
                self.tally.kills += 1;
                let after = self.between(self.rates.down);
                let forgets = self.rng.f64() < self.rates.forgets;
                let memory = if forgets { Memory::Lost } else { Memory::Kept };
                apply(sim, Command::Kill(victim))?;
                self.later(now + after, vec![Command::Restart(victim, memory)]);
            }
            Act::Stall => {
                self.tally.stalls += 1;
                let span = self.between(self.rates.stall);
                apply(sim, Command::Stall(victim, span))?;
            }
            Act::Flap => {
                let other = self.rng.usize(..self.nodes);
                let both = self.rng.bool();
                self.cut(sim, vec![victim], vec![other], both, self.rates.flap)?;
            }
            Act::Split => {
                // The core is on one side.
                let all = (0..self.nodes).filter(|node| !self.core.contains(node));
                let group: Vec<_> = all.filter(|_| self.rng.bool()).collect();
                let rest = (0..self.nodes).filter(|node| !group.contains(node)).collect();
                let (from, to) = if self.rng.bool() { (group, rest) } else { (rest, group) };
                let both = self.rng.bool();
                self.cut(sim, from, to, both, self.rates.partition)?;
            }
            Act::Step => {
                self.tally.steps += 1;
                let span = self.between(self.rates.step);
                apply(sim, Command::StepClock(victim, span))?;
            }
            Act::Junk => self.intrude(sim, victim)?,
            Act::Publish => {
                // Also where nothing is to befall anybody.
                let node = self.rng.usize(..self.nodes);
                self.publish(sim, node);
            }
            Act::Do(commands) => {
                for command in commands {
                    apply(sim, command.clone())?;
                }
            }
        }
        Ok(())
    }

    fn cut(
        &mut self,
        sim: &mut Simulation,
        from: Vec<usize>,
        to: Vec<usize>,
        both: bool,
        span: [Span; 2],
    ) -> Result<(), String> {
        self.tally.cuts += 1;
        let mut ends = vec![Command::Unblock { from: from.clone(), to: to.clone() }];
        let mut begins = vec![Command::Block { from: from.clone(), to: to.clone() }];
        if both {
            begins.push(Command::Block { from: to.clone(), to: from.clone() });
            ends.push(Command::Unblock { from: to, to: from });
        }
        let after = self.between(span);
        self.later(sim.now() + after, ends);
        begins.into_iter().try_for_each(|command| sim.apply(command)).map_err(|it| it.to_string())
    }

    /// A node publishes an event. Whether it does.
    pub(super) fn publish(&mut self, sim: &mut Simulation, node: usize) -> bool {
        let topic = format!("sim/{}", self.rng.u8(..8));
        let payload = vec![self.rng.u8(..); self.events.bytes];
        let retained = self.rng.f64() < self.events.retained;
        let published = sim.publish(node, &Publication { topic, payload, retained });
        let done = published.is_some_and(|result| result.is_ok());
        let count = if done { &mut self.tally.published } else { &mut self.tally.refused };
        *count += 1;
        done
    }

    /// Somebody without a key tries to change something at a node.
    fn intrude(&mut self, sim: &mut Simulation, node: usize) -> Result<(), String> {
        let recording: Vec<Vec<u8>> = sim.recording().map(|it| it.bytes.to_vec()).collect();
        let kinds = DatagramKind::KEYLESS.into_iter();
        // What was only lost or delayed is no junk.
        let kinds: Vec<_> = kinds.filter(|kind| *kind != DatagramKind::Replayed).collect();
        let kind = kinds[self.rng.usize(..kinds.len())];
        let datagram = self.junk.datagram_of(kind, &recording);
        // With one that is at work it would wait, and what came of it be seen only later, among other things.
        if recording.contains(&datagram) || !sim.is_free(node) {
            return Ok(());
        }
        self.tally.junk += 1;
        let from = sim.address((node + 1) % self.nodes);
        // Empty ones first, until nothing is due any more but what comes next: a node may have several datagrams to send, one for each turn.
        let mut before = None;
        for _ in 0..MOST_DUE {
            sim.inject(node, from, &[]);
            let now = sim.state(node);
            if core::mem::replace(&mut before, now.clone()) == now {
                break;
            }
        }
        if self.rng.bool() {
            sim.inject(node, from, &datagram);
        } else {
            const ROUTES: [(Method, &str); 5] = [
                (Method::Post, "/api/node/restart"),
                (Method::Put, "/api/node/config"),
                (Method::Put, "/api/network/wifi"),
                (Method::Post, "/api/events"),
                (Method::Post, "/api/cluster/update"),
            ];
            let (method, path) = ROUTES[self.rng.usize(..ROUTES.len())];
            let answer =
                sim.request(node, &Request { body: &datagram, ..Request::new(method, path) });
            if let Some((status @ ..400, _)) = answer {
                return Err(format!("node {node} answers {status} to {path} without a key"));
            }
        }
        let after = sim.state(node);
        match after == before {
            true => Ok(()),
            false => Err(format!(
                "node {node} was changed without a key at {:?}, by {kind:?}: {datagram:02x?}; from {before:?} to {after:?}",
                sim.now()
            )),
        }
    }
}
