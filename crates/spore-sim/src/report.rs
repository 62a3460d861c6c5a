//! What came of a run, in figures.

use spore_core::NodeId;
use std::fmt;
use std::time::Duration;

/// The state of a world, and what it came by. All points in time are the world's.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The present time.
    pub now: Duration,
    /// Whether the cluster is whole now: every running node lists every other one as active, in
    /// its present boot, or as many as it can list, and nobody else as live; and no first start is still to come.
    pub complete: bool,
    /// Every boot of every node, in the order of their starts.
    pub lives: Vec<Life>,
    /// Each node's traffic since the beginning, or since the counters were cleared.
    pub traffic: Vec<Traffic>,
    /// Running nodes that were declared dead, or left although they did not leave, by whom and when. In a partition that is as it
    /// should be; without one it is a false alarm.
    pub false_deaths: Vec<FalseDeath>,
    /// How often an engine took a running node for suspect, or heard so.
    pub false_suspicions: u64,
    /// The hash over all events. Equal scenarios have equal hashes.
    pub log_hash: u64,
}

/// One boot of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// The node's number.
    pub node: usize,
    /// The id that it had.
    pub id: NodeId,
    /// When it started.
    pub started: Duration,
    /// When all other running nodes first listed it as active at the same time.
    pub known: Option<Duration>,
    /// When it first listed all other running nodes as active, or as many as it can.
    pub complete: Option<Duration>,
    /// When it was killed, or had left.
    pub ended: Option<Duration>,
    /// When, after that, no running node listed it as live any more, but as dead or left. Stays `None` if it was
    /// started again with the same id before.
    pub dead: Option<Duration>,
}

impl Life {
    /// From its start until it was known to all.
    pub fn known_after(&self) -> Option<Duration> {
        self.known.map(|at| at - self.started)
    }

    /// From its start until its own view was complete.
    pub fn complete_after(&self) -> Option<Duration> {
        self.complete.map(|at| at - self.started)
    }

    /// From its end until it was dead for all.
    pub fn dead_after(&self) -> Option<Duration> {
        self.dead.zip(self.ended).map(|(dead, ended)| dead - ended)
    }
}

/// A running node was declared dead, or left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FalseDeath {
    /// When.
    pub at: Duration,
    /// Which node noted it.
    pub observer: usize,
    /// Who runs all the same.
    pub node: usize,
}

/// What one node has sent and received. Bytes are those of UDP payloads; IPv4 and UDP add 28 to
/// each datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams sent; a broadcast is one.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Datagrams that arrived.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Statuses that it fetched from others over HTTP, or tried to.
    pub fetches: u64,
    /// Requests of other nodes that it answered.
    pub served: u64,
    /// The bytes of these answers' bodies. HTTP and TCP add about a kilobyte to each.
    pub served_bytes: u64,
    /// For how long the node ran.
    pub up: Duration,
}

impl Traffic {
    /// A count as a rate over the time that the node ran.
    pub fn per_second(&self, count: u64) -> f64 {
        let seconds = self.up.as_secs_f64();
        if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
    }
}

impl std::ops::Add for Traffic {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            sent_bytes: self.sent_bytes + other.sent_bytes,
            received: self.received + other.received,
            received_bytes: self.received_bytes + other.received_bytes,
            fetches: self.fetches + other.fetches,
            served: self.served + other.served,
            served_bytes: self.served_bytes + other.served_bytes,
            up: self.up + other.up,
        }
    }
}

impl std::ops::Sub for Traffic {
    type Output = Self;

    /// What came after an earlier time at which the counters had these values.
    fn sub(self, earlier: Self) -> Self {
        Self {
            sent: self.sent - earlier.sent,
            sent_bytes: self.sent_bytes - earlier.sent_bytes,
            received: self.received - earlier.received,
            received_bytes: self.received_bytes - earlier.received_bytes,
            fetches: self.fetches - earlier.fetches,
            served: self.served - earlier.served,
            served_bytes: self.served_bytes - earlier.served_bytes,
            up: self.up - earlier.up,
        }
    }
}

impl Report {
    /// The traffic of all nodes together; its time is in node-seconds, so rates are per node.
    pub fn total(&self) -> Traffic {
        self.traffic.iter().fold(Traffic::default(), |total, traffic| total + *traffic)
    }

    /// The last life of a node, which goes on unless it has ended; `None` before its first start.
    pub fn last_life(&self, node: usize) -> Option<&Life> {
        self.lives.iter().rev().find(|life| life.node == node)
    }
}

/// Median, 99th percentile and maximum of some spans of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// Half of them are not longer.
    pub p50: Duration,
    /// Ninety-nine in a hundred are not longer.
    pub p99: Duration,
    /// None is longer.
    pub max: Duration,
    /// How many there are.
    pub count: usize,
}

impl Spread {
    /// The spread of `spans`, by the nearest-rank method; `None` if there are none.
    pub fn of(spans: impl IntoIterator<Item = Duration>) -> Option<Self> {
        let mut spans: Vec<_> = spans.into_iter().collect();
        spans.sort_unstable();
        let rank = |percent: usize| spans.get((spans.len() * percent).div_ceil(100) - 1).copied();
        let max = *spans.last()?;
        Some(Self { p50: rank(50)?, p99: rank(99)?, max, count: spans.len() })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p99, max, count } = self;
        let [p50, p99, max] = [p50, p99, max].map(Duration::as_secs_f64);
        write!(f, "p50 {p50:.2} s, p99 {p99:.2} s, max {max:.2} s ({count})")
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;
    use std::time::Duration;

    #[test]
    fn a_spread_is_by_nearest_rank() {
        let spread = Spread::of((1..=200).rev().map(Duration::from_secs)).unwrap();
        assert_eq!(spread.p50, Duration::from_secs(100));
        assert_eq!(spread.p99, Duration::from_secs(198));
        assert_eq!(spread.max, Duration::from_secs(200));
        let one = Spread::of([Duration::from_secs(3)]).unwrap();
        assert_eq!((one.p50, one.p99, one.max), (one.max, one.max, Duration::from_secs(3)));
        assert_eq!(Spread::of([]), None);
    }
}
