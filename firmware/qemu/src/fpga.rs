//! The board's own registers.

use crate::cpu;
use crate::mmio::Register;

// SAFETY: the FPGA's registers, at these addresses on every XTFPGA board without an MMU.
const CLOCK_HZ: Register = unsafe { Register::at(0x9D02_0004) };
// SAFETY: as above.
const RESET: Register = unsafe { Register::at(0x9D02_0010) };

const RESET_KEY: u32 = 0xDEAD;

/// The core's clock in hertz, as the board tells it.
#[must_use]
pub fn clock_hz() -> u32 {
    CLOCK_HZ.read()
}

/// Resets the machine: memory keeps what it holds, except what is loaded with the firmware.
pub fn reset() -> ! {
    RESET.write(RESET_KEY);
    cpu::halt()
}
