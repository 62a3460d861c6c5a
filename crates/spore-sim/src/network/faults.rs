//! The faults that every network has.

use super::{Fault, Flight, Passage};
use crate::scenario::ScenarioError;
use fastrand::Rng;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

/// How long datagrams take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Latency {
    /// Anything from `min` to `max`, each as likely as another.
    Uniform {
        /// The least.
        min: Duration,
        /// The most; not less than `min`.
        max: Duration,
    },
    /// `base` and an exponentially distributed rest: mostly short, rarely very long, as on a busy
    /// radio channel that repeats frames.
    Tail {
        /// The least.
        base: Duration,
        /// The mean of what comes on top. The largest of a million is about 14 times that.
        mean: Duration,
    },
}

impl Default for Latency {
    /// 1 to 10 ms, both ways through an access point.
    fn default() -> Self {
        Self::Uniform { min: Duration::from_millis(1), max: Duration::from_millis(10) }
    }
}

impl Latency {
    pub(super) fn validate(&self) -> Result<(), ScenarioError> {
        match *self {
            Self::Uniform { min, max } if min > max => Err(ScenarioError::Latency { min, max }),
            Self::Uniform { .. } | Self::Tail { .. } => Ok(()),
        }
    }

    fn draw(&self, rng: &mut Rng) -> Duration {
        match *self {
            Self::Uniform { min, max } => min + up_to(max.saturating_sub(min), rng),
            Self::Tail { base, mean } => {
                // 1 - f64() lies in (0, 1], whose logarithm is finite. Not the platform's, which may differ in
                // the last bit from another one's, and so in a microsecond.
                let rest = mean.as_secs_f64() * -libm::log(1.0 - rng.f64());
                base + Duration::from_micros((rest * 1e6) as u64)
            }
        }
    }
}

impl Fault for Latency {
    fn befall(&mut self, _: &Passage, flights: &mut Vec<Flight>, rng: &mut Rng) {
        for flight in flights {
            flight.delay += self.draw(rng);
        }
    }
}

/// How many datagrams are lost, as probabilities from 0 to 1, the default being 0.
///
/// Unicast and broadcast are apart: an access point repeats a unicast frame until it is
/// acknowledged, a broadcast frame never. An ESP8266 misses about half of all broadcasts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    /// Of those to one node.
    pub unicast: f64,
    /// Of those to all nodes, for each receiver by itself.
    pub broadcast: f64,
}

impl Fault for Loss {
    fn befall(&mut self, passage: &Passage, flights: &mut Vec<Flight>, rng: &mut Rng) {
        let loss = if passage.broadcast { self.broadcast } else { self.unicast };
        if loss > 0.0 {
            flights.retain(|_| rng.f64() >= loss);
        }
    }
}

/// The probability from 0 to 1 that a datagram arrives twice. Default 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Duplication(pub f64);

impl Fault for Duplication {
    fn befall(&mut self, _: &Passage, flights: &mut Vec<Flight>, rng: &mut Rng) {
        for index in 0..flights.len() {
            if rng.f64() < self.0 {
                flights.push(flights[index].clone());
            }
        }
    }
}

/// Datagrams that come once more, much later, as from somebody who has recorded them. The default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Replay {
    /// The probability from 0 to 1 that one does, to the same receiver.
    pub part: f64,
    /// The most that it is late.
    pub within: Duration,
}

impl Fault for Replay {
    fn befall(&mut self, _: &Passage, flights: &mut Vec<Flight>, rng: &mut Rng) {
        for index in 0..flights.len() {
            if rng.f64() < self.part {
                let again = flights[index].clone();
                let delay = again.delay + up_to(self.within, rng);
                flights.push(Flight { delay, ..again });
            }
        }
    }
}

/// Datagrams that others overtake. The default is none, besides what [`Latency`] does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reordering {
    /// The probability from 0 to 1 that one is held up.
    pub part: f64,
    /// The most that it is late.
    pub by: Duration,
}

impl Fault for Reordering {
    fn befall(&mut self, _: &Passage, flights: &mut Vec<Flight>, rng: &mut Rng) {
        for flight in flights {
            if rng.f64() < self.part {
                flight.delay += up_to(self.by, rng);
            }
        }
    }
}

/// Anything from nothing to `most`, in whole microseconds.
fn up_to(most: Duration, rng: &mut Rng) -> Duration {
    Duration::from_micros(rng.u64(..=u64::try_from(most.as_micros()).unwrap_or(u64::MAX)))
}

/// The probability from 0 to 1 that one to three bits of a datagram arrive flipped. Default 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Corruption(pub f64);

impl Fault for Corruption {
    fn befall(&mut self, _: &Passage, flights: &mut Vec<Flight>, rng: &mut Rng) {
        for flight in flights {
            if !flight.bytes.is_empty() && rng.f64() < self.0 {
                let mut bytes = flight.bytes.to_vec();
                for _ in 0..rng.usize(1..=3) {
                    let index = rng.usize(..bytes.len());
                    bytes[index] ^= 1 << rng.u8(..8);
                }
                flight.bytes = Rc::from(bytes);
            }
        }
    }
}

/// Which nodes cannot reach which: ordered pairs, so that one direction may work alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partition(BTreeSet<(usize, usize)>);

impl Partition {
    /// Nothing from a node of `from` reaches a node of `to` any more. The other direction works.
    pub fn block(&mut self, from: &[usize], to: &[usize]) {
        for &from in from {
            self.0.extend(to.iter().filter(|to| **to != from).map(|to| (from, *to)));
        }
    }

    /// What [`block`](Self::block) has done to these, whoever else has done it too, is undone.
    pub fn unblock(&mut self, from: &[usize], to: &[usize]) {
        self.0.retain(|(a, b)| !(from.contains(a) && to.contains(b)));
    }

    /// Everyone reaches everyone.
    pub fn heal(&mut self) {
        self.0.clear();
    }
}

impl Fault for Partition {
    fn befall(&mut self, passage: &Passage, flights: &mut Vec<Flight>, _: &mut Rng) {
        if !self.0.is_empty() && self.0.contains(&(passage.from, passage.to)) {
            flights.clear();
        }
    }
}
