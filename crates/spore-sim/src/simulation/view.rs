//! What can be seen of a world from outside.

use super::{Recorded, Simulation};
use crate::body::Body;
use crate::ledger::Ledger;
use crate::network::Air;
use crate::report::{Report, Traffic};
use spore_core::{ClusterKey, Node};
use std::net::SocketAddrV4;
use std::time::Duration;

impl Simulation {
    /// The world's present time.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// The key that all nodes share.
    pub fn key(&self) -> &ClusterKey {
        &self.key
    }

    /// The cluster address of a node. Panics if there is no such node.
    pub fn address(&self, node: usize) -> SocketAddrV4 {
        self.bodies[node].address
    }

    /// The engine of a node, to look at; `None` while it does not run. Panics if there is no such
    /// node.
    pub fn node(&self, node: usize) -> Option<&Node<'_>> {
        self.bodies[node].node()
    }

    /// Whether a node runs, and takes in what comes at once: it does not stand still, and is not at work. Panics if there is no such node.
    pub fn is_free(&self, node: usize) -> bool {
        self.bodies[node].is_free()
    }

    /// The engines of all nodes that run and do not stand still.
    pub(crate) fn awake(&self) -> impl Iterator<Item = &Node<'_>> {
        self.bodies.iter().filter(|body| !body.stands_still()).filter_map(Body::node)
    }

    /// The numbers of all images that were ever started on a node, in their order; none if it takes no updates. Panics if there is
    /// no such node.
    pub fn started_images(&self, node: usize) -> &[u32] {
        self.bodies[node].slots.as_ref().map_or(&[], |slots| &slots.started)
    }

    /// The numbers of the images that the selector of a node has named as confirmed, at each start of one; none if it takes no
    /// updates. Panics if there is no such node.
    pub fn confirmed_images(&self, node: usize) -> &[u32] {
        self.bodies[node].slots.as_ref().map_or(&[], |slots| &slots.confirmed)
    }

    /// How often nodes lost their power while their flash was writing an image, or the selector.
    pub fn cut_updates(&self) -> u32 {
        self.bodies.iter().filter_map(|body| body.slots.as_ref()).map(|slots| slots.cuts).sum()
    }

    /// How long the slots of a node were at work for the exchange of images. Panics if there is no such node.
    pub fn slots_busy(&self, node: usize) -> Duration {
        self.bodies[node].slots.as_ref().map_or(Duration::ZERO, |slots| slots.busy)
    }

    /// What was published for the cluster, and what became of it.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The latest datagrams, oldest first; as many as the scenario wants to be kept.
    pub fn recording(&self) -> impl Iterator<Item = &Recorded> {
        self.recording.iter()
    }

    /// Whether the cluster is whole; see [`Report::complete`].
    pub fn is_complete(&self) -> bool {
        self.watch.is_complete()
    }

    /// What was on the air, if the scenario has a [channel](crate::Scenario::channel).
    pub fn channel(&self) -> Option<&Air> {
        self.channel.as_ref()
    }

    /// How many nodes there are, running or not.
    pub fn size(&self) -> usize {
        self.bodies.len()
    }

    /// Whether a node has left on purpose and was not started since. Panics if there is no such node.
    pub fn has_left(&self, node: usize) -> bool {
        self.bodies[node].left
    }

    /// Whether these nodes run, and each lists each other one as active. Panics if one does not exist.
    pub fn agrees(&self, nodes: &[usize]) -> bool {
        self.watch.agree(nodes)
    }

    /// Whether the last lives of these nodes are over, and dead for all. Panics if one does not exist.
    pub fn are_known_dead(&self, nodes: &[usize]) -> bool {
        self.watch.are_known_dead(nodes)
    }

    /// Of each running node: how many others it lists as active, and how many it would if its view were whole.
    pub fn views(&self) -> impl Iterator<Item = (usize, usize)> {
        self.watch.views()
    }

    fn traffic(&self) -> impl Iterator<Item = Traffic> {
        self.bodies.iter().map(|body| {
            let up = body.life.as_ref().map_or(Duration::ZERO, |life| self.now - life.since);
            Traffic { up: body.traffic.up + up, ..body.traffic }
        })
    }

    /// The traffic of all nodes together, as [`Report::total`].
    pub fn total(&self) -> Traffic {
        self.traffic().fold(Traffic::default(), |total, traffic| total + traffic)
    }

    /// The figures so far.
    pub fn report(&self) -> Report {
        Report {
            now: self.now,
            complete: self.is_complete(),
            lives: self.watch.lives.clone(),
            traffic: self.traffic().collect(),
            false_deaths: self.watch.false_deaths.clone(),
            false_suspicions: self.watch.false_suspicions,
            log_hash: self.log.hash(),
        }
    }

    /// Counts traffic, false deaths and false suspicions from zero again, so that a phase can be
    /// measured by itself.
    pub fn clear_counters(&mut self) {
        for body in &mut self.bodies {
            body.traffic = Traffic::default();
            if let Some(life) = &mut body.life {
                life.since = self.now;
            }
        }
        self.watch.false_deaths.clear();
        self.watch.false_suspicions = 0;
    }
}
