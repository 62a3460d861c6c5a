//! What was published for the cluster, and what became of it on every node.
//!
//! Watches that each node delivers the events of each publisher in order, none twice in a boot, and
//! says of each one that it leaves out that it has missed it. This is the simulator's own, global
//! knowledge. No engine sees it.

use spore_core::wire::{EventKey, U24};
use spore_core::{Event, NodeId};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Which event of which boot of which publisher. A key's logical time may change until somebody
/// else has it.
type Name = (NodeId, U24, U24);

/// An event that was published for the cluster.
#[derive(Clone, Debug)]
pub struct Publication {
    /// When.
    pub at: Duration,
    /// On which node.
    pub node: usize,
    /// In which lives of nodes it was delivered (see [`Ledger::receivers`]), and when.
    pub delivered: Vec<(usize, Duration)>,
    /// Which lives have said that they have missed it.
    pub missed: Vec<usize>,
}

/// One boot of one node, as one that gets events.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// The node.
    pub node: usize,
    /// When it started.
    pub started: Duration,
    /// When it ended, if it has.
    pub ended: Option<Duration>,
    /// How many deliveries were gone before the simulator could look at them.
    pub lost: u64,
    /// How far the events of each publisher were delivered or missed: boot and number.
    streams: HashMap<NodeId, (U24, u32)>,
}

/// All publications, and all who get them.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    publications: Vec<Publication>,
    by_name: BTreeMap<Name, usize>,
    receivers: Vec<Receiver>,
    /// By node: its present life.
    present: HashMap<usize, usize>,
}

/// What became of some publications in all lives that should have got them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many publications there were.
    pub published: usize,
    /// How often one was delivered.
    pub delivered: usize,
    /// How often one was reported as missed.
    pub missed: usize,
    /// How often neither has happened.
    pub open: usize,
    /// From each publication to each of its deliveries.
    pub latencies: Vec<Duration>,
}

impl Ledger {
    /// The publications, in the order in which they were made.
    pub fn publications(&self) -> &[Publication] {
        &self.publications
    }

    /// The lives of all nodes, in the order in which they began.
    pub fn receivers(&self) -> &[Receiver] {
        &self.receivers
    }

    /// What became of the publications between two times in the lives that had begun before `from`
    /// and have not ended.
    pub fn tally(&self, from: Duration, to: Duration) -> Tally {
        let mut tally = Tally::default();
        let lives: Vec<_> = (0..self.receivers.len())
            .filter(|life| self.receivers[*life].started < from)
            .filter(|life| self.receivers[*life].ended.is_none())
            .collect();
        let between = |publication: &&Publication| (from..to).contains(&publication.at);
        for publication in self.publications.iter().filter(between) {
            tally.published += 1;
            for life in &lives {
                let delivered = publication.delivered.iter().find(|(other, _)| other == life);
                if let Some((_, at)) = delivered {
                    tally.delivered += 1;
                    tally.latencies.push(*at - publication.at);
                } else if publication.missed.contains(life) {
                    tally.missed += 1;
                } else {
                    tally.open += 1;
                }
            }
        }
        tally
    }

    pub(crate) fn started(&mut self, now: Duration, node: usize) {
        self.present.insert(node, self.receivers.len());
        let streams = HashMap::new();
        self.receivers.push(Receiver { node, started: now, ended: None, lost: 0, streams });
    }

    pub(crate) fn ended(&mut self, now: Duration, node: usize) {
        if let Some(life) = self.present.remove(&node) {
            self.receivers[life].ended = Some(now);
        }
    }

    pub(crate) fn published(&mut self, now: Duration, node: usize, key: EventKey) {
        self.by_name.insert((key.publisher, key.epoch, key.seq), self.publications.len());
        let (delivered, missed) = (Vec::new(), Vec::new());
        self.publications.push(Publication { at: now, node, delivered, missed });
    }

    /// A node has delivered something, after `lost` things that nobody could see. What is wrong with
    /// that, if anything is.
    pub(crate) fn delivered(
        &mut self,
        now: Duration,
        node: usize,
        lost: u32,
        key: Option<EventKey>,
        event: Option<Event>,
    ) -> Result<(), String> {
        let Some(&life) = self.present.get(&node) else { return Ok(()) };
        self.receivers[life].lost += u64::from(lost);
        if let Some(key) = key {
            self.delivered_one(now, life, key)
        } else if let Some(Event::EventsMissed { publisher, epoch, from, to }) = event {
            self.missed(life, publisher, epoch, from, to)
        } else {
            Ok(())
        }
    }

    fn delivered_one(&mut self, now: Duration, life: usize, key: EventKey) -> Result<(), String> {
        let EventKey { publisher, epoch, seq, .. } = key;
        let receiver = &mut self.receivers[life];
        let stream = receiver.streams.entry(publisher).or_insert((epoch, 0));
        if epoch > stream.0 {
            *stream = (epoch, 0);
        }
        let expected = (epoch, seq.get().saturating_sub(1));
        if *stream != expected && receiver.lost == 0 {
            return Err(format!("delivers {key:?} after {stream:?}"));
        }
        *stream = (epoch, seq.get());
        let Some(index) = self.by_name.get(&(publisher, epoch, seq)) else { return Ok(()) };
        let publication = &mut self.publications[*index];
        if publication.missed.contains(&life) {
            return Err(format!("delivers {key:?}, which it had said to have missed"));
        }
        if publication.delivered.iter().any(|(other, _)| *other == life) {
            return Err(format!("delivers {key:?} twice"));
        }
        publication.delivered.push((life, now));
        Ok(())
    }

    fn missed(
        &mut self,
        life: usize,
        publisher: NodeId,
        epoch: U24,
        from: U24,
        to: U24,
    ) -> Result<(), String> {
        let receiver = &mut self.receivers[life];
        // A node that knows already that its publisher has rebooted says of a single event that it
        // was too late. Whatever it delivers of that boot all the same is noticed below.
        let single = from == to && from.get() > 1;
        if !single || receiver.streams.contains_key(&publisher) {
            let stream = receiver.streams.entry(publisher).or_insert((epoch, 0));
            if epoch > stream.0 {
                *stream = (epoch, 0);
            }
            if epoch == stream.0 {
                if (from.get() != stream.1 + 1 || to < from) && receiver.lost == 0 {
                    return Err(format!("misses {from} to {to} of {publisher} after {stream:?}"));
                }
                stream.1 = to.get();
            }
        }
        let names = (publisher, epoch, from)..=(publisher, epoch, to);
        for (name, index) in self.by_name.range(names) {
            let publication = &mut self.publications[*index];
            if publication.delivered.iter().any(|(other, _)| *other == life) {
                return Err(format!("misses {name:?}, which it has delivered"));
            }
            if !publication.missed.contains(&life) {
                publication.missed.push(life);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Ledger;
    use spore_core::wire::{EventKey, U24};
    use spore_core::{Event, NodeId};
    use std::time::Duration;

    const NOW: Duration = Duration::from_secs(2);
    const ID: NodeId = NodeId([1; 6]);

    fn key(epoch: u32, seq: u32) -> EventKey {
        let [epoch, seq] = [epoch, seq].map(|n| U24::new(n).unwrap());
        EventKey { clock: 0, publisher: ID, epoch, seq }
    }

    fn missed(epoch: u32, from: u32, to: u32) -> Event {
        let [epoch, from, to] = [epoch, from, to].map(|n| U24::new(n).unwrap());
        Event::EventsMissed { publisher: ID, epoch, from, to }
    }

    #[test]
    fn whatever_breaks_the_promise_is_noticed() {
        let mut ledger = Ledger::default();
        ledger.started(NOW, 0);
        (1..=6).for_each(|seq| ledger.published(NOW, 0, key(1, seq)));
        let deliver = |ledger: &mut Ledger, key| ledger.delivered(NOW, 0, 0, Some(key), None);
        let miss = |ledger: &mut Ledger, event| ledger.delivered(NOW, 0, 0, None, Some(event));
        deliver(&mut ledger, key(1, 1)).unwrap();
        assert!(deliver(&mut ledger, key(1, 1)).is_err(), "twice");
        assert!(deliver(&mut ledger, key(1, 3)).is_err(), "a hole");
        assert!(miss(&mut ledger, missed(1, 3, 3)).is_err(), "a hole before what was missed");
        miss(&mut ledger, missed(1, 2, 3)).unwrap();
        assert!(deliver(&mut ledger, key(1, 3)).is_err(), "missed and delivered");
        deliver(&mut ledger, key(1, 4)).unwrap();
        deliver(&mut ledger, key(2, 1)).unwrap();
        assert!(deliver(&mut ledger, key(1, 5)).is_err(), "of an earlier boot");
        assert!(miss(&mut ledger, missed(1, 4, 4)).is_err(), "it was delivered");
        miss(&mut ledger, missed(1, 5, 5)).unwrap();
        let tally = ledger.tally(NOW, Duration::MAX);
        assert_eq!((tally.published, tally.delivered), (6, 0), "the life had not begun before");
        ledger.receivers[0].started = Duration::ZERO;
        ledger.publications.iter_mut().for_each(|it| it.at = Duration::from_secs(1));
        let tally = ledger.tally(Duration::from_nanos(1), Duration::MAX);
        assert_eq!((tally.delivered, tally.missed, tally.open), (2, 3, 1));
    }
}
