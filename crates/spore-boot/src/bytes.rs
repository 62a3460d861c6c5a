//! Little-endian fields, read and written in order.

/// What is left to be read. Behind the end there are zeros; who reads has checked the length.
#[derive(Clone, Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    /// The next bytes.
    pub fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((field, rest)) = self.0.split_first_chunk() else { return [0; N] };
        self.0 = rest;
        *field
    }

    /// The next number.
    // Once in the bootloader, which has four kilobytes.
    #[inline(never)]
    pub fn word(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }
}

/// Room that is left to be written to. What does not fit is left out; who writes has checked the length.
#[derive(Debug)]
pub struct Writer<'a>(pub &'a mut [u8]);

impl Writer<'_> {
    /// The next bytes.
    pub fn put(&mut self, field: &[u8]) {
        if let Some((room, rest)) = core::mem::take(&mut self.0).split_at_mut_checked(field.len()) {
            room.copy_from_slice(field);
            self.0 = rest;
        }
    }

    /// The next number.
    pub fn word(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }
}
