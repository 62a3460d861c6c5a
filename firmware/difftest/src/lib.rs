//! The compiler is not trusted: the same computations on x86-64 and on the emulated LX106, hashes compared.
//!
//! A *group* is a function that feeds results into a [`Trace`]. Groups draw their inputs from a seeded
//! [`Inputs`], so both machines compute the same; `cargo xtask difftest` runs both and compares. When a hash
//! differs, it runs that group again with every step written out and shows the first one that differs.
#![no_std]

extern crate alloc;

mod groups;
mod inputs;
mod tasks;
mod trace;

#[cfg(target_arch = "xtensa")]
mod target;

pub use groups::run;
pub use inputs::Inputs;
pub use trace::Trace;
