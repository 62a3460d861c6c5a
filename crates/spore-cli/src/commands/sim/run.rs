//! Runs trials, one after the other or side by side, and shows how far they are.

use super::arguments::Choice;
use super::trace;
use crate::commands::ota::progress::target as progress_target;
use crate::misuse::Misuse;
use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::time::{ClockId, clock_gettime};
use spore_sim::trial::{Outcome, Plan, Trial};
use std::cell::RefCell;
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// A run that is over.
pub(super) struct Finished {
    pub(super) seed: u64,
    /// What came of it; or why it did not end: the engine panicked, or something was not that must always be.
    pub(super) outcome: Result<Outcome, String>,
    /// How long a processor was at work for it, whatever else it had to do.
    pub(super) worked: Duration,
}

/// How long a processor was at work for this thread so far.
fn worked() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

thread_local! {
    /// The last words of a run.
    static LAST_WORDS: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `trial`; a panic becomes an error.
fn caught(trial: Trial<'_>) -> Result<Outcome, String> {
    panic::catch_unwind(AssertUnwindSafe(|| trial.run()))
        .map_err(|_| LAST_WORDS.with_borrow(Clone::clone))
}

/// From now on panics are kept for whoever catches them.
fn keep_last_words() {
    panic::set_hook(Box::new(|info| {
        let words = info.payload_as_str().unwrap_or("it panicked");
        let place = info.location().map(|at| format!(" ({at})")).unwrap_or_default();
        LAST_WORDS.set(format!("{words}{place}"));
    }));
}

/// One run, of which all is shown. With `tells`, what happens is told on stdout, datagrams excepted.
pub(super) fn one(
    plan: &Plan,
    seed: u64,
    trace: Option<&trace::File>,
    tells: bool,
) -> Result<Finished> {
    keep_last_words();
    let target = if tells { ProgressDrawTarget::hidden() } else { progress_target() };
    let bar = ProgressBar::with_draw_target(None, target);
    if let Ok(style) = ProgressStyle::with_template("{msg} {elapsed:>4}") {
        bar.set_style(style);
    }
    let shown = bar.clone();
    let mut trial =
        Trial::new(plan, seed).map_err(Misuse::error)?.with_watcher(move |phase, it| {
            shown.set_message(format!(
                "{:<8} {:>8.1} s  {} of {} nodes run and know {:.1} % of each other",
                phase.name(),
                it.at.as_secs_f64(),
                it.running,
                plan.nodes,
                it.known * 100.0
            ));
            shown.tick();
        });
    if let Some(sink) = trace::sink(trace, tells, &trial.world) {
        trial.world.set_sink(sink);
    }
    let start = worked();
    let outcome = caught(trial);
    bar.finish_and_clear();
    let _ = panic::take_hook();
    Ok(Finished { seed, outcome, worked: worked().saturating_sub(start) })
}

/// All seeds of a scenario, `jobs` of them at the same time. They come in the order of the seeds.
pub(super) fn many(
    choice: &Choice,
    seeds: Range<u64>,
    jobs: usize,
    mut take: impl FnMut(Finished),
) -> Result<()> {
    keep_last_words();
    let bar = ProgressBar::with_draw_target(Some(seeds.end - seeds.start), progress_target());
    if let Ok(style) =
        ProgressStyle::with_template("{msg:<20} {bar:30} {pos} of {len} runs {eta:>4}")
    {
        bar.set_style(style);
    }
    bar.set_message(choice.label.clone());
    let next = AtomicU64::new(seeds.start);
    let (sender, receiver) = mpsc::channel();
    let mut waiting = Vec::new();
    let mut due = seeds.start;
    thread::scope(|scope| {
        for _ in 0..jobs {
            let (sender, next, end) = (sender.clone(), &next, seeds.end);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let plan = choice.plan(seed);
                    let start = worked();
                    let outcome = match Trial::new(&plan, seed) {
                        Ok(trial) => caught(trial),
                        Err(error) => Err(error.to_string()),
                    };
                    if sender
                        .send(Finished { seed, outcome, worked: worked().saturating_sub(start) })
                        .is_err()
                    {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for finished in receiver {
            bar.inc(1);
            waiting.push(finished);
            while let Some(index) = waiting.iter().position(|it| it.seed == due) {
                take(waiting.swap_remove(index));
                due += 1;
            }
        }
    });
    bar.finish_and_clear();
    let _ = panic::take_hook();
    Ok(())
}
