//! How often what befalls the nodes at random, as a plan says it.

use crate::trial::plan::PlanError;
use crate::trial::span::Span;
use serde::Deserialize;

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
    pub(in crate::trial) fn validate(&self) -> Result<(), PlanError> {
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
