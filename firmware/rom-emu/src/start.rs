//! The start from flash: the image at its first byte is loaded into RAM and entered, with the cache off.
//!
//! The format is that of `esptool`'s documentation, "Firmware Image Format", version 1.

use core::ptr;

use qemu::log_line;

use crate::flash;

const MAGIC: u8 = 0xE9;
/// What the checksum begins with.
const CHECKSUM: u8 = 0xEF;
/// More segments are taken for damage.
const MAX_SEGMENTS: u8 = 16;
/// RAM that is loaded to: all of instruction RAM, since the cache is off, and data RAM up to the ROM's own.
const MEMORIES: [core::ops::Range<u32>; 2] = [0x4010_0000..0x4011_0000, 0x3FFE_8000..0x3FFF_C000];

unsafe extern "C" {
    /// Enters what was loaded, on the chip's stack (`table.S`).
    fn rom_enter(entry: u32) -> !;
}

/// Why nothing was started.
#[derive(Debug)]
enum Fault {
    Magic(u8),
    Segment,
    Checksum,
}

/// Loads and enters the image at flash 0. Without one it stops: the chip would wait for a watchdog, and try again.
pub(crate) fn start() -> ! {
    flash::rom_cache_disable();
    log_line!("ROM start from flash");
    match load() {
        // SAFETY: the image's checksum is right.
        Ok(entry) => unsafe { rom_enter(entry) },
        Err(fault) => log_line!("ROM no image at flash 0: {fault:?}"),
    }
    qemu::cpu::halt()
}

/// Words of flash, one after the other.
struct Words(u32);

impl Words {
    fn next(&mut self) -> u32 {
        let mut word = 0;
        // SAFETY: one word on the stack. Behind the end of flash, zeros are read.
        unsafe { flash::read(self.0, &mut word, 4) };
        self.0 = self.0.saturating_add(4);
        word
    }
}

fn load() -> Result<u32, Fault> {
    let mut words = Words(0);
    let [magic, segments, _, _] = words.next().to_le_bytes();
    if magic != MAGIC {
        return Err(Fault::Magic(magic));
    }
    if segments > MAX_SEGMENTS {
        return Err(Fault::Segment);
    }
    let entry = words.next();
    let mut checksum = CHECKSUM;
    for _ in 0..segments {
        let (address, length) = (words.next(), words.next());
        let end = address.checked_add(length);
        let fits = |memory: &core::ops::Range<u32>| {
            memory.start <= address && end.is_some_and(|end| end <= memory.end)
        };
        if !MEMORIES.iter().any(fits) || !(address | length).is_multiple_of(4) {
            return Err(Fault::Segment);
        }
        for at in (address..address + length).step_by(4) {
            let word = words.next();
            checksum = word.to_le_bytes().iter().fold(checksum, |sum, byte| sum ^ byte);
            // SAFETY: RAM of the chip, in which nothing runs yet.
            unsafe { ptr::with_exposed_provenance_mut::<u32>(at as usize).write_volatile(word) };
        }
    }
    // The checksum ends a block of 16 bytes, behind padding.
    let [_, _, _, expected] = Words(words.0 / 16 * 16 + 12).next().to_le_bytes();
    if checksum == expected { Ok(entry) } else { Err(Fault::Checksum) }
}
