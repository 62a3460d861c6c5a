//! A second stack for what needs more than the SDK's has: from the SDK's heap, and only while it is needed.

use core::ffi::c_void;
use core::ptr;

use sdk_sys::FALSE;
use sdk_sys::mem::{pvPortMalloc, vPortFree};
use sdk_sys::user_interface::system_soft_wdt_feed;

/// What it is filled with.
const PAINT: u32 = 0x5AFE_5AFE;

/// The bytes of the second stack: what [`on_second`] may call can use so many.
const SECOND: u32 = 9_728;
const WORDS: usize = SECOND as usize / size_of::<u32>();

unsafe extern "C" {
    /// Calls `function` with `argument` on the stack that ends at `top`, a multiple of 16 (`rt/registers.S`).
    fn lx106_call_on(
        top: *mut c_void,
        function: unsafe extern "C" fn(*mut c_void),
        argument: *mut c_void,
    );
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

/// Calls `function` on a second stack of [`SECOND`] bytes, and tells how many it took. `None` if the heap has no such piece
/// of memory now: `function` was not called.
///
/// # Panics
/// If the call took all of it: what is below belongs to others.
pub fn on_second<F: FnOnce() -> T, T>(function: F) -> Option<(T, u32)> {
    // SAFETY: plain calls; the block is checked before it is used, and given back after its last use.
    let block = unsafe { pvPortMalloc(SECOND as usize, c"".as_ptr(), 0, FALSE) }.cast::<u32>();
    if block.is_null() {
        return None;
    }
    for word in 0..WORDS {
        // SAFETY: within the block, which is aligned to words.
        unsafe { block.add(word).write_volatile(PAINT) };
    }
    // What runs there may take more than a second.
    system_soft_wdt_feed();
    let mut call = Call { function: Some(function), result: None };
    // SAFETY: the stack is memory of nobody else, its end within the block and aligned down to 16, and `make` gets what
    // it expects.
    unsafe {
        let top = block.add(WORDS).map_addr(|top| top & !15);
        lx106_call_on(top.cast(), make::<F, T>, ptr::from_mut(&mut call).cast());
    }
    // SAFETY: within the block.
    let is_painted = |&word: &usize| unsafe { block.add(word).read_volatile() == PAINT };
    let painted = (0..WORDS).take_while(is_painted).count() * size_of::<u32>();
    assert!(painted > 0, "the second stack is too small");
    // SAFETY: it is the block from above.
    unsafe { vPortFree(block.cast(), c"".as_ptr(), 0) };
    call.result.map(|result| (result, SECOND - painted as u32))
}
