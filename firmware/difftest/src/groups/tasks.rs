//! The task scheduler with as many tasks as there can be: what it decides, and what a tick of it costs.

use alloc::boxed::Box;

use spore_core::api::{Assets, Method, Request};
use spore_core::profile::Esp01;
use spore_core::tasks::{TaskKind, TaskSpec, Tasks, USER_TASKS_MAX};
use spore_core::time::{Duration, Instant};
use spore_core::wire::Hostname;
use spore_core::{Action, Catalogue, Completion, Config, Facts, Node, Seed, Storage, Stored};

use super::engine::show;
use crate::{Inputs, Trace};

/// How many times the scheduler is looked at.
const TICKS: u32 = 300;

static SPECS: [TaskSpec; USER_TASKS_MAX] = [
    spec("a", 10),
    spec("b", 20),
    spec("c", 30),
    spec("d", 70),
    spec("e", 110),
    spec("f", 130),
    spec("g", 170),
    spec("h", 190),
    spec("i", 1_000),
    spec("j", 5_000),
    spec("k", 60_000),
    spec("l", 604_800_000),
];

const fn spec(name: &'static str, millis: u64) -> TaskSpec {
    let interval = Duration::from_millis(millis);
    match TaskSpec::new(name, "", TaskKind::Periodic { interval }) {
        Ok(spec) => spec,
        Err(_) => panic!("a task's name and interval"),
    }
}

/// A node that talks to nobody, so that its tasks are all that it has to do.
pub(crate) fn node() -> Node<'static> {
    let config = Config {
        hostname: Hostname::new("alone").unwrap(),
        address: [10, 0, 0, 1].into(),
        port: 4210,
        http_port: 80,
        key: None,
        services: Catalogue::EMPTY,
        assets: Assets::NONE,
        tasks: Tasks::new(&SPECS).unwrap(),
        sprockets: &[],
        timing: Default::default(),
        radio: None,
    };
    let facts = Facts {
        board: "sim",
        version: "0.0.0",
        chip_id: 1,
        flash_size: 0,
        reset_reason: "power-on",
        crashes: 0,
        image: None,
    };
    let storage = Box::leak(Box::new(Storage::<Esp01>::NEW));
    Node::new(Instant::ZERO, &config, facts, &Stored::default(), &Seed([7; 32]), storage)
}

/// Ticks: each a look for what is due, the runs of that, and when to look next. Some come late, some
/// runs take long.
pub(super) fn scheduler(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    let mut node = node();
    let mut now = Instant::ZERO;
    for _ in 0..TICKS {
        let late = if inputs.below(20) == 0 { inputs.below(500_000) } else { 0 };
        let due = node.poll_timeout().map_or(now, |due| due.max(now));
        now = due + Duration::from_micros(late);
        node.handle_timeout(now);
        // If runs take long, some task is always due.
        for _ in 0..USER_TASKS_MAX {
            let Some(action) = node.poll_action(now) else { break };
            trace.display(format_args!("{} {action:?}", now.as_micros()));
            match action {
                Action::Store(key) => node.handle_completion(now, Completion::Store(key, Ok(()))),
                Action::RunTask(index) => {
                    trace.display(format_args!("{:?}", node.task_run(index).map(|run| run.id)));
                    now = now + Duration::from_micros(inputs.below(20_000));
                    node.handle_completion(now, Completion::Ran(index));
                }
                _ => (),
            }
        }
    }
    let mut list = node.handle_request(now, &Request::new(Method::Get, "/api/tasks"));
    show(&node, now, &mut list, trace);
}
