//! What is still to happen, in the order of time.

use crate::scenario::{Command, Memory};
use crate::simulation::slots::Worked;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::Duration;

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// Something comes for a node; void in another boot, if it is of one.
    Input { node: usize, boot: Option<u32>, input: Input },
    /// A node's deadline has come; void if it has another one by now.
    Wake { node: usize },
    /// A slow node has done what it was at; void in another boot.
    Free { node: usize, boot: u32 },
    /// A stall ends; void in another boot, or if the stall was prolonged.
    Resume { node: usize, boot: u32 },
    /// The image that a node runs hangs; void in another boot.
    Hang { node: usize, boot: u32 },
    /// The watchdog restarts a node; void in another boot.
    Bite { node: usize, boot: u32 },
    /// A node of the scenario's first ones starts.
    FirstStart { node: usize },
    /// A command of the script.
    Command(Box<Command>),
}

impl Event {
    /// A node restarts by itself.
    pub(crate) fn restart(node: usize) -> Self {
        Self::Command(Box::new(Command::Restart(node, Memory::Kept)))
    }
}

/// Something that a node takes in, at once or when it can.
#[derive(Debug)]
pub(crate) enum Input {
    /// A datagram.
    Datagram { from: SocketAddrV4, bytes: Rc<[u8]>, broadcast: bool },
    /// The flash has done the first store that is pending, or has failed.
    Stored,
    /// Another one's request for its status, in that boot of the other one.
    Asked { from: usize, boot: u32 },
    /// A fetch ends, with the answer or without.
    Fetched(Option<Rc<[u8]>>),
    /// A run of a task ends.
    Ran(u8),
    /// Its flash has done a job for the exchange of images.
    Worked(Box<Worked>),
    /// Its radio may have something to report.
    Radio,
}

/// The event queue. Events of the same time happen in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Entry>,
    sequence: u64,
}

#[derive(Debug)]
struct Entry {
    at: Duration,
    sequence: u64,
    event: Event,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Duration, event: Event) {
        self.sequence += 1;
        self.heap.push(Entry { at, sequence: self.sequence, event });
    }

    /// The first event, if its time is no later than `limit`.
    pub(crate) fn pop(&mut self, limit: Duration) -> Option<(Duration, Event)> {
        if self.heap.peek()?.at > limit {
            return None;
        }
        self.heap.pop().map(|entry| (entry.at, entry.event))
    }
}

impl Ord for Entry {
    /// Reversed, since the heap gives out its largest entry first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}
