//! When the firmware cannot go on: a line for people and tests, then a reset whose reason the next start finds.

use core::fmt;
use core::panic::PanicInfo;

use sdk_sys::user_interface::{REASON_EXCEPTION_RST, REASON_SOFT_WDT_RST, RstInfo};

use qemu::{fpga, log_line, time};

use super::reset;

/// So that a machine that fails at every start does not fill the log.
const PAUSE_MS: u32 = 300;
/// EXCCAUSE of a level-1 interrupt, and what sdk.S reports when the watchdog bites.
const CAUSE_INTERRUPT: u32 = 4;
const CAUSE_WATCHDOG: u32 = 0xD09;
/// The firmware's panics are illegal instructions: so are ours, to it.
const CAUSE_ILLEGAL: u32 = 0;

/// sdk.S comes here, on a stack of its own.
#[unsafe(no_mangle)]
extern "C" fn sdk_emu_fault(cause: u32, epc1: u32, excvaddr: u32, a0: u32, depc: u32) -> ! {
    let bitten = cause == CAUSE_WATCHDOG;
    if bitten {
        log_line!("FAULT soft watchdog at {epc1:#010x} a0 {a0:#010x}");
    } else {
        log_line!("FAULT cause {cause} epc {epc1:#010x} address {excvaddr:#010x} a0 {a0:#010x}");
    }
    restart(RstInfo {
        reason: if bitten { REASON_SOFT_WDT_RST } else { REASON_EXCEPTION_RST },
        exccause: if bitten { CAUSE_INTERRUPT } else { cause },
        epc1,
        excvaddr,
        depc,
        ..reset::NONE
    })
}

/// The firmware has done what the SDK does not survive.
pub(super) fn misuse(what: fmt::Arguments<'_>) -> ! {
    log_line!("FAULT {what}");
    restart(illegal())
}

/// The machine's arguments make no sense: to try again would change nothing.
pub(super) fn stop(why: fmt::Arguments<'_>) -> ! {
    log_line!("BOOT ERROR {why}");
    qemu::cpu::halt()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    match info.location() {
        Some(at) => log_line!("PANIC sdk-emu {}:{}: {}", at.file(), at.line(), info.message()),
        None => log_line!("PANIC sdk-emu {}", info.message()),
    }
    restart(illegal())
}

fn illegal() -> RstInfo {
    RstInfo { reason: REASON_EXCEPTION_RST, exccause: CAUSE_ILLEGAL, ..reset::NONE }
}

fn restart(info: RstInfo) -> ! {
    reset::note(info);
    time::busy_wait_ms(PAUSE_MS);
    fpga::reset()
}
