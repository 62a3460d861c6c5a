//! Collections of `alloc` and of `heapless`, driven with the same random operations.

use alloc::collections::{BTreeMap, BinaryHeap, VecDeque};

use heapless::index_map::FnvIndexMap;

use crate::{Inputs, Trace};

pub(super) fn trees(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    let mut map = BTreeMap::new();
    let mut heap = BinaryHeap::new();
    let mut queue = VecDeque::new();
    for _ in 0..600 {
        let key = (inputs.edge() % 300) as u32;
        match inputs.below(5) {
            0 => trace.word(map.remove(&key).unwrap_or(1_u64)),
            1 => trace.word(map.get(&key).copied().unwrap_or(2)),
            _ => trace.word(map.insert(key, inputs.any()).is_some()),
        }
        trace.word(map.range(key..).next().map_or(3, |(_, value)| *value));
        heap.push((key ^ 0x55, inputs.any() as u8));
        queue.push_front(key);
        if inputs.coin() {
            trace.display(format_args!("{:?} {:?}", heap.pop(), queue.pop_back()));
        }
    }
    for (key, value) in &map {
        trace.word(*key);
        trace.word(*value);
    }
    queue.make_contiguous().sort_unstable();
    trace.display(format_args!("{:?} {queue:?}", heap.into_sorted_vec()));
}

pub(super) fn heapless_lists(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    let mut list = heapless::Vec::<u16, 64>::new();
    let mut deque = heapless::Deque::<u32, 16>::new();
    let mut text = heapless::String::<40>::new();
    for _ in 0..600 {
        let value = inputs.edge() as u32;
        if deque.is_full() {
            trace.word(deque.pop_front().unwrap_or(1));
        }
        let pushed = if inputs.coin() { deque.push_back(value) } else { deque.push_front(value) };
        trace.word(pushed.is_ok());
        if list.push(value as u16).is_err() {
            list.sort_unstable();
            list.reverse();
            list.truncate(20);
            list.iter().for_each(|&value| trace.word(value));
        }
        if inputs.below(7) == 0 && !list.is_empty() {
            trace.word(list.swap_remove(inputs.index(list.len())));
        }
        if core::fmt::write(&mut text, format_args!("{value},")).is_err() {
            trace.text(&text);
            text.clear();
        }
    }
    deque.iter().for_each(|&value| trace.word(value));
}

pub(super) fn heapless_maps(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    let mut map = FnvIndexMap::<u32, u64, 64>::new();
    let mut linear = heapless::LinearMap::<u8, i32, 24>::new();
    let mut heap = heapless::BinaryHeap::<u32, heapless::binary_heap::Min, 32>::new();
    for _ in 0..800 {
        let key = (inputs.edge() % 90) as u32;
        match inputs.below(4) {
            0 => trace.word(map.remove(&key).unwrap_or(1)),
            1 => trace.word(map.get(&key).copied().unwrap_or(2)),
            _ => trace.word(map.insert(key, inputs.any()).is_ok()),
        }
        trace.word(linear.insert(key as u8 % 30, key as i32).is_ok());
        if inputs.coin() {
            trace.word(linear.remove(&(inputs.any() as u8 % 30)).unwrap_or(-1));
        }
        if heap.push(key.wrapping_mul(0x9E37_79B9)).is_err() {
            while let Some(least) = heap.pop() {
                trace.word(least);
            }
        }
    }
    for (key, value) in &map {
        trace.word(*key);
        trace.word(*value);
    }
}
