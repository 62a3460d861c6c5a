//! QEMU's XTFPGA board (`-M kc705-nommu`) with an LX106 core (`-cpu lx106`).
//!
//! The core and its instructions are those of the ESP8266; what stands around it is not. The
//! memory map keeps to the ESP8266's sizes (the linker script sees to that), the clock runs at
//! 40 MHz instead of 80, and an OpenCores Ethernet card takes the place of the radio.

pub mod boot_args;

#[cfg(target_arch = "xtensa")]
mod boot_params;
#[cfg(target_arch = "xtensa")]
pub mod cpu;
#[cfg(target_arch = "xtensa")]
pub mod eth;
#[cfg(target_arch = "xtensa")]
mod fault;
#[cfg(target_arch = "xtensa")]
pub mod fpga;
#[cfg(target_arch = "xtensa")]
mod mmio;
#[cfg(target_arch = "xtensa")]
pub mod random;
#[cfg(target_arch = "xtensa")]
pub mod retained;
#[cfg(target_arch = "xtensa")]
pub mod stack;
#[cfg(target_arch = "xtensa")]
pub mod system;
#[cfg(target_arch = "xtensa")]
pub mod time;
#[cfg(target_arch = "xtensa")]
pub mod uart;

#[cfg(target_arch = "xtensa")]
pub use boot_params::{BootParams, command_line};
