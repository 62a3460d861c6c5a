//! What cannot be is refused, and what was set is found again.

use super::roster::is_filter;
use super::settings::Values;
use super::{
    EVENT_EVERY_MS, EVENTS_AT_ONCE, InvalidRoster, Manifest, Roster, SETTINGS_MAX, Setting,
};
use super::{SprocketStorage, Sprockets, Value};
use crate::api::{Method, Methods, Policy};
use crate::events::Filter;
use crate::services::{IDENTIFY, Service};
use crate::tasks::{TaskKind, TaskSpec};
use crate::time::{Duration, Instant};
use std::boxed::Box;
use std::format;
use std::string::String;
use std::vec::Vec;

fn leaked<T>(items: Vec<T>) -> &'static [T] {
    items.leak()
}

fn named(prefix: &str, n: usize) -> &'static str {
    Box::leak(format!("{prefix}{n}").into_boxed_str())
}

fn service(name: &'static str) -> Service {
    Service::new(name, Policy::Open, Methods::NONE.with(Method::Get), "").unwrap()
}

fn task(name: &'static str) -> TaskSpec {
    let kind = TaskKind::Periodic { interval: Duration::from_secs(1) };
    TaskSpec::new(name, "", kind).unwrap()
}

fn roster(manifests: &[Manifest]) -> Result<Roster, InvalidRoster> {
    let manifests = manifests.iter().map(|manifest| &*Box::leak(Box::new(*manifest))).collect();
    Roster::new(&[IDENTIFY], &[task("own")], leaked(manifests))
}

#[test]
fn services_and_tasks_stand_in_order_and_belong_to_their_sprockets() {
    const LIGHT: Manifest = Manifest::new("light");
    let door = Manifest::new("door")
        .offers(leaked([service("door"), service("bell")].to_vec()))
        .runs(leaked([task("look")].to_vec()));
    let all = Box::leak(Box::new(roster(&[LIGHT, door]).unwrap()));
    let services = all.catalogue();
    let names: Vec<_> = services.services().iter().map(Service::name).collect();
    assert_eq!(names, ["identify", "door", "bell"]);
    assert_eq!([0, 1, 2, 3].map(|index| all.whose_service(index)), [None, Some(1), Some(1), None]);
    let tasks: Vec<_> = all.tasks().specs().iter().map(TaskSpec::name).collect();
    assert_eq!(tasks, ["own", "look"]);
    assert_eq!([0, 1, 2].map(|index| all.whose_task(index)), [None, Some(1), None]);
    // What every body has by itself.
    assert_eq!(Roster::NONE.sprockets().len(), 0);
}

#[test]
fn what_one_node_cannot_have_is_refused() {
    let wrong = |manifests: &[Manifest]| roster(manifests).unwrap_err();
    let new = |n| Manifest::new(named("s", n));
    let many: Vec<_> = (0..9).map(new).collect();
    assert!(roster(&many[..8]).is_ok());
    assert_eq!(wrong(&many), InvalidRoster::TooManySprockets);
    assert_eq!(wrong(&[new(0), new(1), new(0)]), InvalidRoster::Name("s0"));
    assert_eq!(wrong(&[Manifest::new("A")]), InvalidRoster::Name("A"));

    let services = |count| leaked((0..count).map(|n| service(named("v", n))).collect());
    assert!(roster(&[new(0).offers(services(7))]).is_ok());
    assert_eq!(wrong(&[new(0).offers(services(8))]), InvalidRoster::TooManyServices);
    let clustered = leaked([task("c").clustered().unwrap()].to_vec());
    let full = new(0).offers(services(7)).runs(clustered);
    assert_eq!(wrong(&[full]), InvalidRoster::TooManyServices, "they share the places");
    let same = new(0).offers(leaked([service("identify")].to_vec()));
    assert_eq!(wrong(&[same]), InvalidRoster::Service("identify"));

    let tasks = |count| leaked((0..count).map(|n| task(named("t", n))).collect());
    assert!(roster(&[new(0).runs(tasks(11))]).is_ok());
    assert_eq!(wrong(&[new(0).runs(tasks(12))]), InvalidRoster::TooManyTasks);
    let same = new(0).runs(leaked([task("probe")].to_vec()));
    assert_eq!(wrong(&[same]), InvalidRoster::Task("probe"));

    let filters = |count| leaked((0..count).map(|n| named("a/", n)).collect());
    assert!(roster(&[new(0).hears(filters(8)), new(1).hears(filters(8))]).is_ok());
    assert_eq!(
        wrong(&[new(0).hears(filters(8)), new(1).hears(filters(9))]),
        InvalidRoster::TooManySubscriptions
    );
    assert_eq!(wrong(&[new(0).hears(&["a/#", "a/"])]), InvalidRoster::Filter("a/"));

    let settings = |count| {
        leaked((0..count).map(|n| Setting::flag(named("f", n), false, "")).collect::<Vec<_>>())
    };
    assert!(roster(&[new(0).has(settings(8))]).is_ok());
    assert_eq!(wrong(&[new(0).has(settings(9))]), InvalidRoster::TooManySettings("s0"));
    for setting in [
        Setting::flag("F", false, ""),
        Setting::flag("abcdefghijklmnopqrstuvw", false, ""),
        Setting::flag("f", false, "\""),
        Setting::number("f", 3, 4..=5, ""),
        Setting::text("f", "\n", ""),
    ] {
        let name = setting.name();
        assert_eq!(wrong(&[new(0).has(leaked([setting].to_vec()))]), InvalidRoster::Setting(name));
    }
    for error in [InvalidRoster::TooManyTasks, InvalidRoster::Filter("a/")] {
        assert!(format!("{error}").starts_with(error.message()));
    }
}

#[test]
fn subscriptions_are_checked_as_filters_are() {
    let levels = ["", "a", "+", "#", "a+", "+a", "#a", "$", " ", "\"", "a\\", "ä", "\u{7f}", "ab"];
    let mut texts: Vec<String> = levels.iter().map(|&level| level.into()).collect();
    for first in levels {
        for second in levels {
            texts.push(format!("{first}/{second}"));
            texts.push(format!("a/{first}/{second}"));
        }
    }
    texts.extend([48, 49].map(|len| "a".repeat(len)));
    for text in texts {
        assert_eq!(is_filter(text.as_bytes()), Filter::new(&text).is_ok(), "{text:?}");
    }
}

const SETTINGS: &[Setting] = &[
    Setting::flag("flag", false, ""),
    Setting::number("number", 30, -100..=100, ""),
    Setting::text("text", "none", ""),
];
const DOOR: Manifest = Manifest::new("door").has(SETTINGS);
const OTHER: Manifest = Manifest::new("other").has(SETTINGS);

fn values(values: &Values, manifest: &Manifest) -> (bool, i32, String) {
    let [flag, number, text] = [0, 1, 2].map(|n| values.get(manifest, &SETTINGS[n]));
    match (flag, number, text) {
        (Value::Bool(flag), Value::Number(number), Value::Text(text)) => {
            (flag, number, text.into())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_set_is_read_back_and_nothing_else_is_taken_for_it() {
    let both: &[&Manifest] = &[&DOOR, &OTHER];
    let mut set = Values::EMPTY;
    for (index, value) in [(0, true.into()), (1, (-7).into()), (2, "x".into()), (1, 8.into())] {
        set.set(&DOOR, &SETTINGS[index], &value, both).unwrap();
    }
    assert_eq!(values(&set, &DOOR), (true, 8, "x".into()));
    assert_eq!(values(&set, &OTHER), (false, 30, "none".into()));
    let mut buf = [0; 256];
    let len = set.encode(&mut buf);
    let mut read = Values::EMPTY;
    read.decode(&buf[..len]);
    assert_eq!(read, set);
    assert_eq!(set.encode(&mut [0; 256][..len - 1]), 0);
    for cut in 0..len {
        read.decode(&buf[..cut]);
        let (flag, number, _) = values(&read, &DOOR);
        // Between two values it is whole; storage must not do that.
        assert!(!flag || number == 30 || number == 8, "{cut}");
    }
    // A later format, and a value that the setting does not take any more.
    buf[0] = 2;
    read.decode(&buf[..len]);
    assert_eq!(read, Values::EMPTY);
    let narrow = Setting::number("number", 1, 0..=2, "");
    assert_eq!(set.get(&DOOR, &narrow), Value::Number(1));
    // What is as it was needs no room.
    for (index, value) in [(0, false.into()), (1, 30.into()), (2, "none".into())] {
        set.set(&DOOR, &SETTINGS[index], &value, both).unwrap();
    }
    assert_eq!(set, Values::EMPTY);
}

#[test]
fn values_of_sprockets_that_are_gone_stay_as_long_as_there_is_room() {
    let longest = "x".repeat(Setting::TEXT_MAX);
    let mut set = Values::EMPTY;
    set.set(&OTHER, &SETTINGS[2], &(&*longest).into(), &[&OTHER]).unwrap();
    set.set(&DOOR, &SETTINGS[1], &1.into(), &[&DOOR]).unwrap();
    assert_eq!(values(&set, &OTHER).2, longest);
    let (mut count, mut names) = (0, Vec::new());
    for n in 0..9 {
        let settings = leaked([Setting::text("long", "", "")].to_vec());
        let manifest: &'static Manifest =
            Box::leak(Box::new(Manifest::new(named("s", n)).has(settings)));
        names.push(manifest);
        let present: Vec<_> = names.iter().copied().chain([&DOOR]).collect();
        match set.set(manifest, &settings[0], &(&*longest).into(), &present) {
            Ok(()) => count += 1,
            Err(_) => break,
        }
    }
    assert_eq!(count, SETTINGS_MAX / (5 + Setting::TEXT_MAX));
    assert_eq!(values(&set, &OTHER).2, "none", "it has made room");
    assert_eq!(values(&set, &DOOR).1, 1, "it has not");
}

#[test]
fn a_sprocket_may_publish_eight_events_at_once_and_two_in_a_second() {
    let storage = Box::leak(Box::new(SprocketStorage::NEW));
    let manifests: &'static [&'static Manifest] = leaked([&DOOR].to_vec());
    let mut sprockets = Sprockets::new(manifests, &[], storage);
    // Also where the milliseconds wrap.
    let start = Instant::from_micros((u64::from(u32::MAX) - 2_000) * 1_000);
    let mut taken = 0;
    for n in 0..100_000 {
        let now = start + Duration::from_micros(n * 100);
        taken += u32::from(sprockets.may_publish(now, 0));
    }
    let in_ten_seconds = 10_000 / EVENT_EVERY_MS;
    let at_most = u32::from(EVENTS_AT_ONCE) + in_ten_seconds;
    assert!((at_most - 1..=at_most).contains(&taken), "{taken}");
    assert!(!sprockets.may_publish(start, 8), "there is no such sprocket");
    let later = start + Duration::from_secs(3_600);
    let burst = (0..20).filter(|_| sprockets.may_publish(later, 0)).count();
    assert_eq!(burst, usize::from(EVENTS_AT_ONCE));
}

/// On a board, whose pointers have half as many bytes, it is less: 556.
#[test]
fn sprockets_take_little_memory() {
    assert!(size_of::<SprocketStorage>() <= 664, "{}", size_of::<SprocketStorage>());
}
