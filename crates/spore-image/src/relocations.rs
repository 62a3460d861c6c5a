//! Which words of a chunk move with the slot, and moving them.
//!
//! A chunk's list says, for each word that moves, how many words that do not move are in front of it, from the one
//! before on: one byte below 128, else two, of which the first has its highest bit set and the lower seven bits. So no
//! word can be there twice or out of order. A chunk has 1,024 words.

use crate::{CHUNK, index};

/// The highest bit of the first of two bytes.
const MORE: u8 = 0x80;

/// Words of a chunk.
const WORDS: u32 = CHUNK / 4;

/// The list is not one: a number is not written in the shortest way, or is behind the end of the chunk, or is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Reads the list of one chunk, byte by byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoder {
    /// The word behind the last one that moves.
    next: u32,
    /// The lower bits of a number whose upper ones are to come.
    low: Option<u8>,
}

impl Decoder {
    /// Takes the next byte. Returns the word that moves, counted from the start of the chunk, once its number is
    /// complete.
    ///
    /// # Errors
    /// When the byte does not continue a list. The decoder is good for nothing then.
    pub fn push(&mut self, byte: u8) -> Result<Option<u32>, Malformed> {
        let gap = match self.low.take() {
            None if byte & MORE != 0 => {
                self.low = Some(byte & !MORE);
                return Ok(None);
            }
            None => u32::from(byte),
            Some(_) if byte == 0 => return Err(Malformed),
            Some(low) => u32::from(byte) << 7 | u32::from(low),
        };
        let word = self.next.saturating_add(gap);
        if word >= WORDS {
            return Err(Malformed);
        }
        self.next = word.saturating_add(1);
        Ok(Some(word))
    }

    /// Whether no number is half read.
    pub const fn is_complete(&self) -> bool {
        self.low.is_none()
    }
}

/// Adds `distance` to the words of `chunk` that its `list` names, and returns how many these are. To go back, subtract it: add its negative.
///
/// # Errors
/// When the list is not one of this chunk. Some words may have been moved by then.
pub fn relocate(chunk: &mut [u8], list: &[u8], distance: u32) -> Result<u32, Malformed> {
    let (mut decoder, mut moved) = (Decoder::default(), 0);
    for byte in list {
        let Some(word) = decoder.push(*byte)? else { continue };
        let place = chunk.get_mut(index(word).saturating_mul(4)..);
        let place = place.and_then(<[u8]>::first_chunk_mut).ok_or(Malformed)?;
        *place = u32::from_le_bytes(*place).wrapping_add(distance).to_le_bytes();
        moved += 1;
    }
    if decoder.is_complete() { Ok(moved) } else { Err(Malformed) }
}

/// Writes the list of a chunk, whose `words` are in rising order.
#[cfg(feature = "build")]
pub(crate) fn encode(words: impl Iterator<Item = u32>, list: &mut alloc::vec::Vec<u8>) {
    let mut next = 0;
    for word in words {
        let [low, high, ..] = (word - next).to_le_bytes();
        // Ten bits at most.
        let upper = high << 1 | low >> 7;
        if upper == 0 {
            list.push(low);
        } else {
            list.extend([low | MORE, upper]);
        }
        next = word + 1;
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::{Decoder, Malformed, WORDS, encode, relocate};
    use std::vec::Vec;

    fn decode(list: &[u8]) -> Result<Vec<u32>, Malformed> {
        let mut decoder = Decoder::default();
        let mut words = Vec::new();
        for byte in list {
            words.extend(decoder.push(*byte)?);
        }
        if decoder.is_complete() { Ok(words) } else { Err(Malformed) }
    }

    #[test]
    fn any_set_of_words_comes_back_and_no_other_bytes_stand_for_it() {
        let mut rng = fastrand::Rng::with_seed(1);
        for density in [1, 2, 10, 300, 1000] {
            let words: Vec<u32> = (0..WORDS).filter(|_| rng.u32(..density) == 0).collect();
            let mut list = Vec::new();
            encode(words.iter().copied(), &mut list);
            assert_eq!(decode(&list), Ok(words.clone()));
            assert!(list.len() <= 2 * words.len());
            for bit in 0..8 * list.len() {
                let mut flipped = list.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_ne!(decode(&flipped), Ok(words.clone()));
            }
        }
    }

    // 20,000 lists of random bytes: each is refused, or is the one that its words are written as.
    #[test]
    fn a_list_is_refused_or_is_the_shortest_one() {
        let mut rng = fastrand::Rng::with_seed(2);
        let mut read = 0;
        for _ in 0..20_000 {
            let list: Vec<u8> = (0..rng.usize(..8)).map(|_| rng.u8(..)).collect();
            if let Ok(words) = decode(&list) {
                let mut again = Vec::new();
                encode(words.into_iter(), &mut again);
                assert_eq!(again, list);
                read += 1;
            }
        }
        assert!(read > 1000, "{read}");
    }

    #[test]
    fn the_limits_of_a_list() {
        assert_eq!(decode(&[]), Ok([].into()));
        assert_eq!(decode(&[0, 0, 127, 0x80, 1]), Ok([0, 1, 129, 258].into()));
        assert_eq!(decode(&[0xFF, 7]), Ok([1023].into()));
        for bad in [&[0x80, 8][..], &[0x80, 0], &[0x80], &[0xFF, 7, 0], &[0xFF, 0xFF]] {
            assert_eq!(decode(bad), Err(Malformed), "{bad:x?}");
        }
    }

    #[test]
    fn words_move_there_and_back_and_a_word_that_is_not_there_is_refused() {
        let before: Vec<u8> = (0..16).collect();
        let mut chunk = before.clone();
        assert_eq!(relocate(&mut chunk, &[1, 1], 0x0001_0001), Ok(2));
        assert_eq!(chunk, [0, 1, 2, 3, 5, 5, 7, 7, 8, 9, 10, 11, 13, 13, 15, 15]);
        assert_eq!(relocate(&mut chunk, &[1, 1], 0x0001_0001u32.wrapping_neg()), Ok(2));
        assert_eq!(chunk, before);
        assert_eq!(relocate(&mut chunk[..15], &[3], 1), Err(Malformed));
        assert_eq!(relocate(&mut [], &[0], 1), Err(Malformed));
    }
}
