//! The bootloader of an ESP-01: Rust, in the first sector of flash.
//!
//! The mask ROM loads it to RAM where no image is, and calls it with the cache off; so it leaves the cache. Which image
//! is started is decided by [`spore_boot`]. If there is none, it says so and waits for someone with a serial line.
#![no_std]

mod flash;
mod rom;

use flash::Flash;
use spore_boot::image::IN_PLACE;
use spore_boot::{Esp, Slot, Start};

unsafe extern "C" {
    /// Starts an image on a fresh stack (`entry.S`).
    fn boot_enter(entry: u32) -> !;
}

/// Bytes that are loaded between two feedings of the watchdog.
const PIECE: u32 = 4096;

/// Between two messages of the last resort.
const PAUSE_US: u32 = 2_000_000;

/// `entry.S` comes here.
#[unsafe(no_mangle)]
extern "C" fn boot_main() -> ! {
    let mut flash = Flash;
    if let Some(start) = spore_boot::choose::<Esp>(&mut flash)
        && load(&start).is_some()
    {
        rom::say(c"\nboot: slot %c, image %d\n", letter(start.slot), start.header.sequence);
        // SAFETY: the image is whole, all of it that belongs into RAM is there, and its entry lies within it.
        unsafe { boot_enter(start.header.entry) }
    }
    last_resort()
}

fn letter(slot: Slot) -> u32 {
    match slot {
        Slot::A => 0x41,
        Slot::B => 0x42,
    }
}

/// Copies the segments of an image to where they belong. None if flash cannot be read; then RAM holds part of it.
fn load(Start { slot, header }: &Start) -> Option<()> {
    let mut at = slot.region().start + IN_PLACE + header.in_place;
    for segment in header.segments {
        let (mut to, mut left) = (segment.address, segment.length);
        while left > 0 {
            let length = left.min(PIECE);
            // SAFETY: the header was checked: whole words within the memories that images may fill, where nothing of
            // the bootloader is.
            unsafe { rom::read(at, to, length)? };
            (at, to, left) = (at + length, to + length, left - length);
        }
    }
    Some(())
}

/// Says that there is no image, for ever. The serial loader is the mask ROM's: it is reached by a reset with GPIO0 low.
fn last_resort() -> ! {
    loop {
        rom::say(c"\nboot: no image. Reset with GPIO0 low, then flash.\n", 0, 0);
        rom::wait(PAUSE_US);
    }
}

/// Nothing here panics; the build makes it an illegal instruction, which resets the chip.
#[cfg(target_arch = "xtensa")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
