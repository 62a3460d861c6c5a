//! The serial line: a log for people.

use core::ffi::c_int;
use core::fmt;

use sdk_sys::unlisted::ets_write_char;

/// Writes to the serial line, and waits while that is busy.
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            ets_write_char(c_int::from(byte));
        }
        Ok(())
    }
}

/// Writes one line to the serial line.
#[macro_export]
macro_rules! log_line {
    ($($argument:tt)*) => {{
        use core::fmt::Write as _;
        // The serial line never fails.
        let _ = core::writeln!($crate::board::esp8266::Console, $($argument)*);
    }};
}
