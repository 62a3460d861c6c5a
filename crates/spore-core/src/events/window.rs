//! The window: the last events of the cluster, the same on all nodes however the events travelled.
//!
//! Of a set S of events, the *retained part* is: of each topic the retained event with the highest
//! key, and of these the [`RETAINED`] highest. The *ordinary part* is, of all others, the highest
//! ones, none left out between them, up to [`ORDINARY`] events and [`ORDINARY_BYTES`] bytes of
//! topics and payloads. The *horizon* is the highest key that is in neither. Windows with their
//! horizons form a join-semilattice: to take in the events of another window, in whatever order and
//! how often, and to raise the horizon to the other one's, gives the window of all events of both.
//! (The horizon belongs to it because of the limit in bytes: a small event would find room behind a
//! large one that had none.) So nodes that exchange what they have end up with equal windows, and
//! what a node has dropped can never come back in. That is all the memory of what is a duplicate
//! that it needs.

use super::Topic;
use crate::wire::{EventKey, EventRecord, MessageWriter, mixed_fnv};
use heapless::Vec;

/// The most retained events in a window, each the latest of its topic.
pub const RETAINED: usize = 4;

/// The most other events in a window.
pub const ORDINARY: usize = 12;

/// The most events in a window.
pub const WINDOW: usize = RETAINED + ORDINARY;

/// The most bytes of topic and payload that one event has.
pub(super) const LARGEST: usize = Topic::MAX + EventRecord::MAX_PAYLOAD;

/// The most bytes of topics and payloads in the ordinary part: four of the largest events.
pub const ORDINARY_BYTES: usize = 4 * LARGEST;

const BYTES: usize = RETAINED * LARGEST + ORDINARY_BYTES;

/// Of an entry: the event was retained when it was published.
const IS_RETAINED: u8 = 1;
/// Of an entry: some other node may have it from this one.
const IS_TOLD: u8 = 2;
/// Of an entry: it is to be sent to the member that lacks it.
const IS_WANTED: u8 = 4;
/// Of an entry: it came too late to be delivered in order, and was reported as missed.
const IS_PASSED: u8 = 8;
/// Of an entry: it came when this node had just started, so how old it is says nothing here.
const IS_REPLAYED: u8 = 16;

/// An event, without its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) key: EventKey,
    /// Under which number it was delivered here; 0 if it was not.
    pub(super) number: u32,
    /// When it came, as [`ticks`](super::ticks).
    pub(super) arrived: u32,
    /// Where its topic begins in the bytes; its payload follows.
    at: u16,
    payload: u16,
    topic: u8,
    /// How often it is still to be passed on.
    pub(super) news: u8,
    flags: u8,
}

impl Entry {
    fn size(&self) -> usize {
        usize::from(self.topic).saturating_add(usize::from(self.payload))
    }

    const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(super) const fn is_retained(&self) -> bool {
        self.has(IS_RETAINED)
    }

    pub(super) const fn is_told(&self) -> bool {
        self.has(IS_TOLD)
    }

    pub(super) const fn is_wanted(&self) -> bool {
        self.has(IS_WANTED)
    }

    pub(super) const fn want(&mut self, wanted: bool) {
        self.flags = self.flags & !IS_WANTED | if wanted { IS_WANTED } else { 0 };
    }

    pub(super) const fn told(&mut self) {
        self.flags |= IS_TOLD;
    }

    /// The event was put into a message.
    fn pass_on(&mut self, part: Part) {
        self.told();
        match part {
            Part::News => self.news = self.news.saturating_sub(1),
            Part::Wanted => self.want(false),
        }
    }

    fn is_of(&self, part: Part) -> bool {
        match part {
            Part::News => self.news > 0,
            Part::Wanted => self.is_wanted(),
        }
    }

    /// Whether it is still to be delivered, or passed over.
    pub(super) const fn is_pending(&self) -> bool {
        self.number == 0 && !self.has(IS_PASSED)
    }

    pub(super) fn pass_over(&mut self) {
        self.flags |= IS_PASSED;
    }

    pub(super) const fn is_replayed(&self) -> bool {
        self.has(IS_REPLAYED)
    }

    pub(super) const fn replayed(&mut self) {
        self.flags |= IS_REPLAYED;
    }
}

/// The memory of a window. Its size is part of the protocol, and the same on all bodies.
#[derive(Debug)]
pub(crate) struct Window {
    /// In descending order of the keys.
    entries: Vec<Entry, WINDOW, u8>,
    /// Their topics and payloads, without gaps.
    bytes: Vec<u8, BYTES, u16>,
    horizon: EventKey,
}

/// What became of an event that was offered to a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// It is in the window now.
    Taken,
    /// It has been there.
    Known,
    /// It was dropped before, or is older than all that there is room for.
    Refused,
}

/// Which events go into a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Those that are still to be passed on.
    News,
    /// Those that a member lacks.
    Wanted,
}

/// Which entries have a place, by index, and which of them one in the retained part.
#[derive(Clone, Copy, Debug, Default)]
struct Places {
    kept: u32,
    retained: u32,
}

/// An entry, or one that is not in the window yet.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    key: EventKey,
    retained: bool,
    topic: &'a [u8],
    size: usize,
}

impl Window {
    pub(crate) const NEW: Self =
        Self { entries: Vec::new(), bytes: Vec::new(), horizon: EventKey::LEAST };

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        self.horizon = EventKey::LEAST;
    }

    /// The entries, those with the highest keys first.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn entries_mut(&mut self) -> &mut [Entry] {
        &mut self.entries
    }

    /// The highest key of an event that was dropped, or had no place.
    pub(super) const fn horizon(&self) -> EventKey {
        self.horizon
    }

    /// The topic and the payload of an entry.
    pub(super) fn content(&self, entry: &Entry) -> (&str, &[u8]) {
        let at = usize::from(entry.at);
        let rest = self.bytes.get(at..).unwrap_or_default();
        let (topic, rest) = rest.split_at_checked(entry.topic.into()).unwrap_or_default();
        let payload = rest.get(..usize::from(entry.payload)).unwrap_or_default();
        (str::from_utf8(topic).unwrap_or_default(), payload)
    }

    /// An entry as it is told to others.
    pub(super) fn record(&self, entry: &Entry) -> Option<EventRecord<'_>> {
        let (topic, payload) = self.content(entry);
        let topic = Topic::new(topic).ok()?;
        Some(EventRecord { key: entry.key, retained: entry.is_retained(), topic, payload })
    }

    /// The window in 32 bits: equal windows have equal digests; unequal ones differ but for one
    /// case in four billion.
    pub(super) fn digest(&self) -> u32 {
        // The horizon is hashed once more, so that it is told from an event.
        let horizon = mixed_fnv(self.horizon.hash().to_be_bytes().iter());
        let start = if self.horizon == EventKey::LEAST { 0 } else { horizon };
        self.entries.iter().fold(start, |digest, entry| digest ^ entry.key.hash())
    }

    pub(super) fn contains(&self, key: &EventKey) -> bool {
        self.position(key).is_ok()
    }

    fn position(&self, key: &EventKey) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| key.cmp(&entry.key))
    }

    fn candidate(&self, entry: &Entry) -> Candidate<'_> {
        let at = usize::from(entry.at);
        let topic = self.bytes.get(at..at.saturating_add(entry.topic.into()));
        Candidate {
            key: entry.key,
            retained: entry.is_retained(),
            topic: topic.unwrap_or_default(),
            size: entry.size(),
        }
    }

    /// The place of each entry, and of `new` at its index as if it were there already.
    fn places(&self, new: Option<(usize, Candidate<'_>)>) -> Places {
        let at = |index: usize| match new {
            Some((new, candidate)) if new == index => Some(candidate),
            Some((new, _)) if new < index => {
                self.entries.get(index.saturating_sub(1)).map(|entry| self.candidate(entry))
            }
            _ => self.entries.get(index).map(|entry| self.candidate(entry)),
        };
        let mut places = Places::default();
        let (mut retained, mut ordinary, mut bytes) = (0_usize, 0_usize, 0_usize);
        let mut closed = false;
        for index in 0..=WINDOW {
            let Some(candidate) = at(index) else { break };
            let bit = 1_u32 << index;
            let newer = |other: usize| {
                at(other).is_some_and(|other| other.retained && other.topic == candidate.topic)
            };
            if candidate.retained && retained < RETAINED && !(0..index).any(newer) {
                retained = retained.saturating_add(1);
                places.retained |= bit;
                places.kept |= bit;
                continue;
            }
            ordinary = ordinary.saturating_add(1);
            bytes = bytes.saturating_add(candidate.size);
            closed |= candidate.key <= self.horizon;
            closed |= ordinary > ORDINARY || bytes > ORDINARY_BYTES;
            if !closed {
                places.kept |= bit;
            }
        }
        places
    }

    /// Of the older half of a replay, the newest event: with the newer ones of it, it does not fit
    /// into half a window. Even in a cluster as busy as can be it is two seconds old, then, though when it
    /// came says nothing of its age.
    pub(super) fn old_of_replay(&self) -> Option<EventKey> {
        let (mut count, mut bytes) = (0_usize, 0_usize);
        let mut replayed = self.entries.iter().filter(|entry| entry.is_replayed());
        let old = replayed.find(|entry| {
            count = count.saturating_add(1);
            bytes = bytes.saturating_add(entry.size());
            count > ORDINARY / 2 || bytes > ORDINARY_BYTES / 2
        });
        old.map(|entry| entry.key)
    }

    /// Whether an event that is newer than all others could be taken in without dropping one that
    /// `guarded` holds for.
    pub(super) fn has_room(
        &self,
        retained: bool,
        topic: &str,
        payload: usize,
        guarded: impl Fn(&Entry) -> bool,
    ) -> bool {
        let topic = topic.as_bytes();
        let size = topic.len().saturating_add(payload);
        let key = EventKey { clock: u32::MAX, ..EventKey::LEAST };
        let places = self.places(Some((0, Candidate { key, retained, topic, size })));
        let kept = |index: usize| places.kept & 2 << index != 0;
        self.entries.iter().enumerate().all(|(index, entry)| kept(index) || !guarded(entry))
    }

    /// Takes in an event, unless it is known or has no place. Those that have none any more are
    /// dropped, and `dropped` is told.
    pub(super) fn offer(
        &mut self,
        event: &EventRecord<'_>,
        arrived: u32,
        dropped: impl FnMut(&Entry),
    ) -> Offer {
        let Err(index) = self.position(&event.key) else { return Offer::Known };
        let topic = event.topic.as_str().as_bytes();
        let size = topic.len().saturating_add(event.payload.len());
        let candidate = Candidate { key: event.key, retained: event.retained, topic, size };
        let places = self.places(Some((index, candidate)));
        // Without the new one among them.
        let below = (1_u32 << index).wrapping_sub(1);
        let kept = places.kept & below | places.kept >> 1 & !below;
        self.drop_others(kept, dropped);
        let taken = places.kept & 1 << index != 0;
        if !taken {
            self.horizon = self.horizon.max(event.key);
            return Offer::Refused;
        }
        let lengths = (u8::try_from(topic.len()), u16::try_from(event.payload.len()));
        let at = u16::try_from(self.bytes.len());
        let ((Ok(topic_len), Ok(payload_len)), Ok(at)) = (lengths, at) else {
            return Offer::Refused;
        };
        // There is room for all that has a place.
        let _ = self.bytes.extend_from_slice(topic);
        let _ = self.bytes.extend_from_slice(event.payload);
        let entry = Entry {
            key: event.key,
            number: 0,
            arrived,
            at,
            payload: payload_len,
            topic: topic_len,
            news: 0,
            flags: if event.retained { IS_RETAINED } else { 0 },
        };
        self.insert(entry);
        Offer::Taken
    }

    fn insert(&mut self, entry: Entry) {
        if let Err(index) = self.position(&entry.key) {
            let _ = self.entries.insert(index, entry);
        }
    }

    /// Raises the horizon to that of another window.
    pub(super) fn raise(&mut self, horizon: EventKey, dropped: impl FnMut(&Entry)) {
        if horizon > self.horizon {
            self.horizon = horizon;
            self.drop_others(self.places(None).kept, dropped);
        }
    }

    /// Gives the entry with this key another one, which must be new.
    pub(super) fn rename(&mut self, old: &EventKey, new: EventKey) {
        let Ok(index) = self.position(old) else { return };
        let entry = self.entries.remove(index);
        self.insert(Entry { key: new, ..entry });
    }

    /// Drops what has no place since keys have changed.
    pub(super) fn settle(&mut self, dropped: impl FnMut(&Entry)) {
        self.drop_others(self.places(None).kept, dropped);
    }

    /// Whether there are events of this part.
    pub(super) fn has(&self, part: Part) -> bool {
        self.entries.iter().any(|entry| entry.is_of(part))
    }

    /// Adds events of this part to a message, the newest first, as many as fit. Whether there is
    /// one.
    pub(super) fn write(&mut self, writer: &mut MessageWriter<'_>, part: Part) -> bool {
        let mut any = false;
        for index in 0..self.entries.len() {
            let Some(entry) = self.entries.get(index).filter(|entry| entry.is_of(part)) else {
                continue;
            };
            let Some(record) = self.record(entry) else { continue };
            if writer.push_event(&record).is_err() {
                continue;
            }
            any = true;
            if let Some(entry) = self.entries.get_mut(index) {
                entry.pass_on(part);
            }
        }
        any
    }

    /// Whether one more event of the largest size would push the entry at `index` out.
    pub(super) fn is_endangered(&self, index: usize) -> bool {
        let places = self.places(None);
        if places.retained & 1 << index != 0 {
            return false;
        }
        let upto = self.entries.iter().enumerate().take(index.saturating_add(1));
        let ordinary = upto.filter(|(index, _)| places.retained & 1 << index == 0);
        let (count, bytes) = ordinary.fold((1_usize, LARGEST), |(count, bytes), (_, entry)| {
            (count.saturating_add(1), bytes.saturating_add(entry.size()))
        });
        count > ORDINARY || bytes > ORDINARY_BYTES
    }

    /// Drops the entries whose bit is not set in `kept`, from the oldest on.
    fn drop_others(&mut self, kept: u32, mut dropped: impl FnMut(&Entry)) {
        for index in (0..self.entries.len()).rev() {
            if kept & 1 << index == 0 {
                let entry = self.entries.remove(index);
                self.horizon = self.horizon.max(entry.key);
                self.free(&entry);
                dropped(&entry);
            }
        }
    }

    /// Closes the gap that the bytes of `entry` leave.
    fn free(&mut self, entry: &Entry) {
        let (at, size) = (usize::from(entry.at), entry.size());
        let end = at.saturating_add(size);
        if end > self.bytes.len() {
            return;
        }
        self.bytes.copy_within(end.., at);
        self.bytes.truncate(self.bytes.len().saturating_sub(size));
        let moved = u16::try_from(size).unwrap_or(0);
        for other in self.entries.iter_mut().filter(|other| other.at > entry.at) {
            other.at = other.at.saturating_sub(moved);
        }
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
