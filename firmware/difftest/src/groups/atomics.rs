//! Atomics: loads and stores of the core library, and what `portable-atomic` adds on a core without
//! compare-and-swap.

use portable_atomic::{AtomicBool, AtomicI16, AtomicU8, AtomicU32, AtomicU64, Ordering};

use crate::{Inputs, Trace};

pub(super) fn atomics(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    let order = Ordering::SeqCst;
    let flag = AtomicBool::new(false);
    let (byte, half) = (AtomicU8::new(3), AtomicI16::new(-3));
    let (word, long) = (AtomicU32::new(1), AtomicU64::new(2));
    for _ in 0..300 {
        let value = inputs.edge();
        trace.word(word.fetch_add(value as u32, order));
        trace.word(word.swap((value >> 8) as u32, order));
        let exchanged = word.compare_exchange((value >> 8) as u32, 5, order, order);
        trace.word(exchanged.is_ok());
        trace.word(word.compare_exchange_weak(6, 7, order, order).is_ok());
        trace.word(long.fetch_xor(value, order));
        trace.word(long.fetch_max(value, order));
        trace.word(flag.fetch_not(order));
        trace.word(flag.fetch_and(value & 1 == 0, order));
        trace.word(byte.fetch_sub(value as u8, order));
        trace.word(half.fetch_min(value as i16, order));
        trace.word(byte.load(order));
        trace.word(long.load(order));
    }
    core_atomics(inputs, trace);
}

fn core_atomics(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};
    let (byte, word) = (AtomicU8::new(1), AtomicU32::new(2));
    for _ in 0..100 {
        let value = inputs.edge();
        byte.store(value as u8, Ordering::Release);
        word.store(value as u32, Ordering::SeqCst);
        trace.word(byte.load(Ordering::Acquire));
        trace.word(word.load(Ordering::Relaxed));
    }
}
