//! The serial line: a log for people.

use core::ffi::c_int;
use core::fmt;

use sdk_sys::unlisted::ets_write_char;

/// Writes to the serial line, and waits while that is busy.
pub(crate) fn put(text: &str) {
    for byte in text.bytes() {
        ets_write_char(c_int::from(byte));
    }
}

/// The serial line, for messages of panics.
pub(super) struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        put(text);
        Ok(())
    }
}
