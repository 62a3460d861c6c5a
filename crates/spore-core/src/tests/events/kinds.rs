//! The events of the system itself, which `docs/events.md` lists.

use super::super::tasks::BLINK;
use super::super::world::World;
use crate::Event;
use crate::events::{Filter, Topic};
use crate::network::Reason;
use crate::ota::announcement::Ended;
use crate::ota::{Failure, Outcome};
use crate::wire::{NodeId, U24};
use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

/// One event of each kind. A new kind does not compile until it is here.
fn each_kind() -> Vec<Event> {
    let id = NodeId([1; 6]);
    let (epoch, from, to) = (U24::ZERO, U24::ZERO, U24::MAX);
    let mut all = std::vec![Event::MemberJoined(id)];
    while let Some(last) = all.last() {
        all.push(match last {
            Event::MemberJoined(_) => Event::MemberSuspected(id),
            Event::MemberSuspected(_) => Event::MemberReturned(id),
            Event::MemberReturned(_) => Event::MemberDied(id),
            Event::MemberDied(_) => Event::MemberLeft(id),
            Event::MemberLeft(_) => Event::MemberForgotten(id),
            Event::MemberForgotten(_) => Event::SettingsChanged,
            Event::SettingsChanged => Event::RestartAsked,
            Event::RestartAsked => Event::SafeMode,
            Event::SafeMode => Event::RequestsRefused(7),
            Event::RequestsRefused(_) => Event::EventsMissed { publisher: id, epoch, from, to },
            Event::EventsMissed { .. } => Event::NetworkConnected,
            Event::NetworkConnected => Event::NetworkDisconnected(Reason::AddressConflict),
            Event::NetworkDisconnected(_) => Event::AccessPointOpened,
            Event::AccessPointOpened => Event::AccessPointClosed,
            Event::AccessPointClosed => Event::CredentialsKept,
            Event::CredentialsKept => Event::CredentialsReturned,
            Event::CredentialsReturned => Event::TaskOverrun { task: &BLINK, micros: 1 },
            Event::TaskOverrun { .. } => Event::UpdateStarted,
            Event::UpdateStarted => Event::UpdateProgress(25),
            Event::UpdateProgress(_) => Event::UpdateRefused,
            Event::UpdateRefused => Event::UpdateInstalled(7),
            Event::UpdateInstalled(_) => Event::UpdateEnded(Outcome { image: 7, failure: None }),
            Event::UpdateEnded(Outcome { failure: None, .. }) => {
                Event::UpdateEnded(Outcome { image: 7, failure: Some(Failure::NoPeer) })
            }
            Event::UpdateEnded(_) => Event::Rollout(7, Ended::No),
            Event::Rollout(number, Ended::No) => Event::Rollout(*number, Ended::Expired),
            Event::Rollout(number, Ended::Expired) => Event::Rollout(*number, Ended::Halted),
            Event::Rollout(..) => break,
        });
    }
    all
}

/// The table of the system's events in `docs/events.md`: topics, and the names in their payloads.
fn documented() -> BTreeMap<&'static str, Vec<&'static str>> {
    let text = include_str!("../../../../../docs/events.md");
    let (_, table) = text.split_once("## Events of the system").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let names = cells[2].trim_matches(['{', '}']).split(',').map(|name| name.trim_matches('"'));
        (cells[1], names.filter(|name| !name.is_empty()).collect())
    })
    .collect()
}

#[test]
fn every_system_event_and_its_payload_are_documented() {
    let mut world = World::new(2);
    world.run(2_000);
    let (now, member) = (world.now, world.node(2).own().id);
    let node = world.node(1);
    let mut documented = documented();
    for event in each_kind() {
        // Of a member that is listed, so that its name is known.
        let event = match event {
            Event::MemberJoined(_) => Event::MemberJoined(member),
            Event::MemberSuspected(_) => Event::MemberSuspected(member),
            Event::MemberReturned(_) => Event::MemberReturned(member),
            Event::MemberDied(_) => Event::MemberDied(member),
            Event::MemberLeft(_) => Event::MemberLeft(member),
            Event::MemberForgotten(_) => Event::MemberForgotten(member),
            event => event,
        };
        let last = node.last_event();
        node.cluster.notify(now, event);
        let delivery = node.next_event(last, Filter::ALL).unwrap();
        assert_eq!((delivery.topic, delivery.system), (event.topic(), Some(event)));
        let topic = Topic::new(delivery.topic).unwrap();
        assert!(topic.is_reserved(), "{topic:?}");
        let payload: BTreeMap<String, serde_json::Value> =
            serde_json::from_slice(&delivery.payload).unwrap();
        let mut names = documented
            .remove(delivery.topic)
            .unwrap_or_else(|| panic!("docs/events.md does not list {topic:?}"));
        names.sort_unstable();
        assert_eq!(payload.keys().collect::<Vec<_>>(), names, "{topic:?}");
    }
    assert!(documented.is_empty(), "docs/events.md lists what does not exist: {documented:?}");
}
