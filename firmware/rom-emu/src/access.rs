//! Loads and stores that the core may not do itself: decoded, and emulated. They are those of the chip's registers, for which QEMU's board has
//! nothing; and those where programs are, since the chip is stricter there than QEMU: instruction RAM and the flash's window take whole words only,
//! nobody stores to the window, and nobody reads it while the cache is off. The mask ROM may load as it likes.
//!
//! Encodings: Xtensa Instruction Set Architecture Reference Manual, formats RRI8 and RRRN.

use core::ops::Range;
use core::ptr;

use crate::exceptions::Frame;
use crate::{chip, flash, registers};

/// Where programs are: the mask ROM, instruction RAM, the flash's window.
const PROGRAMS: Range<u32> = 0x4000_0000..0x4030_0000;
const IRAM: u32 = 0x4010_0000;
const WINDOW: u32 = 0x4020_0000;

/// What [`rom_access`] returns if all is done.
const HANDLED: u32 = u32::MAX;
/// Causes of exceptions: the memory takes whole words only; the address is no multiple of what is accessed; nothing may be done there.
const NO_WORD: u32 = 3;
const UNALIGNED: u32 = 9;
const FORBIDDEN: u32 = 28;

/// A load or a store.
struct Access {
    store: bool,
    /// Bytes that are moved.
    width: u32,
    /// Whether a load that is narrower than a word extends the sign.
    signed: bool,
    /// Bytes of the instruction.
    length: u32,
    /// The register that is loaded or stored.
    register: u8,
}

impl Access {
    fn decode([first, second, _]: [u8; 3]) -> Option<Self> {
        let (store, width, signed, length) = match (first & 0xF, second >> 4) {
            (0x2, 0x0) => (false, 1, false, 3), // L8UI
            (0x2, 0x1) => (false, 2, false, 3), // L16UI
            (0x2, 0x9) => (false, 2, true, 3),  // L16SI
            (0x2, 0x2) => (false, 4, false, 3), // L32I
            (0x1, _) => (false, 4, false, 3),   // L32R
            (0x8, _) => (false, 4, false, 2),   // L32I.N
            (0x2, 0x4) => (true, 1, false, 3),  // S8I
            (0x2, 0x5) => (true, 2, false, 3),  // S16I
            (0x2, 0x6) => (true, 4, false, 3),  // S32I
            (0x9, _) => (true, 4, false, 2),    // S32I.N
            _ => return None,
        };
        Some(Self { store, width, signed, length, register: first >> 4 })
    }

    /// In memory, where a program is.
    fn at_program(&self, address: u32, register: &mut u32, pc: u32) {
        let place = ptr::with_exposed_provenance_mut::<u32>((address & !3) as usize);
        if !self.store {
            // SAFETY: memory of the program.
            *register = self.extend(unsafe { place.read_volatile() } >> ((address & 3) * 8));
        } else if (IRAM..WINDOW).contains(&address) {
            // SAFETY: as above, and a whole word.
            unsafe { place.write_volatile(*register) };
        } else {
            chip::stop(format_args!("at {pc:#010x} something is stored to {address:#010x}"));
        }
    }

    /// In a register of the chip's, which are words.
    fn at_register(&self, address: u32, register: &mut u32, pc: u32) {
        let (word, shift) = (address & !3, (address & 3) * 8);
        if !self.store {
            *register = self.extend(registers::read(word, pc) >> shift);
        } else if self.width == 4 {
            registers::write(word, *register, pc);
        } else {
            let mask = ((1 << (self.width * 8)) - 1) << shift;
            registers::write(word, registers::kept(word) & !mask | *register << shift & mask, pc);
        }
    }

    fn extend(&self, value: u32) -> u32 {
        match (self.width, self.signed) {
            (4, _) => value,
            (2, true) => value as u16 as i16 as u32,
            (2, false) => value & 0xFFFF,
            _ => value & 0xFF,
        }
    }
}

/// Does what the interrupted program wants at `address`, and returns [`HANDLED`]; or the cause of the exception that it gets for
/// that on the chip.
///
/// # Safety
/// The frame is that of `exceptions.S`, whom nobody else uses.
#[unsafe(no_mangle)]
unsafe extern "C" fn rom_access(frame: *mut Frame, address: u32) -> u32 {
    // SAFETY: as promised by the caller.
    let frame = unsafe { &mut *frame };
    let pc = frame.pc;
    // SAFETY: the core has just read an instruction there, and QEMU's memory does not end behind it.
    let instruction = unsafe { ptr::with_exposed_provenance::<[u8; 3]>(pc as usize).read() };
    let Some(access) = Access::decode(instruction) else { return FORBIDDEN };
    let Some(register) = frame.register(access.register) else { return FORBIDDEN };
    if !address.is_multiple_of(access.width) {
        return UNALIGNED;
    }
    if PROGRAMS.contains(&address) {
        // How the chip's ROM loads is not known; the SDK has it find the end of texts in flash before there is a handler.
        let by_rom = pc < IRAM && !access.store;
        if address >= IRAM && access.width < 4 && !by_rom {
            return NO_WORD;
        }
        if address >= WINDOW && !flash::is_cached() {
            chip::stop(format_args!(
                "at {pc:#010x} {address:#010x} is used while the cache is off"
            ));
        }
        access.at_program(address, register, pc);
    } else if registers::are_at(address) {
        access.at_register(address, register, pc);
    } else {
        return FORBIDDEN;
    }
    frame.pc = pc + access.length;
    HANDLED
}
