//! [`Cluster`]: what trials are done with, in virtual time or in real time.

use crate::views::Views;
use anyhow::Result;
use std::time::Duration;

/// What all nodes together have sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Datagrams, and segments of TCP; a broadcast is one.
    pub(crate) packets: u64,
    /// Their bytes, those of IPv4 and UDP or TCP included.
    pub(crate) bytes: u64,
}

/// Nodes that run an engine each, and the network between them.
pub(crate) trait Cluster {
    /// Its time.
    fn now(&self) -> Duration;
    /// Lets it run until `done`, which is asked whenever something has happened, but for no longer than `limit`. Whether it is done.
    fn run(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> Result<bool>;
    /// Whether all have started, and list each other and nobody else.
    fn is_whole(&self) -> bool;
    /// A node starts now.
    fn start(&mut self, node: usize) -> Result<()>;
    /// A node ends now, without a word.
    fn kill(&mut self, node: usize);
    /// A node stands still for a while.
    fn stall(&mut self, node: usize, span: Duration) -> Result<()>;
    /// A running node, but none of the seeds, drawn by chance.
    fn draw(&mut self) -> usize;
    /// Who lists whom.
    fn views(&mut self) -> &mut Views;
    /// How long it took until all agreed on a node that has started or ended; `None` if they do not yet.
    fn settled_after(&self, node: usize) -> Option<Duration>;
    /// What was sent since it was last asked.
    fn traffic(&mut self) -> Result<Traffic>;
    /// The bytes on the heap of a node, if it is a process that can tell.
    fn heap(&mut self) -> Result<Option<usize>>;
    /// Panics if the lists that the engines have told of are known not to be those that they have.
    fn check(&self);
}
