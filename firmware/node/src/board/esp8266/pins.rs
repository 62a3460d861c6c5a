//! The pins of the board, by the names that its file gives them (`boards/`).

use crate::gpio::{self, PERIPHERALS, Pin, Registers};

include!(concat!(env!("OUT_DIR"), "/pins.rs"));

/// A pin that is driven.
pub type Output = gpio::Output<Chip>;
/// A pin that is listened to.
pub type Input = gpio::Input<Chip>;

unsafe extern "C" {
    /// Where the registers are: on the chip at [`PERIPHERALS`] (`esp01.ld`), in QEMU in the stand-in's memory.
    static mut esp8266_peripherals: u32;
}

/// The chip.
#[derive(Debug)]
pub enum Chip {}

fn place(address: u32) -> *mut u32 {
    (&raw mut esp8266_peripherals).wrapping_byte_add((address - PERIPHERALS) as usize)
}

impl Registers for Chip {
    fn read(address: u32) -> u32 {
        // SAFETY: a register of the pins, which has no effect when it is read.
        unsafe { place(address).read_volatile() }
    }

    fn write(address: u32, value: u32) {
        // SAFETY: a register of the pins: memory is not touched. Nothing of ours runs in interrupts, so nobody else writes
        // the pads between a read and a write.
        unsafe { place(address).write_volatile(value) }
    }
}
