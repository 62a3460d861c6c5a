//! A queue of Ethernet frames of different lengths in one fixed piece of memory.

/// Each frame is preceded by its length.
const HEADER: usize = size_of::<u16>();

/// The frame does not fit into what is free now. The queue is as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueFull;

/// First in, first out, `BYTES` bytes for all frames together, two of them per frame for its
/// length.
///
/// Every frame lies in one piece, because the IP stack reads it as one slice. A frame that does
/// not fit behind the youngest one goes to the beginning of the memory, and the rest behind is
/// left unused until the queue has moved past it. A frame of any length up to `BYTES` finds room in
/// an empty queue. One that is longer than half of it may have to wait until the queue is empty; whoever
/// sends such ones at all must be used to losses.
pub struct FrameQueue<const BYTES: usize> {
    bytes: [u8; BYTES],
    /// Where the oldest frame begins, if there is one.
    head: usize,
    /// Where the next frame begins, if it fits there.
    tail: usize,
    /// Where the older frames end, while the younger ones are at the beginning of the memory.
    wrapped_at: Option<usize>,
    frames: usize,
}

impl<const BYTES: usize> FrameQueue<BYTES> {
    /// An empty queue.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; BYTES], head: 0, tail: 0, wrapped_at: None, frames: 0 }
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

    /// Appends a frame of `len` bytes, which `fill` writes in full.
    ///
    /// # Errors
    /// [`QueueFull`] if there is no room; `fill` is not called then.
    pub fn push(&mut self, len: usize, fill: impl FnOnce(&mut [u8])) -> Result<(), QueueFull> {
        let length = u16::try_from(len).map_err(|_| QueueFull)?;
        let start = self.room_for(HEADER + len).ok_or(QueueFull)?;
        if start < self.tail {
            self.wrapped_at = Some(self.tail);
        }
        let end = start + HEADER + len;
        let (header, frame) = self.bytes[start..end].split_at_mut(HEADER);
        header.copy_from_slice(&length.to_le_bytes());
        fill(frame);
        self.tail = end;
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
        if self.wrapped_at == Some(self.head) {
            self.head = 0;
            self.wrapped_at = None;
        }
        if self.is_empty() {
            // From the beginning again: the longest frame finds room without wrapping.
            (self.head, self.tail, self.wrapped_at) = (0, 0, None);
        }
    }

    /// Where a record of `needed` bytes would go.
    fn room_for(&self, needed: usize) -> Option<usize> {
        if self.wrapped_at.is_some() {
            return (self.head - self.tail >= needed).then_some(self.tail);
        }
        if BYTES - self.tail >= needed {
            return Some(self.tail);
        }
        (self.head >= needed).then_some(0)
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
