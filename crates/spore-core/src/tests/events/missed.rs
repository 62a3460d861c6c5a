//! Events that do not come: what is after them waits, and then it is said which they were.

use super::super::world::{World, node};
use super::{delivered, payloads, publish};
use crate::Event;
use crate::events::Topic;
use crate::security::Identity;
use crate::wire::{EventKey, EventRecord, Incarnation, NodeId, U24};
use std::vec::Vec;

#[test]
fn a_gap_is_given_up_after_a_while_and_said() {
    let mut world = World::new(3);
    world.run(3_000);
    publish(&mut world, 1, "count", &[1]).unwrap();
    world.run(1_000);
    // Nobody hears of the second one before its publisher dies, but for its number.
    let publisher = world.node(1).own().clone();
    let epoch = publisher.incarnation.epoch;
    let record = crate::wire::Record { published: U24::new(2).unwrap(), ..publisher.clone() };
    world.kill(1);
    let now = world.now;
    world.node(2).cluster.learn(now, &record);
    world.run(30_000);
    let second = U24::new(2).unwrap();
    let missed = Event::EventsMissed { publisher: publisher.id, epoch, from: second, to: second };
    for n in 2..=3 {
        let events: Vec<_> = std::iter::from_fn(|| world.node(n).poll_event()).collect();
        assert_eq!(events.iter().filter(|event| **event == missed).count(), 1, "on {n}");
    }
}

#[test]
fn however_many_gaps_are_before_an_event_it_waits_ten_seconds_from_when_it_came() {
    let mut world = World::new(2);
    world.run(3_000);
    let own = world.node(1).own().clone();
    world.kill(1);
    let tell = |world: &mut World, seq: u8| {
        let now = world.now;
        let (publisher, epoch) = (own.id, own.incarnation.epoch);
        let seq24 = U24::new(seq.into()).unwrap();
        let key = EventKey { clock: 100 + u32::from(seq), publisher, epoch, seq: seq24 };
        let topic = Topic::new("count").unwrap();
        let record = EventRecord { key, retained: false, topic, payload: &[seq] };
        assert!(world.node(2).cluster.events.take_in(now, &record, 0));
    };
    // The first, third, fifth and seventh are lost.
    [2, 6, 8].iter().for_each(|seq| tell(&mut world, *seq));
    world.run(9_000);
    // Whoever comes late is not passed over for those that have waited.
    tell(&mut world, 4);
    assert!(payloads(&mut world, 2, "count").is_empty());
    world.run(2_500);
    assert_eq!(payloads(&mut world, 2, "count"), [2, 4, 6, 8]);
    let missed =
        std::iter::from_fn(|| world.node(2).poll_event()).filter_map(|event| match event {
            Event::EventsMissed { from, to, .. } => Some((from.get(), to.get())),
            _ => None,
        });
    assert_eq!(missed.collect::<Vec<_>>(), [(1, 1), (3, 3), (5, 5), (7, 7)]);
}

#[test]
fn after_a_reboot_of_its_publisher_the_count_begins_anew_and_no_gap_is_seen() {
    let mut world = World::new(3);
    world.run(3_000);
    for n in 0..3 {
        publish(&mut world, 1, "count", &[n]).unwrap();
        world.run(1_000);
    }
    let own = world.node(1).own().clone();
    world.kill(1);
    let stored = Identity { id: own.id, epoch: own.incarnation.epoch };
    let now = world.now;
    world.nodes.push((1, node(now, 1, Some(stored))));
    world.run(1_000);
    for n in 3..5 {
        publish(&mut world, 1, "count", &[n]).unwrap();
    }
    world.run(13_000);
    for n in 1..=3 {
        assert_eq!(payloads(&mut world, n, "count"), [0, 1, 2, 3, 4], "on {n}");
        assert!(delivered(&mut world, n, "events/#").is_empty(), "on {n}");
    }
}

/// What `n` reports as missed of a publisher when an event of its boot `epoch` comes, `seq` in it.
fn missed_after(world: &mut World, n: u8, (id, epoch, seq): (NodeId, U24, u32)) -> Vec<[u32; 2]> {
    let now = world.now;
    let cluster = &mut world.node(n).cluster;
    let seq = U24::new(seq).unwrap();
    let key = EventKey { clock: cluster.events.clock() + 1, publisher: id, epoch, seq };
    let topic = Topic::new("late").unwrap();
    let record = EventRecord { key, retained: false, topic, payload: b"" };
    assert!(cluster.events.take_in(now, &record, 0), "it is not too old for the window");
    world.node(n).handle_timeout(now);
    let events = std::iter::from_fn(|| world.node(n).poll_event());
    let missed = events.filter_map(|event| match event {
        Event::EventsMissed { publisher, epoch: of, from, to } => {
            assert_eq!((publisher, of), (id, epoch));
            Some([from, to].map(U24::get))
        }
        _ => None,
    });
    missed.collect()
}

#[test]
fn a_late_event_of_a_boot_that_is_over_tells_the_whole_gap_before_it_once() {
    let mut world = World::new(2);
    world.run(3_000);
    publish(&mut world, 1, "count", &[1]).unwrap();
    world.run(1_000);
    let own = world.node(1).own().clone();
    let (id, epoch) = (own.id, own.incarnation.epoch);
    world.kill(1);
    // Somebody knows of its next boot but one, and of an event in it.
    let next = epoch.next().unwrap();
    let incarnation = Incarnation::first(next.next().unwrap());
    let record = crate::wire::Record { incarnation, published: U24::new(1).unwrap(), ..own };
    let now = world.now;
    world.node(2).cluster.learn(now, &record);
    while world.node(2).poll_event().is_some() {}
    for (epoch, seq, missed) in [
        (epoch, 4, std::vec![[2, 4]]),
        (epoch, 3, std::vec![]),
        (epoch, 5, std::vec![[5, 5]]),
        // Of this boot nothing was ever heard.
        (next, 3, std::vec![[1, 3]]),
        (next, 5, std::vec![[4, 5]]),
    ] {
        assert_eq!(missed_after(&mut world, 2, (id, epoch, seq)), missed, "{seq} in {epoch}");
    }
    assert!(delivered(&mut world, 2, "late").is_empty());
}

#[test]
fn an_event_of_which_only_the_key_is_told_before_all_have_dropped_it_is_reported() {
    let mut world = World::new(2);
    world.run(3_000);
    publish(&mut world, 1, "count", &[1]).unwrap();
    world.run(1_000);
    let own = world.node(1).own().clone();
    let epoch = own.incarnation.epoch;
    world.kill(1);
    let mut missed = |horizon: EventKey, keys: &[EventKey]| {
        let now = world.now;
        world.node(2).cluster.events.match_keys(now, horizon, keys);
        world.run(12_000);
        let events: Vec<_> = std::iter::from_fn(|| world.node(2).poll_event()).collect();
        let missed = events.into_iter().filter_map(|event| match event {
            Event::EventsMissed { epoch, from, to, .. } => Some([epoch, from, to].map(U24::get)),
            _ => None,
        });
        missed.collect::<Vec<_>>()
    };
    let key = |boots: u32, clock, seq| EventKey {
        clock,
        publisher: own.id,
        epoch: U24::new(epoch.get() + boots).unwrap(),
        seq: U24::new(seq).unwrap(),
    };
    let (this, none) = (epoch.get(), EventKey::LEAST);
    assert_eq!(missed(none, &[key(0, 100, 3)]), [[this, 2, 3]], "another one has it");
    assert_eq!(missed(key(0, 101, 4), &[]), [[this, 4, 4]], "another one had it");
    assert_eq!(missed(none, &[key(0, 100, 3)]), [[0; 3]; 0], "it was said");
    assert_eq!(missed(none, &[key(1, 102, 2)]), [[0; 3]; 0], "it may yet come, and be delivered");
    let next = this + 1;
    assert_eq!(
        missed(key(1, 102, 2), &[]),
        [[next, 1, 2]],
        "it will not, though that boot is to come"
    );
    assert_eq!(missed(key(1, 102, 2), &[]), [[0; 3]; 0], "it was said");
    assert_eq!(missed(key(1, 103, 3), &[]), [[next, 3, 3]], "one more");
}

#[test]
fn a_retained_event_older_than_one_that_others_have_dropped_is_waited_for() {
    let mut world = World::new(2);
    world.run(3_000);
    publish(&mut world, 1, "count", &[1]).unwrap();
    world.run(1_000);
    let own = world.node(1).own().clone();
    world.kill(1);
    while world.node(2).poll_event().is_some() {}
    let now = world.now;
    let epoch = own.incarnation.epoch.next().unwrap();
    let key =
        |clock, seq| EventKey { clock, publisher: own.id, epoch, seq: U24::new(seq).unwrap() };
    let topic = Topic::new("lamp").unwrap();
    let record = EventRecord { key: key(100, 1), retained: true, topic, payload: &[7] };
    let events = &mut world.node(2).cluster.events;
    events.match_keys(now, key(101, 2), &[record.key]);
    world.run(300);
    let now = world.now;
    assert!(world.node(2).cluster.events.take_in(now, &record, 0));
    world.run(12_000);
    assert_eq!(payloads(&mut world, 2, "lamp"), [7]);
    let events: Vec<_> = std::iter::from_fn(|| world.node(2).poll_event()).collect();
    let second = U24::new(2).unwrap();
    let missed = Event::EventsMissed { publisher: own.id, epoch, from: second, to: second };
    assert_eq!(events.iter().filter(|event| **event == missed).count(), 1, "{events:?}");
}
