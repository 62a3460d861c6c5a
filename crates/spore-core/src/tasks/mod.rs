//! The task scheduler: what a node does by itself, again and again, or once.
//!
//! *User tasks* come with the program, as a static manifest ([`Tasks`]). The engine says when one is
//! to run ([`Action::RunTask`](crate::Action::RunTask)), the body runs it and reports its end
//! ([`Completion::Ran`](crate::Completion::Ran)); so the engine counts and measures without a clock.
//! *System tasks* are the engine's own. They are on the same list with the same figures, but their
//! pace is that of the part that they belong to ([`system`]).
//!
//! # Due times
//!
//! A periodic task is due each interval after the start of the node, or after it was enabled or had
//! its interval changed. A due time that passes while the task still runs, or while the node is held
//! up beyond the next one, is *missed*: counted and not made up for, so that no burst follows; the
//! phase stays. A run that takes longer than the interval is an *overrun*, of which an event tells
//! ([`Event::TaskOverrun`](crate::Event::TaskOverrun)), at most one in ten seconds.
//! One run of a task is under way at a time. Whether runs of different tasks are is up to the body.
//!
//! # Clustered tasks
//!
//! A *clustered* task is run by one of the members that carry it: the one with the highest weight
//! ([`owner`]) among those that are live. Each carrier decides for itself at each due time, from what it
//! knows: once their views agree, exactly one of them runs it. While they differ, and in each part of a split cluster, zero
//! or two may. So each run has an id ([`RunId`]) that no other run ever has. A node that has just
//! started keeps out of it for [`SETTLING`], until it knows who else is there.
//!
//! Who carries what travels with the services: the id of the task is among the service ids of the node's
//! record, and a node that has disabled the task withdraws it. It needs one of the
//! [`MAX_SERVICES`](crate::services::MAX_SERVICES) places; a task that finds none is not carried there.

pub(crate) mod change;
pub mod owner;
pub(crate) mod scheduler;
mod spec;
pub(crate) mod state;
pub mod system;

pub use change::{STRANGERS_MAX, Saved};
pub(crate) use spec::check;
pub use spec::{InvalidTask, InvalidTasks, TaskKind, TaskSpec, Tasks};
pub use state::TaskState;

use crate::time::Duration;
use crate::wire::{NodeId, U24};
use core::fmt;

/// The most tasks of a node, those of the system included.
pub const TASKS_MAX: usize = 16;

/// The most tasks of a program.
pub const USER_TASKS_MAX: usize = TASKS_MAX.saturating_sub(system::System::ALL.len());

/// How long a node that has started, or has taken a new id, runs no clustered task.
pub const SETTLING: Duration = Duration::from_secs(10);

/// A run of a task, as its code sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskRun {
    /// The task's place in [`Tasks::specs`].
    pub index: u8,
    /// The task.
    pub task: &'static TaskSpec,
    /// Which run it is.
    pub id: RunId,
}

/// Which run of a task it is: no other run of that task has the same id, on whatever node and after
/// whatever restart. Whoever receives the effects of a run can tell by it whether they have come already.
///
/// As a text `NODE-EPOCH-NUMBER`, at most 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunId {
    /// The node that runs it.
    pub node: NodeId,
    /// The node's boot epoch.
    pub epoch: U24,
    /// Counts the runs of the task in this boot, from 1.
    pub number: u32,
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.node, self.epoch.get(), self.number)
    }
}

#[cfg(test)]
mod tests;
