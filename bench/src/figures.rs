//! Figures: what is kept of what was measured, as it stands in docs/benchmarks/peers.json.

use crate::contender::Contender;
use serde::{Deserialize, Serialize};
use spore_sim::Spread;
use std::time::Duration;

/// Spans of time, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spans {
    /// Half of them are not longer.
    pub(crate) p50: f64,
    /// Ninety-nine in a hundred are not longer.
    pub(crate) p99: f64,
    /// How many there are.
    pub(crate) count: usize,
    /// How many did not end in time, and are in no other figure.
    pub(crate) failed: usize,
}

impl Spans {
    pub(crate) fn of(spans: &[Option<Duration>]) -> Self {
        let known: Vec<Duration> = spans.iter().copied().flatten().collect();
        let failed = spans.len() - known.len();
        match Spread::of(known) {
            Some(Spread { p50, p99, count, .. }) => {
                Self { p50: round(p50.as_secs_f64()), p99: round(p99.as_secs_f64()), count, failed }
            }
            None => Self { failed, ..Self::default() },
        }
    }
}

/// Two digits after the point.
pub(crate) fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// What was collected for a row.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Collected {
    pub(crate) whole: Vec<Option<Duration>>,
    pub(crate) joined: Vec<Option<Duration>>,
    pub(crate) dead: Vec<Option<Duration>>,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) node_seconds: f64,
    /// Bytes on the heaps of processes.
    pub(crate) heap: Vec<usize>,
    pub(crate) false_deaths: usize,
    pub(crate) watched_hours: f64,
}

/// One contender in clusters of one size, at one loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) contender: Contender,
    pub(crate) nodes: usize,
    /// The share of unicast datagrams that got lost, in percent.
    pub(crate) loss: u8,
    /// From the last start until all list all.
    pub(crate) whole: Spans,
    /// From the start of one more until all others list it.
    pub(crate) joined: Spans,
    /// From the end of one until nobody lists it any more.
    pub(crate) dead: Spans,
    /// A node and second at rest.
    pub(crate) datagrams: f64,
    /// Likewise, those of IPv4 and UDP included.
    pub(crate) bytes: f64,
    /// How often one that ran was declared dead.
    pub(crate) false_deaths: usize,
    /// In so many hours of such clusters.
    pub(crate) hours: f64,
}

/// One contender in clusters of one size in which one node in eight stalls for 5 s in each 20 s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stalls {
    pub(crate) contender: Contender,
    pub(crate) nodes: usize,
    /// How often one that never stalls was declared dead.
    pub(crate) healthy: usize,
    /// How often one that stalls was.
    pub(crate) stalled: usize,
    /// In so many hours of such clusters.
    pub(crate) hours: f64,
}

impl Stalls {
    /// Nothing yet.
    pub(crate) fn new(contender: Contender, nodes: usize) -> Self {
        Self { contender, nodes, healthy: 0, stalled: 0, hours: 0.0 }
    }
}

/// What a member costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) contender: Contender,
    /// The sizes of cluster, and the bytes that a node of each has on its heap.
    pub(crate) heap: Vec<(usize, usize)>,
}

impl Memory {
    /// Bytes that one more member costs: between the smallest cluster and the largest one.
    pub(crate) fn per_member(&self) -> Option<f64> {
        let (&(few, small), &(many, large)) = self.heap.first().zip(self.heap.last())?;
        (many > few).then(|| (large as f64 - small as f64) / (many - few) as f64)
    }
}

/// Where figures come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// The size of the clusters.
    pub(crate) nodes: usize,
    /// Of these only, if not of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) contenders: Vec<Contender>,
    /// How to repeat it.
    pub(crate) command: String,
    /// On what.
    pub(crate) machine: String,
    /// When.
    pub(crate) date: String,
}

/// All that was measured in one place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Where those of each size come from.
    pub(crate) runs: Vec<Run>,
    pub(crate) rows: Vec<Row>,
    pub(crate) stalls: Vec<Stalls>,
    pub(crate) memory: Vec<Memory>,
}

impl Measured {
    /// Takes in what was measured later, in place of what was measured of the same before.
    pub(crate) fn take_in(&mut self, later: Self) {
        let Self { runs, rows, stalls, memory } = later;
        self.runs.retain(|old| {
            !runs.iter().any(|new| {
                let is_all = new.contenders.is_empty() || new.contenders == old.contenders;
                new.nodes == old.nodes && is_all
            })
        });
        self.runs.extend(runs);
        let is_new = |row: &Row| {
            !rows.iter().any(|new| {
                (new.contender, new.nodes, new.loss) == (row.contender, row.nodes, row.loss)
            })
        };
        self.rows.retain(is_new);
        self.rows.extend(rows.iter().cloned());
        self.stalls.retain(|row| {
            !stalls.iter().any(|new| (new.contender, new.nodes) == (row.contender, row.nodes))
        });
        self.stalls.extend(stalls);
        for Memory { contender, heap } in memory {
            let place = match self.memory.iter().position(|row| row.contender == contender) {
                Some(place) => place,
                None => {
                    self.memory.push(Memory { contender, heap: Vec::new() });
                    self.memory.len() - 1
                }
            };
            let old = &mut self.memory[place].heap;
            old.retain(|(nodes, _)| !heap.iter().any(|(new, _)| new == nodes));
            old.extend(heap);
            old.sort_unstable();
        }
        self.sort();
    }

    /// In the order of the tables.
    fn sort(&mut self) {
        let place = |contender| Contender::ALL.iter().position(|other| *other == contender);
        self.runs.sort_by_key(|run| (run.nodes, run.contenders.len()));
        self.rows.sort_by_key(|row| (row.loss, row.nodes, place(row.contender)));
        self.stalls.sort_by_key(|row| (row.nodes, place(row.contender)));
        self.memory.sort_by_key(|row| place(row.contender));
    }
}

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// In the simulated world.
    pub(crate) world: Measured,
    /// Over real sockets.
    #[serde(default)]
    pub(crate) sockets: Measured,
}

impl Collected {
    /// Adds what was collected elsewhere.
    pub(crate) fn add(&mut self, other: Self) {
        self.whole.extend(other.whole);
        self.joined.extend(other.joined);
        self.dead.extend(other.dead);
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.node_seconds += other.node_seconds;
        self.heap.extend(other.heap);
        self.false_deaths += other.false_deaths;
        self.watched_hours += other.watched_hours;
    }

    pub(crate) fn row(&self, contender: Contender, nodes: usize, loss: u8) -> Row {
        Row {
            contender,
            nodes,
            loss,
            whole: Spans::of(&self.whole),
            joined: Spans::of(&self.joined),
            dead: Spans::of(&self.dead),
            datagrams: round(self.packets as f64 / self.node_seconds),
            bytes: (self.bytes as f64 / self.node_seconds).round(),
            false_deaths: self.false_deaths,
            hours: round(self.watched_hours),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Collected, Measured, Memory, Run, Spans};
    use crate::contender::Contender;
    use std::time::Duration;

    #[test]
    fn what_did_not_end_is_counted_apart() {
        let spans =
            Spans::of(&[Some(Duration::from_millis(1234)), None, Some(Duration::from_secs(3))]);
        assert_eq!(spans, Spans { p50: 1.23, p99: 3.0, count: 2, failed: 1 });
        assert_eq!(Spans::of(&[None]), Spans { failed: 1, ..Spans::default() });
    }

    #[test]
    fn a_member_costs_what_a_larger_cluster_has_more() {
        let memory =
            Memory { contender: Contender::Spore, heap: vec![(8, 1000), (32, 1500), (108, 3000)] };
        assert_eq!(memory.per_member(), Some(20.0));
    }

    #[test]
    fn what_is_measured_again_takes_the_place_of_what_was_measured_before() {
        let measured =
            |nodes, hours, heap| Measured {
                rows: vec![
                    Collected { watched_hours: hours, node_seconds: 1.0, ..Collected::default() }
                        .row(Contender::Spore, nodes, 0),
                ],
                memory: vec![Memory { contender: Contender::Spore, heap: vec![(nodes, heap)] }],
                runs: vec![Run { nodes, command: hours.to_string(), ..Run::default() }],
                ..Measured::default()
            };
        let mut all = measured(32, 1.0, 7);
        all.take_in(measured(8, 2.0, 5));
        all.take_in(measured(32, 3.0, 9));
        let rows: Vec<_> = all.rows.iter().map(|row| (row.nodes, row.hours)).collect();
        assert_eq!(rows, [(8, 2.0), (32, 3.0)]);
        assert_eq!(all.memory[0].heap, [(8, 5), (32, 9)]);
        let mut again = measured(32, 4.0, 9);
        again.runs[0].contenders = vec![Contender::Spore];
        all.take_in(again);
        let runs = |all: &Measured| -> Vec<_> {
            all.runs.iter().map(|run| (run.nodes, run.command.clone())).collect()
        };
        assert_eq!(runs(&all), [(8, "2".into()), (32, "3".into()), (32, "4".into())]);
        all.take_in(measured(32, 5.0, 9));
        assert_eq!(runs(&all), [(8, "2".into()), (32, "5".into())]);
    }
}
