//! How deep the stack has been, and what is left of the data memory.
//!
//! `start.S` paints the stack; here the paint that is left is counted.

/// What `start.S` fills the stack with.
const PAINT: u32 = 0x5AFE_5AFE;

unsafe extern "C" {
    static _bss_end: u32;
    static _stack_paint: u32;
    static _stack_top: u32;
}

/// The most bytes of stack that were in use at once since the reset.
///
/// A frame that is reserved and not written to is missed, and one that happens to hold the paint
/// as well; both are rare.
#[must_use]
pub fn high_water() -> u32 {
    let (bottom, top) = (&raw const _stack_paint, &raw const _stack_top);
    let mut word = bottom;
    // SAFETY: the linker script reserves the words from `bottom` to `top` for the stack. They
    // are read through a raw, volatile access, for they belong to no Rust object.
    while word < top && unsafe { word.read_volatile() } == PAINT {
        word = word.wrapping_add(1);
    }
    (top.addr() - word.addr()) as u32
}

/// Bytes of the chip's data memory between the firmware's statics and the stack. On the chip the
/// SDK's statics and its heap are there; here it lies idle.
#[must_use]
pub fn unused_memory() -> u32 {
    ((&raw const _stack_paint).addr() - (&raw const _bss_end).addr()) as u32
}
