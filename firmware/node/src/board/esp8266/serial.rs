//! What comes over the serial line: the chip keeps up to 128 bytes until they are asked for.
//!
//! Registers: ESP8266 Technical Reference, chapter 11; `uart_register.h` of Espressif's SDKs.

use sdk_sys::unlisted::ets_write_char;

use super::pins::Chip;
use crate::gpio::Registers as _;
use crate::node::NodeShell;

const FIFO: u32 = 0x6000_0000;
const INTERRUPT_CLEAR: u32 = 0x6000_0010;
const CLOCK_DIVIDER: u32 = 0x6000_0014;
const STATUS: u32 = 0x6000_001C;
/// That bytes have come, as an interrupt that nobody waits for.
const RECEIVED: u32 = 1;
// What the board's file says. The SDK leaves the mask ROM's 74,880.
include!(concat!(env!("OUT_DIR"), "/serial.rs"));
/// Of the peripherals.
const CLOCK_HZ: u32 = 80_000_000;

/// From here on, the line has our speed.
pub(super) fn prepare() {
    Chip::write(CLOCK_DIVIDER, CLOCK_HZ / BITS_PER_SECOND);
}

/// Takes credentials over the serial line, while the node has none.
pub(super) async fn run(shell: &'static NodeShell) {
    // What was there at the last look, and was not taken yet.
    let mut waiting: Option<u8> = None;
    let read = || {
        // The number is in the lowest byte.
        let there = waiting.take().unwrap_or_else(|| Chip::read(STATUS) as u8);
        let Some(rest) = there.checked_sub(1) else {
            Chip::write(INTERRUPT_CLEAR, RECEIVED);
            return None;
        };
        waiting = Some(rest);
        Some(Chip::read(FIFO) as u8)
    };
    shell.improvise(read, |byte| ets_write_char(byte.into())).await;
}
