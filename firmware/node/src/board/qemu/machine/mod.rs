//! What touches the machine: its registers, its memory, and what the linker takes one of only.

pub mod cpu;
pub mod eth;
mod fault;
pub mod fpga;
mod mmio;
pub mod nor;
pub mod retained;
pub mod stack;
pub mod system;
pub mod time;
pub mod uart;
