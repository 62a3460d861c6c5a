//! The bytes of heads and records.

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use spore_core::store::MAX_VALUE;

/// The bytes that are erased at once.
pub const SECTOR: u32 = 4096;

/// The first word of a sector that counts: `SPO` and the version of the layout.
pub const MAGIC: [u8; 4] = *b"SPO\x01";

/// Keys have numbers below this. Those that this program does not know are kept, so that it does
/// not lose what a newer one has stored.
pub const KEYS: usize = 10;

/// Where a store that was cut short, and was the first one in blank flash, has left all behind it
/// blank.
pub const FIRST_STORE: usize = 16 + 4 + MAX_VALUE + 8;

/// The check of heads and records; without a table, since it is computed rarely.
pub(super) const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// Bytes as the flash takes them: whole words, at an address that is a multiple of four.
#[derive(Debug)]
#[repr(align(4))]
pub(super) struct Aligned<const N: usize>(pub(super) [u8; N]);

/// A word of zeros.
pub(super) static ZEROS: Aligned<4> = Aligned([0; 4]);

/// The head of a sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) sequence: u32,
}

impl Head {
    pub(super) const LEN: usize = 12;
    /// Where a sector is marked as superseded.
    pub(super) const MARK: u32 = 12;
    /// Where the records begin.
    pub(super) const END: u32 = 16;

    pub(super) fn parse(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let (head, sum) = bytes.split_last_chunk::<4>()?;
        let (magic, sequence) = head.split_first_chunk::<4>()?;
        let sequence = u32::from_le_bytes(*sequence.first_chunk()?);
        (*magic == MAGIC && CRC.checksum(head).to_le_bytes() == *sum).then_some(Self { sequence })
    }

    pub(super) fn to_bytes(self) -> Aligned<{ Self::LEN }> {
        let mut bytes = [0; Self::LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&self.sequence.to_le_bytes());
        let sum = CRC.checksum(&bytes[..8]);
        bytes[8..].copy_from_slice(&sum.to_le_bytes());
        Aligned(bytes)
    }
}

/// The first word of a record. Instead of a length it can say that the value of its key was
/// [lost](Self::LOST); then there are no bytes of a value.
///
/// Its last byte counts the zeros of the others (Berger's code): a word of which only some bits
/// were programmed has fewer zeros than it should, and says more, so that it never passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) key: u8,
    pub(super) len: u16,
}

impl Label {
    pub(super) const LEN: u32 = 4;
    /// What stands for the length of a value that was stored once and is damaged.
    pub(super) const LOST: u16 = u16::MAX;

    pub(super) fn parse([key, low, high, zeros]: [u8; 4]) -> Option<Self> {
        let len = u16::from_le_bytes([low, high]);
        let sized = usize::from(len) <= MAX_VALUE || len == Self::LOST;
        let known = usize::from(key) < KEYS && sized;
        (known && Self::zeros([key, low, high]) == zeros).then_some(Self { key, len })
    }

    pub(super) fn to_bytes(self) -> [u8; 4] {
        let [low, high] = self.len.to_le_bytes();
        [self.key, low, high, Self::zeros([self.key, low, high])]
    }

    pub(super) fn size(self) -> Size {
        Size::of(if self.len == Self::LOST { 0 } else { self.len.into() })
    }

    fn zeros([a, b, c]: [u8; 3]) -> u8 {
        // At most 24.
        u8::try_from(u32::from_be_bytes([0xFF, a, b, c]).count_zeros()).unwrap_or(u8::MAX)
    }
}

/// The bytes of a record, and of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    /// Its label and its value, filled up.
    pub(super) body: u32,
}

impl Size {
    /// Of a record with a value of `len` bytes, at most [`MAX_VALUE`].
    pub(super) fn of(len: usize) -> Self {
        let value = u32::try_from(len).unwrap_or(SECTOR).min(SECTOR);
        Self { body: Label::LEN + value.next_multiple_of(4) }
    }

    /// Label, value, check and the word that says that it is done.
    pub(super) const fn whole(self) -> u32 {
        self.body + 8
    }
}

// All values together, each as long as it may be and followed by the note that a later one is lost,
// leave room in a sector.
const _: () = assert!(16 + 10 * (4 + 256 + 8 + 12) <= 4096 && MAX_VALUE == 256 && KEYS == 10);

// Of each key a sector knows one bit.
const _: () = assert!(KEYS <= 16);

#[cfg(test)]
mod tests {
    use super::{Head, Label};

    #[test]
    fn no_label_of_which_bits_are_missing_passes_for_another() {
        for key in 0..10 {
            for len in (0..=256).chain([Label::LOST]) {
                let label = Label { key, len };
                let bytes = label.to_bytes();
                assert_eq!(Label::parse(bytes), Some(label));
                let word = u32::from_le_bytes(bytes);
                // Any one or two bits that were not cleared, and all but one or two.
                for a in 0..32 {
                    for b in 0..32 {
                        for missing in [1 << a | 1 << b, !(1 << a | 1 << b)] {
                            let torn = word | missing;
                            assert!(torn == word || Label::parse(torn.to_le_bytes()).is_none());
                        }
                    }
                }
            }
        }
        assert_eq!(Label::parse([0xFF; 4]), None);
    }

    #[test]
    fn a_head_with_any_bit_wrong_does_not_count() {
        let bytes = Head { sequence: 7 }.to_bytes().0;
        assert_eq!(Head::parse(&bytes), Some(Head { sequence: 7 }));
        for bit in 0..96 {
            let mut wrong = bytes;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::parse(&wrong), None);
        }
    }
}
