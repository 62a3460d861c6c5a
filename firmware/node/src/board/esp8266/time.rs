//! Time: embassy-time's driver over the SDK's microseconds, and what wakes the executor's task.

use core::cell::RefCell;
use core::ffi::c_void;
use core::ptr;
use core::task::Waker;

use critical_section::Mutex;
use embassy_time_queue_utils::Queue;
use sdk_sys::ets_sys::ETSTimer;
use sdk_sys::osapi::{ets_timer_arm_new, ets_timer_disarm, ets_timer_setfn};
use sdk_sys::user_interface::{system_get_time, system_os_post};
use sdk_sys::{FALSE, TRUE};

use super::entry::{POLL, PRIORITY};
use super::task_local::TaskLocal;

/// The clock is read at least so often, in milliseconds: the SDK's wraps every 71 minutes.
const SLEEP_MAX_MS: u32 = 60_000;

struct Clock {
    /// What the SDK's clock said last, and how often it has wrapped.
    last: u32,
    wraps: u32,
    queue: Queue,
}

impl Clock {
    fn now(&mut self) -> u64 {
        let now = system_get_time();
        self.wraps += u32::from(now < self.last);
        self.last = now;
        u64::from(self.wraps) << 32 | u64::from(now)
    }
}

/// Seconds since the start; `None` within a question for the time.
pub(super) fn uptime_secs() -> Option<u32> {
    let now = critical_section::with(|cs| {
        DRIVER.0.borrow(cs).try_borrow_mut().ok().map(|mut clock| clock.now())
    });
    now.and_then(|now| u32::try_from(now / 1_000_000).ok())
}

struct SdkDriver(Mutex<RefCell<Clock>>);

impl SdkDriver {
    fn with<R>(&self, f: impl FnOnce(&mut Clock) -> R) -> R {
        critical_section::with(|cs| f(&mut self.0.borrow_ref_mut(cs)))
    }
}

impl embassy_time_driver::Driver for SdkDriver {
    fn now(&self) -> u64 {
        self.with(Clock::now)
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        // The SDK's timer is set whenever the executor comes to rest, so not here.
        self.with(|clock| clock.queue.schedule_wake(at, waker));
    }
}

embassy_time_driver::time_driver_impl!(static DRIVER: SdkDriver = SdkDriver(Mutex::new(
    RefCell::new(Clock { last: 0, wraps: 0, queue: Queue::new() })
)));

/// Whether a message to the executor's task is under way.
static POSTED: TaskLocal<bool> = TaskLocal::new(false);
static TIMER: TaskLocal<ETSTimer> = TaskLocal::new(ETSTimer::NEW);

/// embassy-executor calls this when a task is woken.
#[unsafe(export_name = "__pender")]
fn pend(_context: *mut ()) {
    if !POSTED.get() {
        // Only a full queue refuses, and then there is a message in it.
        let _ = system_os_post(PRIORITY, POLL, 0);
        POSTED.set(true);
    }
}

unsafe extern "C" fn ring(_: *mut c_void) {
    pend(ptr::null_mut());
}

/// The message has come: wakes the tasks whose time has come, for the round that follows.
pub(super) fn begin_round() {
    // Whom this wakes is polled in this round, so the message that it came with is still the one under way.
    POSTED.set(true);
    DRIVER.with(|clock| {
        let now = clock.now();
        clock.queue.next_expiration(now)
    });
    POSTED.set(false);
}

/// The round is over: has the SDK ring at the next deadline.
pub(super) fn end_round() {
    let wait = DRIVER.with(|clock| {
        let now = clock.now();
        clock.queue.next_expiration(now).saturating_sub(now).div_ceil(1000)
    });
    let wait = u32::try_from(wait).unwrap_or(SLEEP_MAX_MS).clamp(1, SLEEP_MAX_MS);
    // SAFETY: the timer is a static that nobody else uses.
    unsafe {
        ets_timer_disarm(TIMER.as_ptr());
        ets_timer_setfn(TIMER.as_ptr(), ring, ptr::null_mut());
        ets_timer_arm_new(TIMER.as_ptr(), wait, FALSE, TRUE);
    }
}
