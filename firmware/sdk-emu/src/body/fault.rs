//! When the firmware cannot go on: a line for people and tests, then a reset whose reason the next start finds.

use core::ffi::c_void;
use core::fmt;
use core::ops::Range;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use sdk_sys::user_interface::{REASON_EXCEPTION_RST, REASON_SOFT_RESTART, RstInfo};

use qemu::{fpga, log_line, time};

use super::{app, reset};

/// So that a machine that fails at every start does not fill the log.
const PAUSE_MS: u32 = 300;
/// What sdk.S reports when the watchdog bites.
const CAUSE_WATCHDOG: u32 = 0xD09;
/// The firmware's panics are illegal instructions: so are ours, to it.
const CAUSE_ILLEGAL: u32 = 0;

/// What the mask ROM and the SDK have on the stack when they restart the chip, in bytes. The ROM keeps registers there: a0
/// is the second word of them.
const FRAME: usize = 336;
const FRAME_A0: usize = 1;
/// Where a stack can be.
const DATA_RAM: Range<usize> = 0x3FFE_8000..0x4000_0000;

/// Whether a restart is under way: what breaks within the firmware's hook is not told to it.
static RESTARTS: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    /// Calls `function` with `argument` on the stack that ends at `top` (`rt/registers.S`).
    fn lx106_call_on(
        top: *mut c_void,
        function: unsafe extern "C" fn(*mut RstInfo),
        argument: *mut RstInfo,
    );
}

/// sdk.S comes here, on a stack of its own. The firmware's was at `sp`.
#[unsafe(no_mangle)]
extern "C" fn sdk_emu_fault(
    cause: u32,
    epc1: u32,
    excvaddr: u32,
    a0: u32,
    depc: u32,
    sp: *mut u32,
) -> ! {
    let bitten = cause == CAUSE_WATCHDOG;
    if bitten {
        log_line!("FAULT soft watchdog at {epc1:#010x} a0 {a0:#010x}");
    } else {
        log_line!("FAULT cause {cause} epc {epc1:#010x} address {excvaddr:#010x} a0 {a0:#010x}");
    }
    let info = if bitten {
        // SDK 3.0.6 forgets here that this was its watchdog.
        ASKED
    } else {
        RstInfo {
            reason: REASON_EXCEPTION_RST,
            exccause: cause,
            epc1,
            excvaddr,
            depc,
            ..reset::NONE
        }
    };
    let again = RESTARTS.load(Ordering::Relaxed);
    RESTARTS.store(true, Ordering::Relaxed);
    if !again && DATA_RAM.contains(&sp.addr()) {
        let top = sp.wrapping_byte_sub(FRAME).map_addr(|top| top & !15);
        // SAFETY: the firmware's stack, below what it has in use, has room for that.
        unsafe { top.add(FRAME_A0).write_volatile(a0) };
        tell(top, info);
    }
    restart(info)
}

/// The firmware has asked for a restart.
pub(super) fn restart_as_asked() -> ! {
    let mut info = ASKED;
    if let Some(app) = app::find() {
        // SAFETY: the firmware's function, with a struct that lives until it returns.
        unsafe { (app.system_restart_hook)(&raw mut info) };
    }
    reset::note(info);
    fpga::reset()
}

/// What the SDK notes of a restart that somebody has asked for.
const ASKED: RstInfo = RstInfo { reason: REASON_SOFT_RESTART, ..reset::NONE };

/// Lets the firmware know of a restart for this reason, on its own stack below `top`.
fn tell(top: *mut u32, mut info: RstInfo) {
    if let Some(app) = app::find() {
        // SAFETY: there is no other use of that memory, and the firmware's function takes such a struct.
        unsafe { lx106_call_on(top.cast(), app.system_restart_hook, &raw mut info) };
    }
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
