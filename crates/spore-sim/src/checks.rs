//! What holds at every step of every world, whatever befalls it. A world in which it does not hold panics, with the seed.
//!
//! That nonces are used once is looked at in [`nonces`](crate::nonces), that events are delivered once and in order in
//! [`ledger`](crate::ledger). Here is what else needs nobody's knowledge but the simulator's: lists against the truth, and limits.
//! That an engine's memory is constant needs no check at run time: it has no allocator, which the linker proves
//! (`cargo xtask purity`), and its lists have capacities, which are limits here.

use crate::engine::Capacity;
use crate::simulation::Simulation;
use spore_core::Node;
use spore_core::NodeId;
use spore_core::cluster::Member;
use spore_core::events::{RETAINED, WINDOW};
use spore_core::wire::{Incarnation, Record};
use std::collections::HashMap;

/// The latest incarnation under which each id was ever in use.
#[derive(Debug, Default)]
pub(crate) struct Truth(HashMap<NodeId, Incarnation>);

impl Truth {
    /// A node is this now.
    pub(crate) fn note(&mut self, own: &Record) {
        let latest = self.0.entry(own.id).or_insert(own.incarnation);
        *latest = own.incarnation.max(*latest);
    }

    /// What of a member list cannot be: somebody who never was, or who has not said yet what is known of him.
    pub(crate) fn contradicts(&self, members: &[Member]) -> Option<String> {
        members.iter().find_map(|member| match self.0.get(&member.id()) {
            None => Some(format!("lists {}, who never was", member.id())),
            Some(latest) if member.incarnation() > *latest => Some(format!(
                "lists {} in incarnation {:?}, which had {latest:?} at most",
                member.id(),
                member.incarnation()
            )),
            Some(_) => None,
        })
    }
}

/// The limit that a node has passed, if there is one.
pub(crate) fn passed_limit(node: &Node<'_>, capacity: Capacity) -> Option<String> {
    let (rows, events) = (node.members().len(), node.window_keys().count());
    if rows > capacity.rows() {
        return Some(format!("lists {rows} members, {} at most", capacity.rows()));
    }
    (events > WINDOW)
        .then(|| format!("keeps {events} events, {WINDOW} at most, {RETAINED} retained"))
}

/// All that somebody without a key might want to change at a node: what it is, its member list, what it believed, what of events and rollouts
/// it knows, its settings, and what it has sent.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    own: Record,
    /// As it shows itself: rows of lists are not to be compared otherwise.
    members: String,
    accepted: u32,
    sent: u32,
    window: u32,
    rollout: Option<spore_core::ota::announcement::Announcement>,
    settings: spore_core::settings::Settings,
}

impl Simulation {
    /// What a node is and knows, to be compared; `None` if it does not run. Panics if there is no such node.
    pub fn state(&self, node: usize) -> Option<State> {
        let node = self.node(node)?;
        let spore_core::node::Traffic { accepted, sent, .. } = node.traffic();
        Some(State {
            own: node.own().clone(),
            members: format!("{:?}", node.members()),
            accepted,
            sent,
            window: node.window_digest(),
            rollout: node.rollout().cloned(),
            settings: node.settings().clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::{Scenario, Simulation};
    use std::time::Duration;

    fn world() -> Simulation {
        let mut sim = Simulation::new(Scenario { nodes: 3, ..Scenario::default() }).unwrap();
        assert!(sim.run_until_complete(Duration::from_secs(30)).is_some());
        sim
    }

    #[test]
    fn a_list_that_says_more_than_there_is_is_noticed() {
        let sim = world();
        let members = sim.node(0).unwrap().members().to_vec();
        assert_eq!(sim.truth.contradicts(&members), None);
        assert!(super::Truth::default().contradicts(&members).unwrap().contains("never was"));
        let mut early = super::Truth::default();
        for node in 1..3 {
            let own = sim.node(node).unwrap().own();
            early
                .note(&spore_core::wire::Record { incarnation: Default::default(), ..own.clone() });
        }
        assert!(early.contradicts(&members).unwrap().contains("at most"));
    }

    #[test]
    fn a_state_is_the_same_until_something_is_believed() {
        let mut sim = world();
        let before = sim.state(0);
        assert_eq!(sim.state(0), before);
        sim.run_for(Duration::from_secs(5));
        assert_ne!(sim.state(0), before);
    }
}
