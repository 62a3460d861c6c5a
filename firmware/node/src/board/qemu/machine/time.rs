//! Time: embassy-time's driver over the core's cycle counter, and sleeping until there is work.

use core::cell::RefCell;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::Waker;

use critical_section::Mutex;
use embassy_time_queue_utils::Queue;

use qemu::cpu;
use qemu::cycle_clock::{CycleClock, is_reached, sleep_cycles};

struct Clock {
    time: CycleClock,
    queue: Queue,
}

impl Clock {
    fn now(&mut self) -> u64 {
        self.time.advance(cpu::cycles())
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
    RefCell::new(Clock { time: CycleClock::new(), queue: Queue::new() })
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
    let target = cpu::cycles().wrapping_add(sleep_cycles(now, deadline));
    cpu::set_timer(target);
    // The host may have kept the core waiting before the timer was set. If the counter has passed
    // the target, the timer may have missed it, and would ring only when the counter comes round.
    // If it has not, the timer was set in time, and what it rings from here on ends the wait.
    if !is_reached(target, cpu::cycles()) {
        cpu::wait_for(cpu::INTERRUPT_TIMER | cpu::INTERRUPT_ETHERNET);
    }
}
