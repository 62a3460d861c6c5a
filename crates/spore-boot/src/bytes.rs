//! Little-endian fields, read and written in order.

/// What is left to be read. Behind the end there are zeros; who reads has checked the length.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl Reader<'_> {
    pub(crate) fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((field, rest)) = self.0.split_first_chunk() else { return [0; N] };
        self.0 = rest;
        *field
    }

    // Once in the bootloader, which has four kilobytes.
    #[inline(never)]
    pub(crate) fn word(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }
}

/// Room that is left to be written to. What does not fit is left out; who writes has checked the length.
pub(crate) struct Writer<'a>(pub(crate) &'a mut [u8]);

impl Writer<'_> {
    pub(crate) fn put(&mut self, field: &[u8]) {
        if let Some((room, rest)) = core::mem::take(&mut self.0).split_at_mut_checked(field.len()) {
            room.copy_from_slice(field);
            self.0 = rest;
        }
    }

    pub(crate) fn word(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }
}
