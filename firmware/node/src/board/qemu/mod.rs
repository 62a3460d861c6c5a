//! QEMU's XTFPGA board (`-M kc705-nommu`) with an LX106 core (`-cpu lx106`).
//!
//! The core and its instructions are those of the ESP8266; what stands around it is not. The
//! memory map keeps to the ESP8266's sizes (the linker script sees to that), the clock runs at
//! 40 MHz instead of 80, and an OpenCores Ethernet card takes the place of the radio.
//! Its drivers are the crate `qemu`.

pub mod boot_args;

#[cfg(all(target_arch = "xtensa", feature = "image"))]
pub mod machine;
#[cfg(all(target_arch = "xtensa", feature = "image"))]
mod main;
