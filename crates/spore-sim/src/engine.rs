//! An engine together with the memory that it borrows.

use self_cell::{MutBorrow, self_cell};
use spore_core::profile::{Esp01, Host, Storage};
use spore_core::time::Instant;
use spore_core::{Config, Facts, Node, Seed, Stored};
use std::fmt;

/// The capacities of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capacity {
    /// Those of an ESP-01: 64 members.
    Esp01,
    /// Those of a Linux machine: 512 members.
    Host,
}

impl Capacity {
    /// How many members are listed, the node itself not included.
    pub const fn rows(self) -> usize {
        match self {
            Self::Esp01 => 63,
            Self::Host => 511,
        }
    }
}

pub(crate) enum Rows {
    Esp01(Box<MutBorrow<Storage<Esp01>>>),
    Host(Box<MutBorrow<Storage<Host>>>),
}

self_cell!(
    /// A node that owns its rows, so that it can be dropped and started anew.
    pub(crate) struct Engine {
        owner: Rows,
        #[covariant]
        dependent: Node,
    }
);

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node().fmt(f)
    }
}

impl Engine {
    /// An engine that starts now.
    pub(crate) fn start(
        now: Instant,
        capacity: Capacity,
        config: &Config,
        facts: Facts,
        stored: &Stored<'_>,
        seed: &Seed,
    ) -> Self {
        let rows = match capacity {
            Capacity::Esp01 => Rows::Esp01(Box::new(MutBorrow::new(Storage::NEW))),
            Capacity::Host => Rows::Host(Box::new(MutBorrow::new(Storage::NEW))),
        };
        Self::new(rows, |rows| match rows {
            Rows::Esp01(rows) => Node::new(now, config, facts, stored, seed, rows.borrow_mut()),
            Rows::Host(rows) => Node::new(now, config, facts, stored, seed, rows.borrow_mut()),
        })
    }

    /// The node.
    pub(crate) fn node(&self) -> &Node<'_> {
        self.borrow_dependent()
    }

    /// Lets `verb` do something with the node.
    pub(crate) fn with<R>(&mut self, verb: impl FnOnce(&mut Node<'_>) -> R) -> R {
        self.with_dependent_mut(|_, node| verb(node))
    }
}
