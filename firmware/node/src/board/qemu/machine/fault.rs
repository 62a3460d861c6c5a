//! What happens when the firmware cannot go on: one line on the serial line, then a reset.
//!
//! Tests look for lines that begin with `PANIC` or `FAULT`.

use core::panic::PanicInfo;

use qemu::{fpga, log_line, time};

use spore_core::crash::{Cause, CrashRecord, Words};

use super::retained::{self, ResetReason};

/// Between the message and the reset, so that a machine that fails at every start does not fill
/// the log.
const PAUSE_MS: u32 = 500;

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    match info.location() {
        Some(place) => log_line!("PANIC {}:{}: {}", place.file(), place.line(), info.message()),
        None => log_line!("PANIC {}", info.message()),
    }
    retained::keep_crash(&CrashRecord::new(Cause::Panic, VERSION));
    reset(ResetReason::Panic)
}

/// `start.S` comes here, on a fresh stack, with an exception that is not an interrupt.
///
/// `cause` is EXCCAUSE, or `0xDEAD` for an exception inside an exception; `epc` the address of
/// the instruction, `address` that of the data, `a0` the return address at the time.
#[unsafe(no_mangle)]
extern "C" fn lx106_fault(cause: u32, epc: u32, address: u32, a0: u32) -> ! {
    log_line!("FAULT cause {cause} epc {epc:#010x} address {address:#010x} a0 {a0:#010x}");
    // A panic without a message is an illegal instruction.
    let (cause, reason) = match cause {
        0 => (Cause::Panic, ResetReason::Panic),
        number => (Cause::Exception(number.to_le_bytes()[0]), ResetReason::Fault),
    };
    let stack = [a0.to_be_bytes()];
    let (pc, stack, new) = (Some(epc), Words(&stack), CrashRecord::new(cause, VERSION));
    retained::keep_crash(&CrashRecord { pc, address, stack, ..new });
    reset(reason)
}

fn reset(reason: ResetReason) -> ! {
    retained::note_reason(reason);
    time::busy_wait_ms(PAUSE_MS);
    fpga::reset()
}
