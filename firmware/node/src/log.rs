//! The log on the serial line, for people and tests: lines of texts and numbers, without `core::fmt`, which takes three
//! kilobytes of flash.

use spore_core::text::{decimal, hex};

use crate::board::put;

/// A part of a line.
pub(crate) trait Say {
    /// Writes it, and waits while the serial line is busy.
    fn say(self);
}

impl Say for &str {
    fn say(self) {
        put(self);
    }
}

impl Say for u32 {
    fn say(self) {
        put(&decimal(self));
    }
}

impl Say for u8 {
    fn say(self) {
        u32::from(self).say();
    }
}

/// A number that is written with eight hexadecimal digits.
pub(crate) struct Hex(pub(crate) u32);

impl Say for Hex {
    fn say(self) {
        put("0x");
        put(&hex::<8>(&self.0.to_be_bytes()));
    }
}

/// Writes one line to the serial line: these parts, one behind the other.
macro_rules! log_line {
    ($($part:expr),+ $(,)?) => {{
        $($crate::log::Say::say($part);)+
        $crate::log::Say::say("\n");
    }};
}

pub(crate) use log_line;
