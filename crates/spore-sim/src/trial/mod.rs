//! A [`Plan`] under a seed: run, looked at, and judged.
//!
//! | module | what it is |
//! |---|---|
//! | [`plan`] | a scenario as people write it |
//! | [`step`] | one thing that happens at a time of its own |
//! | [`chaos`] | what befalls the nodes at random |
//! | [`vopr()`] | plans drawn from a seed |

pub mod chaos;
mod outcome;
pub mod plan;
mod rollout;
pub mod span;
pub mod step;
mod vopr;

pub use outcome::{Events, Outcome, Sample};
pub use plan::{Plan, PlanError};
pub use vopr::vopr;

use crate::report::Traffic;
use crate::{Command, Report, Simulation};
use chaos::Chaos;
use fastrand::Rng;
use rollout::Operator;
use span::Span;
use std::time::Duration;

/// How long after the last event all nodes must have it, or know that they have missed it.
const EVENTS_SETTLE: Duration = Duration::from_secs(20);

/// How long an event that is published in a core that has converged may take to reach all of it.
const CORE_EVENT: Duration = Duration::from_secs(20);

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The cluster forms.
    Forming,
    /// Faults befall it.
    Faults,
    /// Everything heals, or a core does.
    Healing,
    /// Nodes have died in the end.
    Deaths,
}

impl Phase {
    /// In a word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forming => "forming",
            Self::Faults => "faults",
            Self::Healing => "healing",
            Self::Deaths => "deaths",
        }
    }
}

/// Whoever looks at samples as they are taken.
type Watcher<'a> = Box<dyn FnMut(Phase, &Sample) + 'a>;

/// A run.
pub struct Trial<'a> {
    plan: &'a Plan,
    seed: u64,
    /// The world. Give it a sink, if you want to see what happens; leave the rest to the run.
    pub world: Simulation,
    chaos: Chaos,
    operator: Option<Operator>,
    next_sample: Duration,
    samples: Vec<Sample>,
    failures: Vec<String>,
    watcher: Watcher<'a>,
}

impl std::fmt::Debug for Trial<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trial")
            .field("plan", &self.plan)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl<'a> Trial<'a> {
    /// The run of `plan` under `seed`, at its beginning.
    pub fn new(plan: &'a Plan, seed: u64) -> Result<Self, PlanError> {
        plan.validate()?;
        let mut world = Simulation::new(plan.scenario(seed))?;
        for node in plan.nodes - plan.cpu.slow..plan.nodes {
            world.apply(Command::Slow(node, plan.cpu.by.0))?;
        }
        Ok(Self {
            seed,
            world,
            chaos: Chaos::new(plan, seed),
            operator: None,
            next_sample: Duration::ZERO,
            samples: Vec::new(),
            failures: Vec::new(),
            watcher: Box::new(|_, _| ()),
            plan,
        })
    }

    /// Shows each sample to `watcher` too, as it is taken.
    #[must_use]
    pub fn with_watcher(mut self, watcher: impl FnMut(Phase, &Sample) + 'a) -> Self {
        self.watcher = Box::new(watcher);
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    ///
    /// If the engine does, or if what must hold at every step does not.
    pub fn run(mut self) -> Outcome {
        let plan = self.plan;
        let whole =
            self.advance(Phase::Forming, plan.expect.whole_within.0, Simulation::is_complete);
        // The safety phase of a world in which anything may fail does not wait for that.
        if whole.is_none() && plan.liveness.is_none() {
            self.fail(format!("not whole after {}", plan.expect.whole_within));
        }
        let formed = self.world.report();
        self.chaos.begin(plan, self.world.now());
        self.operator = plan.rollout.as_ref().map(|it| Operator::new(it, self.world.now()));
        let befallen = self.world.now();
        self.advance(Phase::Faults, plan.duration.0, |_| false);
        let traffic = match plan.duration.0 {
            Duration::ZERO => formed.total(),
            _ => self.world.report().total() - formed.total(),
        };
        let (mut healed, mut core) = (None, None);
        match &plan.liveness {
            Some(liveness) => core = self.liveness(liveness),
            None if whole.is_some() && self.was_broken() => healed = self.heal(),
            None => {}
        }
        let events = self.settle_events(befallen);
        self.finish_rollout();
        self.deaths();
        let report = self.world.report();
        self.judge(&report, &events, traffic);
        let Self { seed, samples, failures, chaos, operator, .. } = self;
        let rollout = operator.and_then(|it| Some(it.done? - it.begun?));
        let tally = chaos.tally;
        Outcome {
            seed,
            failures,
            whole,
            healed,
            core,
            rollout,
            traffic,
            events,
            tally,
            samples,
            report,
        }
    }

    fn fail(&mut self, what: String) {
        self.failures.push(what);
    }

    /// Whether anything has befallen the cluster from which it must heal.
    fn was_broken(&self) -> bool {
        let chaos::Tally { kills, stalls, cuts, .. } = self.chaos.tally;
        kills + stalls + cuts > 0 || !self.plan.step.is_empty()
    }

    /// Lets the world run for `span`, or until `done`, and all that befalls it meanwhile. How long it took until it was done; `None`
    /// if it was not.
    fn advance(
        &mut self,
        phase: Phase,
        span: Duration,
        done: impl Fn(&Simulation) -> bool,
    ) -> Option<Duration> {
        let (start, end) = (self.world.now(), self.world.now() + span);
        loop {
            self.do_what_is_due(phase);
            if done(&self.world) {
                return Some(self.world.now() - start);
            }
            if self.world.now() >= end {
                return None;
            }
            let operator = self.operator.as_ref().filter(|it| it.begun.is_none());
            let next = [self.chaos.next(), operator.map(|it| it.next), Some(self.next_sample)];
            let next = next.into_iter().flatten().fold(end, Duration::min).max(self.world.now());
            while !done(&self.world) && self.world.step(next) {}
        }
    }

    fn do_what_is_due(&mut self, phase: Phase) {
        let now = self.world.now();
        if now >= self.next_sample {
            self.next_sample = now + self.plan.sample.0;
            self.sample(phase);
        }
        let mut wrong = self.chaos.act(&mut self.world);
        if let Some(operator) = &mut self.operator {
            if now >= operator.next && operator.begun.is_none() {
                wrong = wrong.and(operator.act(&mut self.world));
            }
            operator.look(&self.world);
        }
        if let Err(wrong) = wrong {
            self.fail(wrong);
        }
    }

    fn sample(&mut self, phase: Phase) {
        let sample = Sample::of(&self.world);
        (self.watcher)(phase, &sample);
        self.samples.push(sample);
        let wrong = self.operator.as_ref().map(|operator| operator.check(&self.world));
        if let Some(Err(wrong)) = wrong {
            self.fail(wrong);
        }
    }

    /// Everything heals. How long it takes until the cluster is whole.
    fn heal(&mut self) -> Option<Duration> {
        self.chaos.end();
        let all = 0..self.plan.nodes;
        let limit = self.plan.expect.heals_within;
        // Those that have left on purpose have done so for good.
        for node in all {
            if !self.world.has_left(node) {
                self.apply(Command::Start(node));
            }
        }
        self.apply(Command::Heal);
        let healed = self.advance(Phase::Healing, limit.0, Simulation::is_complete);
        if healed.is_none() {
            self.fail(format!("not whole {limit} after everything has healed"));
        }
        healed
    }

    /// A core heals. How long it takes until it agrees.
    fn liveness(&mut self, liveness: &plan::Liveness) -> Option<Duration> {
        let mut rng = Rng::with_seed(self.seed ^ 0x43_4F_52_45);
        // An image that lets nothing in and out, or hangs, breaks its node for minutes.
        let image = self.plan.rollout.as_ref().map(|it| it.image);
        let bad = matches!(image, Some(plan::Image::Deaf | plan::Image::Hangs));
        let broken = |node: usize| bad && node == rollout::CANARY;
        let mut nodes: Vec<_> = (0..self.plan.nodes).filter(|node| !broken(*node)).collect();
        rng.shuffle(&mut nodes);
        let size = if liveness.core == 0 { self.plan.nodes / 2 + 1 } else { liveness.core };
        let size = size.min(nodes.len());
        let core = nodes[..size].to_vec();
        self.chaos.spare(&core);
        self.apply(Command::HealCore(core.clone()));
        let limit = liveness.within;
        let agreed = self.advance(Phase::Healing, limit.0, |world| world.agrees(&core));
        if agreed.is_none() {
            self.fail(format!(
                "a core of {size} does not agree {limit} after it has healed: {core:?}"
            ));
            return None;
        }
        self.core_event(&core);
        agreed
    }

    /// An event that is published in a core that agrees reaches all of it.
    fn core_event(&mut self, core: &[usize]) {
        let end = self.world.now() + CORE_EVENT;
        let publisher = core[0];
        // Others may have filled the window.
        while !self.chaos.publish(&mut self.world, publisher) {
            if self.world.now() >= end {
                return self.fail(format!("node {publisher} of the core may not publish"));
            }
            self.advance(Phase::Healing, Duration::from_millis(500), |_| false);
        }
        let index = self.world.ledger().publications().len() - 1;
        let settled = |world: &Simulation| world.ledger().has_settled(index, core);
        if self.advance(Phase::Healing, CORE_EVENT, settled).is_none() {
            self.fail(format!("an event has not reached all of the core after {CORE_EVENT:?}"));
        }
    }

    /// What became of the events, when all that was on its way has come.
    fn settle_events(&mut self, from: Duration) -> Events {
        let to = self.world.now();
        if self.plan.events.rate > 0.0 && self.plan.liveness.is_none() {
            self.chaos.end();
            self.advance(Phase::Healing, EVENTS_SETTLE, |_| false);
        }
        Events::of(self.world.ledger(), from, to)
    }

    fn finish_rollout(&mut self) {
        let Some(limit) = self.plan.expect.rollout_within else { return };
        let Some(operator) = &self.operator else { return };
        let end = operator.begun.unwrap_or(self.world.now()) + limit.0;
        while self.operator.as_ref().is_some_and(|it| it.done.is_none()) && self.world.now() < end {
            self.advance(Phase::Healing, self.plan.sample.0, |_| false);
        }
        if self.operator.as_ref().is_some_and(|it| it.done.is_none()) {
            self.fail(format!("the rollout has not ended {limit} after its beginning"));
        }
    }

    /// The last nodes die, and all others must come to know.
    fn deaths(&mut self) {
        if self.plan.kill == 0 || !self.failures.is_empty() {
            return;
        }
        let nodes = self.plan.nodes - self.plan.kill..self.plan.nodes;
        let dead: Vec<usize> = nodes.collect();
        dead.iter().for_each(|node| self.apply(Command::Kill(*node)));
        let limit = self.plan.expect.deaths_within;
        let known = |world: &Simulation| world.are_known_dead(&dead);
        if self.advance(Phase::Deaths, limit.0, known).is_none() {
            self.fail(format!("a death was not known to all after {limit}"));
        }
    }

    /// A command of the run's own, about nodes that there are.
    fn apply(&mut self, command: Command) {
        if let Err(error) = self.world.apply(command) {
            self.fail(error.to_string());
        }
    }

    fn judge(&mut self, report: &Report, events: &Events, traffic: Traffic) {
        let expect = &self.plan.expect;
        let mut wrong = Vec::new();
        let deaths = report.false_deaths.len();
        if expect.false_deaths.is_some_and(|most| deaths > most) {
            wrong.push(format!("{deaths} running nodes were declared dead"));
        }
        let late = |most: &Span| events.latency.filter(|latency| latency.p99 > most.0);
        if let Some(latency) = expect.event_p99.as_ref().and_then(late) {
            wrong.push(format!("events took {:?} (p99)", latency.p99));
        }
        if expect.events_open.is_some_and(|most| events.open > most) {
            wrong.push(format!("{} events were missed without a word", events.open));
        }
        let rate = traffic.per_second(traffic.sent);
        if expect.datagrams.is_some_and(|most| rate > most) {
            wrong.push(format!("{rate:.1} datagrams a node and second"));
        }
        self.failures.extend(wrong);
    }
}
