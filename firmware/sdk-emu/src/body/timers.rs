//! Timers: a list through the firmware's own structs, in the order in which they are due.
//!
//! As in the SDK they count in ticks of 3.2 µs, modulo 2³², and are called from the main loop.

use core::ffi::c_void;
use core::ptr;

use sdk_sys::Bool;
use sdk_sys::ets_sys::{ETSTimer, ETSTimerFunc};
use sdk_sys::osapi;

use super::local::Local;
use super::{clock, fault};

/// 16 µs are 5 ticks.
const TICKS: u64 = 5;
const TICKS_US: u64 = 16;
/// The longest time, in milliseconds: half a round of the ticks.
const LONGEST_MS: u32 = 6_870_947;
/// Marks a timer that is not in the list: what the SDK writes there, too.
const OFF: *mut ETSTimer = ptr::without_provenance_mut(usize::MAX);

/// The first timer of the list, or null.
struct First(*mut ETSTimer);

static FIRST: Local<First> = Local::new(First(ptr::null_mut()));

fn now() -> u32 {
    // Modulo 2³².
    (clock::now_us() * TICKS / TICKS_US) as u32
}

/// Whether `at` is now or before.
const fn is_due(at: u32, now: u32) -> bool {
    now.wrapping_sub(at) < 1 << 31
}

impl First {
    /// Where the list points at `timer`, if it does.
    fn link_to(&mut self, timer: *mut ETSTimer) -> Option<*mut *mut ETSTimer> {
        let mut link = &raw mut self.0;
        // SAFETY: the links are those of timers that the firmware keeps where they are while they are armed.
        while let next = unsafe { *link }
            && !next.is_null()
        {
            if next == timer {
                return Some(link);
            }
            // SAFETY: as above.
            link = unsafe { &raw mut (*next).timer_next };
        }
        None
    }

    fn remove(&mut self, timer: *mut ETSTimer) {
        if let Some(link) = self.link_to(timer) {
            // SAFETY: as in `link_to`.
            unsafe {
                *link = (*timer).timer_next;
                (*timer).timer_next = OFF;
            }
        }
    }

    fn insert(&mut self, timer: *mut ETSTimer, at: u32) {
        let mut link = &raw mut self.0;
        // SAFETY: as in `link_to`. One that is due at the same time comes behind those that are there.
        unsafe {
            while !(*link).is_null() && is_due((**link).timer_expire, at) {
                link = &raw mut (**link).timer_next;
            }
            (*timer).timer_expire = at;
            (*timer).timer_next = *link;
            *link = timer;
        }
    }
}

/// Calls the first timer that is due. False if none is.
pub(super) fn run_one() -> bool {
    let call = FIRST.with(|first| {
        let timer = first.0;
        let now = now();
        // SAFETY: it is in the list, so the firmware has it there.
        if timer.is_null() || !is_due(unsafe { (*timer).timer_expire }, now) {
            return None;
        }
        first.remove(timer);
        // SAFETY: as above.
        let (period, function, argument) =
            unsafe { ((*timer).timer_period, (*timer).timer_func, (*timer).timer_arg) };
        if period != 0 {
            // SAFETY: as above.
            first.insert(timer, unsafe { (*timer).timer_expire }.wrapping_add(period));
        }
        Some((function, argument))
    });
    let Some((function, argument)) = call else { return false };
    match function {
        // SAFETY: what the firmware has asked for.
        Some(function) => unsafe { function(argument) },
        None => fault::misuse(format_args!("a timer without a function is due")),
    }
    true
}

/// When the first timer is due, in microseconds from now.
pub(super) fn next_in_us() -> Option<u64> {
    FIRST.with(|first| {
        // SAFETY: as in `run_one`.
        let at = (!first.0.is_null()).then(|| unsafe { (*first.0).timer_expire })?;
        let now = now();
        let ticks = if is_due(at, now) { 0 } else { at.wrapping_sub(now) };
        Some((u64::from(ticks) * TICKS_US).div_ceil(TICKS))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ets_timer_setfn(
    timer: *mut ETSTimer,
    function: ETSTimerFunc,
    argument: *mut c_void,
) {
    if FIRST.with(|first| first.link_to(timer).is_some()) {
        fault::misuse(format_args!("the timer at {timer:p} gets a function while it is armed"));
    }
    // SAFETY: the caller vouches for its timer.
    unsafe {
        (*timer).timer_func = Some(function);
        (*timer).timer_arg = argument;
        (*timer).timer_next = OFF;
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ets_timer_disarm(timer: *mut ETSTimer) {
    FIRST.with(|first| first.remove(timer));
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ets_timer_arm_new(
    timer: *mut ETSTimer,
    time: u32,
    repeat: Bool,
    milliseconds: Bool,
) {
    if milliseconds == 0 {
        fault::misuse(format_args!("a timer in microseconds, without system_timer_reinit"));
    }
    if time > LONGEST_MS {
        fault::misuse(format_args!("a timer of {time} ms; {LONGEST_MS} is the longest"));
    }
    // 2 147 170 937 at most.
    let ticks = (u64::from(time) * 1000 * TICKS / TICKS_US) as u32;
    FIRST.with(|first| {
        first.remove(timer);
        // SAFETY: the caller vouches for its timer.
        unsafe { (*timer).timer_period = if repeat == 0 { 0 } else { ticks.max(1) } };
        first.insert(timer, now().wrapping_add(ticks));
    });
}

super::as_declared!(osapi::{ets_timer_setfn, ets_timer_disarm, ets_timer_arm_new});

// SAFETY: the pointer is followed by one thread only.
unsafe impl Send for First {}
