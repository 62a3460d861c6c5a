//! Operations with constant operands: division turns into multiplication, masks into field extractions,
//! comparisons into the immediates that the instruction set has.

use core::hint::black_box;

use crate::{Inputs, Trace};

const ROUNDS: usize = 500;

pub(super) fn constants(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    for _ in 0..ROUNDS {
        let value = black_box(inputs.edge());
        divisions(value, trace);
        fields(value as u32, trace);
        comparisons(value, trace);
    }
}

#[inline(never)]
fn divisions(a: u64, trace: &mut Trace<'_>) {
    let (b, c, d) = (a as u32, a as i32, a as i64);
    for value in [b / 3, b / 7, b / 10, b % 10, b / 641, b / 1000, b % 60, b / 0xFFFF_FFFE] {
        trace.word(value);
    }
    for value in [c / 3, c / 16, c % 10, c % 16, c / 1_000_000, c % 7] {
        trace.word(value);
    }
    trace.word(c.checked_div(-7).unwrap_or(1));
    for value in [a / 10, a % 10, a / 1_000_000, a % 1_000_000_007, a / 60 % 60, a / 0x1_0000_0001]
    {
        trace.word(value);
    }
    for value in [d / 10, d % 60, d / 1000, d % 1_000_000_007] {
        trace.word(value);
    }
    trace.word(b as u16 / 10);
    trace.word(b as u8 / 10);
    trace.word(c as i8 / 3);
    trace.word(c as i16 % 100);
    trace.word(b.wrapping_mul(2_654_435_761));
    trace.word(a.wrapping_mul(11_400_714_819_323_198_485));
    trace.word((u64::from(b) * 0xDEAD_BEEF) >> 32);
    trace.wide(u128::from(a) * 0x1234_5678_9ABC_DEF1);
}

#[inline(never)]
fn fields(b: u32, trace: &mut Trace<'_>) {
    for value in [
        b & 0xFFF,
        b & 0xFFFF_0000,
        b >> 5 & 0x1F,
        b >> 17,
        b << 19,
        b & 0x7_FFFF,
        b >> 3 & 0xFFFF,
        b >> 31,
        (b << 24) >> 24,
        b & 0x8000_0001,
        b | 0xFFF0_0000,
        b ^ 0x0F0F_0F0F,
        b & !0xFF00,
    ] {
        trace.word(value);
    }
    trace.word((b as i32) >> 20);
    trace.word(((b << 20) as i32) >> 24);
    trace.word((b as i8) >> 3);
}

#[inline(never)]
fn comparisons(a: u64, trace: &mut Trace<'_>) {
    let (b, c, d) = (a as u32, a as i32, a as i64);
    for (bit, holds) in [
        b < 2048,
        b > 2047,
        c < -2048,
        c > -1,
        b == 256,
        c >= 64,
        b < 32_768,
        b < 65_536,
        a > 0xFFFF_FFFF,
        d < 0,
        c < 0,
        c == -32,
        c != 12,
        d <= -0x8000_0000,
    ]
    .into_iter()
    .enumerate()
    {
        trace.word((holds as u32) << bit);
    }
    // The same as branches, which take other instructions than the values above.
    let mut taken = 0_u32;
    if b & 0x10 != 0 {
        taken |= 1;
    }
    if c < 7 {
        taken |= 2;
    }
    if b >= 128 {
        taken |= 4;
    }
    if d > 1 << 33 {
        taken |= 8;
    }
    trace.word(taken);
}
