//! The flash of `-M lx60-nommu -drive if=pflash`, whose first megabyte stands for the chip's.
//!
//! What is written goes to the file behind the drive. QEMU's device takes any value for any place, and its blocks of
//! 64 KB are not the chip's sectors; so the ways of the chip's flash are made here: writing clears bits only, and a
//! sector of 4 KB is erased. Neither takes the time that it takes on the chip.
//! Commands: Intel, Common Flash Interface, basic command set, "write to buffer".

use core::ptr;
use core::sync::atomic::{Ordering, compiler_fence};

/// Where the machine has it.
const WINDOW: usize = 0x9800_0000;
/// Bytes of the chip's flash.
pub const SIZE: u32 = 1 << 20;
/// Bytes that are erased together.
pub const SECTOR: u32 = 4096;
/// Bytes that QEMU's device takes at once, from a multiple of it on.
const BUFFER: u32 = 2048;
/// Bytes that are written at once: they wait on the stack, which is short.
const CHUNK: u32 = 64;
const _: () = assert!(BUFFER.is_multiple_of(CHUNK));

const WRITE_TO_BUFFER: u16 = 0xE8;
const CONFIRM: u16 = 0xD0;
const READ_ARRAY: u16 = 0xFF;

/// An address beyond the end, or one that is no multiple of 4 (for erasing: of a sector).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadAddress;

/// The flash.
pub struct Flash(());

impl Flash {
    /// The flash. On a machine without it, reads find what happens to be there.
    ///
    /// # Safety
    /// There must be no other one at the same time.
    #[must_use]
    pub const unsafe fn new() -> Self {
        Self(())
    }

    /// Reads words from `at` on.
    ///
    /// # Errors
    /// If there are none; nothing was read then.
    pub fn read(&self, at: u32, words: &mut [u32]) -> Result<(), BadAddress> {
        check(at, words.len())?;
        for (word, place) in words.iter_mut().zip((at..).step_by(size_of::<u32>())) {
            // SAFETY: within the window, as was checked.
            *word = unsafe { pointer::<u32>(place).read_volatile() };
        }
        Ok(())
    }

    /// Clears, from `at` on, the bits that are zero in `words`.
    ///
    /// # Errors
    /// If they do not fit; nothing was written then.
    pub fn write(&mut self, at: u32, words: &[u32]) -> Result<(), BadAddress> {
        check(at, words.len())?;
        let mut values = words.iter().zip((at..).step_by(size_of::<u32>())).map(|(word, place)| {
            // SAFETY: within the window, as was checked.
            let old = unsafe { pointer::<u32>(place).read_volatile() };
            old & word
        });
        let (mut place, end) = (at, at + 4 * words.len() as u32);
        while place < end {
            // All reads come before the device is told to take what follows.
            let len = (CHUNK - place % CHUNK).min(end - place);
            let mut chunk = [0; (CHUNK / 4) as usize];
            let chunk = &mut chunk[..(len / 4) as usize];
            chunk.iter_mut().zip(&mut values).for_each(|(word, value)| *word = value);
            self.put(place, chunk);
            place += len;
        }
        Ok(())
    }

    /// Sets all bits of the sector that begins at `at`.
    ///
    /// # Errors
    /// If none begins there; nothing was erased then.
    pub fn erase(&mut self, at: u32) -> Result<(), BadAddress> {
        if !at.is_multiple_of(SECTOR) || at >= SIZE {
            return Err(BadAddress);
        }
        for place in (at..at + SECTOR).step_by(BUFFER as usize) {
            self.put(place, &[u32::MAX; (BUFFER / 4) as usize]);
        }
        Ok(())
    }

    /// Has the device take these words, which lie in one buffer's reach.
    fn put(&mut self, at: u32, words: &[u32]) {
        let halves = words.len() as u16 * 2;
        let command = |value: u16| {
            // SAFETY: within the window; the device stores nothing but what follows WRITE_TO_BUFFER.
            unsafe { pointer::<u16>(at).write_volatile(value) };
        };
        command(WRITE_TO_BUFFER);
        command(halves - 1);
        for (word, place) in words.iter().zip((at..).step_by(size_of::<u32>())) {
            let [a, b, c, d] = word.to_le_bytes();
            // SAFETY: within the window, and the device waits for it.
            unsafe {
                pointer::<u16>(place).write_volatile(u16::from_le_bytes([a, b]));
                pointer::<u16>(place + 2).write_volatile(u16::from_le_bytes([c, d]));
            }
        }
        command(CONFIRM);
        command(READ_ARRAY);
        compiler_fence(Ordering::SeqCst);
    }
}

fn check(at: u32, words: usize) -> Result<(), BadAddress> {
    let room = SIZE.checked_sub(at).filter(|_| at.is_multiple_of(4)).ok_or(BadAddress)?;
    if words > (room / 4) as usize { Err(BadAddress) } else { Ok(()) }
}

fn pointer<T>(at: u32) -> *mut T {
    ptr::with_exposed_provenance_mut(WINDOW + at as usize)
}
