//! `ets_sys.h`: tasks and timers.

use core::ffi::c_void;

use crate::layout::{Header, c_type};
use crate::{Callback, Pointer};

/// What is checked.
pub const HEADER: Header =
    Header { file: "ets_sys.h", types: &[ETSEvent::LAYOUT, ETSTimer::LAYOUT], constants: &[] };

c_type! {
    /// A message to a task.
    struct ETSEvent = "ETSEvent" {
        /// What happened.
        sig: u32,
        /// More of it.
        par: u32,
    }
}

/// A task: it is called with each message, and runs until it returns.
pub type ETSTask = unsafe extern "C" fn(event: *mut ETSEvent);

/// What a timer calls.
pub type ETSTimerFunc = unsafe extern "C" fn(argument: *mut c_void);

c_type! {
    /// A timer. It must stay where it is while it is armed. All zeros before its first use.
    struct ETSTimer = "ETSTimer" {
        /// The SDK's.
        timer_next: Pointer<ETSTimer>,
        /// The SDK's.
        timer_expire: u32,
        /// The SDK's.
        timer_period: u32,
        /// The SDK's.
        timer_func: Callback<ETSTimerFunc>,
        /// The SDK's.
        timer_arg: Pointer<c_void>,
    }
}

impl ETSTimer {
    /// One that was never used.
    #[cfg(target_pointer_width = "32")]
    pub const NEW: Self = Self {
        timer_next: core::ptr::null_mut(),
        timer_expire: 0,
        timer_period: 0,
        timer_func: None,
        timer_arg: core::ptr::null_mut(),
    };
}
