//! The compiler is not trusted: the same computations on x86-64 and on the emulated LX106, hashes compared.
//!
//! A *group* is a function that feeds results into a [`Trace`]. Groups draw their inputs from a seeded
//! [`Inputs`], so both machines compute the same; `cargo xtask difftest` runs both and compares. When a hash
//! differs, it runs that group again with every step written out and shows the first one that differs.
//!
//! With the feature `cost` the LX106 side compares nothing, and measures what ticks of the scheduler cost.
#![no_std]

extern crate alloc;

#[cfg(all(target_arch = "xtensa", feature = "cost"))]
mod cost;
mod groups;
mod inputs;
mod tasks;
mod trace;

#[cfg(target_arch = "xtensa")]
mod target;

pub use groups::{run, work, works};
pub use inputs::Inputs;
pub use trace::Trace;
