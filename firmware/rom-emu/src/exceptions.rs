//! Exceptions, and the tables through which the ROM dispatches them (`exceptions.S`).

use core::ptr;

use crate::interrupts;
use crate::local::Local;

/// How many causes there are (EXCCAUSE).
const CAUSES: usize = 64;
/// A level-1 interrupt.
const INTERRUPT: usize = 4;
/// QEMU's for an address without memory, and the core's for loads and stores that are forbidden there.
const ACCESS: [usize; 3] = [15, 28, 29];

/// What the vectors jump through. Those of Espressif's libraries know the address.
const TABLE: *mut Entry = ptr::with_exposed_provenance_mut(0x3FFF_C000);

/// Where a vector jumps to: it has its own way of passing arguments.
type Entry = unsafe extern "C" fn();

/// What a program installs for a cause.
type Handler = unsafe extern "C" fn(*mut Frame, u32);

/// What is kept of whom an exception interrupts. Up to the cause the layout is the ROM's, which handlers know.
#[repr(C)]
pub(crate) struct Frame {
    /// Where it was, and goes on.
    pub(crate) pc: u32,
    ps: u32,
    sar: u32,
    /// What the exception was about, where it was about an address.
    address: u32,
    /// a0, then a2 to a15.
    registers: [u32; 15],
    cause: u32,
    /// a1.
    stack: u32,
}

impl Frame {
    /// The register with this number.
    pub(crate) fn register(&mut self, number: u8) -> Option<&mut u32> {
        match number {
            0 => self.registers.get_mut(0),
            1 => Some(&mut self.stack),
            number => self.registers.get_mut(usize::from(number) - 1),
        }
    }
}

unsafe extern "C" {
    fn rom_exception();
    fn rom_access_exception();
}

/// For each cause, what is called. `exceptions.S` reads it as a plain array.
#[unsafe(no_mangle)]
static mut rom_handlers: [Option<Handler>; CAUSES] = [None; CAUSES];

/// The array is not used within `exceptions.S` while this is held, since interrupts are masked.
static HANDLERS: Local<()> = Local::new(());

/// Sets the tables.
pub(crate) fn start() {
    for cause in 0..CAUSES {
        let entry: Entry =
            if ACCESS.contains(&cause) { rom_access_exception } else { rom_exception };
        // SAFETY: the ROM's own RAM.
        unsafe { TABLE.add(cause).write_volatile(entry) };
        let interrupt = cause == INTERRUPT;
        install(cause, Some(if interrupt { interrupts::rom_interrupt } else { unhandled }));
    }
}

fn install(cause: usize, handler: Option<Handler>) -> Option<Handler> {
    HANDLERS.with(|()| {
        // SAFETY: nobody else uses the array meanwhile.
        let handlers = unsafe { &mut *(&raw mut rom_handlers) };
        handlers.get_mut(cause).and_then(|place| core::mem::replace(place, handler))
    })
}

/// `_xtos_set_exception_handler`: returns the handler of before.
#[unsafe(no_mangle)]
extern "C" fn rom_set_exception_handler(cause: u32, handler: Option<Handler>) -> Option<Handler> {
    install(cause as usize, Some(handler.unwrap_or(unhandled)))
}

/// What is there for all causes first: the chip's would end in a watchdog's reset.
unsafe extern "C" fn unhandled(frame: *mut Frame, cause: u32) {
    // SAFETY: `exceptions.S` passes its frame.
    let Frame { pc, address, registers: [a0, ..], .. } = unsafe { &*frame };
    crate::rom_fault(cause, *pc, *address, *a0)
}
