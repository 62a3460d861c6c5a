//! A set of pieces: a bit each, in memory that the profile gives.

use crate::wire::PIECES_MAX;
use core::ops::Range;
use heapless::VecView;

/// A set of numbers below its [length](Self::len).
#[derive(Debug)]
pub(crate) struct Bits<'a> {
    bytes: &'a mut VecView<u8>,
    ones: u16,
}

impl<'a> Bits<'a> {
    /// The empty set, in all of `bytes`.
    pub(crate) fn new(bytes: &'a mut VecView<u8>) -> Self {
        let capacity = bytes.capacity();
        bytes.clear();
        // There is as much room.
        let _ = bytes.resize(capacity, 0);
        Self { bytes, ones: 0 }
    }

    /// Numbers are lower than this.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len().saturating_mul(8)
    }

    /// How many there are.
    pub(crate) const fn ones(&self) -> u16 {
        self.ones
    }

    pub(crate) fn clear_all(&mut self) {
        self.bytes.fill(0);
        self.ones = 0;
    }

    pub(crate) fn has(&self, number: u16) -> bool {
        let (byte, mask) = place(number);
        self.bytes.get(byte).is_some_and(|byte| byte & mask != 0)
    }

    pub(crate) fn clear(&mut self, number: u16) {
        self.put(number..number.saturating_add(1), false);
    }

    /// Puts all of a range in, or takes them out. What is behind the end stays out.
    pub(crate) fn put(&mut self, range: Range<u16>, there: bool) {
        for number in range {
            let (byte, mask) = place(number);
            let Some(byte) = self.bytes.get_mut(byte) else { return };
            match (there, *byte & mask != 0) {
                (true, false) => self.ones = self.ones.saturating_add(1),
                (false, true) => self.ones = self.ones.saturating_sub(1),
                _ => continue,
            }
            *byte ^= mask;
        }
    }

    /// Whether none of a range is there.
    pub(crate) fn is_clear(&self, range: Range<u16>) -> bool {
        !range.into_iter().any(|number| self.has(number))
    }

    /// The first one from `from` on; if there is none, the first of all.
    pub(crate) fn next(&self, from: u16) -> Option<u16> {
        if self.ones == 0 {
            return None;
        }
        self.first(from).or_else(|| self.first(0))
    }

    fn first(&self, from: u16) -> Option<u16> {
        let start = usize::from(from / 8);
        let behind = 0xFF_u8 << (from % 8);
        let mut bytes = self.bytes.iter().enumerate().skip(start);
        let masked = |(at, byte): (usize, &u8)| {
            let byte = if at == start { byte & behind } else { *byte };
            let bit = usize::try_from(byte.trailing_zeros()).unwrap_or(0);
            (byte != 0).then_some(at.saturating_mul(8).saturating_add(bit))
        };
        bytes.find_map(masked).and_then(|number| u16::try_from(number).ok())
    }

    /// The part of the set that a message has room for, from the first one on: the number of its first bit, and its bytes.
    pub(crate) fn window(&self) -> (u16, &[u8]) {
        let first = self.first(0).unwrap_or(0) / 8;
        let rest = self.bytes.get(first.into()..).unwrap_or_default();
        let most = rest.get(..PIECES_MAX).unwrap_or(rest);
        let length =
            most.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1));
        (first.saturating_mul(8), most.get(..length).unwrap_or_default())
    }

    /// Puts in what a message has in such a part, as far as it is lower than `end`.
    pub(crate) fn merge(&mut self, first: u16, part: &[u8], end: u16) {
        let numbers =
            (first..end).zip(part.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1)));
        for (number, bit) in numbers {
            if bit != 0 {
                self.put(number..number.saturating_add(1), true);
            }
        }
    }
}

fn place(number: u16) -> (usize, u8) {
    (usize::from(number / 8), 1 << (number % 8))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::Bits;
    use heapless::Vec;
    use std::collections::BTreeSet;

    #[test]
    fn a_set_is_a_set() {
        let mut rng = fastrand::Rng::with_seed(1);
        let (mut bytes, mut other) = (Vec::<u8, 240>::new(), Vec::<u8, 300>::new());
        let (mut bits, mut copy) = (Bits::new(&mut bytes), Bits::new(&mut other));
        let mut set = BTreeSet::new();
        for _ in 0..2_000 {
            let start = rng.u16(..2_000);
            let range = start..start + rng.u16(..40);
            let there = rng.bool();
            bits.put(range.clone(), there);
            for number in range {
                // Behind the end nothing is taken.
                if there && number < 1_920 {
                    set.insert(number)
                } else {
                    set.remove(&number)
                };
            }
            let number = rng.u16(..);
            assert_eq!(bits.has(number), set.contains(&number));
            assert_eq!(usize::from(bits.ones()), set.len());
            let next = set.range(number..).next().or(set.first());
            assert_eq!(bits.next(number), next.copied());
            let end = rng.u16(..2_000);
            copy.clear_all();
            let (first, part) = bits.window();
            copy.merge(first, part, end);
            let expected: std::vec::Vec<u16> = set.range(..end).copied().collect();
            let copied = (0..2_400).filter(|number| copy.has(*number));
            assert!(copied.eq(expected), "up to {end}");
        }
        bits.clear_all();
        assert_eq!((bits.ones(), bits.next(0), bits.window()), (0, None, (0, &[][..])));
    }

    #[test]
    fn a_large_set_is_told_in_parts() {
        let mut bytes = Vec::<u8, 8192>::new();
        let mut bits = Bits::new(&mut bytes);
        bits.put(1_003..u16::MAX, true);
        let (first, part) = bits.window();
        assert_eq!((first, part.len()), (1_000, 240));
        assert_eq!(part.first(), Some(&0b1111_1000));
        bits.put(0..65_530, false);
        assert_eq!(bits.window(), (65_528, &[0b0111_1100][..]));
    }
}
