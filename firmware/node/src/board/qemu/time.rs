//! Time: embassy-time's driver over the core's cycle counter, and sleeping until there is work.

use core::cell::RefCell;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::Waker;

use critical_section::Mutex;
use embassy_time_queue_utils::Queue;

use super::{cpu, fpga};

/// What this driver is built for; [`check_clock`] compares.
const CLOCK_HZ: u32 = 40_000_000;
const CYCLES_PER_US: u32 = CLOCK_HZ / 1_000_000;

/// The longest sleep. It bounds the time between two readings of the cycle counter, which comes
/// round every 107 s; a round in between would go unnoticed.
const SLEEP_MAX_US: u64 = 1_000_000;

/// Shorter sleeps are not worth the way into them, and a timer set in the past would only ring
/// when the counter comes round.
const SLEEP_MIN_CYCLES: u32 = 200;

struct Clock {
    last_cycles: u32,
    /// Cycles that do not make up a whole microsecond.
    rest: u32,
    now_us: u64,
    queue: Queue,
}

impl Clock {
    fn now(&mut self) -> u64 {
        let cycles = cpu::cycles();
        let passed = cycles.wrapping_sub(self.last_cycles);
        self.last_cycles = cycles;
        self.now_us += u64::from(passed / CYCLES_PER_US);
        self.rest += passed % CYCLES_PER_US;
        if self.rest >= CYCLES_PER_US {
            self.rest -= CYCLES_PER_US;
            self.now_us += 1;
        }
        self.now_us
    }
}

struct CycleDriver(Mutex<RefCell<Clock>>);

impl CycleDriver {
    fn with<R>(&self, f: impl FnOnce(&mut Clock) -> R) -> R {
        critical_section::with(|cs| f(&mut self.0.borrow_ref_mut(cs)))
    }
}

impl embassy_time_driver::Driver for CycleDriver {
    fn now(&self) -> u64 {
        self.with(Clock::now)
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        // The deadline is looked at before every sleep, so no timer needs to be set here.
        self.with(|clock| clock.queue.schedule_wake(at, waker));
    }
}

embassy_time_driver::time_driver_impl!(static DRIVER: CycleDriver = CycleDriver(Mutex::new(
    RefCell::new(Clock { last_cycles: 0, rest: 0, now_us: 0, queue: Queue::new() })
)));

/// Whether a task has been woken since the executor ran last.
static WORK_PENDING: AtomicBool = AtomicBool::new(false);

/// embassy-executor calls this when a task is woken.
#[unsafe(export_name = "__pender")]
fn pend(_context: *mut ()) {
    WORK_PENDING.store(true, Ordering::Relaxed);
}

/// Wakes the tasks whose time has come; then, if no task is ready, sleeps until the next
/// deadline or a network frame.
pub fn sleep_until_work() {
    let (now, deadline) = DRIVER.with(|clock| {
        let now = clock.now();
        (now, clock.queue.next_expiration(now))
    });
    // No interrupt handler wakes tasks, so nothing comes between this look and the sleep.
    if WORK_PENDING.load(Ordering::Relaxed) {
        WORK_PENDING.store(false, Ordering::Relaxed);
        return;
    }
    let sleep_us = deadline.saturating_sub(now).min(SLEEP_MAX_US) as u32;
    let sleep = (sleep_us * CYCLES_PER_US).max(SLEEP_MIN_CYCLES);
    cpu::set_timer(cpu::cycles().wrapping_add(sleep));
    cpu::wait_for(cpu::INTERRUPT_TIMER | cpu::INTERRUPT_ETHERNET);
}

/// Stays here for `duration_ms` milliseconds (at most 60,000), for when nothing else can run.
pub fn busy_wait_ms(duration_ms: u32) {
    let start = cpu::cycles();
    while cpu::cycles().wrapping_sub(start) < duration_ms * (CLOCK_HZ / 1000) {}
}

/// Whether the board runs at the clock that this driver is built for.
///
/// # Errors
/// The board's clock in hertz, if it is another.
pub fn check_clock() -> Result<(), u32> {
    let hz = fpga::clock_hz();
    if hz == CLOCK_HZ { Ok(()) } else { Err(hz) }
}
