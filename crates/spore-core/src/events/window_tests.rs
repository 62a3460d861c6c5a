//! The window is a join-semilattice: held to its definition, whatever the order and the way.

use super::{Entry, ORDINARY, ORDINARY_BYTES, Offer, Part, RETAINED, Window};
use crate::events::Topic;
use crate::wire::{EventKey, EventRecord, NodeId, U24};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::format;
use std::string::String;
use std::vec::Vec;

/// An event that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owned {
    key: EventKey,
    retained: bool,
    topic: String,
    payload: Vec<u8>,
}

impl Owned {
    fn record(&self) -> EventRecord<'_> {
        let topic = Topic::new(&self.topic).unwrap();
        EventRecord { key: self.key, retained: self.retained, topic, payload: &self.payload }
    }

    fn size(&self) -> usize {
        self.topic.len() + self.payload.len()
    }
}

fn key(clock: u32, publisher: u8) -> EventKey {
    let seq = U24::new(clock).unwrap();
    EventKey { clock, publisher: NodeId([publisher; 6]), epoch: U24::ZERO, seq }
}

/// Different events, of few topics and of sizes that make each limit bite.
fn events(rng: &mut Rng, count: usize) -> Vec<Owned> {
    let mut events = BTreeMap::new();
    let large = rng.bool();
    while events.len() < count {
        let key = key(rng.u32(1..60), rng.u8(1..5));
        let len = if large && rng.bool() { rng.usize(150..=256) } else { rng.usize(..40) };
        let topic = format!("t/{}", "x".repeat(rng.usize(1..8)));
        let payload = (0..len).map(|_| rng.u8(..)).collect();
        let retained = rng.u8(..3) == 0;
        events.insert(key, Owned { key, retained, topic, payload });
    }
    events.into_values().collect()
}

/// The window of a set of events as its definition says, and its horizon.
fn defined(all: &[Owned]) -> (Vec<Owned>, EventKey) {
    let mut sorted = all.to_vec();
    sorted.sort_by_key(|event| core::cmp::Reverse(event.key));
    let mut latest = BTreeMap::new();
    for event in sorted.iter().filter(|event| event.retained) {
        latest.entry(event.topic.clone()).or_insert(event.key);
    }
    let mut retained: Vec<_> = latest.into_values().collect();
    retained.sort_unstable_by_key(|key| core::cmp::Reverse(*key));
    retained.truncate(RETAINED);
    let others: Vec<_> = sorted.iter().filter(|event| !retained.contains(&event.key)).collect();
    let fits = |count: &usize| {
        let bytes: usize = others[..*count].iter().map(|event| event.size()).sum();
        *count <= ORDINARY && bytes <= ORDINARY_BYTES
    };
    let count = (0..=others.len()).take_while(fits).last().unwrap();
    let horizon = others.get(count).map_or(EventKey::LEAST, |event| event.key);
    let ordinary: Vec<_> = others[..count].iter().map(|event| event.key).collect();
    let has_place = |event: &&Owned| retained.contains(&event.key) || ordinary.contains(&event.key);
    (sorted.iter().filter(has_place).cloned().collect(), horizon)
}

fn held(window: &Window) -> (Vec<Owned>, EventKey) {
    let owned = |entry: &Entry| {
        let (topic, payload) = window.content(entry);
        let (topic, payload) = (topic.into(), payload.to_vec());
        Owned { key: entry.key, retained: entry.is_retained(), topic, payload }
    };
    (window.entries().iter().map(owned).collect(), window.horizon())
}

fn window<'e>(events: impl IntoIterator<Item = &'e Owned>) -> Window {
    let mut window = Window::NEW;
    for event in events {
        window.offer(&event.record(), 0, |_| ());
    }
    window
}

/// Takes in all that another window has, in any order.
fn join(window: &mut Window, other: &Window, rng: &mut Rng) {
    let (mut events, horizon) = held(other);
    rng.shuffle(&mut events);
    let at = rng.usize(..=events.len());
    for (index, event) in events.iter().enumerate() {
        if index == at {
            window.raise(horizon, |_| ());
        }
        window.offer(&event.record(), 0, |_| ());
    }
    window.raise(horizon, |_| ());
}

#[test]
fn a_window_is_that_of_the_set_of_events_whatever_their_order_and_however_often_they_come() {
    for seed in 0..3_000 {
        let mut rng = Rng::with_seed(seed);
        let count = rng.usize(..45);
        let mut all = events(&mut rng, count);
        let expected = defined(&all);
        for _ in 0..4 {
            rng.shuffle(&mut all);
            let again: Vec<_> = (0..count).map(|_| all[rng.usize(..count)].clone()).collect();
            let window = window(all.iter().chain(&again));
            assert_eq!(held(&window), expected, "seed {seed}");
        }
    }
}

#[test]
fn windows_that_exchange_what_they_have_become_the_window_of_all_events() {
    let mut narrow = 0;
    for seed in 0..3_000 {
        let mut rng = Rng::with_seed(seed);
        let count = rng.usize(..45);
        let all = events(&mut rng, count);
        let expected = defined(&all);
        // Each has a part of the events, some of them in common.
        let parts = rng.usize(2..5);
        let mut windows: Vec<_> = (0..parts).map(|_| Window::NEW).collect();
        for event in &all {
            windows[rng.usize(..parts)].offer(&event.record(), 0, |_| ());
            windows[rng.usize(..parts)].offer(&event.record(), 0, |_| ());
        }
        let digest = window(&all).digest();
        // Round a ring, twice: so each has heard of each, over others.
        for turn in 0..2 * parts {
            let other = window_of(&windows[turn % parts]);
            join(&mut windows[(turn + 1) % parts], &other, &mut rng);
        }
        for window in &windows {
            assert_eq!(held(window), expected, "seed {seed}");
            assert_eq!(window.digest(), digest, "seed {seed}");
        }
        narrow += u32::from(expected.1 != EventKey::LEAST);
    }
    assert!(narrow > 500, "the limits were reached {narrow} times");
}

fn window_of(window: &Window) -> Window {
    let (events, horizon) = held(window);
    let mut copy = self::window(&events);
    copy.raise(horizon, |_| ());
    copy
}

#[test]
fn what_was_dropped_never_comes_back_in_and_a_duplicate_is_known() {
    for seed in 0..500 {
        let mut rng = Rng::with_seed(seed);
        let mut all = events(&mut rng, 40);
        rng.shuffle(&mut all);
        let (mut window, mut dropped) = (Window::NEW, Vec::new());
        for event in &all {
            let offer = window.offer(&event.record(), 0, |entry| dropped.push(entry.key));
            assert_ne!(offer, Offer::Known);
            assert_eq!(window.contains(&event.key), offer == Offer::Taken);
            if offer == Offer::Refused {
                dropped.push(event.key);
            }
            for other in &all {
                let known = window.contains(&other.key);
                if known || dropped.contains(&other.key) {
                    let before = held(&window);
                    let expected = if known { Offer::Known } else { Offer::Refused };
                    assert_eq!(window.offer(&other.record(), 0, |_| panic!()), expected);
                    assert_eq!(held(&window), before, "seed {seed}");
                }
            }
        }
        assert_eq!(dropped.len() + window.entries().len(), all.len(), "each is told once");
    }
}

#[test]
fn unequal_windows_have_unequal_digests() {
    let mut rng = Rng::with_seed(1);
    let all = events(&mut rng, 30);
    let mut digests: Vec<_> = (0..=all.len()).map(|n| window(&all[..n]).digest()).collect();
    digests.sort_unstable();
    digests.dedup();
    // Those that are dropped at once make no difference but to the horizon, which is one, too.
    assert_eq!(digests.len(), all.len() + 1);
    assert_eq!(Window::NEW.digest(), 0);
}

#[test]
fn whether_there_is_room_tells_what_an_event_would_push_out() {
    for seed in 0..1_000 {
        let mut rng = Rng::with_seed(seed);
        let all = events(&mut rng, 30);
        let mut window = window(&all);
        let guarded = rng.u32(..60);
        let mut new = events(&mut rng, 1).remove(0);
        new.key = key(100, 1);
        let room = window.has_room(new.retained, &new.topic, new.payload.len(), |entry| {
            entry.key.clock >= guarded
        });
        let mut hurt = false;
        let hurts = |entry: &Entry| hurt |= entry.key.clock >= guarded;
        assert_eq!(window.offer(&new.record(), 0, hurts), Offer::Taken, "seed {seed}");
        assert_eq!(room, !hurt, "seed {seed}");
    }
}

#[test]
fn an_event_is_endangered_if_one_of_the_largest_would_push_it_out() {
    for seed in 0..500 {
        let mut rng = Rng::with_seed(seed);
        let all = events(&mut rng, 30);
        let mut window = window(&all);
        let endangered: Vec<_> = (0..window.entries().len())
            .filter(|index| window.is_endangered(*index))
            .map(|index| window.entries()[index].key)
            .collect();
        let (topic, payload) = ("l".repeat(48), std::vec![0; 256]);
        let large = Owned { key: key(100, 1), retained: false, topic, payload };
        let mut dropped = Vec::new();
        window.offer(&large.record(), 0, |entry| dropped.push(entry.key));
        dropped.reverse();
        assert_eq!(dropped, endangered, "seed {seed}");
    }
}

#[test]
fn events_go_into_messages_the_newest_first_and_each_as_often_as_it_is_news() {
    let mut window = Window::NEW;
    for clock in 1..=3 {
        let event = Owned {
            key: key(clock, 1),
            retained: false,
            topic: "t".into(),
            payload: std::vec![0; 200],
        };
        window.offer(&event.record(), 0, |_| ());
    }
    window.entries_mut().iter_mut().for_each(|entry| entry.news = 2);
    let own = crate::wire::Record {
        id: NodeId([1; 6]),
        incarnation: crate::wire::Incarnation::default(),
        published: U24::ZERO,
        rumor: crate::wire::Rumor::Left,
    };
    let mut sent = Vec::new();
    while window.has(Part::News) {
        let mut bytes = [0; 483];
        let head = crate::wire::Head::default();
        let kind = crate::wire::Kind::Events;
        let mut writer = crate::wire::MessageWriter::new(&mut bytes, kind, head, &own).unwrap();
        assert!(window.write(&mut writer, Part::News));
        let len = writer.finish();
        let message = crate::wire::Message::parse(&bytes[..len], NodeId([1; 6])).unwrap();
        sent.push(message.events().map(|event| event.key.clock).collect::<Vec<_>>());
    }
    assert_eq!(sent, [std::vec![3, 2], std::vec![3, 2], std::vec![1], std::vec![1]]);
    assert!(window.entries().iter().all(Entry::is_told));
}

#[test]
fn the_memory_of_a_window_is_known() {
    assert_eq!(size_of::<Entry>(), 32);
    assert!(size_of::<Window>() <= 2_968, "{}", size_of::<Window>());
}
