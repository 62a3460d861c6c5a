//! The heap, from the end of the statics to 0x3FFFC000.

use core::ffi::{c_char, c_void};
use core::ptr;

use sdk_sys::{Bool, mem, user_interface as sdk};

use qemu::log_line;

use super::app::app;
use super::fault;
use super::local::Local;
use crate::heap::{BadBlock, Heap};

/// Above it is the mask ROM's memory.
const END: usize = 0x3FFF_C000;
/// What the SDK has taken of it before the firmware starts, in bytes: measured on SDK 3.0.6, without a network (`cargo xtask sdk-main`).
const TAKEN: u32 = 1_256;
const UNIT: usize = 8;

static HEAP: Local<Heap> = Local::new(Heap::EMPTY);

/// Makes the heap from what the firmware's statics and the SDK's have left.
pub(super) fn start() {
    let start = app().heap_start.addr().next_multiple_of(UNIT);
    let len = END.checked_sub(start).unwrap_or_default();
    if len < TAKEN as usize * 2 {
        fault::stop(format_args!("the firmware's statics leave no heap: it begins at {start:#x}"));
    }
    HEAP.with(|heap| {
        // SAFETY: no Rust object lies behind the statics, as `esp01.ld` has it, and there is one heap.
        *heap = unsafe { Heap::new(ptr::with_exposed_provenance_mut(start), len as u32) };
    });
    let _ = take(TAKEN);
    log_line!("SDK heap of {len} bytes, {} free", system_get_free_heap_size());
}

/// The least of bytes that ever were free.
pub(super) fn least_free() -> u32 {
    HEAP.with(|heap| heap.least_free_bytes())
}

/// A block, or null.
pub(super) fn take(size: u32) -> *mut c_void {
    let start = app().heap_start.addr().next_multiple_of(UNIT);
    match HEAP.with(|heap| heap.take(size)) {
        Ok(Some(at)) => ptr::with_exposed_provenance_mut(start + at as usize),
        Ok(None) => ptr::null_mut(),
        Err(_) => broken(),
    }
}

/// Gives a block back.
pub(super) fn give(block: *mut c_void) {
    let start = app().heap_start.addr().next_multiple_of(UNIT);
    let at = block.addr().checked_sub(start).and_then(|at| u32::try_from(at).ok());
    match at.map_or(Err(BadBlock::NotABlock), |at| HEAP.with(|heap| heap.give(at))) {
        Ok(()) => (),
        Err(BadBlock::NotABlock) => fault::misuse(format_args!("no block begins at {block:p}")),
        Err(BadBlock::Twice) => {
            fault::misuse(format_args!("the block at {block:p} is free already"))
        }
        Err(BadBlock::Broken) => broken(),
    }
}

fn broken() -> ! {
    fault::misuse(format_args!("the heap is broken: somebody wrote over the end of a block"))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pvPortMalloc(size: usize, _: *const c_char, _: u32, _: Bool) -> *mut c_void {
    // Sizes have 32 bits here.
    take(size as u32)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn vPortFree(block: *mut c_void, _: *const c_char, _: u32) {
    if !block.is_null() {
        give(block);
    }
}

#[unsafe(no_mangle)]
extern "C" fn system_get_free_heap_size() -> u32 {
    HEAP.with(|heap| heap.free_bytes())
}

super::as_declared!(mem::{pvPortMalloc, vPortFree});
super::as_declared!(sdk::{system_get_free_heap_size});
