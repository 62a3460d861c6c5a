//! Floats: the LX106 has no unit for them, so every operation is a call.

use core::hint::black_box;

use crate::{Inputs, Trace};

const ROUNDS: usize = 600;

pub(super) fn doubles(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    for round in 0..ROUNDS {
        let (x, y) = pair(round, inputs);
        // The zero added to `min` and `max` hides the sign of zero, which the language leaves open.
        for value in [
            x + y,
            x - y,
            x * y,
            x / y,
            -x,
            x.abs(),
            x.min(y) + 0.0,
            x.max(y) + 0.0,
            x % (y + 1.5e-3),
        ] {
            trace.double(value);
        }
        trace.double(x.clamp(-1e3, 1e3) + 0.0);
        trace.single(x as f32);
        trace.word(x.is_sign_negative());
        for holds in [x < y, x <= y, x == y, x != y, x > y, x >= y, x.is_nan(), x.is_finite()] {
            trace.word(holds);
        }
        trace.word(x.partial_cmp(&y).map_or(4, |order| order as i8));
        trace.word(x.total_cmp(&y));
    }
}

pub(super) fn singles(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    for round in 0..ROUNDS {
        let (x, y) = pair(round, inputs);
        let (a, b) = (black_box(x as f32), black_box(y as f32));
        for value in [a + b, a - b, a * b, a / b, -a, a.abs(), a.min(b) + 0.0, a.max(b) + 0.0] {
            trace.single(value);
        }
        trace.double(f64::from(a));
        for holds in [a < b, a <= b, a == b, a > b, a >= b, a.is_nan()] {
            trace.word(holds);
        }
        // The branch forms, with their negations: NaN must take neither side of a comparison.
        trace.word(if a > b { 1 } else { 2 });
        #[allow(clippy::neg_cmp_op_on_partial_ord, reason = "the negation is the point")]
        trace.word(if !(a <= b) { 3 } else { 4 });
        trace.word(a.total_cmp(&b));
    }
}

pub(super) fn conversions(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    for round in 0..ROUNDS {
        let (x, _) = pair(round, inputs);
        let a = black_box(x as f32);
        trace.word(x as i8);
        trace.word(x as u8);
        trace.word(x as i16);
        trace.word(x as i32);
        trace.word(x as u32);
        trace.word(x as i64);
        trace.word(x as u64);
        trace.wide(x as i128 as u128);
        trace.wide(x as u128);
        trace.word(a as i32);
        trace.word(a as u32);
        trace.word(a as i64);
        trace.word(a as u64);
        let n = black_box(inputs.edge());
        let wide = black_box(inputs.edge_wide());
        for value in [n as f32, n as i32 as f32, n as i64 as f32, n as u16 as f32, wide as f32] {
            trace.single(value);
        }
        for value in
            [n as f64, n as i64 as f64, n as u32 as f64, n as i8 as f64, wide as i128 as f64]
        {
            trace.double(value);
        }
    }
}

/// Any bit patterns in one round, values of everyday size in the next.
fn pair(round: usize, inputs: &mut Inputs) -> (f64, f64) {
    let (x, y) = if round & 1 == 0 {
        (f64::from_bits(inputs.any()), f64::from_bits(inputs.any()))
    } else {
        (inputs.edge() as i64 as f64 / 1024.0, inputs.any() as i32 as f64 * 0.37)
    };
    (black_box(x), black_box(y))
}
