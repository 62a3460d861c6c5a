//! What touches the machine: its memory, and what the linker takes one of only.

pub mod eth;
mod fault;
pub mod nor;
pub mod pins;
pub mod retained;
pub mod stack;
pub mod system;
pub mod time;
