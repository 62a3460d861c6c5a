//! The air between the nodes.
//!
//! A datagram on its way to one receiver is a [`Passage`] with a list of [`Flight`]s, at first one.
//! Each [`Fault`] in turn may delay, drop, copy or alter flights, and what is left arrives. A
//! broadcast is one passage for each receiver.

mod air;
mod faults;

pub use air::{Air, Channel};
pub use faults::{Corruption, Duplication, Latency, Loss, Partition, Reordering, Replay};

use crate::scenario::ScenarioError;
use fastrand::Rng;
use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// A datagram on its way to one receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The index of the sending node.
    pub from: usize,
    /// The index of the receiving node.
    pub to: usize,
    /// Whether it was sent to everyone.
    pub broadcast: bool,
}

/// One copy of a datagram on its passage.
#[derive(Clone, Debug)]
pub struct Flight {
    /// How long it takes.
    pub delay: Duration,
    /// What it carries.
    pub bytes: Rc<[u8]>,
}

/// Something that befalls datagrams. An implementation must draw all its chance from `rng`, or a
/// run cannot be repeated.
pub trait Fault: fmt::Debug {
    /// Alters the flights of `passage`: an empty list is a loss, a longer one a duplication.
    fn befall(&mut self, passage: &Passage, flights: &mut Vec<Flight>, rng: &mut Rng);
}

/// The everyday behaviour of the network. The default is a clean one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Conditions {
    /// How long datagrams take. More than the pause between two of them reorders them.
    pub latency: Latency,
    /// How many are lost.
    pub loss: Loss,
    /// How many arrive twice.
    pub duplication: Duplication,
    /// How many arrive with wrong bytes.
    pub corruption: Corruption,
    /// How many come again much later.
    pub replay: Replay,
    /// How many are overtaken by others.
    pub reordering: Reordering,
}

impl Conditions {
    /// Refuses what no network can have.
    pub(crate) fn validate(&self) -> Result<(), ScenarioError> {
        self.latency.validate()?;
        for (name, value) in [
            ("unicast loss", self.loss.unicast),
            ("broadcast loss", self.loss.broadcast),
            ("duplication", self.duplication.0),
            ("corruption", self.corruption.0),
            ("replay", self.replay.part),
            ("reordering", self.reordering.part),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return Err(ScenarioError::Probability { name, value });
            }
        }
        Ok(())
    }

    /// Loss first, since what is lost needs nothing else; latency after duplication, so that
    /// copies part.
    fn faults(&self) -> Vec<Box<dyn Fault>> {
        let mut faults: Vec<Box<dyn Fault>> = vec![Box::new(self.loss)];
        if self.duplication.0 > 0.0 {
            faults.push(Box::new(self.duplication));
        }
        if self.corruption.0 > 0.0 {
            faults.push(Box::new(self.corruption));
        }
        faults.push(Box::new(self.latency));
        if self.reordering.part > 0.0 {
            faults.push(Box::new(self.reordering));
        }
        if self.replay.part > 0.0 {
            faults.push(Box::new(self.replay));
        }
        faults
    }
}

/// All faults that are in force.
#[derive(Debug)]
pub(crate) struct Network {
    conditions: Vec<Box<dyn Fault>>,
    added: Vec<Box<dyn Fault>>,
    pub(crate) partition: Partition,
    /// The nodes between which nothing is wrong any more.
    core: BTreeSet<usize>,
    rng: Rng,
}

impl Network {
    pub(crate) fn new(conditions: &Conditions, rng: Rng) -> Self {
        let (added, partition, core) = (Vec::new(), Partition::default(), BTreeSet::new());
        Self { conditions: conditions.faults(), added, partition, core, rng }
    }

    pub(crate) fn set_conditions(&mut self, conditions: &Conditions) {
        self.conditions = conditions.faults();
    }

    /// Between these nodes nothing is wrong from now on, whatever befalls what goes to others and comes from them.
    pub(crate) fn heal_core(&mut self, core: &[usize]) {
        self.core = core.iter().copied().collect();
    }

    /// Whether nothing is wrong between these two.
    pub(crate) fn is_healed(&self, from: usize, to: usize) -> bool {
        self.core.contains(&from) && self.core.contains(&to)
    }

    pub(crate) fn add(&mut self, fault: Box<dyn Fault>) {
        self.added.push(fault);
    }

    /// Leaves in `flights` what arrives of the datagram.
    pub(crate) fn carry(&mut self, passage: &Passage, bytes: &Rc<[u8]>, flights: &mut Vec<Flight>) {
        flights.clear();
        flights.push(Flight { delay: Duration::ZERO, bytes: Rc::clone(bytes) });
        let Passage { from, to, .. } = *passage;
        if self.is_healed(from, to) {
            return Latency::default().befall(passage, flights, &mut self.rng);
        }
        self.partition.befall(passage, flights, &mut self.rng);
        for fault in self.conditions.iter_mut().chain(&mut self.added) {
            if flights.is_empty() {
                return;
            }
            fault.befall(passage, flights, &mut self.rng);
        }
    }
}
