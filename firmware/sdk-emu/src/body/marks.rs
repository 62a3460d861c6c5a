//! How deep the stack has been, and how little was free of the heap: lines `MARK stack N` and `MARK heap N`, in bytes.

use core::ptr;

use qemu::log_line;

use super::local::Local;
use super::{fault, memory};

/// The stack, between what the mask ROM keeps for itself and where `sdk.S` lets it begin.
const BOTTOM: usize = 0x3FFF_E000;
const TOP: usize = 0x3FFF_FFF0;
/// The mask ROM's cryptography clears 176 bytes of it that end here, about once an hour: found by users of Arduino's core.
const CLEARED: usize = 0x3FFF_EB30;
/// What the stack is filled with, but for so many bytes below the one who fills it.
const PAINT: u32 = 0x5AFE_5AFE;
const IN_USE: usize = 256;

/// The marks that were told.
static TOLD: Local<(usize, u32)> = Local::new((0, u32::MAX));

/// Paints the stack.
pub(super) fn start() {
    let here = 0_u32;
    for place in (BOTTOM..(&raw const here).addr() - IN_USE).step_by(size_of::<u32>()) {
        // SAFETY: the chip's stack, below all that is in use.
        unsafe { ptr::with_exposed_provenance_mut::<u32>(place).write_volatile(PAINT) };
    }
}

/// Tells the marks that are news.
pub(super) fn tell() {
    let (depth, free) = (depth(), memory::least_free());
    let (deepest, least) = TOLD.with(|told| core::mem::replace(told, (depth, free)));
    if depth > deepest {
        log_line!("MARK stack {depth}");
    }
    if free < least {
        log_line!("MARK heap {free}");
    }
    if depth > TOP - CLEARED {
        fault::misuse(format_args!("the stack was {depth} bytes deep, where the ROM has its own"));
    }
}

fn depth() -> usize {
    // SAFETY: the chip's stack; no Rust object is referred to.
    let is_painted = |&place: &usize| unsafe {
        ptr::with_exposed_provenance::<u32>(place).read_volatile() == PAINT
    };
    let places = (BOTTOM..TOP).step_by(size_of::<u32>());
    TOP - BOTTOM - places.take_while(is_painted).count() * size_of::<u32>()
}
