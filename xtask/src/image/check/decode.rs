//! Instructions of the LX106, as far as control, the stack pointer, constants and memory accesses go.
//!
//! Encodings: Xtensa Instruction Set Architecture reference manual, chapter 7. What the core lacks (windows, loops,
//! floating point) is not decoded: an instruction that is none is a fault of the image, or of whoever led here.

/// A register, from 0 to 15.
pub(super) type Register = u8;

/// The stack pointer.
pub(super) const STACK: Register = 1;

/// What an instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Call(u32),
    CallTo(Register),
    Jump(u32),
    JumpTo(Register),
    /// Goes there, or on.
    Branch(u32),
    Return,
    /// Control does not go on from here: an illegal instruction, or the return from an exception.
    End,
    /// A word from this address in code.
    Literal {
        to: Register,
        at: u32,
    },
    Constant {
        to: Register,
        value: u32,
    },
    Copy {
        to: Register,
        from: Register,
    },
    AddImmediate {
        to: Register,
        from: Register,
        value: i32,
    },
    /// `to = a + b`.
    Add {
        to: Register,
        a: Register,
        b: Register,
    },
    /// `to = index << shift + base`.
    AddScaled {
        to: Register,
        base: Register,
    },
    /// `to = a - b`.
    Subtract {
        to: Register,
        a: Register,
        b: Register,
    },
    Load {
        to: Register,
        base: Register,
        offset: u32,
        bytes: u8,
    },
    Store {
        value: Register,
        base: Register,
        offset: u32,
        bytes: u8,
    },
    /// Anything else; the register that it sets.
    Other(Option<Register>),
}

/// An instruction and its length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) op: Op,
    pub(super) length: u32,
}

/// Decodes what stands at `at`. `None` if that is no instruction of the core.
pub(super) fn decode(at: u32, bytes: &[u8]) -> Option<Instruction> {
    let [first, second, ..] = *bytes else { return None };
    if first & 0xF >= 8 {
        let op = narrow(at, u32::from(first) | u32::from(second) << 8)?;
        return Some(Instruction { op, length: 2 });
    }
    let word = u32::from(first) | u32::from(second) << 8 | u32::from(*bytes.get(2)?) << 16;
    Some(Instruction { op: wide(at, word)?, length: 3 })
}

fn field(word: u32, from: u32) -> Register {
    (word >> from & 0xF) as Register
}

/// The lowest `bits` of `value` as a number with a sign.
fn signed(value: u32, bits: u32) -> i32 {
    ((value << (32 - bits)) as i32) >> (32 - bits)
}

/// Where a branch or jump with this distance goes.
fn ahead(at: u32, distance: i32) -> u32 {
    at.wrapping_add(4).wrapping_add_signed(distance)
}

fn narrow(at: u32, word: u32) -> Option<Op> {
    let (t, s, r) = (field(word, 4), field(word, 8), field(word, 12));
    Some(match word & 0xF {
        8 => Op::Load { to: t, base: s, offset: u32::from(r) * 4, bytes: 4 },
        9 => Op::Store { value: t, base: s, offset: u32::from(r) * 4, bytes: 4 },
        10 => Op::Add { to: r, a: s, b: t },
        11 => Op::AddImmediate { to: r, from: s, value: if t == 0 { -1 } else { i32::from(t) } },
        12 if t & 8 == 0 => {
            let value = i32::from(r) | i32::from(t & 7) << 4;
            let value = if value >= 96 { value - 128 } else { value };
            Op::Constant { to: s, value: value as u32 }
        }
        12 => Op::Branch(ahead(at, i32::from(r) | i32::from(t & 3) << 4)),
        _ => match (r, t) {
            (0, _) => Op::Copy { to: t, from: s },
            (15, 0) => Op::Return,
            (15, 3) => Op::Other(None),
            (15, 6) => Op::End,
            _ => return None,
        },
    })
}

fn wide(at: u32, word: u32) -> Option<Op> {
    let (t, s, r) = (field(word, 4), field(word, 8), field(word, 12));
    let byte = word >> 16;
    Some(match word & 0xF {
        0 => return register(word),
        1 => {
            let distance = 0xFFFC_0000 | (word >> 8) << 2;
            Op::Literal { to: t, at: (at.wrapping_add(3) & !3).wrapping_add(distance) }
        }
        2 => match r {
            0 => Op::Load { to: t, base: s, offset: byte, bytes: 1 },
            1 | 9 => Op::Load { to: t, base: s, offset: byte * 2, bytes: 2 },
            2 | 11 => Op::Load { to: t, base: s, offset: byte * 4, bytes: 4 },
            4 => Op::Store { value: t, base: s, offset: byte, bytes: 1 },
            5 => Op::Store { value: t, base: s, offset: byte * 2, bytes: 2 },
            6 | 15 => Op::Store { value: t, base: s, offset: byte * 4, bytes: 4 },
            7 => Op::Other(None),
            10 => Op::Constant { to: t, value: signed(byte | u32::from(s) << 8, 12) as u32 },
            12 => Op::AddImmediate { to: t, from: s, value: signed(byte, 8) },
            13 => Op::AddImmediate { to: t, from: s, value: signed(byte, 8) << 8 },
            _ => return None,
        },
        5 if t & 3 == 0 => Op::Call(ahead(at & !3, signed(word >> 6, 18) << 2)),
        6 => match (t & 3, t >> 2) {
            (0, _) => Op::Jump(ahead(at, signed(word >> 6, 18))),
            (1, _) => Op::Branch(ahead(at, signed(word >> 12, 12))),
            (2, _) | (3, 2 | 3) => Op::Branch(ahead(at, signed(byte, 8))),
            _ => return None,
        },
        7 => Op::Branch(ahead(at, signed(byte, 8))),
        _ => return None,
    })
}

/// Instructions with three registers, and those without an operand.
fn register(word: u32) -> Option<Op> {
    let (t, s, r) = (field(word, 4), field(word, 8), field(word, 12));
    let sets = |register| Some(Op::Other(Some(register)));
    match (field(word, 16), field(word, 20)) {
        (0, 0) => match (r, t) {
            (0, 0) => Some(Op::End),
            (0, 8) => Some(Op::Return),
            (0, 10) => Some(Op::JumpTo(s)),
            (0, 12) => Some(Op::CallTo(s)),
            // Synchronisation, break, system call, sleep.
            (2 | 4 | 5 | 7, _) => Some(Op::Other(None)),
            (3, _) => Some(Op::End),
            (6, _) => sets(t),
            _ => None,
        },
        (0, 2) if s == t => Some(Op::Copy { to: r, from: s }),
        (0, 1..=3) => sets(r),
        (0, 4) => match r {
            0..=4 => Some(Op::Other(None)),
            14 | 15 => sets(t),
            _ => None,
        },
        (0, 6) => sets(r),
        (0, 8) => Some(Op::Add { to: r, a: s, b: t }),
        (0, 9..=11) => Some(Op::AddScaled { to: r, base: t }),
        (0, 12) => Some(Op::Subtract { to: r, a: s, b: t }),
        (0, 13..=15) => sets(r),
        (1, 6) => sets(t),
        (1, 0..=4 | 8..=13) => sets(r),
        (2, 8 | 10 | 11) => sets(r),
        (3, 0) => sets(t),
        (3, 1) => Some(Op::Other(None)),
        (3, 2..=11) => sets(r),
        (4 | 5, _) => sets(r),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Op, decode};

    /// What GNU's disassembler says of the same bytes, at the same address.
    #[test]
    fn instructions_are_those_that_gnus_disassembler_sees() {
        let at = 0x4020_3114;
        for (bytes, op) in [
            ([0x12, 0xC1, 0xF0], Op::AddImmediate { to: 1, from: 1, value: -16 }),
            ([0x12, 0xD1, 0xFE], Op::AddImmediate { to: 1, from: 1, value: -512 }),
            ([0x09, 0x31, 0], Op::Store { value: 0, base: 1, offset: 12, bytes: 4 }),
            ([0xC8, 0x21, 0], Op::Load { to: 12, base: 1, offset: 8, bytes: 4 }),
            ([0x22, 0x21, 0x40], Op::Load { to: 2, base: 1, offset: 256, bytes: 4 }),
            ([0x32, 0x02, 0x05], Op::Load { to: 3, base: 2, offset: 5, bytes: 1 }),
            ([0x32, 0x12, 0x05], Op::Load { to: 3, base: 2, offset: 10, bytes: 2 }),
            ([0x32, 0x92, 0x05], Op::Load { to: 3, base: 2, offset: 10, bytes: 2 }),
            ([0x32, 0x42, 0x05], Op::Store { value: 3, base: 2, offset: 5, bytes: 1 }),
            ([0xC0, 0x03, 0x00], Op::CallTo(3)),
            ([0xA0, 0x08, 0x00], Op::JumpTo(8)),
            ([0x0D, 0xF0, 0], Op::Return),
            ([0x80, 0x00, 0x00], Op::Return),
            ([0x6D, 0xF0, 0], Op::End),
            ([0x00, 0x00, 0x00], Op::End),
            ([0x00, 0x30, 0x00], Op::End),
            ([0xCD, 0x02, 0], Op::Copy { to: 12, from: 2 }),
            ([0x40, 0x24, 0x20], Op::Copy { to: 2, from: 4 }),
            ([0x22, 0xAF, 0xFE], Op::Constant { to: 2, value: 0xFFFF_FFFE }),
            ([0x7C, 0xB2, 0], Op::Constant { to: 2, value: 0xFFFF_FFFB }),
            ([0x0C, 0x12, 0], Op::Constant { to: 2, value: 1 }),
            ([0x31, 0xFC, 0xFF], Op::Literal { to: 3, at: 0x4020_3104 }),
            ([0x45, 0x56, 0x00], Op::Call(0x4020_367C)),
            ([0x06, 0xFF, 0xFF], Op::Jump(0x4020_3114)),
            ([0x56, 0x72, 0xFF], Op::Branch(0x4020_310F)),
            ([0x8C, 0x63, 0], Op::Branch(0x4020_311E)),
            ([0x27, 0x93, 0x05], Op::Branch(0x4020_311D)),
            ([0x26, 0x13, 0x05], Op::Branch(0x4020_311D)),
            ([0xF6, 0x13, 0x05], Op::Branch(0x4020_311D)),
            ([0x10, 0x20, 0xC0], Op::Subtract { to: 2, a: 0, b: 1 }),
            ([0x20, 0x83, 0xA0], Op::AddScaled { to: 8, base: 2 }),
            ([0x2B, 0x11, 0], Op::AddImmediate { to: 1, from: 1, value: 2 }),
            ([0xC0, 0x20, 0x00], Op::Other(None)),
            ([0xF0, 0x62, 0x00], Op::Other(Some(15))),
        ] {
            assert_eq!(decode(at, &bytes).map(|it| it.op), Some(op), "{bytes:02x?}");
        }
        // A loop, a window's call, the end of memory.
        assert_eq!(decode(at, &[0x76, 0x83, 0x05]), None);
        assert_eq!(decode(at, &[0x15, 0x00, 0x00]), None);
        assert_eq!(decode(at, &[0x06, 0x00]), None);
    }
}
