//! How deep the stack has been, and what is left of the data memory.
//!
//! `start.S` paints the stack; here the paint that is left is counted.

use core::ptr;

/// What `start.S` fills the stack with.
const PAINT: u32 = 0x5AFE_5AFE;

/// Symbols of the linker script, of which only the addresses mean anything: nothing lies there that
/// Rust knows of.
mod linker {
    unsafe extern "C" {
        pub(super) safe static _bss_end: [u32; 0];
        pub(super) safe static _stack_paint: [u32; 0];
        pub(super) safe static _stack_limit: [u32; 0];
        pub(super) safe static _stack_top: [u32; 0];
    }
}

fn address(symbol: &'static [u32; 0]) -> usize {
    symbol.as_ptr().addr()
}

/// The most bytes of stack that were in use at once since the reset.
///
/// A frame that is reserved and not written to is missed, and one that happens to hold the paint
/// as well; both are rare.
#[must_use]
pub fn high_water() -> u32 {
    let (bottom, top) = (address(&linker::_stack_paint), address(&linker::_stack_top));
    let is_painted = |&place: &usize| {
        // SAFETY: the linker script reserves the words from `bottom` to `top` for the stack. No
        // Rust object begins or ends there, so the pointer is made from the address, and the
        // access is volatile.
        unsafe { ptr::with_exposed_provenance::<u32>(place).read_volatile() == PAINT }
    };
    let painted = (bottom..top).step_by(size_of::<u32>()).take_while(is_painted).count();
    (top - bottom - painted * size_of::<u32>()) as u32
}

/// The bytes of stack that the firmware may use (`STACK_LIMIT` of the linker scripts).
#[must_use]
pub fn budget() -> u32 {
    (address(&linker::_stack_top) - address(&linker::_stack_limit)) as u32
}

/// Bytes of the chip's data memory between the firmware's statics and the stack. On the chip the
/// SDK's statics and its heap are there; here it lies idle.
#[must_use]
pub fn unused_memory() -> u32 {
    (address(&linker::_stack_paint) - address(&linker::_bss_end)) as u32
}
