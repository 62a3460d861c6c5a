//! The ROM's part of the radio, as far as Espressif's libraries start on it: they find no radio, and hear nothing.
//!
//! Nothing is known here of what the ROM's functions for the radio do, and there is nothing that they could do it with. They are
//! called through a table, in which the libraries replace some by their own. All that is left here returns 0 and does nothing, but for the four
//! that reach the registers of the analogue part.

use core::cell::UnsafeCell;

use crate::local::Local;

/// Functions in the table: `libphy` uses none behind these.
const FUNCTIONS: usize = 128;
/// Places of the four for analogue registers, by the arguments that `libphy` gives them.
const READ: usize = 36;
const READ_FIELD: usize = 37;
const WRITE: usize = 38;
const WRITE_FIELD: usize = 39;

/// An analogue register: of a block, by number. (Which of the two ways leads to the block does not matter here.)
type Register = (u8, u8);
/// Its highest bit says that the synthesizer has found its frequency (`wait_rfpll_cal_end`).
const SYNTHESIZER: Register = (98, 7);
const FOUND: u8 = 1 << 7;

/// The registers of the blocks from 96 on.
static ANALOGUE: Local<[[u8; 32]; 16]> = Local::new([[0; 32]; 16]);

type Function = unsafe extern "C" fn();

/// The table, in which the libraries write.
struct Table(UnsafeCell<[Function; FUNCTIONS]>);

// SAFETY: it is used through its address alone.
unsafe impl Sync for Table {}

static TABLE: Table = Table(UnsafeCell::new([rom_radio_nothing; FUNCTIONS]));

unsafe extern "C" {
    /// Returns 0 (`table.S`).
    fn rom_radio_nothing();
}

fn register<T>((block, number): Register, job: impl FnOnce(&mut u8) -> T) -> T {
    ANALOGUE.with(|blocks| job(&mut blocks[usize::from(block % 16)][usize::from(number % 32)]))
}

extern "C" fn read(block: u8, _way: u8, number: u8) -> u32 {
    let status = if (block, number) == SYNTHESIZER { FOUND } else { 0 };
    u32::from(register((block, number), |value| *value) | status)
}

extern "C" fn read_field(block: u8, way: u8, number: u8, high: u8, low: u8) -> u32 {
    (read(block, way, number) & u32::from(mask(high, low))) >> (low % 8)
}

extern "C" fn write(block: u8, _way: u8, number: u8, value: u8) {
    register((block, number), |place| *place = value);
}

extern "C" fn write_field(block: u8, _way: u8, number: u8, high: u8, low: u8, value: u8) {
    let mask = mask(high, low);
    register((block, number), |place| *place = *place & !mask | (value << (low % 8)) & mask);
}

/// The bits from `low` to `high`.
fn mask(high: u8, low: u8) -> u8 {
    (u8::MAX >> (7 - high % 8)) & (u8::MAX << (low % 8))
}

/// `phy_get_romfuncs`.
#[unsafe(no_mangle)]
extern "C" fn rom_radio_table() -> *mut Function {
    let table = TABLE.0.get().cast::<Function>();
    let known: [(usize, *const ()); 4] = [
        (READ, read as *const ()),
        (READ_FIELD, read_field as *const ()),
        (WRITE, write as *const ()),
        (WRITE_FIELD, write_field as *const ()),
    ];
    for (place, function) in known {
        // SAFETY: within the table; who calls it from there gives what it takes.
        unsafe { table.add(place).write(core::mem::transmute::<*const (), Function>(function)) };
    }
    table
}

/// `lldesc_t` of Espressif's `rom/lldesc.h`: a piece of memory that the radio's DMA fills or sends.
#[repr(C)]
struct Descriptor {
    /// Bytes of room in the lowest 12 bits; in the highest, whether it is the hardware's.
    word: u32,
    memory: *mut u8,
    next: *mut Descriptor,
}

/// `lldesc_build_chain`: as many pieces of `piece` bytes, one behind the other, as there are descriptors and memory.
///
/// # Safety
/// So many bytes of both must be the caller's, and the two words.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments, reason = "they are the ROM's")]
unsafe extern "C" fn rom_build_chain(
    descriptors: *mut Descriptor,
    descriptors_length: u32,
    memory: *mut u8,
    memory_length: u32,
    piece: u32,
    owner: u8,
    head: *mut *mut Descriptor,
    tail: *mut *mut Descriptor,
) {
    let count = (descriptors_length / size_of::<Descriptor>() as u32).min(memory_length / piece);
    let mut next = core::ptr::null_mut();
    for index in (0..count).rev() {
        // SAFETY: as promised by the caller.
        unsafe {
            let descriptor = descriptors.add(index as usize);
            let memory = memory.add((index * piece) as usize);
            descriptor.write(Descriptor { word: u32::from(owner) << 31 | piece, memory, next });
            if index + 1 == count {
                tail.write(descriptor);
            }
            next = descriptor;
        }
    }
    // SAFETY: as promised by the caller.
    unsafe { head.write(next) };
}
