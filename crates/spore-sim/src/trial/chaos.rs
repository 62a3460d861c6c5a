//! What befalls the nodes at random, and what the script says.

mod intruder;
mod rates;

pub(super) use intruder::credentials;
pub use rates::Rates;

use super::plan::{Events, Plan};
use super::span::Span;
use crate::junk::Junk;
use crate::scenario::Publication;
use crate::{Command, Memory, Simulation};
use fastrand::Rng;
use std::time::Duration;

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
    /// Nothing yet.
    pub(super) fn new(plan: &Plan, seed: u64) -> Self {
        // Another stream than that of the world.
        let rng = Rng::with_seed(seed ^ 0x43_48_41_4F_53);
        let (rates, events, nodes) = (plan.chaos.clone(), plan.events.clone(), plan.nodes);
        let (core, junk, due) = (Vec::new(), Junk::new(seed), Vec::new());
        Self { rates, events, nodes, core, rng, junk, due, tally: Tally::default() }
    }

    /// All that the plan wants, from `now` on.
    pub(super) fn begin(&mut self, plan: &Plan, now: Duration) {
        for act in
            [Act::Kill, Act::Stall, Act::Flap, Act::Split, Act::Step, Act::Junk, Act::Publish]
        {
            self.again(now, act);
        }
        for step in &plan.step {
            // They were validated with the plan.
            let commands = step.command(self.nodes).unwrap_or_default();
            self.due.push((now + step.at.0, Act::Do(commands)));
        }
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

    /// The nodes that something may befall.
    fn victims(&self) -> Vec<usize> {
        (0..self.nodes).filter(|node| !self.core.contains(node)).collect()
    }

    /// Some of those, at least one, and all others, at least one.
    fn split(&mut self) -> Option<[Vec<usize>; 2]> {
        let all = self.victims();
        let certain = self.rng.choice(&all).copied()?;
        let mut group: Vec<_> =
            all.into_iter().filter(|node| *node == certain || self.rng.bool()).collect();
        if group.len() == self.nodes {
            group.retain(|node| *node != certain);
        }
        let rest: Vec<_> = (0..self.nodes).filter(|node| !group.contains(node)).collect();
        (!group.is_empty()).then_some([group, rest])
    }

    fn later(&mut self, at: Duration, commands: Vec<Command>) {
        self.due.push((at, Act::Do(commands)));
    }

    fn perform(&mut self, sim: &mut Simulation, act: &Act) -> Result<(), String> {
        match act {
            Act::Publish => {
                // Also where nothing is to befall anybody.
                let node = self.rng.usize(..self.nodes);
                self.publish(sim, node);
                Ok(())
            }
            Act::Do(commands) => commands.iter().try_for_each(|it| apply(sim, it.clone())),
            Act::Split => {
                // The core is on one side.
                let Some([group, rest]) = self.split() else { return Ok(()) };
                let (from, to) = if self.rng.bool() { (group, rest) } else { (rest, group) };
                self.cut(sim, from, to, self.rates.partition)
            }
            _ => {
                let victims = self.victims();
                let victim = self.rng.choice(victims);
                victim.map_or(Ok(()), |victim| self.befall(sim, act, victim))
            }
        }
    }

    /// Does something to one node.
    fn befall(&mut self, sim: &mut Simulation, act: &Act, victim: usize) -> Result<(), String> {
        let now = sim.now();
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
                let others: Vec<_> = (0..self.nodes).filter(|node| *node != victim).collect();
                let Some(other) = self.rng.choice(others) else { return Ok(()) };
                self.cut(sim, vec![victim], vec![other], self.rates.flap)?;
            }
            Act::Step => {
                self.tally.steps += 1;
                let span = self.between(self.rates.step);
                apply(sim, Command::StepClock(victim, span))?;
            }
            Act::Junk => self.intrude(sim, victim)?,
            // Not what befalls one.
            Act::Split | Act::Publish | Act::Do(_) => {}
        }
        Ok(())
    }

    fn cut(
        &mut self,
        sim: &mut Simulation,
        from: Vec<usize>,
        to: Vec<usize>,
        span: [Span; 2],
    ) -> Result<(), String> {
        self.tally.cuts += 1;
        let both = self.rng.bool();
        let mut ends = vec![Command::Unblock { from: from.clone(), to: to.clone() }];
        let mut begins = vec![Command::Block { from: from.clone(), to: to.clone() }];
        if both {
            begins.push(Command::Block { from: to.clone(), to: from.clone() });
            ends.push(Command::Unblock { from: to, to: from });
        }
        let after = self.between(span);
        self.later(sim.now() + after, ends);
        begins.into_iter().try_for_each(|command| apply(sim, command))
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
}

fn apply(sim: &mut Simulation, command: Command) -> Result<(), String> {
    sim.apply(command).map_err(|error| error.to_string())
}
