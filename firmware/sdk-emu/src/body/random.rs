//! What stands for the chip's generator of random numbers.

use core::ffi::c_int;

use sdk_sys::osapi;

use qemu::cpu;

use super::local::Local;

struct Source {
    seed: [u8; 32],
    resets: u32,
    /// Another one for each word of a start; where it begins is not known before.
    count: u32,
}

static SOURCE: Local<Source> = Local::new(Source { seed: [0; 32], resets: 0, count: 0 });

/// Takes the machine's seed; `resets` makes each start another one.
pub(super) fn start(seed: [u8; 32], resets: u32) {
    SOURCE.with(|source| *source = Source { seed, resets, count: cpu::cycles() });
}

/// Random bits.
pub(super) fn word() -> u32 {
    SOURCE.with(|source| {
        source.count = source.count.wrapping_add(1);
        u32::from_le_bytes(qemu::random::bytes(&source.seed, source.resets, source.count))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn os_get_random(buffer: *mut u8, len: usize) -> c_int {
    // SAFETY: the caller vouches for its buffer, of which any pattern is valid.
    let buffer = unsafe { core::slice::from_raw_parts_mut(buffer, len) };
    for part in buffer.chunks_mut(size_of::<u32>()) {
        part.copy_from_slice(&word().to_le_bytes()[..part.len()]);
    }
    0
}

super::as_declared!(osapi::{os_get_random});
