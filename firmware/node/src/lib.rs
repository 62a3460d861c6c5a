//! The firmware of an LX106 node: the SPORE node on a board.
//!
//! [`board`] holds what differs from board to board, [`net`] what lies between a board's network
//! hardware and the IP stack. The rest is the same everywhere.

#![no_std]

#[cfg(all(target_arch = "xtensa", feature = "image"))]
pub mod board;
#[cfg(any(test, all(target_arch = "xtensa", feature = "image")))]
pub mod gpio;
#[cfg(all(target_arch = "xtensa", feature = "image"))]
mod log;
pub mod net;
#[cfg(all(target_arch = "xtensa", feature = "image"))]
mod node;
#[cfg(all(target_arch = "xtensa", feature = "image"))]
pub mod sprockets;
