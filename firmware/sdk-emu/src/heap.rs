//! The SDK's heap: what is left of data RAM.
//!
//! As in the SDK each block has a header of 16 bytes and begins at a multiple of 8. Which block is chosen, and what
//! lies where, is not the SDK's way: it takes the first that is long enough. Headers hold a mark, so that a block that
//! was never given out, is given back twice or was written over is noticed, which the SDK does not.

/// What a block takes besides its bytes.
pub const HEADER: u32 = 16;
/// Blocks begin at multiples of this.
const UNIT: u32 = 8;
/// The marks of a free and of a taken block.
const FREE: u32 = 0x4652_4545;
const TAKEN: u32 = 0x5441_4B4E;
const WORD: u32 = 4;

/// Why a block cannot be given back: the fault is with who gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadBlock {
    /// No block begins there.
    NotABlock,
    /// It is free already.
    Twice,
    /// A header was written over: the heap is broken.
    Broken,
}

/// The heap. Its memory is read and written through the pointer only.
pub struct Heap {
    memory: *mut u32,
    /// Bytes, a multiple of [`UNIT`].
    len: u32,
    free: u32,
    /// The least that ever was free.
    least: u32,
}

impl Heap {
    /// A heap without memory.
    pub const EMPTY: Self = Self { memory: core::ptr::null_mut(), len: 0, free: 0, least: 0 };

    /// A heap in `len` bytes at `memory`, of which it takes whole units.
    ///
    /// # Safety
    /// The memory must be aligned to 8, and nobody else's as long as the heap is used, but for the blocks that are
    /// given out.
    #[must_use]
    pub unsafe fn new(memory: *mut u32, len: u32) -> Self {
        let len = len / UNIT * UNIT;
        let mut heap = Self { memory, len, free: 0, least: 0 };
        if len >= HEADER {
            heap.set(0, len - HEADER, FREE);
            heap.free = len - HEADER;
            heap.least = heap.free;
        }
        heap
    }

    /// Bytes that are free, in however many pieces.
    #[must_use]
    pub fn free_bytes(&self) -> u32 {
        self.free
    }

    /// The least of bytes that ever were free.
    #[must_use]
    pub fn least_free_bytes(&self) -> u32 {
        self.least
    }

    /// Takes a block of at least `size` bytes; where it begins in the heap's memory, in bytes.
    ///
    /// # Errors
    /// If the heap is broken. `None` if no free piece is long enough.
    pub fn take(&mut self, size: u32) -> Result<Option<u32>, BadBlock> {
        if size > self.len {
            return Ok(None);
        }
        let size = size.max(UNIT).next_multiple_of(UNIT);
        let mut at = 0;
        while at < self.len {
            let (len, is_free) = self.block(at)?;
            if is_free && len >= size {
                // A rest that holds nothing stays with the block.
                if len - size >= HEADER + UNIT {
                    self.set(at + HEADER + size, len - size - HEADER, FREE);
                    self.set(at, size, TAKEN);
                    self.free -= size + HEADER;
                } else {
                    self.set(at, len, TAKEN);
                    self.free -= len;
                }
                self.least = self.least.min(self.free);
                return Ok(Some(at + HEADER));
            }
            at += HEADER + len;
        }
        Ok(None)
    }

    /// Gives back the block that begins at `start`.
    ///
    /// # Errors
    /// If there is no such block; nothing is changed then.
    pub fn give(&mut self, start: u32) -> Result<(), BadBlock> {
        let (mut at, mut before) = (0, None);
        while at < self.len {
            let (mut len, is_free) = self.block(at)?;
            if at + HEADER == start {
                if is_free {
                    return Err(BadBlock::Twice);
                }
                self.free += len;
                if let Some((next, true)) = self.next(at, len)? {
                    len += HEADER + next;
                    self.free += HEADER;
                }
                if let Some(before) = before {
                    len += at - before;
                    at = before;
                    self.free += HEADER;
                }
                self.set(at, len, FREE);
                return Ok(());
            }
            before = is_free.then_some(at);
            at += HEADER + len;
        }
        Err(BadBlock::NotABlock)
    }

    fn next(&self, at: u32, len: u32) -> Result<Option<(u32, bool)>, BadBlock> {
        let next = at + HEADER + len;
        (next < self.len).then(|| self.block(next)).transpose()
    }

    /// Length of the block whose header is at `at`, and whether it is free.
    fn block(&self, at: u32) -> Result<(u32, bool), BadBlock> {
        let [len, mark] = [0, WORD].map(|offset| {
            // SAFETY: headers lie within the memory, since no length leads beyond its end (see below).
            unsafe { self.memory.byte_add((at + offset) as usize).read_volatile() }
        });
        let room = self.len.checked_sub(at + HEADER);
        let fits = len.is_multiple_of(UNIT) && room.is_some_and(|room| len <= room);
        match mark {
            FREE if fits => Ok((len, true)),
            TAKEN if fits => Ok((len, false)),
            _ => Err(BadBlock::Broken),
        }
    }

    fn set(&mut self, at: u32, len: u32, mark: u32) {
        for (offset, word) in [(0, len), (WORD, mark)] {
            // SAFETY: as in `block`.
            unsafe { self.memory.byte_add((at + offset) as usize).write_volatile(word) }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec;
    use std::vec::Vec;

    use super::*;

    const LEN: u32 = 4096;

    fn heap(memory: &mut Vec<u64>) -> Heap {
        // SAFETY: the vector is not touched while the heap is used.
        unsafe { Heap::new(memory.as_mut_ptr().cast(), LEN) }
    }

    #[test]
    fn blocks_do_not_overlap_and_all_of_them_come_back() {
        let mut memory = vec![0; (LEN / 8) as usize];
        let mut heap = heap(&mut memory);
        let whole = heap.free_bytes();
        assert_eq!(whole, LEN - HEADER);
        let mut blocks: Vec<(u32, u32)> = Vec::new();
        let mut random = 7_u32;
        for _ in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (choice, size) = (random >> 28, random >> 8 & 0xFF);
            if choice < 9 {
                if let Some(start) = heap.take(size).expect("not broken") {
                    assert!(start.is_multiple_of(UNIT) && start + size <= LEN);
                    let apart =
                        |&(other, len): &(u32, u32)| other + len <= start || start + size <= other;
                    assert!(blocks.iter().all(apart));
                    blocks.push((start, size));
                }
            } else if !blocks.is_empty() {
                let (start, _) = blocks.swap_remove(size as usize % blocks.len());
                assert_eq!(heap.give(start), Ok(()));
            }
        }
        for (start, _) in blocks {
            assert_eq!(heap.give(start), Ok(()));
        }
        assert_eq!(heap.free_bytes(), whole);
        assert_eq!(heap.take(whole), Ok(Some(HEADER)), "the pieces are one again");
    }

    #[test]
    fn a_heap_that_is_full_says_so() {
        let mut memory = vec![0; (LEN / 8) as usize];
        let mut heap = heap(&mut memory);
        assert_eq!(heap.take(LEN), Ok(None));
        assert_eq!(heap.take(u32::MAX), Ok(None));
        assert!(heap.take(LEN - HEADER).is_ok_and(|block| block.is_some()));
        assert_eq!((heap.take(1), heap.free_bytes()), (Ok(None), 0));
        assert_eq!(heap.give(HEADER), Ok(()));
        assert_eq!((heap.free_bytes(), heap.least_free_bytes()), (LEN - HEADER, 0));
        assert_eq!(Heap::EMPTY.free_bytes(), 0);
    }

    #[test]
    fn bad_blocks_are_refused_and_change_nothing() {
        let mut memory = vec![0; (LEN / 8) as usize];
        let mut heap = heap(&mut memory);
        let start = heap.take(100).ok().flatten().expect("there is room");
        let free = heap.free_bytes();
        assert_eq!(heap.give(start + 8), Err(BadBlock::NotABlock));
        assert_eq!(heap.give(LEN), Err(BadBlock::NotABlock));
        assert_eq!(heap.free_bytes(), free);
        assert_eq!(heap.give(start), Ok(()));
        assert_eq!(heap.give(start), Err(BadBlock::Twice));
        let start = heap.take(100).ok().flatten().expect("there is room");
        // One byte too many, into the header behind the block.
        heap.set(start + 104, u32::MAX, FREE);
        assert_eq!(heap.give(start), Err(BadBlock::Broken));
        assert_eq!(heap.take(200), Err(BadBlock::Broken));
    }
}
