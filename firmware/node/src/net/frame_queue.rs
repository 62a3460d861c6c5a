//! A queue of Ethernet frames of different lengths in one fixed piece of memory.

/// Bytes in front of each frame: its length.
pub const HEADER: usize = size_of::<u16>();

/// The frame does not fit into what is free now. The queue is as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueFull;

/// First in, first out, `BYTES` bytes for all frames together, [`HEADER`] of them per frame for its
/// length.
///
/// Every frame lies in one piece, because the IP stack reads it as one slice. What does not fit behind the youngest one makes
/// those that wait move to the beginning of the memory, so that all that is free is of use; an empty queue begins there by itself.
pub struct FrameQueue<const BYTES: usize> {
    bytes: [u8; BYTES],
    /// Where the oldest frame begins, if there is one.
    head: usize,
    /// Where the next frame begins, if it fits there.
    tail: usize,
    frames: usize,
}

impl<const BYTES: usize> FrameQueue<BYTES> {
    /// An empty queue.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; BYTES], head: 0, tail: 0, frames: 0 }
    }

    /// How many frames wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.frames
    }

    /// Whether no frame waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Appends a frame of `len` bytes, which `fill` writes in full, if `spare` bytes are still free then.
    ///
    /// # Errors
    /// [`QueueFull`] if there is no room; `fill` is not called then.
    pub fn push(
        &mut self,
        len: usize,
        spare: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<(), QueueFull> {
        let length = u16::try_from(len).map_err(|_| QueueFull)?;
        let needed = HEADER + len;
        if BYTES - (self.tail - self.head) < needed + spare {
            return Err(QueueFull);
        }
        if BYTES - self.tail < needed {
            self.bytes.copy_within(self.head..self.tail, 0);
            (self.head, self.tail) = (0, self.tail - self.head);
        }
        let (header, frame) = self.bytes[self.tail..][..needed].split_at_mut(HEADER);
        header.copy_from_slice(&length.to_le_bytes());
        fill(frame);
        self.tail += needed;
        self.frames += 1;
        Ok(())
    }

    /// The oldest frame.
    pub fn front_mut(&mut self) -> Option<&mut [u8]> {
        if self.is_empty() {
            return None;
        }
        let start = self.head + HEADER;
        let len = self.front_len();
        Some(&mut self.bytes[start..start + len])
    }

    /// Forgets the oldest frame. Does nothing if there is none.
    pub fn pop(&mut self) {
        if self.is_empty() {
            return;
        }
        self.head += HEADER + self.front_len();
        self.frames -= 1;
        if self.is_empty() {
            (self.head, self.tail) = (0, 0);
        }
    }

    fn front_len(&self) -> usize {
        usize::from(u16::from_le_bytes([self.bytes[self.head], self.bytes[self.head + 1]]))
    }
}

impl<const BYTES: usize> Default for FrameQueue<BYTES> {
    fn default() -> Self {
        Self::new()
    }
}
