//! How deep the stack has been, what is left of the data memory, and a second stack in it for what
//! needs more than the first has.
//!
//! `start.S` paints the stack; here the paint that is left is counted.

use core::ffi::c_void;
use core::ptr;

/// What `start.S` fills the stack with.
const PAINT: u32 = 0x5AFE_5AFE;

/// The bytes of the second stack: what [`on_second`] may call can use so many.
pub const SECOND: u32 = 9_728;

unsafe extern "C" {
    /// Calls `function` with `argument` on the stack that ends at `top`, a multiple of 16 (`start.S`).
    fn lx106_call_on(
        top: *mut c_void,
        function: unsafe extern "C" fn(*mut c_void),
        argument: *mut c_void,
    );
}

/// Symbols of the linker script, of which only the addresses mean anything: nothing lies there that
/// Rust knows of.
mod linker {
    unsafe extern "C" {
        pub(super) safe static _bss_end: [u32; 0];
        pub(super) safe static _stack_paint: [u32; 0];
        pub(super) safe static _second_stack_top: [u32; 0];
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

/// A call that is to be made, and what it has returned.
struct Call<F, T> {
    function: Option<F>,
    result: Option<T>,
}

unsafe extern "C" fn make<F: FnOnce() -> T, T>(call: *mut c_void) {
    // SAFETY: `on_second` gives a pointer to its own call, which nobody else uses meanwhile.
    let call = unsafe { &mut *call.cast::<Call<F, T>>() };
    call.result = call.function.take().map(|function| function());
}

/// Calls `function` on the second stack, of [`SECOND`] bytes, and tells how many it took.
///
/// That stack is there during the call only, in the memory that is the heap of the SDK on the chip
/// and lies idle here.
///
/// # Panics
/// If the call took all of it: what is below belongs to others.
///
/// # Safety
/// No such call may be made within another one.
pub unsafe fn on_second<F: FnOnce() -> T, T>(function: F) -> (T, u32) {
    let top = address(&linker::_second_stack_top);
    assert!(unused_memory() >= SECOND, "there is no memory for a second stack");
    let words = || ((top - SECOND as usize)..top).step_by(size_of::<u32>());
    for place in words() {
        // SAFETY: nothing lies there, as was checked, and no other such call is under way.
        unsafe { ptr::with_exposed_provenance_mut::<u32>(place).write_volatile(PAINT) };
    }
    let mut call = Call { function: Some(function), result: None };
    // SAFETY: the stack is memory of nobody else, and `make` gets what it expects.
    unsafe {
        let top = ptr::with_exposed_provenance_mut(top);
        lx106_call_on(top, make::<F, T>, ptr::from_mut(&mut call).cast());
    }
    // SAFETY: as above.
    let is_painted = |&place: &usize| unsafe {
        ptr::with_exposed_provenance::<u32>(place).read_volatile() == PAINT
    };
    let painted = words().take_while(is_painted).count() * size_of::<u32>();
    assert!(painted > 0, "the second stack is too small");
    (call.result.expect("the function was called"), SECOND - painted as u32)
}
