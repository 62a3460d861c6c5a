//! The serial line (a 16550 with registers four bytes apart): a log for people and tests.

use core::fmt;

use crate::mmio::Register;

// SAFETY: the UART's registers, at these addresses on every XTFPGA board without an MMU.
const DATA: Register = unsafe { Register::at(0x9D05_0020) };
// SAFETY: as above.
const LINE_STATUS: Register = unsafe { Register::at(0x9D05_0034) };

const DATA_READY: u32 = 1;
const TRANSMIT_EMPTY: u32 = 1 << 5;

/// Writes to the serial line and waits while the line is busy.
pub struct Uart;

/// Writes a byte to the serial line, and waits while the line is busy.
pub fn write_byte(byte: u8) {
    while LINE_STATUS.read() & TRANSMIT_EMPTY == 0 {}
    DATA.write(u32::from(byte));
}

/// A byte that has come over the serial line.
pub fn read_byte() -> Option<u8> {
    // The upper bytes are nothing's.
    (LINE_STATUS.read() & DATA_READY != 0).then(|| DATA.read() as u8)
}

impl fmt::Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(write_byte);
        Ok(())
    }
}

/// Writes one line to the serial line.
#[macro_export]
macro_rules! log_line {
    ($($argument:tt)*) => {{
        use core::fmt::Write as _;
        // The serial line never fails.
        let _ = core::writeln!($crate::uart::Uart, $($argument)*);
    }};
}
