//! What surrounds the core of the chip: registers, and an account of what is done to it. It is there for Espressif's SDK itself, and
//! asked for with QEMU's command line:
//!
//! | word | |
//! |---|---|
//! | `chip` | the registers are there, and this account is written |
//! | `heap=ADDRESS` | when the main loop begins, the function at this address tells how much of the heap is free |
//! | `break=ADDRESS:BYTES` | a second later, these bytes are written there, once |
//!
//! The account is lines of the serial line: `FLASH` for each access to flash, `CHIP` for the rest, `FAULT` for what the chip would not stand.

use core::fmt;
use core::ptr;

use qemu::boot_params::{BootParams, command_line};
use qemu::fpga;

use crate::local::Local;
use crate::{console, registers, timer};

/// Where the registers are that would be memory on QEMU's board, and are forbidden.
const PERIPHERALS: u32 = 0x6000_0000;

/// The stack of the chip: the ROM's data is below.
const STACK: *mut u32 = ptr::with_exposed_provenance_mut(0x3FFF_E000);
const STACK_BYTES: u32 = 0x1FF0;
const PAINT: u32 = 0x5AFE_5AFE;

/// When a program is broken, after the main loop has begun.
const BREAK_US: u64 = 1_000_000;

type FreeHeap = unsafe extern "C" fn() -> u32;

/// What is to be written into the program.
#[derive(Clone, Copy)]
struct Break {
    at: usize,
    bytes: [u8; 16],
    length: usize,
    /// When, in microseconds.
    time: u64,
}

#[derive(Clone, Copy)]
struct Chip {
    present: bool,
    free_heap: Option<FreeHeap>,
    breaks: Option<Break>,
    /// Bytes of the stack that were told to be in use.
    stack: u32,
}

const ABSENT: Chip = Chip { present: false, free_heap: None, breaks: None, stack: 0 };

static CHIP: Local<Chip> = Local::new(ABSENT);

unsafe extern "C" {
    /// From now on nobody may touch the 512 MB that `address` is in (`exceptions.S`).
    safe fn rom_forbid(address: u32);
    /// From now on each access of data where programs are comes to `access.rs`, which holds it to what the chip allows.
    safe fn rom_guard();
    /// From now on none does.
    safe fn rom_trust();
}

/// Begins, if it was asked for.
///
/// # Safety
/// They must be QEMU's.
pub(crate) unsafe fn start(parameters: BootParams) {
    // SAFETY: QEMU's list stays as it is.
    let line = unsafe { command_line(parameters) };
    let present = line.split(' ').any(|word| word == "chip");
    let free_heap = argument(line, "heap=0x").and_then(|at| usize::from_str_radix(at, 16).ok());
    // SAFETY: who starts the machine knows what is there.
    let free_heap = free_heap.map(|at| unsafe { core::mem::transmute::<usize, FreeHeap>(at) });
    let breaks = Break::of(line);
    CHIP.set(Chip { present, free_heap, breaks, stack: 0 });
    if present {
        registers::start();
        rom_forbid(PERIPHERALS);
        paint(0..STACK_BYTES);
    }
}

/// Holds programs to what the chip allows where they are, or does not, while the ROM itself writes there.
pub(crate) fn guard(on: bool) {
    match (is_present(), on) {
        (true, true) => rom_guard(),
        (true, false) => rom_trust(),
        _ => {}
    }
}

/// What follows this name in the command line.
fn argument<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split(' ').find_map(|word| word.strip_prefix(name))
}

impl Break {
    fn of(line: &str) -> Option<Self> {
        let (at, digits) = argument(line, "break=0x")?.split_once(':')?;
        let at = usize::from_str_radix(at, 16).ok()?;
        let mut bytes = [0; 16];
        let length = digits.len() / 2;
        for (index, byte) in bytes.get_mut(..length)?.iter_mut().enumerate() {
            *byte = u8::from_str_radix(digits.get(2 * index..2 * index + 2)?, 16).ok()?;
        }
        Some(Self { at, bytes, length, time: u64::MAX })
    }

    fn write(&self) {
        tell(format_args!("CHIP breaks at {:#010x}", self.at));
        let place = ptr::with_exposed_provenance_mut::<u8>(self.at);
        guard(false);
        // SAFETY: memory of the program, which is meant to be damaged.
        unsafe { ptr::copy_nonoverlapping(self.bytes.as_ptr(), place, self.length) };
        guard(true);
    }
}

/// Whether it is there.
pub(crate) fn is_present() -> bool {
    CHIP.get().present
}

/// A line of the account.
pub(crate) fn tell(line: fmt::Arguments<'_>) {
    if is_present() {
        console::line(line);
    }
}

/// Ends, for a reason that is told.
pub(crate) fn stop(reason: fmt::Arguments<'_>) -> ! {
    console::line(format_args!("FAULT {reason}"));
    qemu::cpu::halt()
}

/// A reset by the program: through the RTC's register, or a jump to the ROM's first instruction.
pub(crate) fn reset() -> ! {
    tell(format_args!("CHIP reset"));
    fpga::reset()
}

/// The main loop begins: what comes first has been done. (The radio sends nothing, so what it is to send later stays in the heap;
/// what is free then means nothing.)
pub(crate) fn main_loop_begins() {
    let Chip { present: true, free_heap, .. } = CHIP.get() else { return };
    tell_deeper();
    if let Some(free_heap) = free_heap {
        // SAFETY: the function was named by who starts the machine.
        let free = unsafe { free_heap() };
        tell(format_args!("CHIP heap {free}"));
    }
    tell(format_args!("CHIP main loop"));
    // What the main loop takes is told by itself. It begins here, or a little less deep.
    let here = 0_u32;
    let free = (&raw const here).addr().saturating_sub(STACK.addr() + 256);
    paint(0..free as u32);
    let at = timer::now_us() + BREAK_US;
    CHIP.with(|chip| {
        chip.stack = 0;
        chip.breaks = chip.breaks.filter(|_| crate::starts() == 1);
        chip.breaks = chip.breaks.map(|breaks| Break { time: at, ..breaks });
    });
}

/// The main loop has nothing to do: how deep the stack has been is told, if that is deeper than before.
pub(crate) fn rests() {
    if let Some(breaks) = CHIP.get().breaks
        && timer::now_us() >= breaks.time
    {
        CHIP.with(|chip| chip.breaks = None);
        breaks.write();
    }
    tell_deeper();
}

fn tell_deeper() {
    let Chip { present: true, stack, .. } = CHIP.get() else { return };
    let used = stack_used();
    if used > stack {
        CHIP.with(|chip| chip.stack = used);
        tell(format_args!("CHIP stack {used}"));
    }
}

fn paint(bytes: core::ops::Range<u32>) {
    for at in bytes.step_by(4) {
        // SAFETY: the chip's stack, where nothing is in use.
        unsafe { STACK.byte_add(at as usize).write_volatile(PAINT) };
    }
}

/// Bytes of the stack down to the deepest that is no longer as it was painted.
fn stack_used() -> u32 {
    // SAFETY: the chip's stack.
    let is_paint = |at: &u32| unsafe { STACK.byte_add(*at as usize).read_volatile() == PAINT };
    let free = (0..STACK_BYTES).step_by(4).take_while(is_paint).count() as u32 * 4;
    STACK_BYTES - free
}
