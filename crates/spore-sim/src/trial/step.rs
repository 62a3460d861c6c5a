//! [`Step`]: one thing that happens at a time of its own.

use super::plan::{Network, PlanError};
use super::span::Span;
use crate::{Command, Memory};
use serde::Deserialize;
use std::time::Duration;

/// Nodes: a list of their numbers, or a range such as `"0..16"`, the end not included.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "node numbers, as a list or as a range such as \"0..16\"")]
pub enum Nodes {
    /// A list.
    List(Vec<usize>),
    /// A range.
    Range(String),
}

impl Nodes {
    fn list(&self) -> Option<Vec<usize>> {
        match self {
            Self::List(list) => Some(list.clone()),
            Self::Range(range) => {
                let (from, to) = range.split_once("..")?;
                let (from, to) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
                // No more than there can be.
                (from..to).len().le(&crate::scenario::MAX_NODES).then(|| (from..to).collect())
            }
        }
    }
}

/// From whom to whom.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Senders.
    pub from: Nodes,
    /// Receivers.
    pub to: Nodes,
}

/// Something that happens. Exactly one thing must be named.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Step {
    /// When, counted from when the cluster has formed.
    pub at: Span,
    /// For how long, or by how much: of `stall`, `slow` and `clock`.
    pub by: Span,
    /// These nodes start, with what they remember.
    pub start: Option<Nodes>,
    /// These lose their power.
    pub kill: Option<Nodes>,
    /// These lose their power and have it back at once.
    pub restart: Option<Nodes>,
    /// These likewise, and remember nothing.
    pub forget: Option<Nodes>,
    /// These leave on purpose.
    pub leave: Option<Nodes>,
    /// These do nothing, for `by`.
    pub stall: Option<Nodes>,
    /// These take `by` for each datagram and each deadline from now on.
    pub slow: Option<Nodes>,
    /// The clocks of these jump forward, by `by`.
    pub clock: Option<Nodes>,
    /// These and all others do not reach each other any more.
    pub isolate: Option<Nodes>,
    /// Nothing gets from some to others any more.
    pub block: Option<Link>,
    /// It does again.
    pub unblock: Option<Link>,
    /// Everyone reaches everyone, if it says true.
    pub heal: bool,
    /// The network behaves like this from now on; what is not named is as by default. The channel stays as it is.
    pub network: Option<Network>,
}

impl Step {
    /// What is to be done in a world of so many nodes.
    pub(super) fn command(&self, nodes: usize) -> Result<Vec<Command>, PlanError> {
        let refuse = |key: &str, choose: &str| PlanError::Value {
            key: format!("step at {}: {key}", self.at),
            choose: choose.into(),
        };
        let list = |nodes: &Nodes| {
            nodes.list().ok_or_else(|| refuse("nodes", "a range such as \"0..16\", or a list"))
        };
        let Span(by) = self.by;
        type Each<'a> = (&'a Option<Nodes>, &'a dyn Fn(usize) -> Command);
        let each: [Each<'_>; 8] = [
            (&self.start, &Command::Start),
            (&self.kill, &Command::Kill),
            (&self.restart, &|node| Command::Restart(node, Memory::Kept)),
            (&self.forget, &|node| Command::Restart(node, Memory::Lost)),
            (&self.leave, &Command::Leave),
            (&self.stall, &|node| Command::Stall(node, by)),
            (&self.slow, &|node| Command::Slow(node, by)),
            (&self.clock, &|node| Command::StepClock(node, by)),
        ];
        let mut things: Vec<Vec<Command>> = Vec::new();
        for (nodes, command) in each {
            if let Some(nodes) = nodes {
                things.push(list(nodes)?.into_iter().map(command).collect());
            }
        }
        if let Some(group) = &self.isolate {
            things.push(vec![Command::Isolate(list(group)?)]);
        }
        if let Some(Link { from, to }) = &self.block {
            things.push(vec![Command::Block { from: list(from)?, to: list(to)? }]);
        }
        if let Some(Link { from, to }) = &self.unblock {
            things.push(vec![Command::Unblock { from: list(from)?, to: list(to)? }]);
        }
        if self.heal {
            things.push(vec![Command::Heal]);
        }
        if let Some(network) = &self.network {
            things.push(vec![Command::Conditions(network.conditions())]);
        }
        let [commands] = &things[..] else {
            let all = "one of start, kill, restart, forget, leave, stall, slow, clock, isolate, block, unblock, heal, network";
            return Err(refuse("what happens", all));
        };
        let spans = [&self.stall, &self.clock].iter().any(|nodes| nodes.is_some());
        if spans && by == Duration::ZERO {
            return Err(refuse("by", "how long or by how much, such as \"5s\""));
        }
        commands.iter().try_for_each(|command| command.validate(nodes))?;
        Ok(commands.clone())
    }
}
