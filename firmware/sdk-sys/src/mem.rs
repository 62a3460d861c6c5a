//! `mem.h`: the SDK's heap, from the end of the statics to 0x3FFFC000.

use core::ffi::{c_char, c_void};

use crate::Bool;

unsafe extern "C" {
    /// What `os_malloc_dram` is with `iram` 0: `size` bytes, aligned to 8, or null. `file` and `line` may say who asks.
    pub fn pvPortMalloc(size: usize, file: *const c_char, line: u32, iram: Bool) -> *mut c_void;
    /// What `os_free` is: gives back what [`pvPortMalloc`] has returned.
    pub fn vPortFree(block: *mut c_void, file: *const c_char, line: u32);
}
