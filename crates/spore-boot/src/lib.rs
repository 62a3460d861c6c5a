//! What is where in the flash of a board, for the bootloader, the firmware and the tools alike.
//!
//! Nothing here does I/O: bytes go in, decisions come out.
#![no_std]
#![warn(clippy::as_conversions, clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]

pub mod map;

pub use map::{Region, Slot};
