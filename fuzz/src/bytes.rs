//! An input that is taken apart from its front. Behind its end there are zeros.

/// What is left of an input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn u8(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.up_to(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    /// So many bytes, or what is left.
    pub(crate) fn up_to(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A piece that has its length in front of it: up to 255 bytes.
    pub(crate) fn piece(&mut self) -> &'a [u8] {
        let count = self.u8();
        self.up_to(count.into())
    }

    /// As [`piece`](Self::piece), as far as it is UTF-8.
    pub(crate) fn text(&mut self) -> &'a str {
        let piece = self.piece();
        let valid = str::from_utf8(piece).map_or_else(|error| error.valid_up_to(), str::len);
        str::from_utf8(&piece[..valid]).unwrap_or_default()
    }
}
