//! Loads and stores where the chip has registers and QEMU's board has nothing: decoded, and emulated.
//!
//! Encodings: Xtensa Instruction Set Architecture Reference Manual, formats RRI8 and RRRN.

use core::ptr;

use crate::exceptions::Frame;
use crate::registers;

/// A load or a store, in registers that are words.
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
            (0x8, _) => (false, 4, false, 2),   // L32I.N
            (0x2, 0x4) => (true, 1, false, 3),  // S8I
            (0x2, 0x5) => (true, 2, false, 3),  // S16I
            (0x2, 0x6) => (true, 4, false, 3),  // S32I
            (0x9, _) => (true, 4, false, 2),    // S32I.N
            _ => return None,
        };
        Some(Self { store, width, signed, length, register: first >> 4 })
    }
}

/// Does what the interrupted program wants at `address`. False if that is no register of the chip's, or in a way in which
/// nobody reaches one.
///
/// # Safety
/// The frame is that of `exceptions.S`, whom nobody else uses.
#[unsafe(no_mangle)]
unsafe extern "C" fn rom_access(frame: *mut Frame, address: u32) -> bool {
    // SAFETY: as promised by the caller.
    let frame = unsafe { &mut *frame };
    if !registers::are_at(address) {
        return false;
    }
    let pc = frame.pc;
    // SAFETY: the core has just read an instruction there, and QEMU's memory does not end behind it.
    let instruction = unsafe { ptr::with_exposed_provenance::<[u8; 3]>(pc as usize).read() };
    let Some(access) = Access::decode(instruction) else { return false };
    let Some(register) = frame.register(access.register) else { return false };
    let (word, shift) = (address & !3, (address & 3) * 8);
    let mask = u32::MAX >> (32 - access.width * 8);
    match access {
        Access { store: true, width: 4, .. } => registers::write(word, *register, pc),
        Access { store: true, .. } => {
            let rest = registers::kept(word) & !(mask << shift);
            registers::write(word, rest | (*register & mask) << shift, pc);
        }
        Access { signed, .. } => {
            let value = registers::read(word, pc) >> shift & mask;
            *register = if signed { value as u16 as i16 as u32 } else { value };
        }
    }
    frame.pc = pc + access.length;
    true
}
