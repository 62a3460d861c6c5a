//! The pins and the serial line: registers in ordinary memory, which are looked at in the main loop. Each change is a line, `PIN 2 low`.
//!
//! A byte that has come over the serial line is there until the interrupt that tells of it is cleared, and then the next one; on the chip each is gone when it
//! is read.
//!
//! Two writes to the same register between two looks are one, the last.

use core::cell::UnsafeCell;

use qemu::{log_line, uart};
use sdk_sys::eagle_soc::*;

use super::local::Local;

/// Where the chip has what is at the beginning of [`REGISTERS`].
const START: u32 = 0x6000_0000;
/// Up to the last pad.
const WORDS: usize = 0x844 / 4;

/// The registers of the chip.
struct Registers(UnsafeCell<[u32; WORDS]>);

// SAFETY: there is one thread.
unsafe impl Sync for Registers {}

#[unsafe(export_name = "esp8266_peripherals")]
static REGISTERS: Registers = Registers(UnsafeCell::new([0; WORDS]));

/// The levels, and which pins are driven.
static PINS: Local<(u32, u32)> = Local::new((0, 0));

/// The serial line's: a byte that has come, how many there are, and the interrupts that are cleared.
const UART_FIFO: u32 = START;
const UART_STATUS: u32 = START + 0x1C;
const UART_INT_CLR: u32 = START + 0x10;

fn at(address: u32) -> *mut u32 {
    REGISTERS.0.get().cast::<u32>().wrapping_byte_add((address - START) as usize)
}

fn place(register: u32) -> *mut u32 {
    at(PERIPHS_GPIO_BASEADDR + register)
}

/// What was written into a register whose ones have an effect, since it was last looked at.
fn take(register: u32) -> u32 {
    // SAFETY: within the registers.
    unsafe { place(register).replace(0) }
}

/// Does what was written into the registers.
pub(super) fn run() {
    run_serial();
    let (set, cleared) = (take(GPIO_OUT_W1TS_ADDRESS), take(GPIO_OUT_W1TC_ADDRESS));
    let (driven, floating) = (take(GPIO_ENABLE_W1TS_ADDRESS), take(GPIO_ENABLE_W1TC_ADDRESS));
    PINS.with(|(levels, enabled)| {
        let before = (*levels, *enabled);
        *levels = *levels & !cleared | set;
        *enabled = *enabled & !floating | driven;
        let changed = (*levels ^ before.0) & *enabled | (*enabled & !before.1);
        for pin in (0..16).filter(|pin| changed >> pin & 1 != 0) {
            log_line!("PIN {pin} {}", if *levels >> pin & 1 != 0 { "high" } else { "low" });
        }
        // SAFETY: within the registers.
        unsafe {
            place(GPIO_OUT_ADDRESS).write(*levels);
            place(GPIO_IN_ADDRESS).write(*levels & *enabled);
        }
    });
}

/// Takes the byte away that was read, and has the next one come.
fn run_serial() {
    // SAFETY: within the registers.
    unsafe {
        if at(UART_INT_CLR).replace(0) != 0 {
            at(UART_STATUS).write(0);
        }
        if at(UART_STATUS).read() == 0
            && let Some(byte) = uart::read_byte()
        {
            at(UART_FIFO).write(byte.into());
            at(UART_STATUS).write(1);
        }
    }
}
