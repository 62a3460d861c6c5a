//! [`Outcome`]: what came of a run.

use super::chaos::Tally;
use crate::ledger::Ledger;
use crate::report::Traffic;
use crate::{Report, Simulation, Spread};
use std::time::Duration;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What was promised and is not so; none is as it should be.
    pub failures: Vec<String>,
    /// How long the cluster took to be whole, from the beginning.
    pub whole: Option<Duration>,
    /// How long it took to be whole after everything had healed, if anything had befallen it.
    pub healed: Option<Duration>,
    /// How long a core took to agree after it had healed, if there was to be one.
    pub core: Option<Duration>,
    /// How long the rollout took, if there was one and it has ended.
    pub rollout: Option<Duration>,
    /// What was sent and received while faults befell the cluster, or while it formed if none did.
    pub traffic: Traffic,
    /// What became of events.
    pub events: Events,
    /// What was done to the world.
    pub tally: Tally,
    /// The world at one time after the other.
    pub samples: Vec<Sample>,
    /// All figures at the end.
    pub report: Report,
}

/// What became of the events that were published while faults befell the cluster, on nodes that were there all the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// How many there were.
    pub published: usize,
    /// How often one was delivered,
    pub delivered: usize,
    /// or reported as missed,
    pub missed: usize,
    /// or neither.
    pub open: usize,
    /// From publications to deliveries.
    pub latency: Option<Spread>,
}

impl Events {
    pub(super) fn of(ledger: &Ledger, from: Duration, to: Duration) -> Self {
        // Who was there from the beginning.
        let tally = ledger.tally(from.max(Duration::from_micros(1)), to);
        let latency = Spread::of(tally.latencies);
        let (delivered, missed, open) = (tally.delivered, tally.missed, tally.open);
        Self { published: tally.published, delivered, missed, open, latency }
    }
}

/// The world at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When.
    pub at: Duration,
    /// How many nodes run.
    pub running: usize,
    /// How many running nodes the others list as active: the fewest, on average, and the most.
    pub least: usize,
    /// On average.
    pub mean: f64,
    /// The most.
    pub most: usize,
    /// Of all that running nodes should know of each other, the part that they know, 0 to 1: for each as many others as there
    /// are, or as it can list.
    pub known: f64,
    /// Datagrams that were sent so far, by all nodes,
    pub sent: u64,
    /// and their bytes,
    pub sent_bytes: u64,
    /// and for how long nodes have run, all together.
    pub up: Duration,
}

impl Sample {
    pub(super) fn of(world: &Simulation) -> Self {
        let views: Vec<(usize, usize)> = world.views().collect();
        let (listed, wanted) =
            views.iter().fold((0, 0), |(a, b), (listed, wanted)| (a + listed, b + wanted));
        let lists = views.iter().map(|(listed, _)| *listed);
        let Traffic { sent, sent_bytes, up, .. } = world.total();
        Self {
            at: world.now(),
            running: views.len(),
            least: lists.clone().min().unwrap_or(0),
            mean: listed as f64 / views.len().max(1) as f64,
            most: lists.max().unwrap_or(0),
            known: if wanted == 0 { 1.0 } else { listed as f64 / wanted as f64 },
            sent,
            sent_bytes,
            up,
        }
    }
}
