//! What outlives a reset: RTC memory, with the reason of the reset in the SDK's part of it.
//!
//! It lies where the chip has it, in what is ordinary memory here: QEMU keeps that over a reset and clears it when it
//! starts.

use core::ffi::c_void;
use core::ptr;

use sdk_sys::unlisted::RTC_BLOCKS;
use sdk_sys::user_interface as sdk;
use sdk_sys::user_interface::{REASON_DEFAULT_RST, REASON_EXT_SYS_RST, RstInfo};
use sdk_sys::{Bool, FALSE, TRUE};

use super::local::Local;
use super::{clock, random};

/// RTC memory: 192 blocks of a word each.
const MEMORY: *mut u32 = ptr::with_exposed_provenance_mut(0x6000_1100);
const BLOCKS: usize = RTC_BLOCKS.end as usize;
/// The first block that is the firmware's.
const FIRST: usize = RTC_BLOCKS.start as usize;
const BLOCK: usize = size_of::<u32>();

/// Marks what was written by us.
const MAGIC: u32 = 0x5344_4B45;
/// Where the record is, in blocks.
const RECORD: *mut Record = MEMORY.cast();

/// What is kept in the SDK's part.
#[derive(Clone, Copy)]
#[repr(C)]
struct Record {
    magic: u32,
    info: RstInfo,
    /// Resets since the machine was switched on.
    resets: u32,
    /// Since then, in microseconds: low word, high word.
    age: [u32; 2],
}

const _: () = assert!(size_of::<Record>() <= FIRST * BLOCK);

/// The reason of this start, and the age of the machine at it.
static START: Local<(RstInfo, u64)> = Local::new((NONE, 0));
/// What [`system_get_rst_info`] points at.
static INFO: Shown = Shown(core::cell::UnsafeCell::new(NONE));

struct Shown(core::cell::UnsafeCell<RstInfo>);

// SAFETY: written once, before the firmware runs.
unsafe impl Sync for Shown {}

/// Nothing is known of the reset.
pub(super) const NONE: RstInfo = RstInfo {
    reason: REASON_DEFAULT_RST,
    exccause: 0,
    epc1: 0,
    epc2: 0,
    epc3: 0,
    excvaddr: 0,
    depc: 0,
};

fn load() -> Record {
    // SAFETY: ordinary memory, aligned to 4, of which any pattern is valid.
    unsafe { RECORD.read_volatile() }
}

fn store(record: Record) {
    // SAFETY: as in `load`.
    unsafe { RECORD.write_volatile(record) }
}

/// Begins a run; returns how often the machine was reset since it was switched on.
pub(super) fn begin() -> u32 {
    let before = load();
    let switched_on = before.magic != MAGIC;
    let external = RstInfo { reason: REASON_EXT_SYS_RST, ..NONE };
    let (info, resets, age) = if switched_on {
        (NONE, 0, [0; 2])
    } else {
        (before.info, before.resets.wrapping_add(1), before.age)
    };
    // Whoever resets the machine now cannot say why.
    store(Record { magic: MAGIC, info: external, resets, age });
    START.with(|start| *start = (info, u64::from(age[1]) << 32 | u64::from(age[0])));
    // SAFETY: the firmware does not run yet.
    unsafe { INFO.0.get().write(info) };
    resets
}

/// The firmware's part holds noise when the machine is switched on, as on the chip.
pub(super) fn fill_with_noise() {
    for block in FIRST..BLOCKS {
        // SAFETY: within the memory.
        unsafe { MEMORY.add(block).write_volatile(random::word()) };
    }
}

/// The reason that the next start will find. It asks no other part of the SDK, of which any may have been interrupted.
pub(super) fn note(info: RstInfo) {
    store(Record { info, ..load() });
}

/// Keeps the age of the machine for the next start.
pub(super) fn note_age() {
    let age = age_us();
    // Both words of it.
    store(Record { age: [age as u32, (age >> 32) as u32], ..load() });
}

/// Microseconds since the machine was switched on. What passes within a reset, or while
/// something blocks that ends in one, is not counted.
pub(super) fn age_us() -> u64 {
    START.with(|(_, age)| *age) + clock::now_us()
}

#[unsafe(no_mangle)]
extern "C" fn system_get_rst_info() -> *const RstInfo {
    INFO.0.get()
}

/// The blocks from `block` on for `len` bytes, if they are the firmware's.
fn blocks(block: u8, len: u16) -> Option<*mut u8> {
    let (first, bytes) = (usize::from(block), usize::from(len));
    let fits = first >= FIRST && first < BLOCKS && bytes <= (BLOCKS - first) * BLOCK;
    // SAFETY: within the memory.
    fits.then(|| unsafe { MEMORY.add(first) }.cast())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn system_rtc_mem_read(block: u8, to: *mut c_void, len: u16) -> Bool {
    let Some(from) = blocks(block, len) else { return FALSE };
    // SAFETY: the caller vouches for its buffer, which lies elsewhere.
    unsafe { ptr::copy_nonoverlapping(from, to.cast(), usize::from(len)) };
    TRUE
}

#[unsafe(no_mangle)]
unsafe extern "C" fn system_rtc_mem_write(block: u8, from: *const c_void, len: u16) -> Bool {
    let Some(to) = blocks(block, len) else { return FALSE };
    // SAFETY: as in `system_rtc_mem_read`.
    unsafe { ptr::copy_nonoverlapping(from.cast(), to, usize::from(len)) };
    TRUE
}

super::as_declared!(sdk::{system_get_rst_info, system_rtc_mem_read, system_rtc_mem_write});
