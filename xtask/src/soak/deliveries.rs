//! What is delivered on one node, and what is wrong with it: each event once, in order for each
//! publisher, and every gap reported.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// One of the events that a node sends to a reader.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) id: Option<String>,
    pub(super) event: String,
    pub(super) data: String,
}

/// In one of its boots, a publisher.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Publisher {
    pub(super) id: String,
    pub(super) epoch: u64,
}

/// How many events were delivered, and so on, in all boots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Boots that were read of.
    pub(super) boots: usize,
    pub(super) delivered: u64,
    /// Reported as missed.
    pub(super) missed: u64,
    /// Gone before the reader had read them.
    pub(super) lost: u64,
}

/// All that was read of a node.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    /// By node id and epoch, as the ids of events begin.
    boots: BTreeMap<String, Boot>,
    /// Of which one something was read last.
    current: String,
    /// The id of the event that was read last.
    seen: Option<String>,
    /// Said to be lost, in one sum for all that is gone when a stream begins; where in the order they were is seen from the
    /// events that follow.
    lost: u64,
    /// Nothing has been read since the last of them was said: what follows shows where they were.
    unplaced: bool,
    counts: Counts,
    faults: Vec<String>,
}

#[derive(Debug, Default)]
struct Boot {
    /// Number on the node of the event that was read last.
    seq: u64,
    lost: u64,
    heard: BTreeMap<Publisher, Heard>,
    /// By the id of a publisher: of which of its epochs an event was delivered last.
    epochs: BTreeMap<String, u64>,
}

/// Of one publisher.
#[derive(Debug, Default)]
struct Heard {
    delivered: BTreeSet<u64>,
    missed: Vec<RangeInclusive<u64>>,
}

impl fmt::Display for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "publisher {} in its epoch {}", self.id, self.epoch)
    }
}

impl Publisher {
    /// The one that `document` names.
    pub(super) fn parse(document: &Value) -> Result<Self> {
        let id = document["publisher"].as_str().context("no publisher")?.to_owned();
        Ok(Self { id, epoch: number(document, "epoch")? })
    }
}

impl Deliveries {
    /// A reader begins again, behind the last event that it has read.
    pub(super) fn connect(&mut self) {
        self.lost = 0;
    }

    /// Behind which event a reader goes on.
    pub(super) fn seen(&self) -> Option<&str> {
        self.seen.as_deref()
    }

    /// Takes what was read.
    pub(super) fn take(&mut self, frame: &Frame) {
        if let Err(error) = self.read(frame) {
            self.faults.push(format!("{error:#}: {frame:?}"));
        }
        if frame.id.is_some() {
            self.seen.clone_from(&frame.id);
        }
    }

    fn read(&mut self, frame: &Frame) -> Result<()> {
        let data = serde_json::from_str(&frame.data).context("the data is not JSON")?;
        if frame.event == "events/lost" {
            let count = number(&data, "count")?;
            self.lost += count;
            self.unplaced = true;
            self.counts.lost += count;
            return Ok(());
        }
        let id = frame.id.as_deref().context("an event without an id")?;
        let (boot, _) = id.rsplit_once('-').context("an id that is none")?;
        let seq = number(&data, "seq")?;
        self.begin(boot, seq);
        if frame.event == "events/missed" {
            return self.miss(&data["payload"]);
        }
        // Events of the node alone have none.
        if data["number"].is_null() {
            return Ok(());
        }
        self.deliver(Publisher::parse(&data)?, number(&data, "number")?);
        Ok(())
    }

    /// Whether an event was delivered in the latest boot, or reported as missed.
    pub(super) fn knows(&self, publisher: &Publisher, number: u64) -> bool {
        let boot = self.boots.get(&self.current);
        let heard = boot.and_then(|boot| boot.heard.get(publisher));
        heard.is_some_and(|heard| heard.delivered.contains(&number) || heard.misses(number))
    }

    /// How much it is.
    pub(super) fn counts(&self) -> Counts {
        Counts { boots: self.boots.len(), ..self.counts }
    }

    /// All that is wrong, when the reader has read what was published long after its stream began. What a reader was too
    /// slow for may have been a report, so there is none to be missed in a boot of which something is lost.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = self.faults.clone();
        if self.lost > 0 && !self.unplaced {
            faults.push(format!("{} more were said to be lost than were", self.lost));
        }
        for (name, boot) in self.boots.iter().filter(|(_, boot)| boot.lost == 0) {
            for (publisher, heard) in &boot.heard {
                let holes = heard.holes();
                if !holes.is_empty() {
                    let holes: Vec<String> = holes.iter().map(span).collect();
                    let holes = holes.join(", ");
                    faults.push(format!("boot {name}: {publisher}: not reported: {holes}"));
                }
            }
        }
        faults
    }

    /// The next one of all events of a boot, those that are lost counted.
    fn begin(&mut self, name: &str, seq: u64) {
        if self.current != name {
            name.clone_into(&mut self.current);
        }
        self.unplaced = false;
        let boot = self.boots.entry(name.to_owned()).or_default();
        let expected = boot.seq + 1;
        match seq.checked_sub(expected).filter(|gap| *gap <= self.lost) {
            Some(gap) => {
                self.lost -= gap;
                boot.lost += gap;
            }
            None => {
                self.lost = 0;
                self.faults.push(format!("boot {name}: event {seq} where {expected} comes next"));
            }
        }
        boot.seq = seq;
    }

    fn boot(&mut self) -> &mut Boot {
        self.boots.entry(self.current.clone()).or_default()
    }

    fn fault(&mut self, publisher: &Publisher, wrong: &str) {
        self.faults.push(format!("boot {}: {publisher}: {wrong}", self.current));
    }

    fn deliver(&mut self, publisher: Publisher, number: u64) {
        self.counts.delivered += 1;
        let Boot { heard, epochs, .. } = self.boot();
        let epoch = epochs.entry(publisher.id.clone()).or_default();
        *epoch = publisher.epoch.max(*epoch);
        let latest = *epoch;
        let heard = heard.entry(publisher.clone()).or_default();
        let last = heard.delivered.last().copied().unwrap_or(0);
        let was_missed = heard.misses(number);
        let wrong = if !heard.delivered.insert(number) {
            format!("{number} was delivered twice")
        } else if was_missed {
            format!("{number} was delivered, but had been reported as missed")
        } else if number < last {
            format!("{number} was delivered after {last}")
        } else if publisher.epoch < latest {
            format!("{number} was delivered after events of its epoch {latest}")
        } else {
            return;
        };
        self.fault(&publisher, &wrong);
    }

    fn miss(&mut self, payload: &Value) -> Result<()> {
        let publisher = Publisher::parse(payload)?;
        let (from, to) = (number(payload, "from")?, number(payload, "to")?);
        ensure!((1..=to).contains(&from), "it misses nothing");
        self.counts.missed += to + 1 - from;
        let heard = self.boot().heard.entry(publisher.clone()).or_default();
        let delivered = heard.delivered.range(from..=to).next().copied();
        let reported =
            heard.missed.iter().any(|range| from <= *range.end() && *range.start() <= to);
        heard.missed.push(from..=to);
        let range = span(&(from..=to));
        if let Some(number) = delivered {
            self.fault(&publisher, &format!("{range} missed, but {number} had been delivered"));
        }
        if reported {
            self.fault(&publisher, &format!("{range} missed, of which some had been reported"));
        }
        Ok(())
    }
}

impl Heard {
    fn misses(&self, number: u64) -> bool {
        self.missed.iter().any(|range| range.contains(&number))
    }

    /// What was neither delivered nor reported, below the highest number that was.
    fn holes(&self) -> Vec<RangeInclusive<u64>> {
        let delivered = self.delivered.iter().map(|number| (*number, *number));
        let missed = self.missed.iter().map(|range| (*range.start(), *range.end()));
        let mut known: Vec<(u64, u64)> = delivered.chain(missed).collect();
        known.sort_unstable();
        let (mut holes, mut next) = (Vec::new(), 1);
        for (from, to) in known {
            if from > next {
                holes.push(next..=from - 1);
            }
            next = next.max(to + 1);
        }
        holes
    }
}

fn span(range: &RangeInclusive<u64>) -> String {
    let (from, to) = (range.start(), range.end());
    if from == to { from.to_string() } else { format!("{from} to {to}") }
}

fn number(document: &Value, field: &str) -> Result<u64> {
    document[field].as_u64().with_context(|| format!("no number {field}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const BOOT: &str = "0123456789ab-3";

    /// What is delivered on a node, in turn.
    enum Step {
        /// The event with this number, of a publisher in this epoch.
        Event(u64, u64),
        /// A report, of such numbers in this epoch.
        Missed(u64, u64, u64),
        /// So many are lost to the reader.
        Lost(u64),
        /// An event of the node alone.
        Local,
        /// The node starts again, in this boot.
        Boot(&'static str),
    }
    use Step::{Event, Local, Lost, Missed};

    fn read(steps: &[Step]) -> Deliveries {
        let (mut deliveries, mut boot, mut seq) = (Deliveries::default(), BOOT, 0);
        for step in steps {
            seq += 1;
            let event = |topic: &str, fields: Value| {
                let mut data = json!({ "publisher": "ba9876543210", "seq": seq });
                data.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
                let id = Some(format!("{boot}-{seq}"));
                Frame { id, event: topic.to_owned(), data: data.to_string() }
            };
            let frame = match *step {
                Event(epoch, number) => {
                    event("soak/1", json!({ "epoch": epoch, "number": number }))
                }
                Missed(epoch, from, to) => {
                    let publisher = "ba9876543210";
                    let payload =
                        json!({ "publisher": publisher, "epoch": epoch, "from": from, "to": to });
                    event("events/missed", json!({ "payload": payload, "number": null }))
                }
                Local => event("node/settings/changed", json!({ "epoch": null, "number": null })),
                Lost(count) => {
                    seq += count - 1;
                    let data = json!({ "count": count }).to_string();
                    Frame { id: None, event: "events/lost".to_owned(), data }
                }
                Step::Boot(name) => {
                    (boot, seq) = (name, 0);
                    deliveries.connect();
                    continue;
                }
            };
            deliveries.take(&frame);
        }
        deliveries
    }

    fn faults(steps: &[Step]) -> Vec<String> {
        read(steps).faults()
    }

    fn one_fault(steps: &[Step], wanted: &str) {
        let publisher = "publisher ba9876543210 in its epoch 1";
        assert_eq!(faults(steps), [format!("boot {BOOT}: {publisher}: {wanted}")]);
    }

    #[test]
    fn each_once_and_in_order_with_every_gap_reported_is_right() {
        let right = read(&[
            Missed(1, 1, 4),
            Event(1, 5),
            Local,
            Event(1, 6),
            Missed(1, 7, 7),
            Event(1, 8),
            Event(2, 1),
            // On another boot of the node, all may come again.
            Step::Boot("0123456789ab-4"),
            Missed(1, 1, 7),
            Event(1, 8),
        ]);
        assert_eq!(right.faults(), [""; 0]);
        assert_eq!(right.counts(), Counts { boots: 2, delivered: 5, missed: 12, lost: 0 });
    }

    #[test]
    fn an_event_that_is_delivered_twice_is_noticed() {
        one_fault(&[Event(1, 1), Event(1, 2), Event(1, 2)], "2 was delivered twice");
        one_fault(&[Event(1, 1), Event(1, 2), Event(1, 1)], "1 was delivered twice");
    }

    #[test]
    fn wrong_order_is_noticed() {
        one_fault(&[Event(1, 1), Event(1, 3), Event(1, 2)], "2 was delivered after 3");
    }

    #[test]
    fn a_gap_that_is_not_reported_is_noticed() {
        one_fault(&[Event(1, 3)], "not reported: 1 to 2");
        one_fault(&[Event(1, 1), Event(1, 3), Missed(1, 5, 6)], "not reported: 2, 4");
        // The report is of another boot of the publisher.
        let other = faults(&[Missed(2, 1, 1), Event(1, 2)]);
        assert!(other.len() == 1 && other[0].contains("epoch 1: not reported: 1"), "{other:?}");
        // So is that of another boot of the node.
        let other = faults(&[Missed(1, 1, 1), Step::Boot("0123456789ab-4"), Event(1, 2)]);
        assert!(other.len() == 1 && other[0].starts_with("boot 0123456789ab-4"), "{other:?}");
    }

    #[test]
    fn what_was_reported_as_missed_does_not_come() {
        let wanted = "1 was delivered, but had been reported as missed";
        one_fault(&[Missed(1, 1, 1), Event(1, 1)], wanted);
    }

    #[test]
    fn a_report_of_what_was_delivered_or_reported_is_noticed() {
        let wanted = "1 to 2 missed, but 1 had been delivered";
        one_fault(&[Event(1, 1), Event(1, 2), Missed(1, 1, 2)], wanted);
        let wanted = "3 to 4 missed, of which some had been reported";
        one_fault(&[Missed(1, 1, 3), Missed(1, 3, 4)], wanted);
        let nothing = faults(&[Missed(1, 3, 2)]);
        assert!(nothing.len() == 1 && nothing[0].starts_with("it misses nothing"), "{nothing:?}");
    }

    #[test]
    fn an_event_of_a_boot_that_is_over_is_reported_and_not_delivered() {
        assert_eq!(faults(&[Event(1, 1), Event(2, 1), Missed(1, 2, 4), Event(2, 2)]), [""; 0]);
        let wanted = "2 was delivered after events of its epoch 2";
        one_fault(&[Event(1, 1), Event(2, 1), Event(1, 2)], wanted);
        one_fault(&[Event(1, 1), Event(2, 1), Missed(1, 4, 4)], "not reported: 2 to 3");
    }

    #[test]
    fn what_a_reader_was_too_slow_for_is_counted_and_excuses_its_own_boot_alone() {
        let steps = [Event(1, 1), Lost(3), Event(1, 3)];
        assert_eq!(faults(&steps), [""; 0]);
        assert_eq!(read(&steps).counts().lost, 3);
        let later = faults(&[Lost(3), Event(1, 3), Step::Boot("0123456789ab-4"), Event(1, 3)]);
        assert!(later.len() == 1 && later[0].contains("ab-4"), "{later:?}");
    }

    /// Events of the node alone, in this order.
    fn numbered(deliveries: &mut Deliveries, numbers: &[u64]) -> Vec<String> {
        for seq in numbers {
            let data = json!({ "seq": seq, "number": null }).to_string();
            let id = Some(format!("{BOOT}-{seq}"));
            deliveries.take(&Frame { id, event: "a".to_owned(), data });
        }
        deliveries.faults()
    }

    #[test]
    fn what_is_gone_before_a_stream_begins_may_lie_between_what_is_left() {
        assert_eq!(numbered(&mut read(&[Lost(3)]), &[2, 3, 6, 7]), [""; 0]);
        let more = format!("boot {BOOT}: event 7 where 4 comes next");
        assert_eq!(numbered(&mut read(&[Lost(3)]), &[2, 3, 7]), [more]);
        let back = format!("boot {BOOT}: event 2 where 4 comes next");
        assert_eq!(numbered(&mut read(&[Lost(3)]), &[3, 2]), [back]);
        let too_many = "1 more were said to be lost than were";
        assert_eq!(numbered(&mut read(&[Lost(3)]), &[2, 3, 5]), [too_many]);
        assert_eq!(numbered(&mut read(&[Lost(3)]), &[]), [""; 0], "they may be the last ones");
    }

    #[test]
    fn an_event_that_a_stream_leaves_out_is_noticed() {
        let mut deliveries = read(&[Event(1, 1)]);
        let data = json!({ "seq": 3, "number": null }).to_string();
        let id = Some(format!("{BOOT}-3"));
        deliveries.take(&Frame { id, event: "a".to_owned(), data });
        assert_eq!(deliveries.faults(), [format!("boot {BOOT}: event 3 where 2 comes next")]);
    }

    #[test]
    fn what_is_known_of_the_latest_boot_counts() {
        let publisher = Publisher { id: "ba9876543210".to_owned(), epoch: 1 };
        let node = read(&[Event(1, 1), Missed(1, 2, 3)]);
        let knows = |number| node.knows(&publisher, number);
        assert!(knows(1) && knows(2) && knows(3) && !knows(4));
        let again = read(&[Event(1, 1), Step::Boot("0123456789ab-4"), Event(1, 2)]);
        assert!(!again.knows(&publisher, 1) && again.knows(&publisher, 2));
    }

    #[test]
    fn what_is_no_event_is_noticed() {
        for (id, data) in [
            (Some("0123456789ab-3-1"), "{"),
            (Some("0123456789ab-3-1"), "{}"),
            (None, r#"{"seq":1,"number":null}"#),
            (Some("0123456789ab-3-1"), r#"{"seq":1,"number":1}"#),
        ] {
            let id = id.map(str::to_owned);
            let frame = Frame { id, event: "soak/1".to_owned(), data: data.to_owned() };
            let mut deliveries = Deliveries::default();
            deliveries.take(&frame);
            assert_eq!(deliveries.faults().len(), 1, "{data}");
        }
    }
}
