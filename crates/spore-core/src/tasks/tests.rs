//! Manifests, and who owns what.

use super::owner::{first, weight};
use super::{
    InvalidTask, InvalidTasks, RunId, TaskKind, TaskSpec, TaskState, Tasks, USER_TASKS_MAX,
};
use crate::services::ServiceId;
use crate::time::Duration;
use crate::wire::{NodeId, U24};
use std::boxed::Box;
use std::format;
use std::string::ToString as _;
use std::vec::Vec;

fn every(millis: u64) -> TaskKind {
    TaskKind::Periodic { interval: Duration::from_millis(millis) }
}

#[test]
fn a_task_has_a_plain_name_a_short_summary_and_an_interval_within_bounds() {
    let spec = TaskSpec::new("blink", "Blinks", every(500)).unwrap();
    assert_eq!((spec.name(), spec.interval_ms(), spec.is_once()), ("blink", 500, false));
    assert!(spec.is_enabled() && !spec.is_clustered() && !spec.disabled().is_enabled());
    assert!(spec.clustered().unwrap().is_clustered());
    let once = TaskKind::OneShot { after: Duration::from_secs(1) };
    let once = TaskSpec::new("blink", "", once).unwrap();
    assert!(once.is_once());
    assert_eq!(once.clustered(), Err(InvalidTask::ClusteredOnce));

    for millis in [10, 7 * 24 * 3_600_000] {
        assert!(TaskSpec::new("a", "", every(millis)).is_ok(), "{millis}");
    }
    for millis in [0, 9, 7 * 24 * 3_600_000 + 1, 1 << 32] {
        assert_eq!(TaskSpec::new("a", "", every(millis)), Err(InvalidTask::Interval), "{millis}");
    }
    let uneven = TaskKind::Periodic { interval: Duration::from_micros(10_500) };
    assert_eq!(TaskSpec::new("a", "", uneven), Err(InvalidTask::Interval));
    for name in ["", "A", "1a", "a_b", "abcdefghijklmnopqrstuvwxy"] {
        assert_eq!(TaskSpec::new(name, "", every(500)), Err(InvalidTask::Name), "{name}");
    }
    assert_eq!(TaskSpec::new("a", "\"", every(500)), Err(InvalidTask::Summary));
}

#[test]
fn a_program_has_at_most_twelve_tasks_with_names_of_their_own() {
    let specs = |names: &[&str]| -> &'static [TaskSpec] {
        let spec = |name: &&str| {
            TaskSpec::new(Box::leak(name.to_string().into_boxed_str()), "", every(500)).unwrap()
        };
        names.iter().map(spec).collect::<Vec<_>>().leak()
    };
    let names: Vec<_> = (0..=USER_TASKS_MAX).map(|n| format!("t{n}")).collect();
    let names: Vec<_> = names.iter().map(|name| &**name).collect();
    assert_eq!(USER_TASKS_MAX, 12);
    assert!(Tasks::new(specs(&names[..USER_TASKS_MAX])).is_ok());
    assert_eq!(Tasks::new(specs(&names)), Err(InvalidTasks::TooMany));
    // The last two have one id.
    for (names, one) in
        [(["a", "a"], "a"), (["b", "probe"], "probe"), (["costarring", "liquid"], "costarring")]
    {
        assert_eq!(Tasks::new(specs(&names)), Err(InvalidTasks::SameName(one)));
    }
}

#[test]
fn clustered_tasks_share_eight_places_with_the_services() {
    let spec = |name| TaskSpec::new(name, "", every(500)).unwrap();
    let specs: &'static [TaskSpec] =
        [spec("a").clustered().unwrap(), spec("b").clustered().unwrap(), spec("c")].to_vec().leak();
    let tasks = Tasks::new(specs).unwrap();
    assert!(tasks.fit_beside(6) && !tasks.fit_beside(7));
}

/// The vector of `docs/protocol.md`, so that others can compute who owns what.
#[test]
fn the_weight_of_a_node_is_as_it_is_written_down() {
    let (task, node) = (ServiceId::of_task("alarm"), NodeId([1, 0x23, 0x45, 0x67, 0x89, 0xAB]));
    let line = format!("| `alarm` | `{task}` | `{node}` | `{:08x}` |", weight(task, node));
    let document = include_str!("../../../../docs/protocol.md");
    assert!(document.contains(&line), "{line}");
}

#[test]
fn tasks_spread_over_their_carriers_and_only_those_of_the_gone_move() {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut id = || {
        let [_, _, id @ ..] = rng.u64(..).to_be_bytes();
        NodeId(id)
    };
    let nodes: Vec<NodeId> = (0..8).map(|_| id()).collect();
    let tasks: Vec<_> = (0..4_000).map(|n| ServiceId::of_task(&format!("t{n}"))).collect();
    let owner = |task, nodes: &[NodeId]| first(task, nodes.iter().copied()).unwrap();
    for (gone, node) in nodes.iter().enumerate() {
        let owned = tasks.iter().filter(|task| owner(**task, &nodes) == *node).count();
        assert!((400..600).contains(&owned), "{node} owns {owned} of 4000");
        let mut rest = nodes.clone();
        rest.remove(gone);
        for task in &tasks {
            let before = owner(*task, &nodes);
            assert!(before == *node || owner(*task, &rest) == before);
        }
    }
    assert_eq!(first(tasks[0], core::iter::empty()), None);
}

#[test]
fn the_id_of_a_run_is_a_short_text() {
    let id = RunId { node: NodeId([255; 6]), epoch: U24::MAX, number: u32::MAX };
    assert_eq!(id.to_string(), "ffffffffffff-16777215-4294967295");
    assert_eq!(id.to_string().len(), 32);
}

#[test]
fn a_task_takes_at_most_48_bytes() {
    assert!(size_of::<TaskState>() <= 48, "{}", size_of::<TaskState>());
}
