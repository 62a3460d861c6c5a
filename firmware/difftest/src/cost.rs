//! What a tick of the task scheduler costs on the LX106, in cycles of its counter. `cargo xtask cost` turns them into
//! instructions, and says what they mean.
//!
//! A *tick* is what the body asks of the engine at each wake-up as to tasks: to do what is due, to say which tasks are
//! to run until there is none, each of which ends at once, and to say when to look next.

use core::fmt::Display;

use qemu::cpu;
use spore_core::time::{Duration, Instant};
use spore_core::{Action, Completion, Node};

use crate::groups::{tasks, work, works};

/// Ticks of either kind that are looked at.
const TICKS: u32 = 1_000;

/// Rounds of the loop of known length; the difference of both is free of what surrounds the loop.
const SPINS: [u32; 2] = [1_000, 1_001_000];

unsafe extern "C" {
    /// Executes two instructions, this often (`spin.S`).
    safe fn lx106_spin(rounds: u32);
}

/// Cycles that something took, several times.
#[derive(Default)]
struct Tally {
    count: u32,
    total: u32,
    most: u32,
}

impl Tally {
    fn measure(&mut self, what: impl FnOnce()) {
        let took = cycles(what);
        self.count += 1;
        self.total += took;
        self.most = self.most.max(took);
    }
}

fn cycles(what: impl FnOnce()) -> u32 {
    let start = cpu::cycles();
    what();
    cpu::cycles().wrapping_sub(start)
}

/// Works are done so often, and twice as often: the difference is free of what they set up.
const WORKS: [u32; 2] = [32, 64];

/// Reports `SPIN rounds cycles` twice; then `WORK name count cycles` twice for each work; then, of ticks at which nothing is due and of ticks at which something is,
/// `IDLE` or `BUSY`, how many there were, their cycles together, and the most of one; and `RUNS` and how many tasks
/// have run.
pub(crate) fn run(_: &str, report: &mut dyn FnMut(&dyn Display)) {
    for rounds in SPINS {
        report(&format_args!("SPIN {rounds} {}", cycles(|| lx106_spin(rounds))));
    }
    for name in works() {
        for count in WORKS {
            let took = cycles(|| assert!(work(name, count), "there is no such work"));
            report(&format_args!("WORK {name} {count} {took}"));
        }
    }
    let mut node = tasks::node();
    let (mut idle, mut busy, mut runs) = (Tally::default(), Tally::default(), 0);
    let mut now = Instant::ZERO;
    while busy.count < TICKS {
        let Some(due) = node.poll_timeout() else { unreachable!("tasks are periodic") };
        // No two due times are closer than 10 ms.
        let before = now + Duration::from_millis(1);
        assert!(before < due, "something is due already");
        idle.measure(|| assert_eq!(tick(&mut node, before), 0, "ran before it was due"));
        now = due;
        busy.measure(|| runs += tick(&mut node, now));
    }
    for (name, tally) in [("IDLE", &idle), ("BUSY", &busy)] {
        report(&format_args!("{name} {} {} {}", tally.count, tally.total, tally.most));
    }
    report(&format_args!("RUNS {runs}"));
}

/// One tick. Returns how many tasks have run.
fn tick(node: &mut Node<'_>, now: Instant) -> u32 {
    let mut runs = 0;
    node.handle_timeout(now);
    while let Some(action) = node.poll_action(now) {
        let completion = match action {
            Action::RunTask(index) => Completion::Ran(index),
            Action::Store(key) => Completion::Store(key, Ok(())),
            _ => continue,
        };
        runs += u32::from(matches!(action, Action::RunTask(_)));
        node.handle_completion(now, completion);
    }
    node.poll_timeout();
    runs
}
