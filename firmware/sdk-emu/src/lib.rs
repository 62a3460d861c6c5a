//! A stand-in for Espressif's NONOS SDK at its C interface, for firmware in QEMU.
//!
//! The firmware's own object files are linked against this program's symbols instead of the SDK's libraries, and find
//! what they find on the chip: tasks, timers, a heap of the chip's size, flash in a file, memory that outlives a reset,
//! watchdog, reset reasons, and WiFi over QEMU's network card, with networks that come and go as the [`air`] says. What
//! the firmware calls, and nothing else, is here; `sdk-sys` declares it. It is our own, and needs nothing of
//! Espressif's.
//!
//! It lies in memory that the chip does not have: code from 0x40040000, data in 0x3FF80000 to 0x3FFDFFFF. Its functions
//! run on the firmware's stack, as the SDK's do.
//!
//! Where the SDK would corrupt something silently, this one says so and stops: a line that begins with `FAULT`.
#![no_std]

pub mod air;
pub mod arguments;
pub mod heap;
pub mod pokes;
pub mod station;

#[cfg(target_arch = "xtensa")]
mod body;
