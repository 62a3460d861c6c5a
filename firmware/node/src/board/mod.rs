//! What differs from board to board: processor start, time, serial line, network hardware.

pub mod esp8266;

pub(crate) use esp8266::put;
pub use esp8266::{Body, on_second, pins};
