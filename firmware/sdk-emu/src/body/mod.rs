//! The running SDK: its start, in the order in which SDK 3.0.6 does things, and its main loop.

mod app;
mod clock;
mod fault;
mod flash;
mod frames;
mod local;
mod marks;
mod memory;
mod pins;
mod random;
mod reset;
mod rom;
mod scan;
mod tasks;
mod timers;
mod wifi;

use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use sdk_sys::user_interface as sdk;

use qemu::boot_params::{BootParams, command_line};
use qemu::log_line;

use crate::arguments::Arguments;
use crate::pokes::Pokes;
use app::App;
use local::Local;

/// Checks that functions are what `sdk-sys` declares: an array of both needs one type.
macro_rules! as_declared {
    ($module:ident::{$($name:ident),* $(,)?}) => {
        $(const _: () = { let _ = [$module::$name, $name]; };)*
    };
}
use as_declared;

const SECOND_US: u64 = 1_000_000;
/// How often the SDK has lwIP look at its clocks.
const LWIP_US: u64 = 25_000;
/// Where the stand-in for the mask ROM leaves the address of QEMU's boot parameters.
const PARAMETERS: *const BootParams = ptr::with_exposed_provenance(0x3FF4_0000);

/// What is to break in the program.
static POKES: Local<Pokes<'static>> = Local::new(Pokes::NONE);

static RESTART: AtomicBool = AtomicBool::new(false);

/// sdk.S comes here.
///
/// # Safety
/// To be called once, with the table of `link/app.S`.
#[unsafe(no_mangle)]
unsafe extern "C" fn sdk_emu_main(table: *const App) -> ! {
    marks::start();
    clock::start();
    rom::enable_cache();
    // SAFETY: the caller vouches for the table.
    unsafe { app::enter(table) };
    // SAFETY: QEMU's list stays as it is.
    start(unsafe { command_line(PARAMETERS.read_volatile()) });
    clock::start_watchdog();
    // SAFETY: the firmware's function.
    unsafe { (app::app().user_init)() };
    wifi::start();
    run()
}

/// Everything before the firmware's own start. Not inlined, so that its locals leave the stack.
#[inline(never)]
fn start(line: &'static str) {
    let arguments = match Arguments::parse(line) {
        Ok(arguments) => arguments,
        Err(error) => fault::stop(format_args!("{error}")),
    };
    if let Err(hz) = qemu::time::check_clock() {
        fault::stop(format_args!("the machine runs at {hz} Hz; 40 MHz are expected"));
    }
    POKES.with(|pokes| *pokes = arguments.pokes);
    clock::set(arguments.clock);
    let resets = reset::begin();
    random::start(arguments.seed, resets);
    if resets == 0 {
        reset::fill_with_noise();
    }
    // SAFETY: a struct of ours.
    let reason = unsafe { (*sdk::system_get_rst_info()).reason };
    log_line!("SDK start {resets} of machine {}, reset reason {reason}", arguments.id);
    memory::start();
    let app = app::app();
    // SAFETY: the firmware's functions.
    unsafe {
        (app.user_pre_init)();
        (app.lwip_init)();
        (app.espconn_init)();
    }
    flash::check();
    wifi::prepare(&arguments);
}

/// One thing at a time, the most urgent first; then asleep until there is something to do.
fn run() -> ! {
    let (mut lwip_at, mut age_secs) = (clock::now_us(), reset::age_us() / SECOND_US);
    loop {
        if RESTART.load(Ordering::Relaxed) {
            fault::restart_as_asked();
        }
        clock::feed();
        let now = clock::now_us();
        if now >= lwip_at {
            lwip_at = now + LWIP_US;
            reset::note_age();
            let before = core::mem::replace(&mut age_secs, reset::age_us() / SECOND_US);
            poke(before, age_secs);
            if before != age_secs {
                marks::tell();
            }
            // SAFETY: the firmware's function.
            unsafe { (app::app().sys_check_timeouts)() };
        }
        let timer = timers::run_one();
        let frames = frames::run();
        let event = wifi::run_one();
        let task = tasks::run_one();
        pins::run();
        if !(timer || frames || event || task || RESTART.load(Ordering::Relaxed)) {
            let timer_at = timers::next_in_us().map_or(lwip_at, |in_us| clock::now_us() + in_us);
            clock::sleep_until(lwip_at.min(timer_at));
        }
    }
}

/// Breaks what is to break between these ages of the machine, in seconds.
fn poke(from: u64, to: u64) {
    for poke in POKES.with(|pokes| *pokes).between(from, to) {
        log_line!("SDK poke at {:#010x}", poke.address);
        for (address, byte) in (poke.address..).zip(poke.bytes()) {
            // SAFETY: none: whoever starts the machine wants its program to break.
            unsafe { ptr::with_exposed_provenance_mut::<u8>(address).write_volatile(byte) };
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn system_restart() {
    RESTART.store(true, Ordering::Relaxed);
}

as_declared!(sdk::{system_restart});
