//! Who is away is not forgotten over a restart into another image.

use super::rollout::{alive, settings, signed, state, world};
use super::world::{World, act, address, complete, config, facts};
use crate::cluster::Status;
use crate::ota::announcement::{Announcement, Ended};
use crate::ota::state::{State, UpdateState};
use crate::ota::{Running, Stage, Step};
use crate::profile::Host;
use crate::security::Identity;
use crate::store::MAX_VALUE;
use crate::time::{Duration, Instant};
use crate::wire::{NodeId, Record, Rumor, U24};
use crate::{Action, Facts, Key, Node, Seed, Storage, Stored};
use serde_json::{Value, json};
use std::boxed::Box;
use std::string::ToString as _;
use std::vec::Vec;

/// The bytes of what is remembered of the update itself.
const RECORD: usize = 16;

const ID: NodeId = NodeId([1; 6]);

fn value(node: &Node<'_>, key: Key) -> Vec<u8> {
    let mut value = [0; MAX_VALUE];
    let len = node.value(key, &mut value);
    value[..len].to_vec()
}

/// Puts the image of a rollout on trial, whose canary `node` is. The value that it stores before.
fn put_on_trial(node: &mut Node<'_>, now: Instant) -> Vec<u8> {
    let mut plan = signed(1);
    plan.plan.canaries[0] = node.own().id;
    let told = Announcement { signed: plan, ended: Ended::No, age: 0 };
    node.cluster.rollout.adopt_unverified(now, told);
    let mut stored = Vec::new();
    while let Some(action) = node.poll_action(now) {
        if action == Action::Store(Key::Update) {
            stored = value(node, Key::Update);
        }
        complete(node, now, action);
        if action == Action::Update(Step::Arm) {
            return stored;
        }
    }
    panic!("it is not put on trial");
}

/// Node 1, which starts with this identity and these values.
fn started(now: Instant, id: NodeId, stage: Stage, update: &[u8], rollout: &[u8]) -> Node<'static> {
    let storage = Box::leak(Box::new(Storage::<Host>::NEW));
    let facts = Facts { image: Some(Running { sequence: 9, stage }), ..facts() };
    let mut identity = [0; MAX_VALUE];
    let len = Identity { id, epoch: U24::new(9).unwrap() }.encode(&mut identity);
    let identity = &identity[..len];
    let stored = Stored { identity, update, rollout, settings: &settings(), ..Stored::default() };
    Node::new(now, &config(1), facts, &stored, &Seed([77; 32]), storage)
}

/// Whom node 1 counts as absent, and how: names, sorted.
fn absent(world: &mut World) -> Vec<[Value; 2]> {
    let seen = state(world, 1);
    let nodes = seen["nodes"].as_array().unwrap();
    let away = nodes.iter().filter(|node| node["state"] == "away");
    let mut away: Vec<_> =
        away.map(|node| [node["hostname"].clone(), node["status"].clone()]).collect();
    away.sort_by_key(|node| node[0].to_string());
    assert_eq!(seen["counts"]["absent"], json!(away.len()));
    away
}

#[test]
fn who_restarts_for_an_update_counts_those_who_are_away_until_they_are_back() {
    let mut world = world(5);
    let now = world.now;
    world.node(3).leave(now);
    world.run(2_000);
    world.kill(3);
    let position = world.nodes.iter().position(|(n, _)| *n == 4).unwrap();
    let silent = world.nodes.remove(position);
    world.run(20_000);
    let away = [["node-3", "left"], ["node-4", "dead"]].map(|node| node.map(|text| json!(text)));
    let now = world.now;
    let update = put_on_trial(world.node(1), now);
    let rollout = value(world.node(1), Key::Rollout);
    assert_eq!(absent(&mut world), away);
    for stage in [Stage::Fallback { tried: Some(10) }, Stage::Trial] {
        let id = world.node(1).own().id;
        world.kill(1);
        world.nodes.push((1, started(world.now, id, stage, &update, &rollout)));
        assert_eq!(absent(&mut world), away, "before it has met anybody");
        world.run(5_000);
        assert_eq!(absent(&mut world), away);
        world.run(10_000);
        assert!(world.node(1).updates.is_confirmed());
        assert_eq!(absent(&mut world), away);
        assert_eq!(value(world.node(1), Key::Update).len(), RECORD, "not for ever");
    }
    world.nodes.push(silent);
    world.run(20_000);
    assert_eq!(absent(&mut world), away[..1]);
}

#[test]
fn an_image_that_does_not_stay_leaves_what_is_remembered_to_the_one_before() {
    let mut world = world(2);
    let now = world.now;
    bury(world.node(1), now, 50);
    let mut update = put_on_trial(world.node(1), now);
    let mut node = started(now, ID, Stage::Trial, &update, &[]);
    let late = now + Duration::from_secs(600);
    act(&mut node, now);
    node.handle_timeout(late);
    assert_eq!(node.poll_action(late), Some(Action::Store(Key::Update)), "why it is given up");
    update = value(&node, Key::Update);
    let node = started(late, ID, Stage::Fallback { tried: Some(9) }, &update, &[]);
    assert_eq!(node.members().len(), 1);
}

/// Tells `node` of member number `n`, who dies then, on trial.
fn bury(node: &mut Node<'_>, now: Instant, n: u8) {
    let alive = alive(n, UpdateState::new(State::OnTrial, signed(1).plan.id.tag()));
    let dead = Record { rumor: Rumor::Dead, ..alive.clone() };
    for record in [alive, dead] {
        node.cluster.learn(now, &record);
    }
}

#[test]
fn as_many_as_there_is_room_for_are_remembered_and_names_give_way() {
    for (count, remembered, named) in [(0, 0, 0), (1, 1, 1), (9, 9, 9), (13, 13, 1), (30, 13, 1)] {
        let mut world = world(2);
        let now = world.now;
        // Those with the highest ids have been away for longest.
        for n in (50..50 + count).rev() {
            let now = now + Duration::from_millis(100 - u64::from(n));
            bury(world.node(1), now, n);
        }
        let now = now + Duration::from_millis(100);
        let update = put_on_trial(world.node(1), now);
        assert!(update.len() <= Key::Update.longest());
        let node = started(now, ID, Stage::Trial, &update, &[]);
        assert_eq!(node.members().len(), remembered, "of {count}");
        for member in node.members() {
            let NodeId([n, ..]) = member.id();
            assert_eq!(member.address(), *address(n).ip());
            assert!(usize::from(n) >= 50 + usize::from(count) - remembered, "who was away first");
            assert_eq!((member.status(), member.update().state()), (Status::Dead, State::OnTrial));
        }
        let names = node.members().iter().filter(|it| it.hostname().as_str().starts_with("node-"));
        assert_eq!(names.count(), named, "of {count}");
        let ids = node.members().iter().filter(|it| it.hostname().as_str() == it.id().to_string());
        assert_eq!(ids.count(), remembered - named);
    }
}

#[test]
fn bytes_that_are_no_list_are_no_members_who_are_there_and_no_harm() {
    let mut rng = fastrand::Rng::with_seed(7);
    let record = value(&started(Instant::ZERO, ID, Stage::Confirmed, &[], &[]), Key::Update);
    let mut listed = 0;
    for _ in 0..1_000 {
        let mut update = record.clone();
        update.extend((0..rng.usize(..200)).map(|_| rng.u8(..)));
        let now = Instant::ZERO;
        let node = started(now, ID, Stage::Trial, &update, &[]);
        listed += node.members().len();
        let mut world = World { now, nodes: [(1, node)].into(), air: Vec::new() };
        world.run(1_000);
        assert!(world.node(1).members().iter().all(|member| !member.status().is_live()));
        assert_eq!(world.node(1).traffic().accepted, 0);
    }
    assert!(listed > 50, "some pass for members: {listed}");
}

#[test]
fn a_list_that_no_trial_follows_is_gone_after_the_next_start() {
    let mut world = world(2);
    let now = world.now;
    bury(world.node(1), now, 50);
    let update = put_on_trial(world.node(1), now);
    let mut node = started(now, ID, Stage::Confirmed, &update, &[]);
    assert_eq!(node.members().len(), 1);
    act(&mut node, now);
    assert_eq!(value(&node, Key::Update).len(), RECORD);
}
