//! Integers of every width.

use core::hint::black_box;

use crate::{Inputs, Trace};

/// Rounds per type.
const ROUNDS: usize = 400;

/// Every operation that the core library defines on integers and that has a result for all operands.
macro_rules! integer_group {
    ($name:ident, $type:ty, $unsigned:ty) => {
        #[inline(never)]
        pub(super) fn $name(inputs: &mut Inputs, trace: &mut Trace<'_>) {
            for _ in 0..ROUNDS {
                let a = black_box(inputs.edge_wide() as $type);
                let b = black_box(inputs.edge_wide() as $type);
                let shift = black_box(inputs.below(u64::from(<$type>::BITS)) as u32);
                // 128 bits hold every result, extended by its sign.
                let mut put = |value: $type| trace.wide(value as u128);
                for value in [
                    a.wrapping_add(b),
                    a.wrapping_sub(b),
                    a.wrapping_mul(b),
                    a.wrapping_neg(),
                    a & b,
                    a | b,
                    a ^ b,
                    !a,
                    a << shift,
                    a >> shift,
                    ((a as $unsigned) >> shift) as $type,
                    a.rotate_left(shift),
                    a.rotate_right(shift),
                    a.swap_bytes(),
                    a.reverse_bits(),
                    a.saturating_add(b),
                    a.saturating_sub(b),
                    a.saturating_mul(b),
                    a.min(b),
                    a.max(b),
                    a.clamp(a.min(b), a.max(b)),
                    a.wrapping_pow(shift),
                ] {
                    put(value);
                }
                if b != 0 {
                    put(a.wrapping_div(b));
                    put(a.wrapping_rem(b));
                    put(a.wrapping_div_euclid(b));
                    put(a.wrapping_rem_euclid(b));
                }
                for value in
                    [a.checked_add(b), a.checked_sub(b), a.checked_mul(b), a.checked_div(b)]
                {
                    put(value.unwrap_or(7));
                }
                for (value, overflow) in
                    [a.overflowing_add(b), a.overflowing_sub(b), a.overflowing_mul(b)]
                {
                    put(value);
                    put(<$type>::from(overflow));
                }
                put(a.abs_diff(b) as $type);
                for count in [a.leading_zeros(), a.trailing_zeros(), a.count_ones()] {
                    trace.word(count);
                }
                for order in [a < b, a <= b, a > b, a >= b, a == b, a != b] {
                    trace.word(order);
                }
                trace.word(a.cmp(&b));
                trace.word(a as u8);
                trace.word(a as i8);
                trace.word(a as u16);
                trace.word(a as i16);
                trace.word(a as u32);
                trace.word(a as i32);
                trace.word(a as u64);
                trace.word(a as i64);
            }
        }
    };
}

integer_group!(i_8, i8, u8);
integer_group!(u_8, u8, u8);
integer_group!(i_16, i16, u16);
integer_group!(u_16, u16, u16);
integer_group!(i_32, i32, u32);
integer_group!(u_32, u32, u32);
integer_group!(i_64, i64, u64);
integer_group!(u_64, u64, u64);
integer_group!(i_128, i128, u128);
integer_group!(u_128, u128, u128);
