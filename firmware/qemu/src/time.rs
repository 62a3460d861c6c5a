//! Waiting, by the core's cycle counter.

use crate::cycle_clock::CLOCK_HZ;
use crate::{cpu, fpga};

/// Stays here for `duration_ms` milliseconds (at most 60,000), for when nothing else can run.
pub fn busy_wait_ms(duration_ms: u32) {
    let start = cpu::cycles();
    while cpu::cycles().wrapping_sub(start) < duration_ms * (CLOCK_HZ / 1000) {}
}

/// Whether the board runs at the clock that [`cycle_clock`](crate::cycle_clock) is made for.
///
/// # Errors
/// The board's clock in hertz, if it is another.
pub fn check_clock() -> Result<(), u32> {
    let hz = fpga::clock_hz();
    if hz == CLOCK_HZ { Ok(()) } else { Err(hz) }
}
