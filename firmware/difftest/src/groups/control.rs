//! Control flow and calls: match tables, closures, trait objects, many and large arguments, recursion, loops.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hint::black_box;

use crate::{Inputs, Trace};

pub(super) fn matches(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    const OPS: [u32; 26] = [
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        10,
        11,
        12,
        13,
        14,
        15,
        16,
        99,
        100,
        200,
        300,
        1000,
        65_535,
        0x8000_0000,
        0xFFFF_FFFF,
        0x7FFF_FFFF,
    ];
    let mut a = 1;
    for _ in 0..2000 {
        a = dense_and_sparse(black_box(OPS[inputs.index(OPS.len())]), a & 0x7FFF_FFFF);
        trace.word(a);
    }
    const WORDS: [&str; 7] = ["GET", "PUT", "POST", "DELETE", "PATCH", "get", ""];
    for _ in 0..200 {
        trace.word(by_text(black_box(WORDS[inputs.index(WORDS.len())])));
        trace.word(by_range(black_box(inputs.edge() as i64)));
    }
}

#[inline(never)]
fn dense_and_sparse(op: u32, a: u32) -> u32 {
    match op {
        0 => a + 1,
        1 => a ^ 0x55,
        2 => a << 3,
        3 => a >> 2,
        4 => a.wrapping_mul(77),
        5 => !a,
        6 => a.rotate_left(9),
        7 => a / 3,
        8 => a % 17,
        9 => a | 0x8000,
        10 => a & 0xFF_F0FF,
        11 => 0,
        12 => a.wrapping_sub(5),
        13 => a.count_ones(),
        14 => a.swap_bytes(),
        15 => 42,
        100 => a ^ 1,
        200 => a ^ 2,
        300 => a ^ 3,
        1000 => a ^ 4,
        65_535 => a ^ 5,
        0x8000_0000 => a ^ 6,
        0xFFFF_FFFF => a ^ 7,
        _ => op,
    }
}

#[inline(never)]
fn by_text(word: &str) -> u8 {
    match word {
        "GET" => 1,
        "PUT" => 2,
        "POST" => 3,
        "DELETE" => 4,
        "" => 5,
        _ => 6,
    }
}

#[inline(never)]
fn by_range(value: i64) -> u32 {
    match value {
        i64::MIN..=-1_000_000_000_000 => 1,
        -999_999_999_999..=-1 => 2,
        0 => 3,
        1..=255 => 4,
        256..=0xFFFF_FFFF => 5,
        _ => 6,
    }
}

pub(super) fn calls(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    let table: [fn(u32, u32) -> u32; 4] = [
        |a, b| a.wrapping_add(b),
        |a, b| a ^ b,
        u32::max,
        |a, b| dense_and_sparse(a & 31, b & 0xFFFF),
    ];
    for _ in 0..200 {
        let function = black_box(table[inputs.index(table.len())]);
        trace.word(function(inputs.edge() as u32, inputs.edge() as u32));
    }
    let bytes = [1; 5];
    for _ in 0..200 {
        let (a, b, c) = many_arguments(
            inputs.edge() as u8,
            inputs.edge() as i16,
            inputs.edge() as u32,
            inputs.edge() & 0xFFFF_FFFF,
            inputs.edge() as i8,
            (inputs.edge() >> 33) as f64,
            &bytes[..inputs.index(5)],
            inputs.edge_wide(),
            inputs.coin(),
        );
        trace.word(a);
        trace.wide(b);
        trace.word(c);
    }
    trace.word(fibonacci(black_box(18)));
    trace.word(ackermann(black_box(2), black_box(9)));
}

#[allow(clippy::too_many_arguments, reason = "arguments beyond the registers are the point")]
#[inline(never)]
fn many_arguments(
    a: u8,
    b: i16,
    c: u32,
    d: u64,
    e: i8,
    f: f64,
    g: &[u8],
    h: u128,
    i: bool,
) -> (u64, u128, i16) {
    (
        (u64::from(a) + d.wrapping_mul(0x9E37) + u64::from(c))
            ^ (f as u64)
            ^ g.len() as u64
            ^ u64::from(i),
        h.wrapping_add(i128::from(e) as u128),
        b.wrapping_add(i16::from(e)),
    )
}

fn fibonacci(n: u32) -> u64 {
    if n < 2 { u64::from(n) } else { fibonacci(n - 1) + fibonacci(n - 2) }
}

fn ackermann(m: u32, n: u32) -> u32 {
    match (m, n) {
        (0, _) => n + 1,
        (_, 0) => ackermann(m - 1, 1),
        _ => ackermann(m - 1, ackermann(m, n - 1)),
    }
}

/// A value with padding, an array and an enum: returned through memory, compared field by field.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Large {
    a: u8,
    b: u64,
    c: [u16; 7],
    d: Option<u32>,
    e: (i8, i64),
}

#[inline(never)]
fn large(inputs: &mut Inputs) -> Large {
    Large {
        a: inputs.edge() as u8,
        b: inputs.edge(),
        c: core::array::from_fn(|_| inputs.edge() as u16),
        d: inputs.coin().then(|| inputs.edge() as u32),
        e: (inputs.edge() as i8, inputs.edge() as i64),
    }
}

pub(super) fn aggregates(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    let mut values: Vec<Large> = (0..60).map(|_| large(inputs)).collect();
    values.sort();
    trace.word(values.iter().filter(|value| value.d.is_some()).count());
    values.iter().for_each(|value| trace.display(format_args!("{value:?}")));
    trace.word(values.iter().max_by_key(|value| (value.e, value.a)).map_or(0, |value| value.b));
    for pair in values.windows(2) {
        trace.word(pair[0].cmp(&pair[1]));
        trace.word(pair[0].c.partial_cmp(&pair[1].c).map_or(4, |order| order as i8));
    }
}

trait Shape {
    fn area(&self, k: u64) -> u64;
    fn name(&self) -> &str {
        "default"
    }
}

struct Square(u32);
struct Circle(u64, u8);

impl Shape for Square {
    fn area(&self, k: u64) -> u64 {
        u64::from(self.0).wrapping_mul(u64::from(self.0)) ^ k
    }
}

impl Shape for Circle {
    fn area(&self, k: u64) -> u64 {
        self.0.wrapping_mul(k) >> (self.1 & 31)
    }
    fn name(&self) -> &str {
        "circle"
    }
}

pub(super) fn dispatch(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    for _ in 0..100 {
        let shape: Box<dyn Shape> = if inputs.coin() {
            Box::new(Square(inputs.edge() as u32))
        } else {
            Box::new(Circle(inputs.edge(), inputs.edge() as u8))
        };
        trace.word(shape.area(inputs.edge()));
        trace.text(shape.name());
    }
    let mut closures: Vec<Box<dyn FnMut(u64) -> u64>> = Vec::new();
    for step in 0..10 {
        let mut state = inputs.edge();
        closures.push(Box::new(move |x| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(x ^ step);
            state
        }));
    }
    let mut sum = 0_u64;
    for round in 0..300 {
        sum = sum.wrapping_add(closures[round % 10](sum));
        trace.word(sum);
    }
}

pub(super) fn loops(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    'outer: for i in 0..50_u32 {
        for j in 0..50_u32 {
            if (i * j) ^ (inputs.any() as u32 & 63) == 1234 {
                continue 'outer;
            }
            if i * j > 2300 {
                break 'outer;
            }
            trace.word(i ^ j);
        }
    }
    let collatz = |mut n: u64| {
        let mut steps = 0_u32;
        while n > 1 && steps < 500 {
            n = if n & 1 == 0 { n / 2 } else { n.wrapping_mul(3) + 1 };
            steps += 1;
        }
        (steps, n)
    };
    for _ in 0..100 {
        let (steps, end) = collatz(inputs.any() >> 30);
        trace.word(steps);
        trace.word(end);
        let folded = (0..inputs.below(40))
            .rev()
            .step_by(3)
            .zip(5_u64..)
            .try_fold(0_u8, |sum, (a, b)| sum.checked_add((a * b) as u8));
        trace.word(folded.map_or(-1, i16::from));
    }
}
