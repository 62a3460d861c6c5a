//! What differs from board to board: processor start, time, serial line, network hardware.

pub mod qemu;
