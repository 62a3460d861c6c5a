//! What is still to happen, in the order of time.

use crate::scenario::Command;
use crate::simulation::slots::Worked;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::Duration;

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// A datagram arrives.
    Deliver { to: usize, from: SocketAddrV4, bytes: Rc<[u8]>, broadcast: bool },
    /// A node's deadline has come; void if it has another one by now.
    Wake { node: usize },
    /// The flash has done the first store that is pending, or has failed; void in another boot.
    Stored { node: usize, boot: u32 },
    /// A node's request for another one's status arrives there; void in another boot.
    Asked { from: usize, boot: u32, to: usize },
    /// A fetch ends, with the answer or without; void in another boot.
    Fetched { node: usize, boot: u32, answer: Option<Rc<[u8]>> },
    /// A run of a task ends; void in another boot.
    Ran { node: usize, boot: u32, index: u8 },
    /// A node's flash has done a job for the exchange of images; void in another boot.
    Worked { node: usize, boot: u32, work: Box<Worked> },
    /// A slow node has done what it was at; void in another boot.
    Free { node: usize, boot: u32 },
    /// A node's radio may have something to report; void in another boot.
    Radio { node: usize, boot: u32 },
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
