//! Due times, missed ones, overruns, and what is remembered.

use super::super::{TaskKind, TaskSpec};
use super::{Begun, Scheduler, TaskChange, TaskStorage, Tasks};
use crate::api::Error;
use crate::node::Event;
use crate::settings::document::{Document, Wanted};
use crate::store::MAX_VALUE;
use crate::time::{Duration, Instant};
use std::boxed::Box;
use std::vec::Vec;

const START: Instant = Instant::from_micros(5_000_123);

fn periodic(name: &'static str, millis: u64) -> TaskSpec {
    let interval = Duration::from_millis(millis);
    TaskSpec::new(name, "", TaskKind::Periodic { interval }).unwrap()
}

fn once(name: &'static str, millis: u64) -> TaskSpec {
    let after = Duration::from_millis(millis);
    TaskSpec::new(name, "", TaskKind::OneShot { after }).unwrap()
}

fn scheduler(specs: &[TaskSpec], stored: &[u8]) -> Scheduler<'static> {
    let tasks = Tasks::new(specs.to_vec().leak()).unwrap();
    Scheduler::new(START, tasks, stored, Box::leak(Box::new(TaskStorage::NEW)))
}

fn at(millis: u64) -> Instant {
    START + Duration::from_millis(millis)
}

/// Runs until `end`, each run taking `took` milliseconds, one after the other: when which task began.
fn run(scheduler: &mut Scheduler<'_>, end: u64, took: u64) -> Vec<(u64, u8)> {
    let (mut now, mut runs) = (START, Vec::new());
    while now <= at(end) {
        // If there is more to do than time, something is always due.
        while now <= at(end)
            && let Some(index) = scheduler.poll(now, |_| true)
        {
            runs.push((now.since(START).as_millis(), index));
            now = now + Duration::from_millis(took);
            scheduler.ran(now, index);
        }
        let Some(next) = scheduler.poll_timeout() else { break };
        now = now.max(next);
    }
    runs
}

fn missed(scheduler: &Scheduler<'_>, index: u8) -> u32 {
    scheduler.user_state(index).unwrap().missed()
}

#[test]
fn periodic_tasks_run_at_their_due_times_and_one_shots_once() {
    let mut scheduler = scheduler(&[periodic("a", 100), once("b", 150), periodic("c", 250)], &[]);
    let runs = run(&mut scheduler, 501, 1);
    assert_eq!(runs[..4], [(100, 0), (150, 1), (200, 0), (250, 2)]);
    assert_eq!(runs[4..], [(300, 0), (400, 0), (500, 0), (501, 2)], "one after the other");
    let state = scheduler.user_state(0).unwrap();
    assert_eq!((state.runs(), state.missed(), state.last(), state.longest()), (5, 0, 1_000, 1_000));
    assert_eq!(state.began(), Some(at(500)));
    assert_eq!(scheduler.user_state(1).unwrap().due(), None);
}

#[test]
fn what_is_held_up_is_not_made_up_for_and_keeps_its_phase() {
    let mut scheduler = scheduler(&[periodic("a", 100)], &[]);
    assert_eq!(scheduler.poll(at(99), |_| true), None);
    assert_eq!(scheduler.poll(at(457), |_| true), Some(0), "late by three due times and a half");
    assert_eq!(missed(&scheduler, 0), 3);
    scheduler.ran(at(458), 0);
    assert_eq!(scheduler.poll(at(499), |_| true), None);
    assert_eq!(scheduler.poll_timeout(), Some(at(500)));
    assert_eq!(scheduler.poll(at(500), |_| true), Some(0));
    assert_eq!(missed(&scheduler, 0), 3);
}

#[test]
fn a_due_time_within_a_run_is_missed_and_the_overrun_is_told_of_at_most_every_ten_seconds() {
    let mut scheduler = scheduler(&[periodic("a", 100)], &[]);
    assert_eq!(scheduler.poll(at(100), |_| true), Some(0));
    assert_eq!(scheduler.poll(at(300), |_| true), None, "one run at a time");
    assert_eq!(scheduler.poll_timeout(), None, "nothing to do before its end");
    let told = Event::TaskOverrun { task: &scheduler.tasks().specs()[0], micros: 250_000 };
    assert_eq!(scheduler.ran(at(350), 0), Some(told));
    assert_eq!(missed(&scheduler, 0), 2, "those of 200 and 300 ms");
    assert_eq!(scheduler.ran(at(351), 0), None, "it is over");
    assert_eq!(scheduler.poll(at(400), |_| true), Some(0));
    assert_eq!(scheduler.ran(at(600), 0), None, "not told of again so soon");
    assert_eq!(missed(&scheduler, 0), 4);
    assert_eq!(scheduler.poll(at(10_400), |_| true), Some(0));
    assert_eq!(scheduler.ran(at(10_500), 0), None, "just as long as the interval");
    assert_eq!(scheduler.poll(at(10_600), |_| true), Some(0));
    assert!(scheduler.ran(at(10_701), 0).is_some());
    assert_eq!(scheduler.user_state(0).unwrap().longest(), 250_000);
}

/// Tasks that are always overdue do not keep the others from running.
#[test]
fn greedy_tasks_do_not_starve_the_others() {
    let specs = [periodic("a", 10), periodic("b", 10), periodic("c", 20), periodic("d", 100)];
    let mut scheduler = scheduler(&specs, &[]);
    let runs = run(&mut scheduler, 10_000, 15);
    let of_d = runs.iter().filter(|(_, index)| *index == 3).count();
    assert!((95..=100).contains(&of_d), "{of_d}");
}

#[test]
fn clustered_tasks_run_where_they_are_owned_once_the_node_had_time_to_hear_of_others() {
    let specs = [periodic("a", 1_000).clustered().unwrap(), periodic("b", 1_000)];
    let mut scheduler = scheduler(&specs, &[]);
    let own = |spec: &TaskSpec| spec.name() == "a";
    assert_eq!(scheduler.poll(at(9_000), own), Some(1), "too early for the first");
    scheduler.ran(at(9_000), 1);
    assert_eq!(scheduler.poll(at(10_000), |_| false), Some(1), "somebody else's");
    scheduler.ran(at(10_000), 1);
    assert_eq!(scheduler.poll(at(11_000), own), Some(0));
    assert_eq!(missed(&scheduler, 0), 0, "what others did is not missed here");
    scheduler.ran(at(11_000), 0);
    scheduler.settle(at(11_500));
    assert_eq!(scheduler.poll(at(12_000), own), Some(1));
}

/// Begins a change, stores it, and puts it in force.
fn change(scheduler: &mut Scheduler<'_>, now: Instant, name: &str, change: TaskChange) -> Vec<u8> {
    let index = scheduler.find(name).unwrap();
    let Begun::Pending(ticket) = scheduler.change(now, index, change).unwrap() else { panic!() };
    assert!(scheduler.poll_store(now));
    let mut value = [0; MAX_VALUE];
    let len = scheduler.encode(&mut value);
    scheduler.stored(now, true).unwrap().unwrap();
    assert_eq!(scheduler.outcome(ticket), Some(Ok(())));
    assert_eq!(scheduler.encode(&mut [0; MAX_VALUE]), len, "as it was stored");
    value[..len].to_vec()
}

fn enable(enabled: bool) -> TaskChange {
    TaskChange { enabled: Some(enabled), ..TaskChange::default() }
}

fn pace(interval_ms: Option<u32>) -> TaskChange {
    TaskChange { interval_ms: Some(interval_ms), ..TaskChange::default() }
}

const RUN: TaskChange = TaskChange { enabled: None, interval_ms: None, run: Some(true) };

#[test]
fn what_is_changed_is_found_again_and_what_is_changed_back_is_forgotten() {
    let specs = [periodic("a", 100), periodic("b", 100).disabled(), once("c", 100)];
    let mut first = scheduler(&specs, &[]);
    change(&mut first, at(0), "a", enable(false));
    change(&mut first, at(0), "b", enable(true));
    change(&mut first, at(0), "send-discovery", pace(Some(30_000)));
    let stored = change(&mut first, at(0), "c", pace(Some(5_000)));
    assert_eq!(stored.len(), 1 + 4 * 9);
    let mut second = scheduler(&specs, &stored);
    assert_eq!(run(&mut second, 250, 1), [(100, 1), (200, 1)]);
    assert_eq!(second.system(super::System::SendDiscovery).1, Some(Duration::from_secs(30)));
    assert_eq!(second.user_state(2).unwrap().interval_ms(), 5_000);
    for cut in 1..stored.len() {
        if (cut - 1) % 9 != 0 {
            let damaged = scheduler(&specs, &stored[..cut]);
            assert!(damaged.user_state(0).unwrap().is_enabled(), "{cut}");
        }
    }
    change(&mut second, at(300), "a", enable(true));
    change(&mut second, at(300), "b", enable(false));
    change(&mut second, at(300), "send-discovery", pace(None));
    assert_eq!(change(&mut second, at(300), "c", pace(None)), [1]);
}

#[test]
fn tasks_that_the_program_does_not_have_are_remembered() {
    let mut both = scheduler(&[periodic("a", 100), periodic("b", 100)], &[]);
    change(&mut both, at(0), "a", enable(false));
    let stored = change(&mut both, at(0), "b", pace(Some(700)));
    let mut one = scheduler(&[periodic("a", 100)], &stored);
    let stored = change(&mut one, at(0), "a", enable(true));
    let again = scheduler(&[periodic("a", 100), periodic("b", 100)], &stored);
    assert!(again.user_state(0).unwrap().is_enabled());
    assert_eq!(again.user_state(1).unwrap().interval_ms(), 700);
}

#[test]
fn a_full_value_fits() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let others = ["m", "n", "o", "p", "q", "r", "s", "t"];
    let all = |names: &[&'static str]| -> Vec<_> {
        names.iter().map(|name| periodic(name, 100).disabled()).collect()
    };
    let mut strangers = scheduler(&all(&others), &[]);
    let mut stored = Vec::new();
    for name in others {
        stored = change(&mut strangers, at(0), name, enable(true));
    }
    let mut full = scheduler(&all(&names), &stored);
    for name in names.into_iter().chain(["send-discovery", "status-poll"]) {
        stored = change(&mut full, at(0), name, pace(Some(5_000)));
    }
    assert_eq!(stored.len(), 1 + (12 + 8 + 2) * 9);
}

#[test]
fn enabling_and_pacing_start_anew_and_running_now_does_not() {
    let mut scheduler = scheduler(&[periodic("a", 100), once("b", 100)], &[]);
    change(&mut scheduler, at(10), "a", pace(Some(200)));
    assert_eq!(scheduler.user_state(0).unwrap().due(), Some(at(210)));
    assert_eq!(scheduler.change(at(20), 4, RUN), Ok(Begun::Done(true)));
    scheduler.ask(4);
    assert_eq!(scheduler.change(at(20), 4, RUN), Err(Error::TaskUnderWay));
    assert_eq!(scheduler.poll(at(20), |_| true), Some(0));
    assert_eq!(scheduler.change(at(20), 4, RUN), Err(Error::TaskUnderWay));
    scheduler.ran(at(21), 0);
    assert_eq!(scheduler.user_state(0).unwrap().due(), Some(at(210)));
    change(&mut scheduler, at(30), "a", enable(false));
    assert_eq!(scheduler.user_state(0).unwrap().due(), None);
    scheduler.ask(4);
    assert_eq!(scheduler.poll(at(30), |_| true), Some(0), "by hand, although it is disabled");
    scheduler.ran(at(31), 0);
    assert_eq!(scheduler.poll(at(100), |_| true), Some(1));
    scheduler.ran(at(101), 1);
    change(&mut scheduler, at(400), "b", enable(false));
    change(&mut scheduler, at(500), "b", enable(true));
    assert_eq!(scheduler.poll_timeout(), Some(at(600)), "once more");
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let mut scheduler = scheduler(&[periodic("a", 100)], &[]);
    let system = |name: &str| scheduler.find(name).unwrap();
    let (probe, listen) = (system("probe"), system("listen-discovery"));
    let (send, poll) = (system("send-discovery"), system("status-poll"));
    for index in [probe, listen] {
        for wanted in [enable(false), enable(true), pace(Some(5_000)), RUN] {
            let refused = scheduler.change(at(0), index, wanted);
            assert_eq!(refused, Err(Error::TaskProtected));
        }
        let nothing = scheduler.change(at(0), index, TaskChange::default());
        assert_eq!(nothing, Ok(Begun::Done(false)));
    }
    let out_of_bounds = Err(Error::InvalidField("interval_ms"));
    for (index, millis) in [(4, 9), (4, 604_800_001), (send, 999), (poll, 3_600_001), (4, 0)] {
        assert_eq!(scheduler.change(at(0), index, pace(Some(millis))), out_of_bounds);
    }
    assert_eq!(scheduler.find("b"), None);
    assert!(matches!(scheduler.change(at(0), 4, enable(false)), Ok(Begun::Pending(_))));
    assert_eq!(scheduler.change(at(0), send, enable(false)), Err(Error::ChangeUnderWay));
    assert!(scheduler.poll_store(at(0)));
    assert_eq!(scheduler.stored(at(0), false), Some(None));
    assert!(scheduler.user_state(0).unwrap().is_enabled());
    assert!(scheduler.poll_store(at(0)), "what is in force is stored once more");
    assert_eq!(scheduler.encode(&mut [0; MAX_VALUE]), 1);
}

#[test]
fn changes_are_read_from_json() {
    let parse =
        |text: &str| Wanted::parse(Document::Task, text.as_bytes()).map(|wanted| wanted.task);
    assert_eq!(parse("{}"), Ok(TaskChange::default()));
    let all = TaskChange { enabled: Some(true), interval_ms: Some(Some(5)), run: Some(false) };
    assert_eq!(parse(r#" {"run":false, "interval_ms" : 5,"enabled":true} "#), Ok(all));
    assert_eq!(parse(r#"{"interval_ms":null}"#), Ok(pace(None)));
    for (text, field) in [
        (r#"{"enabled":1}"#, "enabled"),
        (r#"{"enabled":null}"#, "enabled"),
        (r#"{"enabled":true,"enabled":true}"#, "enabled"),
        (r#"{"interval_ms":-1}"#, "interval_ms"),
        (r#"{"interval_ms":4294967296}"#, "interval_ms"),
        (r#"{"interval_ms":1.5}"#, "interval_ms"),
        (r#"{"run":true,"interval_ms":1E2,"enabled":true}"#, "interval_ms"),
        (r#"{"enabled":1.5}"#, "enabled"),
        (r#"{"run":"now"}"#, "run"),
    ] {
        assert_eq!(parse(text), Err(Error::InvalidField(field)), "{text}");
    }
    assert!(matches!(parse(r#"{"speed":1}"#), Err(Error::UnknownField(_))));
    // What is no JSON stays just that, numbers or not.
    let no_comma = [r#"{"interval_ms":5 "run":true}"#, r#"{"interval_ms":5,"run":true "x":1.5}"#];
    for text in ["", "[]", "{", "{}x", "true", r#"{"interval_ms":5"#].into_iter().chain(no_comma) {
        assert_eq!(parse(text), Err(Error::InvalidJson), "{text}");
    }
}
