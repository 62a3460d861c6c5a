//! Slices: sorting, searching, moving overlapping ranges, and loads from any alignment.

use alloc::vec::Vec;

use crate::{Inputs, Trace};

pub(super) fn slices(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    for _ in 0..30 {
        let len = 1 + inputs.index(200);
        let mut words: Vec<u32> = (0..len).map(|_| inputs.edge() as u32).collect();
        let mut pairs: Vec<(i64, u8)> =
            words.iter().map(|&word| (i64::from(word as i32) << 3, word as u8)).collect();
        pairs.sort();
        pairs.dedup();
        for (wide, narrow) in &pairs {
            trace.word(*wide);
            trace.word(*narrow);
        }
        let middle = inputs.index(len);
        words.rotate_left(middle);
        words.reverse();
        words.sort_unstable_by(|a, b| b.cmp(a));
        words.iter().for_each(|&word| trace.word(word));
        trace.word(words.binary_search_by(|probe| words[middle].cmp(probe)).is_ok());
        trace.word(words.partition_point(|&word| word > 1 << 20));
        words.copy_within(middle.., 0);
        trace.word(words.iter().fold(0_u32, |sum, &word| sum.wrapping_mul(31).wrapping_add(word)));
        let sums = words.chunks(7).map(|chunk| chunk.iter().map(|&word| u64::from(word)).sum());
        trace.word(sums.max().unwrap_or(0_u64));
        trace.word(words.windows(2).filter(|pair| pair[0] > pair[1]).count());
        let (low, pivot, _) = words.select_nth_unstable(middle);
        trace.word(low.len());
        trace.word(*pivot);
    }
}

pub(super) fn unaligned(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    for _ in 0..60 {
        let mut bytes = [0_u8; 40];
        inputs.fill(&mut bytes);
        for at in 0..24 {
            let part = &bytes[at..];
            trace.word(u16::from_le_bytes([part[0], part[1]]));
            trace.word(u32::from_be_bytes([part[0], part[1], part[2], part[3]]));
            // SAFETY: 16 bytes are left at every `at`; `read_unaligned` asks for no alignment.
            unsafe {
                trace.word(part.as_ptr().cast::<u16>().read_unaligned());
                trace.word(part.as_ptr().cast::<u32>().read_unaligned());
                trace.word(part.as_ptr().cast::<u64>().read_unaligned());
                trace.wide(part.as_ptr().cast::<u128>().read_unaligned());
            }
        }
        let at = inputs.index(24);
        let value = inputs.any();
        bytes[at..at + 8].copy_from_slice(&value.to_be_bytes());
        // SAFETY: 4 bytes are left from `at + 9`.
        unsafe { bytes.as_mut_ptr().add(at + 9).cast::<u32>().write_unaligned(value as u32) };
        trace.bytes(&bytes);
    }
}

pub(super) fn overlapping(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    for _ in 0..300 {
        let mut bytes = [0_u8; 97];
        inputs.fill(&mut bytes);
        let before = bytes;
        let len = inputs.index(bytes.len());
        let (from, to) = (inputs.index(bytes.len() - len), inputs.index(bytes.len() - len));
        bytes.copy_within(from..from + len, to);
        trace.bytes(&bytes);
        trace.word(bytes[to..to + len] == before[from..from + len]);
        trace.word(bytes.cmp(&before));
        let fill_from = inputs.index(bytes.len());
        bytes[fill_from..].fill(len as u8);
        let (left, right) = bytes.split_at_mut(48);
        left[..20].swap_with_slice(&mut right[7..27]);
        trace.bytes(&bytes);
        trace.word(before.iter().rposition(|&byte| byte == 0).unwrap_or(999));
        trace.word(before.starts_with(&bytes[..3]));
    }
}
