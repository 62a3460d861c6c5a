//! [`Plan`]: a scenario as people write it, in a file.

use super::chaos::Rates;
use super::span::Span;
use super::step::Step;
use crate::network::{Corruption, Duplication, Latency, Loss, Reordering, Replay};
use crate::scenario::{Channel, Clocks, Conditions, Flash, Nature};
use crate::{Scenario, ScenarioError};
use serde::Deserialize;
use std::fmt;
use std::time::Duration;

/// What a run is, from a file of TOML. Every key has a default; the manual is `docs/simulator.md`.
///
/// A run has phases: the cluster *forms*; faults *befall* it for [`duration`](Self::duration); then either everything heals, or,
/// with [`liveness`](Self::liveness), a core does and all else stays broken; then [`kill`](Self::kill) nodes die. What is expected
/// of each phase stands in [`expect`](Self::expect).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// What it is about, in a line.
    pub title: String,
    /// How many nodes, 1 to [`MAX_NODES`](crate::scenario::MAX_NODES). Default 32.
    pub nodes: usize,
    /// The capacities of the nodes. Default those of Linux machines.
    pub profile: Profile,
    /// The nodes start at random times within so long. Default 0: all at once.
    pub start_within: Span,
    /// How long faults befall the cluster when it has formed. Default 0.
    pub duration: Span,
    /// So many nodes, the last ones, die in the end, at most all but one; none where only a core heals. Default 0.
    pub kill: usize,
    /// How often the world is looked at for plots, 1 ms at least. Default 500 ms.
    pub sample: Span,
    /// The network.
    pub network: Network,
    /// The nodes' clocks.
    pub clock: Clock,
    /// The nodes' flash chips, in which they keep what they remember.
    pub flash: FlashChips,
    /// The nodes' processors.
    pub cpu: Cpu,
    /// Events that nodes publish for the cluster while faults befall it, and after that.
    pub events: Events,
    /// What befalls the nodes at random.
    pub chaos: Rates,
    /// What happens when, counted from when the cluster has formed.
    pub step: Vec<Step>,
    /// An image for all, whose rollout begins in the second phase. Default: none.
    pub rollout: Option<Rollout>,
    /// A core heals, and all else stays as broken as it is, for good. Default: everything heals.
    pub liveness: Option<Liveness>,
    /// What is promised.
    pub expect: Expect,
}

/// The capacities of nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Linux machines: each lists 512 members.
    #[default]
    Host,
    /// ESP-01s: each lists 64 members.
    Esp01,
    /// The first half ESP-01s, the others Linux machines.
    Mixed,
}

/// The network. Parts are probabilities from 0 to 1.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// The part of unicast datagrams that get lost. Default 0.
    pub loss: f64,
    /// The part of broadcasts that each receiver misses. Default 0.5, as an ESP8266 does.
    pub broadcast_loss: f64,
    /// The least and the most that a datagram takes, each as likely as another. Default 1 to 10 ms.
    pub latency: [Span; 2],
    /// What comes on top of the least instead, exponentially distributed with this mean; then the most is not used. Default: nothing.
    pub tail: Option<Span>,
    /// The part that arrives twice. Default 0.
    pub duplication: f64,
    /// The part that arrives with one to three bits flipped. Default 0.
    pub corruption: f64,
    /// The part that comes again later, as if somebody had recorded it. Default 0.
    pub replay: f64,
    /// How much later, at most. Default 30 s.
    pub replay_within: Span,
    /// The part that is overtaken. Default 0.
    pub reorder: f64,
    /// By how much it is late, at most. Default 500 ms.
    pub reorder_by: Span,
    /// Bits a second of the channel that all share; each datagram is on it twice, since it goes through an access point. Default 0: no
    /// limit.
    pub bandwidth: u64,
    /// A datagram that would wait longer for the channel is lost. Default 100 ms.
    pub patience: Span,
    /// The part of fetches over HTTP that fail, besides what the network does to them. Default 0.
    pub fetch_failure: f64,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            loss: 0.0,
            broadcast_loss: 0.5,
            latency: [Span::millis(1), Span::millis(10)],
            tail: None,
            duplication: 0.0,
            corruption: 0.0,
            replay: 0.0,
            replay_within: Span::secs(30),
            reorder: 0.0,
            reorder_by: Span::millis(500),
            bandwidth: 0,
            patience: Span::millis(100),
            fetch_failure: 0.0,
        }
    }
}

impl Network {
    /// What the simulator calls it.
    pub fn conditions(&self) -> Conditions {
        let [Span(min), Span(max)] = self.latency;
        Conditions {
            latency: match self.tail {
                None => Latency::Uniform { min, max },
                Some(Span(mean)) => Latency::Tail { base: min, mean },
            },
            loss: Loss { unicast: self.loss, broadcast: self.broadcast_loss },
            duplication: Duplication(self.duplication),
            corruption: Corruption(self.corruption),
            replay: Replay { part: self.replay, within: self.replay_within.0 },
            reordering: Reordering { part: self.reorder, by: self.reorder_by.0 },
        }
    }
}

/// The nodes' clocks. Each boot of each node draws one.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Clock {
    /// A clock gains or loses up to so many microseconds a second, at most
    /// [`MAX_DRIFT_PPM`](crate::scenario::MAX_DRIFT_PPM). Default 20.
    pub drift_ppm: u32,
    /// The least that a clock shows at first. Default 0.
    pub from: Span,
    /// The most. A counter of 32-bit milliseconds wraps after 49.71 days. Default 100 days.
    pub to: Span,
}

impl Default for Clock {
    fn default() -> Self {
        let Clocks { drift_ppm, from, offset } = Clocks::default();
        Self { drift_ppm, from: Span(from), to: Span(offset) }
    }
}

/// The nodes' flash chips.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlashChips {
    /// How long it takes to store a value. Default 60 ms.
    pub time: Span,
    /// The probability from 0 to 1 that storing fails. Default 0.
    pub failure: f64,
    /// The probability from 0 to 1 that a kill tears the operation which it meets. Default 0.5.
    pub torn: f64,
}

impl Default for FlashChips {
    fn default() -> Self {
        let Flash { time, failure, torn } = Flash::default();
        Self { time: Span(time), failure, torn }
    }
}

/// The nodes' processors.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cpu {
    /// So many nodes are slow, the last ones. Default 0.
    pub slow: usize,
    /// How long these take for each datagram and each deadline. Default 0.
    pub by: Span,
}

/// Events for the cluster.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Events {
    /// How many a second, at random nodes, 0 to 1,000. The cluster carries about three. Default 0.
    pub rate: f64,
    /// The part of them that is retained, 0 to 1. Default 0.
    pub retained: f64,
    /// Bytes of each payload, 0 to 256. Default 32.
    pub bytes: usize,
}

impl Default for Events {
    fn default() -> Self {
        Self { rate: 0.0, retained: 0.0, bytes: 32 }
    }
}

/// An image for all. Node 0 is given it, node 1 is the canary.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rollout {
    /// When it begins, counted from when the cluster has formed. Default 0.
    pub at: Span,
    /// What the image does. Default: it runs.
    pub image: Image,
    /// How long a wave must have been well before the next one begins, 0 s to 18 h in whole seconds. Default 20 s.
    pub gate: Span,
    /// What part of the nodes each wave brings it to, in per cent; the last one is 100. Default 30 and 100.
    pub waves: Vec<u8>,
}

impl Default for Rollout {
    fn default() -> Self {
        Self { at: Span::default(), image: Image::Good, gate: Span::secs(20), waves: vec![30, 100] }
    }
}

/// What an image does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Image {
    /// It runs.
    Good,
    /// It runs, and nothing gets in or out.
    Deaf,
    /// It crashes as soon as it is started.
    Crashes,
    /// It stands still within nine seconds, and the watchdog restarts it five seconds later.
    Hangs,
}

impl From<Image> for Nature {
    fn from(image: Image) -> Self {
        match image {
            Image::Good => Self::Good,
            Image::Deaf => Self::Deaf,
            Image::Crashes => Self::Crashes,
            Image::Hangs => Self::Hangs,
        }
    }
}

/// A core heals.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Liveness {
    /// How many nodes, drawn at random, at most all. Default 0: more than half of them.
    pub core: usize,
    /// How long it may take until each of them lists each other one as active. Default 60 s.
    pub within: Span,
}

impl Default for Liveness {
    fn default() -> Self {
        Self { core: 0, within: Span::secs(60) }
    }
}

/// What is promised besides what holds at every step. What is not named is measured and not judged.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expect {
    /// The cluster has formed after so long. Default 120 s.
    pub whole_within: Span,
    /// It is whole again so long after everything has healed. Default 120 s.
    pub heals_within: Span,
    /// The deaths in the end are known to all after so long. Default 120 s.
    pub deaths_within: Span,
    /// So many running nodes are declared dead, at most.
    pub false_deaths: Option<usize>,
    /// Of a hundred deliveries of events, ninety-nine take no longer.
    pub event_p99: Option<Span>,
    /// So many publications are neither delivered nor reported as missed on a node that was there all the time, at most.
    pub events_open: Option<usize>,
    /// A good image runs on all nodes so long after its rollout has begun; a bad one is halted everywhere.
    pub rollout_within: Option<Span>,
    /// So many datagrams a node and second on average, while faults befall the cluster, at most.
    pub datagrams: Option<f64>,
}

impl Default for Expect {
    fn default() -> Self {
        let limit = Span::secs(120);
        Self {
            whole_within: limit,
            heals_within: limit,
            deaths_within: limit,
            false_deaths: None,
            event_p99: None,
            events_open: None,
            rollout_within: None,
            datagrams: None,
        }
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            title: String::new(),
            nodes: 32,
            profile: Profile::Host,
            start_within: Span::default(),
            duration: Span::default(),
            kill: 0,
            sample: Span::millis(500),
            network: Network::default(),
            clock: Clock::default(),
            flash: FlashChips::default(),
            cpu: Cpu::default(),
            events: Events::default(),
            chaos: Rates::default(),
            step: Vec::new(),
            rollout: None,
            liveness: None,
            expect: Expect::default(),
        }
    }
}

/// Why there is no run. Nothing has happened.
#[derive(Clone, Debug, PartialEq)]
pub enum PlanError {
    /// It is no TOML, or has keys that there are not, or values that cannot be. With the place, if it is from a file.
    Syntax(String),
    /// A world cannot be so.
    Scenario(ScenarioError),
    /// A value is out of its range.
    Value {
        /// Of which key.
        key: String,
        /// What would do.
        choose: String,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(what) => f.write_str(what.trim_end()),
            Self::Scenario(error) => error.fmt(f),
            Self::Value { key, choose } => write!(f, "{key}: choose {choose}"),
        }
    }
}

impl std::error::Error for PlanError {}

impl From<ScenarioError> for PlanError {
    fn from(error: ScenarioError) -> Self {
        Self::Scenario(error)
    }
}

impl Plan {
    /// What `text` says.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        toml::from_str(text).map_err(|error| PlanError::Syntax(error.to_string()))
    }

    /// What a table says that may have been put together from several places.
    pub fn from_table(table: toml::Table) -> Result<Self, PlanError> {
        let plan = toml::Value::Table(table).try_into();
        plan.map_err(|error: toml::de::Error| PlanError::Syntax(error.to_string()))
    }

    /// Refuses what cannot be run.
    pub fn validate(&self) -> Result<(), PlanError> {
        let refuse = |key: &str, choose: String| Err(PlanError::Value { key: key.into(), choose });
        let nodes = self.nodes;
        if self.kill > 0 && self.kill >= nodes {
            return refuse("kill", format!("0 to {}", nodes.saturating_sub(1)));
        }
        if self.kill > 0 && self.liveness.is_some() {
            // What stays broken for good would bring them back.
            return refuse("kill", "0 where only a core heals".into());
        }
        if self.cpu.slow > nodes {
            return refuse("cpu.slow", format!("0 to {nodes}"));
        }
        if self.sample.0 < Duration::from_millis(1) {
            return refuse("sample", "1ms at least".into());
        }
        if !(0.0..=1_000.0).contains(&self.events.rate) {
            return refuse("events.rate", "0 to 1000 a second".into());
        }
        if !(0.0..=1.0).contains(&self.events.retained) {
            return refuse("events.retained", "0 to 1".into());
        }
        if self.events.bytes > 256 {
            return refuse("events.bytes", "0 to 256".into());
        }
        if self.liveness.as_ref().is_some_and(|it| it.core > nodes) {
            return refuse("liveness.core", format!("0 to {nodes}"));
        }
        if let Some(rollout) = &self.rollout {
            if nodes < 2 {
                return refuse("nodes", "2 at least for a rollout".into());
            }
            if rollout.gate.0.as_secs() > u64::from(u16::MAX) {
                return refuse("rollout.gate", "0s to 18h".into());
            }
            let most = spore_core::ota::plan::Plan::WAVES;
            let rise = rollout.waves.windows(2).all(|pair| pair[0] < pair[1]);
            let whole = rollout.waves.last() == Some(&100) && rollout.waves[0] > 0;
            if !rise || !whole || rollout.waves.len() > most {
                return refuse("rollout.waves", format!("up to {most} per cents that rise to 100"));
            }
        }
        self.chaos.validate()?;
        self.scenario(0).validate()?;
        self.step.iter().try_for_each(|step| step.command(nodes).map(|_| ()))
    }

    /// The world of this plan under a seed.
    pub fn scenario(&self, seed: u64) -> Scenario {
        let Network { bandwidth, patience, fetch_failure, .. } = self.network;
        Scenario {
            nodes: self.nodes,
            seed,
            esp01: match self.profile {
                Profile::Host => 0,
                Profile::Esp01 => self.nodes,
                Profile::Mixed => self.nodes / 2,
            },
            start_within: self.start_within.0,
            conditions: self.network.conditions(),
            fleet: self.rollout.as_ref().map(super::rollout::fleet),
            channel: (bandwidth > 0).then_some(Channel { rate: bandwidth, patience: patience.0 }),
            clocks: Clocks {
                drift_ppm: self.clock.drift_ppm,
                from: self.clock.from.0,
                offset: self.clock.to.0,
            },
            flash: Flash {
                time: self.flash.time.0,
                failure: self.flash.failure,
                torn: self.flash.torn,
            },
            fetch_failure,
            recording: if self.chaos.junk > 0.0 { 32 } else { 0 },
            ..Scenario::default()
        }
    }
}
