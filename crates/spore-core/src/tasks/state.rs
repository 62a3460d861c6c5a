//! What is known of one task while the node runs.

use crate::time::{Duration, Instant};

/// The state of one task, the system's or the program's.
#[derive(Clone, Copy, Debug)]
pub struct TaskState {
    /// When it is due next, if it is [armed](Self::ARMED).
    due: Instant,
    /// When the last run began, if there was one.
    began: Instant,
    /// In milliseconds; of a system task the one that was set, 0 for that of its part.
    interval_ms: u32,
    runs: u32,
    missed: u32,
    /// In microseconds.
    last: u32,
    longest: u32,
    flags: u8,
}

const ENABLED: u8 = 1;
/// It has a due time.
const ARMED: u8 = 2;
const RUNNING: u8 = 4;
/// It has run.
const BEGUN: u8 = 8;
/// It was asked to run now.
const ASKED: u8 = 16;
/// What was to run it has failed.
const STOPPED: u8 = 32;

impl TaskState {
    /// The state of a task that has not run yet.
    pub(crate) fn new(now: Instant, enabled: bool, interval_ms: u32) -> Self {
        let mut state = Self {
            due: now,
            began: now,
            interval_ms,
            runs: 0,
            missed: 0,
            last: 0,
            longest: 0,
            flags: 0,
        };
        state.set(ENABLED, enabled);
        state
    }

    /// A new task: due in one interval, if it is enabled.
    pub(crate) fn arm(&mut self, now: Instant) {
        self.due = now + self.interval();
        self.set(ARMED, true);
    }

    const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    const fn set(&mut self, flag: u8, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }

    /// Whether it is run when it is due.
    pub(crate) const fn is_enabled(&self) -> bool {
        self.has(ENABLED)
    }

    /// It is not run any more until the node restarts, whether it is enabled or not.
    pub(crate) const fn stop(&mut self) {
        self.set(STOPPED, true);
    }

    /// Whether it was stopped.
    pub(crate) const fn is_stopped(&self) -> bool {
        self.has(STOPPED)
    }

    /// Whether a run is under way, or was asked for and has not begun.
    pub(crate) const fn is_under_way(&self) -> bool {
        self.has(RUNNING) || self.has(ASKED)
    }

    /// Whether a run is under way.
    pub(crate) const fn is_running(&self) -> bool {
        self.has(RUNNING)
    }

    pub(crate) const fn interval_ms(&self) -> u32 {
        self.interval_ms
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(u64::from(self.interval_ms))
    }

    /// How many runs have begun.
    pub(crate) const fn runs(&self) -> u32 {
        self.runs
    }

    /// How many due times were missed.
    pub(crate) const fn missed(&self) -> u32 {
        self.missed
    }

    /// The last run in microseconds; 0 before the first.
    pub(crate) const fn last(&self) -> u32 {
        self.last
    }

    /// The longest run in microseconds.
    pub(crate) const fn longest(&self) -> u32 {
        self.longest
    }

    /// When the last run began.
    pub(crate) fn began(&self) -> Option<Instant> {
        self.has(BEGUN).then_some(self.began)
    }

    /// When it is due next, whether or not it still runs.
    pub(crate) fn due(&self) -> Option<Instant> {
        (self.has(ENABLED) && self.has(ARMED) && !self.has(STOPPED)).then_some(self.due)
    }

    /// When it is to be looked at next.
    pub(crate) fn wake(&self) -> Option<Instant> {
        self.due().filter(|_| !self.has(RUNNING))
    }

    /// Sets what an operator can set. A task that is enabled, or has its interval changed, is due one
    /// interval from now.
    pub(crate) fn configure(&mut self, now: Instant, enabled: bool, interval_ms: u32) {
        let anew = enabled && !self.has(ENABLED);
        let paced = interval_ms != self.interval_ms && self.has(ARMED);
        self.set(ENABLED, enabled);
        self.interval_ms = interval_ms;
        if anew || paced {
            self.arm(now);
        }
    }

    /// Sets what an operator can set of a system task, whose due times are its part's.
    pub(crate) const fn set_system(&mut self, enabled: bool, interval_ms: u32) {
        self.set(ENABLED, enabled);
        self.interval_ms = interval_ms;
    }

    /// It is to run as soon as it can.
    pub(crate) const fn ask(&mut self) {
        self.set(ASKED, true);
    }

    /// Whether it was asked to run, and can. It is not any more then.
    pub(crate) const fn take_asked(&mut self) -> bool {
        let asked = self.has(ASKED) && !self.has(RUNNING);
        if asked {
            self.set(ASKED, false);
        }
        asked
    }

    /// Whether a due time has come, which is over then: how many others were missed before it.
    pub(crate) fn take_due(&mut self, now: Instant, once: bool) -> Option<u32> {
        if self.wake().is_none_or(|due| now < due) {
            return None;
        }
        if once {
            self.set(ARMED, false);
            return Some(0);
        }
        Some(self.pass(now))
    }

    /// Leaves all due times up to now behind: how many there were besides the first.
    fn pass(&mut self, now: Instant) -> u32 {
        let (late, interval) = (now.since(self.due), self.interval());
        // Rarely more than none, and dividing 64 bits costs a board much.
        let others = if late < interval {
            0
        } else {
            late.as_micros().checked_div(interval.as_micros()).unwrap_or(0)
        };
        self.due = self.due + interval.times(others.saturating_add(1));
        u32::try_from(others).unwrap_or(u32::MAX)
    }

    /// So many due times were missed.
    pub(crate) const fn miss(&mut self, count: u32) {
        self.missed = self.missed.saturating_add(count);
    }

    /// A run begins.
    pub(crate) const fn begin(&mut self, now: Instant) {
        self.count(now);
        self.set(RUNNING, true);
    }

    /// A run begins that is over within the verb under way.
    pub(crate) const fn count(&mut self, now: Instant) {
        self.began = now;
        self.runs = self.runs.saturating_add(1);
        self.set(BEGUN, true);
    }

    /// The run ends that is under way: how long it took, in microseconds, if there is one.
    pub(crate) fn end(&mut self, now: Instant) -> Option<u32> {
        if !self.has(RUNNING) {
            return None;
        }
        self.set(RUNNING, false);
        Some(self.took(now))
    }

    /// The last run has ended now.
    pub(crate) fn took(&mut self, now: Instant) -> u32 {
        let micros = u32::try_from(now.since(self.began).as_micros()).unwrap_or(u32::MAX);
        self.last = micros;
        self.longest = self.longest.max(micros);
        micros
    }

    /// Counts the due times that have passed during a run as missed.
    pub(crate) fn catch_up(&mut self, now: Instant) {
        if self.wake().is_some_and(|due| due <= now) {
            let others = self.pass(now);
            self.miss(others.saturating_add(1));
        }
    }

    /// Whether a run of so many microseconds was longer than the interval.
    pub(crate) fn is_overrun(&self, micros: u32) -> bool {
        Duration::from_micros(u64::from(micros)) > self.interval()
    }
}
