//! `osapi.h`: timers, chance, and the serial line.

use core::ffi::{c_int, c_void};

use crate::Bool;
use crate::ets_sys::{ETSTimer, ETSTimerFunc};

unsafe extern "C" {
    /// Arms a timer: `function` of [`ets_timer_setfn`] is called `time` from now, in milliseconds if `milliseconds` is
    /// 1 (at most 6,870,947, some 114 minutes), else in microseconds, which needs `system_timer_reinit`.
    pub fn ets_timer_arm_new(timer: *mut ETSTimer, time: u32, repeat: Bool, milliseconds: Bool);
    /// Disarms a timer, whether it is armed or not.
    pub fn ets_timer_disarm(timer: *mut ETSTimer);
    /// Says what a timer calls, and with what. It must not be armed.
    pub fn ets_timer_setfn(timer: *mut ETSTimer, function: ETSTimerFunc, argument: *mut c_void);
    /// Fills `buffer` from the hardware's generator of random numbers. Returns 0.
    pub fn os_get_random(buffer: *mut u8, len: usize) -> c_int;
    /// Waits, busily.
    pub safe fn ets_delay_us(microseconds: u32);
}
