//! embassy's executor with time that passes only when all tasks have nothing left to do.
//!
//! The timer queue and the executor are those of the firmware; what counts the time is not.

use alloc::boxed::Box;
use core::cell::RefCell;
use core::future::Future;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::Waker;

use critical_section::Mutex;
use embassy_executor::raw::{Executor, TaskStorage};
use embassy_time::Duration;
use embassy_time_queue_utils::Queue;

use crate::Trace;

/// Rounds of the executor after which a test counts as hung.
const MAX_POLLS: u32 = 200_000;

struct State {
    now: u64,
    queue: Queue,
}

struct ManualClock(Mutex<RefCell<State>>);

impl ManualClock {
    fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        critical_section::with(|cs| f(&mut self.0.borrow_ref_mut(cs)))
    }
}

impl embassy_time_driver::Driver for ManualClock {
    fn now(&self) -> u64 {
        self.with(|state| state.now)
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        self.with(|state| state.queue.schedule_wake(at, waker));
    }
}

embassy_time_driver::time_driver_impl!(static CLOCK: ManualClock = ManualClock(Mutex::new(
    RefCell::new(State { now: 0, queue: Queue::new() })
)));

/// How often a task has been woken. Not `fetch_add`: the core has no such instruction, and one thread needs none.
static PENDS: AtomicU32 = AtomicU32::new(0);

/// embassy-executor calls this when a task is woken.
#[unsafe(export_name = "__pender")]
fn pend(_context: *mut ()) {
    PENDS.store(PENDS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// Sets the time back to zero; who still waits for a time is forgotten.
pub(crate) fn restart_clock() {
    CLOCK.with(|state| {
        state.queue.next_expiration(u64::MAX);
        state.now = 0;
    });
    PENDS.store(0, Ordering::Relaxed);
}

/// Lets time pass for a test without tasks.
pub(crate) fn pass(time: Duration) {
    CLOCK.with(|state| state.now += time.as_ticks());
}

/// The tasks of one test. They and what they own are never freed: the machine stops after the test.
pub(crate) struct Tasks(&'static Executor);

impl Tasks {
    /// No task yet, at time zero.
    pub(crate) fn new() -> Self {
        restart_clock();
        Self(Box::leak(Box::new(Executor::new(core::ptr::null_mut()))))
    }

    /// Adds a task.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let storage = Box::leak(Box::new(TaskStorage::new()));
        match storage.spawn(|| task) {
            Ok(token) => self.0.spawner().spawn(token),
            Err(_) => unreachable!("new storage is free"),
        }
    }

    /// Runs the tasks until none of them waits for a time within `limit` from the start, and traces how it went.
    pub(crate) fn run(&self, limit: Duration, trace: &mut Trace<'_>) {
        let mut polls = 0_u32;
        loop {
            let pends = PENDS.load(Ordering::Relaxed);
            // SAFETY: this is the only place that polls, and no task comes here.
            unsafe { self.0.poll() };
            polls += 1;
            assert!(polls < MAX_POLLS, "the tasks wake each other without end");
            let next = CLOCK.with(|state| state.queue.next_expiration(state.now));
            if PENDS.load(Ordering::Relaxed) != pends {
                // Somebody has something left to do.
                continue;
            }
            if next > limit.as_ticks() {
                break;
            }
            CLOCK.with(|state| {
                state.now = next;
                state.queue.next_expiration(next);
            });
        }
        trace.word(polls);
        trace.word(PENDS.load(Ordering::Relaxed));
        trace.word(embassy_time::Instant::now().as_ticks());
    }
}
