//! Drivers for QEMU's XTFPGA boards (`-M kc705-nommu`, `-M lx60-nommu`) with an LX106 core (`-cpu lx106`).
//!
//! The core and its instructions are those of the ESP8266; what stands around it is not. Clock, serial line, network
//! card and flash are the boards' own. They are used by whatever runs there: the stand-ins for mask ROM and SDK, the
//! differential test. What touches registers exists for the LX106 only, the rest is tested on
//! any machine.

#![no_std]

pub mod boot_params;
pub mod cycle_clock;
pub mod random;

#[cfg(target_arch = "xtensa")]
pub mod cfi;
#[cfg(target_arch = "xtensa")]
pub mod cpu;
#[cfg(target_arch = "xtensa")]
pub mod eth;
#[cfg(target_arch = "xtensa")]
pub mod fpga;
#[cfg(target_arch = "xtensa")]
mod mmio;
#[cfg(target_arch = "xtensa")]
pub mod time;
#[cfg(target_arch = "xtensa")]
pub mod uart;
