//! What was published for the cluster, and what became of it on every node.
//!
//! Watches that each node delivers the events of each publisher in order, none twice in a boot, and
//! says of each one that it leaves out that it has missed it: of each boot of a publisher every
//! number below the highest one that was delivered or reported, before it is. This is the
//! simulator's own, global knowledge. No engine sees it.

use crate::log::Fnv;
use spore_core::events::ENDED;
use spore_core::wire::{EventKey, U24};
use spore_core::{Event, NodeId};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Which event of which boot of which publisher. A key's logical time may change until somebody
/// else has it.
pub(crate) type Name = (NodeId, U24, U24);

/// An event that was published for the cluster.
#[derive(Clone, Debug)]
pub struct Publication {
    /// When.
    pub at: Duration,
    /// On which node.
    pub node: usize,
    /// In which life of that node.
    pub life: usize,
    /// The hash of what it says: see [`content`].
    content: u64,
    /// In which lives of nodes it was delivered (see [`Ledger::receivers`]), and when.
    pub delivered: Vec<(usize, Duration)>,
    /// Which lives have said that they have missed it.
    pub missed: Vec<usize>,
    /// Which lives stood still when it was published, until nobody could tell them of it any more; and which had forgotten how far
    /// its publisher's boot had come, when they reported a later event of that boot.
    pub excused: Vec<usize>,
}

/// What a node has delivered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Delivered {
    /// An event of the cluster, and the hash of its [`content`].
    Event(EventKey, u64),
    /// What the system says.
    System(Event),
    /// An event of this node alone.
    Local,
}

/// The hash of what an event says.
pub(crate) fn content(topic: &str, payload: &[u8], retained: bool) -> u64 {
    let mut hash = Fnv::default();
    hash.bytes(topic.as_bytes());
    // No topic has such a byte.
    hash.bytes(&[0xFF, u8::from(retained)]);
    hash.bytes(payload);
    hash.0
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
    /// Of which boot of each publisher an event was delivered last.
    boots: HashMap<NodeId, U24>,
    /// By boot of a publisher: up to which number its events were delivered or missed.
    streams: HashMap<(NodeId, U24), u32>,
}

/// All publications, and all who get them.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    publications: Vec<Publication>,
    by_name: BTreeMap<Name, usize>,
    receivers: Vec<Receiver>,
    /// By node: its present life.
    present: HashMap<usize, usize>,
    /// Which lives are excused for which events.
    excuses: Vec<(usize, Name)>,
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

    /// Whether each of these nodes has delivered publication number `index` in its present life, or said that it has missed it.
    ///
    /// # Panics
    ///
    /// If there is no such publication.
    pub fn has_settled(&self, index: usize, nodes: &[usize]) -> bool {
        let Publication { delivered, missed, .. } = &self.publications[index];
        nodes.iter().all(|node| {
            let life = self.present.get(node);
            life.is_some_and(|life| {
                missed.contains(life) || delivered.iter().any(|(other, _)| other == life)
            })
        })
    }

    pub(crate) fn started(&mut self, now: Duration, node: usize) {
        self.present.insert(node, self.receivers.len());
        let (boots, streams) = (HashMap::new(), HashMap::new());
        let life = Receiver { node, started: now, ended: None, lost: 0, boots, streams };
        self.receivers.push(life);
    }

    pub(crate) fn ended(&mut self, now: Duration, node: usize) {
        if let Some(life) = self.present.remove(&node) {
            self.receivers[life].ended = Some(now);
            self.excuses.retain(|(other, _)| *other != life);
        }
    }

    pub(crate) fn published(&mut self, now: Duration, node: usize, key: EventKey, content: u64) {
        self.by_name.insert((key.publisher, key.epoch, key.seq), self.publications.len());
        let (delivered, missed, excused) = (Vec::new(), Vec::new(), Vec::new());
        let life = self.present[&node];
        self.publications.push(Publication {
            at: now,
            node,
            life,
            content,
            delivered,
            missed,
            excused,
        });
    }

    /// The events that were published since then in lives that are over.
    pub(crate) fn ended_since(&self, since: Duration) -> Vec<Name> {
        let is_one = |(_, index): &(&Name, &usize)| {
            let publication = &self.publications[**index];
            publication.at >= since && self.receivers[publication.life].ended.is_some()
        };
        self.by_name.iter().filter(is_one).map(|(name, _)| *name).collect()
    }

    /// A node stood still when an event was published, and can learn of it from nobody any more.
    pub(crate) fn excuse(&mut self, node: usize, name: Name) {
        let (Some(index), Some(life)) = (self.by_name.get(&name), self.present.get(&node)) else {
            return;
        };
        self.publications[*index].excused.push(*life);
        self.excuses.push((*life, name));
    }

    /// The events that a node is excused for in its present life.
    pub(crate) fn excused(&self, node: usize) -> Vec<Name> {
        let Some(life) = self.present.get(&node) else { return Vec::new() };
        self.excuses.iter().filter(|(other, _)| other == life).map(|(_, name)| *name).collect()
    }

    /// A node is not excused for an event any more.
    pub(crate) fn hold_to(&mut self, node: usize, name: Name) {
        let Some(life) = self.present.get(&node) else { return };
        self.excuses.retain(|excuse| *excuse != (*life, name));
        if let Some(index) = self.by_name.get(&name) {
            self.publications[*index].excused.retain(|other| other != life);
        }
    }

    /// A node has delivered something, after `lost` things that nobody could see. What is wrong with
    /// that, if anything is.
    pub(crate) fn delivered(
        &mut self,
        now: Duration,
        node: usize,
        lost: u32,
        delivery: Delivered,
    ) -> Result<(), String> {
        let Some(&life) = self.present.get(&node) else { return Ok(()) };
        self.receivers[life].lost += u64::from(lost);
        match delivery {
            Delivered::Event(key, content) => self.delivered_one(now, life, key, content),
            Delivered::System(Event::EventsMissed { publisher, epoch, from, to }) => {
                self.missed(life, publisher, epoch, from, to)
            }
            Delivered::System(_) | Delivered::Local => Ok(()),
        }
    }

    fn delivered_one(
        &mut self,
        now: Duration,
        life: usize,
        key: EventKey,
        content: u64,
    ) -> Result<(), String> {
        let EventKey { publisher, epoch, seq, .. } = key;
        let receiver = &mut self.receivers[life];
        let boot = receiver.boots.entry(publisher).or_insert(epoch);
        if epoch < *boot {
            return Err(format!("delivers {key:?} after events of its boot {boot}"));
        }
        *boot = epoch;
        let last = receiver.streams.entry((publisher, epoch)).or_default();
        if *last + 1 != seq.get() && receiver.lost == 0 {
            return Err(format!("delivers {key:?} after {last}"));
        }
        *last = seq.get();
        let Some(index) = self.by_name.get(&(publisher, epoch, seq)) else { return Ok(()) };
        let publication = &mut self.publications[*index];
        if publication.missed.contains(&life) {
            return Err(format!("delivers {key:?}, which it had said to have missed"));
        }
        if publication.delivered.iter().any(|(other, _)| *other == life) {
            return Err(format!("delivers {key:?} twice"));
        }
        if publication.content != content {
            return Err(format!("delivers {key:?} with other contents than were published"));
        }
        publication.delivered.push((life, now));
        Ok(())
    }

    /// Whether a node may have forgotten how far the boot of this event had come: it is over, and so are more than a node remembers.
    fn may_have_forgotten(&self, life: usize, name: Name) -> bool {
        let since = self.receivers[life].started;
        let over = |it: &&Receiver| it.ended.is_some_and(|ended| ended >= since);
        let of_it = self.by_name.get(&name).map(|index| self.publications[*index].life);
        of_it.is_some_and(|life| self.receivers[life].ended.is_some())
            && self.receivers.iter().filter(over).count() > ENDED
    }

    fn missed(
        &mut self,
        life: usize,
        publisher: NodeId,
        epoch: U24,
        from: U24,
        to: U24,
    ) -> Result<(), String> {
        let forgotten = self.may_have_forgotten(life, (publisher, epoch, from));
        let receiver = &mut self.receivers[life];
        // Also of a boot that is over, and of one that it has never heard of before.
        let last = receiver.streams.entry((publisher, epoch)).or_default();
        let first = *last + 1;
        let in_order = from.get() == first || from.get() > first && forgotten;
        if (!in_order || to < from) && receiver.lost == 0 {
            return Err(format!("misses {from} to {to} of {publisher} in {epoch} after {last}"));
        }
        *last = to.get();
        let unsaid = U24::new(first).unwrap_or(from)..from;
        for (_, index) in
            self.by_name.range((publisher, epoch, unsaid.start)..(publisher, epoch, unsaid.end))
        {
            self.publications[*index].excused.push(life);
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
    use super::{Delivered, ENDED, Ledger, content};
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
        (1..=6).for_each(|seq| ledger.published(NOW, 0, key(1, seq), 7));
        let deliver =
            |ledger: &mut Ledger, key| ledger.delivered(NOW, 0, 0, Delivered::Event(key, 7));
        let miss =
            |ledger: &mut Ledger, event| ledger.delivered(NOW, 0, 0, Delivered::System(event));
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
        assert!(miss(&mut ledger, missed(1, 6, 6)).is_err(), "a hole in an earlier boot");
        miss(&mut ledger, missed(1, 5, 5)).unwrap();
        assert!(miss(&mut ledger, missed(1, 5, 5)).is_err(), "reported twice");
        assert!(miss(&mut ledger, missed(0, 2, 3)).is_err(), "a boot never heard of has a first");
        miss(&mut ledger, missed(0, 1, 3)).unwrap();
        let tally = ledger.tally(NOW, Duration::MAX);
        assert_eq!((tally.published, tally.delivered), (6, 0), "the life had not begun before");
        ledger.receivers[0].started = Duration::ZERO;
        ledger.publications.iter_mut().for_each(|it| it.at = Duration::from_secs(1));
        let tally = ledger.tally(Duration::from_nanos(1), Duration::MAX);
        assert_eq!((tally.delivered, tally.missed, tally.open), (2, 3, 1));
    }

    #[test]
    fn who_has_forgotten_a_boot_that_is_over_may_report_a_late_event_of_it_alone() {
        let report = |boots: usize| {
            let mut ledger = Ledger::default();
            ledger.started(Duration::ZERO, 0);
            ledger.started(Duration::ZERO, 1);
            (1..=2).for_each(|seq| ledger.published(NOW, 1, key(1, seq), 7));
            for _ in 0..boots {
                ledger.ended(NOW, 1);
                ledger.started(NOW, 1);
            }
            let told = ledger.delivered(NOW, 0, 0, Delivered::System(missed(1, 2, 2)));
            (told.is_ok(), ledger.publications()[0].excused.clone())
        };
        assert_eq!(report(ENDED), (false, vec![]));
        assert_eq!(report(ENDED + 1), (true, vec![0]));
    }

    #[test]
    fn what_is_delivered_says_what_was_published() {
        let said = content("topic", b"yes", false);
        for other in [("topic", b"no!", false), ("topio", b"yes", false), ("topic", b"yes", true)] {
            let mut ledger = Ledger::default();
            ledger.started(NOW, 0);
            ledger.published(NOW, 0, key(1, 1), said);
            let other = content(other.0, other.1, other.2);
            let told = ledger.delivered(NOW, 0, 0, Delivered::Event(key(1, 1), other));
            assert!(told.unwrap_err().contains("other contents"));
        }
    }

    #[test]
    fn only_what_was_published_since_then_in_a_life_that_is_over_can_be_excused() {
        let mut ledger = Ledger::default();
        (0..3).for_each(|node| ledger.started(Duration::ZERO, node));
        let at = Duration::from_secs;
        (1..=3).for_each(|seq| ledger.published(at(u64::from(seq)), 0, key(1, seq), 7));
        assert!(ledger.ended_since(at(2)).is_empty(), "its publisher lives");
        ledger.ended(at(4), 0);
        let names = ledger.ended_since(at(2));
        assert_eq!(names.iter().map(|(_, _, seq)| seq.get()).collect::<Vec<_>>(), [2, 3]);
        ledger.excuse(2, names[0]);
        let excused: Vec<_> = ledger.publications().iter().map(|it| it.excused.clone()).collect();
        assert_eq!(excused, [vec![], vec![2], vec![]]);
    }

    #[test]
    fn who_is_told_after_all_is_excused_no_more() {
        let mut ledger = Ledger::default();
        ledger.started(NOW, 0);
        let (mine, other) = (key(1, 1), key(1, 2));
        let names = [mine, other].map(|key| (key.publisher, key.epoch, key.seq));
        [mine, other].into_iter().for_each(|key| ledger.published(NOW, 0, key, 7));
        names.into_iter().for_each(|name| ledger.excuse(0, name));
        assert_eq!(ledger.excused(0), names);
        ledger.hold_to(0, names[0]);
        assert_eq!(ledger.excused(0), names[1..]);
        assert!(ledger.publications()[0].excused.is_empty());
        assert_eq!(ledger.publications()[1].excused, [0]);
        ledger.ended(NOW, 0);
        assert!(ledger.excused(0).is_empty());
    }
}
