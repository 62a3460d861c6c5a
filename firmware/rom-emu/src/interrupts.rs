//! Interrupts. The chip has one for each device. Here only its second timer interrupts, through that of QEMU's core.

use crate::exceptions::Frame;
use crate::local::Local;
use crate::timer;

/// The chip's second timer (`ETS_FRC_TIMER2_INUM`).
const TIMER2: usize = 10;

type Handler = unsafe extern "C" fn(argument: usize);

struct Interrupts {
    handlers: [Option<(Handler, usize)>; 16],
    /// Those that are let in, one bit each.
    enabled: u32,
}

static INTERRUPTS: Local<Interrupts> = Local::new(Interrupts { handlers: [None; 16], enabled: 0 });

unsafe extern "C" {
    /// Lets these interrupts of QEMU's core in, and no others.
    safe fn rom_let_in(mask: u32);
}

/// `ets_isr_attach`.
#[unsafe(no_mangle)]
extern "C" fn rom_isr_attach(number: u32, handler: Option<Handler>, argument: usize) {
    INTERRUPTS.with(|interrupts| {
        if let Some(place) = interrupts.handlers.get_mut(number as usize) {
            *place = handler.map(|handler| (handler, argument));
        }
    });
}

/// `ets_isr_mask`.
#[unsafe(no_mangle)]
extern "C" fn rom_isr_mask(mask: u32) {
    enable(|enabled| enabled & !mask);
}

/// `ets_isr_unmask`.
#[unsafe(no_mangle)]
extern "C" fn rom_isr_unmask(mask: u32) {
    enable(|enabled| enabled | mask);
}

fn enable(change: impl FnOnce(u32) -> u32) {
    INTERRUPTS.with(|interrupts| {
        interrupts.enabled = change(interrupts.enabled);
        let timer = interrupts.enabled & 1 << TIMER2 != 0;
        rom_let_in(if timer { qemu::cpu::INTERRUPT_TIMER } else { 0 });
    });
}

/// QEMU's core was interrupted by its timer.
pub(crate) unsafe extern "C" fn rom_interrupt(_: *mut Frame, _: u32) {
    if timer::expired()
        && let Some((handler, argument)) = INTERRUPTS.with(|it| it.handlers[TIMER2])
    {
        // SAFETY: the program has attached it, with this argument.
        unsafe { handler(argument) };
    }
}
