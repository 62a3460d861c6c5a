//! What is done to the nodes, and when: decided by a seed alone, so that a run can be repeated as
//! far as processes can.

use std::time::Duration;

use fastrand::Rng;

/// Between two disturbances.
const PAUSE: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(4)];
/// How long a node is stalled.
const STALL: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];
/// How long a node stays down that does not come back at once.
const DOWN: [Duration; 2] = [Duration::ZERO, Duration::from_secs(20)];
/// Of all nodes, the part that may be down or stalled at a time: 1 in so many.
const DISTURBED_MAX: usize = 3;

/// What a node finds when it starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    /// Its state folder.
    Kept,
    /// Nothing: it is a new member, and nobody tells the others that the old one is gone.
    Lost,
}

/// Something to be done to the node with this index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// SIGKILL: a power cut.
    Kill(usize),
    /// SIGTERM: an orderly end.
    End(usize),
    /// SIGSTOP: a stall.
    Stall(usize),
    /// SIGCONT.
    Resume(usize),
    /// Start it again.
    Start(usize, Memory),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Up,
    Stalled { until: Duration },
    Down { until: Duration, memory: Memory },
}

/// The disturber.
#[derive(Debug)]
pub(super) struct Chaos {
    rng: Rng,
    slots: Vec<Slot>,
    /// When the next disturbance comes.
    next: Duration,
}

impl Chaos {
    /// For so many nodes, all of which are up.
    pub(super) fn new(nodes: usize, seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), slots: vec![Slot::Up; nodes], next: Duration::ZERO }
    }

    /// The next thing that is due `at` this time since the beginning; to be called until nothing
    /// is. What comes out depends on the seed alone, not on when this is called.
    pub(super) fn due(&mut self, at: Duration) -> Option<Act> {
        loop {
            let back = self.next_back();
            match back {
                Some((until, index)) if until <= at && until <= self.next => {
                    return Some(self.bring_back(index));
                }
                _ if self.next <= at => {
                    let now = self.next;
                    self.next = now + self.between(PAUSE);
                    if let Some(act) = self.disturb(now) {
                        return Some(act);
                    }
                }
                _ => return None,
            }
        }
    }

    /// Ends all stalls. Who is down stays down.
    pub(super) fn stop(&mut self) -> Vec<Act> {
        let stalled = |slot: &Slot| matches!(slot, Slot::Stalled { .. });
        let indices = (0..self.slots.len()).filter(|index| stalled(&self.slots[*index]));
        let indices: Vec<usize> = indices.collect();
        indices.into_iter().map(|index| self.bring_back(index)).collect()
    }

    /// The node that comes back first, and when.
    fn next_back(&self) -> Option<(Duration, usize)> {
        let backs = self.slots.iter().enumerate().filter_map(|(index, slot)| match slot {
            Slot::Up => None,
            Slot::Stalled { until } | Slot::Down { until, .. } => Some((*until, index)),
        });
        backs.min()
    }

    fn bring_back(&mut self, index: usize) -> Act {
        match std::mem::replace(&mut self.slots[index], Slot::Up) {
            Slot::Down { memory, .. } => Act::Start(index, memory),
            Slot::Stalled { .. } | Slot::Up => Act::Resume(index),
        }
    }

    /// Disturbs one of those that are up, unless enough are disturbed.
    fn disturb(&mut self, now: Duration) -> Option<Act> {
        let is_up = |index: &usize| self.slots[*index] == Slot::Up;
        let up: Vec<usize> = (0..self.slots.len()).filter(is_up).collect();
        if self.slots.len() - up.len() >= self.slots.len() / DISTURBED_MAX {
            return None;
        }
        let index = *self.rng.choice(&up)?;
        let act = match self.rng.u8(..20) {
            0..10 => Act::Kill(index),
            10..13 => Act::End(index),
            _ => Act::Stall(index),
        };
        self.slots[index] = if act == Act::Stall(index) {
            Slot::Stalled { until: now + self.between(STALL) }
        } else {
            let at_once = self.rng.u8(..3) == 0;
            let span = if at_once { Duration::ZERO } else { self.between(DOWN) };
            let memory = if self.rng.u8(..4) == 0 { Memory::Lost } else { Memory::Kept };
            Slot::Down { until: now + span, memory }
        };
        Some(act)
    }

    fn between(&mut self, [least, most]: [Duration; 2]) -> Duration {
        least + (most - least).mul_f64(self.rng.f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// All acts of an hour, looked at in steps of `step`.
    fn hour(nodes: usize, seed: u64, step: u64) -> Vec<Act> {
        let mut chaos = Chaos::new(nodes, seed);
        let times = (0..=3_600_000).step_by(usize::try_from(step).unwrap());
        let mut acts = Vec::new();
        for millis in times {
            while let Some(act) = chaos.due(Duration::from_millis(millis)) {
                acts.push(act);
            }
        }
        acts
    }

    #[test]
    fn acts_depend_on_the_seed_and_not_on_when_one_looks() {
        assert_eq!(hour(12, 1, 10), hour(12, 1, 5_000));
        assert_ne!(hour(12, 1, 10), hour(12, 2, 10));
    }

    #[test]
    fn everything_is_done_each_act_fits_the_node_and_most_nodes_are_left_alone() {
        for nodes in [3, 8, 12] {
            let mut states = vec!["up"; nodes];
            let mut counts = BTreeMap::<&str, u32>::new();
            for act in hour(nodes, 7, 100) {
                let (index, from, to, what) = match act {
                    Act::Kill(index) => (index, "up", "down", "kill"),
                    Act::End(index) => (index, "up", "down", "end"),
                    Act::Stall(index) => (index, "up", "stalled", "stall"),
                    Act::Resume(index) => (index, "stalled", "up", "resume"),
                    Act::Start(index, Memory::Kept) => (index, "down", "up", "start"),
                    Act::Start(index, Memory::Lost) => (index, "down", "up", "start as new"),
                };
                assert_eq!(std::mem::replace(&mut states[index], to), from, "{act:?}");
                *counts.entry(what).or_default() += 1;
                let disturbed = states.iter().filter(|state| **state != "up").count();
                assert!(disturbed <= nodes / 3, "{states:?}");
            }
            assert_eq!(counts.len(), 6, "{counts:?}");
            assert!(counts.values().all(|count| *count > 10), "{counts:?}");
        }
    }

    #[test]
    fn at_the_end_no_node_is_stalled_and_those_down_stay_down() {
        let mut chaos = Chaos::new(12, 3);
        while !chaos.slots.iter().any(|slot| matches!(slot, Slot::Stalled { .. })) {
            let next = chaos.next;
            chaos.due(next);
        }
        let down = |chaos: &Chaos| {
            chaos.slots.iter().filter(|slot| matches!(slot, Slot::Down { .. })).count()
        };
        let before = down(&chaos);
        let acts = chaos.stop();
        assert!(!acts.is_empty() && acts.iter().all(|act| matches!(act, Act::Resume(_))));
        assert_eq!(down(&chaos), before);
        assert!(!chaos.slots.iter().any(|slot| matches!(slot, Slot::Stalled { .. })));
    }
}
