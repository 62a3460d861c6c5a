//! Where a body has its two slots, and what can stand in them: a board in its flash, a Linux machine in a file of sectors
//! that stands for one. The selector is the same in both.

use crate::image::{Header, HeaderError, IN_PLACE, MAX_SEGMENTS, Segment};
use crate::map::{Region, SECTOR, SELECTOR, Slot};

/// A kind of body. Its methods know nothing of any one body, and cost nothing.
pub trait Layout {
    /// Where `slot` is: whole sectors, behind [`SELECTOR`]. Both have the same length.
    fn region(slot: Slot) -> Region;

    /// The part at the end of `slot` that is kept for the manifest of its image: whole sectors.
    fn manifest(slot: Slot) -> Region;

    /// How much higher an address of an image is in `slot` than in slot A.
    fn distance(slot: Slot) -> u32;

    /// Whether an image with this header can stand in `slot`.
    ///
    /// # Errors
    /// [`HeaderError`] says which field is wrong.
    fn check(header: &Header, slot: Slot) -> Result<(), HeaderError>;

    /// Bytes of a slot that an image with a manifest may take, its header included.
    fn room(slot: Slot) -> u32 {
        Self::region(slot).length.saturating_sub(Self::manifest(slot).length)
    }
}

/// The flash of a board: [`map`](crate::map).
#[derive(Clone, Copy, Debug)]
pub struct Esp;

impl Layout for Esp {
    fn region(slot: Slot) -> Region {
        slot.region()
    }

    fn manifest(slot: Slot) -> Region {
        slot.manifest()
    }

    fn distance(slot: Slot) -> u32 {
        slot.window() - Slot::A.window()
    }

    fn check(header: &Header, slot: Slot) -> Result<(), HeaderError> {
        header.check(slot)
    }
}

/// The file of a Linux machine. Nobody looks at the first sector, the selector is where a board has it, then slot A and
/// slot B follow, and nothing behind them. What is in a slot is a program, which is loaded by others and anywhere: it has no entry, no segments,
/// and no words that move.
#[derive(Clone, Copy, Debug)]
pub struct Host;

impl Host {
    /// Bytes of a slot: 65,536 pages. A sparse file has no blocks for what was never written.
    pub const SLOT: u32 = 0x100_0000;

    /// Bytes for the manifest, which has 36 for each of 4,096 chunks, and its head.
    pub const MANIFEST: u32 = 37 * SECTOR;

    /// Bytes of the file.
    pub const LENGTH: u32 = Self::FIRST + 2 * Self::SLOT;

    const FIRST: u32 = SELECTOR[1].end();
}

impl Layout for Host {
    fn region(slot: Slot) -> Region {
        let start = match slot {
            Slot::A => Self::FIRST,
            Slot::B => Self::FIRST + Self::SLOT,
        };
        Region { start, length: Self::SLOT }
    }

    fn manifest(slot: Slot) -> Region {
        let start = Self::region(slot).end() - Self::MANIFEST;
        Region { start, length: Self::MANIFEST }
    }

    fn distance(_: Slot) -> u32 {
        0
    }

    fn check(header: &Header, _: Slot) -> Result<(), HeaderError> {
        if header.entry != 0 {
            return Err(HeaderError::Entry);
        }
        if header.segments != [Segment::default(); MAX_SEGMENTS] {
            return Err(HeaderError::Segment);
        }
        let fits = (4..=Self::SLOT - IN_PLACE).contains(&header.in_place);
        if fits && header.in_place.is_multiple_of(4) { Ok(()) } else { Err(HeaderError::Length) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Esp, Host, Layout};
    use crate::image::{Header, HeaderError, IN_PLACE, MAX_SEGMENTS, Segment};
    use crate::map::{SECTOR, SELECTOR, Slot};

    fn slots_are_sectors_behind_the_selector<L: Layout>() {
        let [a, b] = Slot::BOTH.map(L::region);
        assert!(a.start >= SELECTOR[1].end() && a.end() <= b.start && a.length == b.length);
        for slot in Slot::BOTH {
            let (region, manifest) = (L::region(slot), L::manifest(slot));
            for number in [region.start, region.length, manifest.start, manifest.length] {
                assert!(number.is_multiple_of(SECTOR));
            }
            assert_eq!(manifest.end(), region.end());
            assert_eq!(L::room(slot), manifest.start - region.start);
        }
        assert_eq!(L::distance(Slot::A), 0);
    }

    #[test]
    fn slots_are_whole_sectors_and_end_with_their_manifest() {
        slots_are_sectors_behind_the_selector::<Esp>();
        slots_are_sectors_behind_the_selector::<Host>();
        assert_eq!(Host::region(Slot::B).end(), Host::LENGTH);
        assert_eq!(Host::region(Slot::A).start, Slot::A.region().start);
    }

    #[test]
    fn a_program_has_no_entry_and_no_segments_and_fits() {
        let segments = [Segment::default(); MAX_SEGMENTS];
        let (board, version) = ([b'h'; 16], [b'1'; 24]);
        let program = Header { sequence: 1, entry: 0, in_place: 4000, board, version, segments };
        let largest = Host::SLOT - IN_PLACE;
        for slot in Slot::BOTH {
            let of = |in_place| {
                let mut header = program;
                header.in_place = in_place;
                Host::check(&header, slot)
            };
            assert_eq!([of(4), of(largest)], [Ok(()); 2]);
            for wrong in [0, 2, 4001, largest + 4, u32::MAX - 3] {
                assert_eq!(of(wrong), Err(HeaderError::Length), "{wrong}");
            }
            let mut entry = program;
            entry.entry = 0x4020_3100;
            assert_eq!(Host::check(&entry, slot), Err(HeaderError::Entry));
            let mut segment = program;
            segment.segments[7] = Segment { address: 0x3FFE_8000, length: 0 };
            assert_eq!(Host::check(&segment, slot), Err(HeaderError::Segment));
            assert!(Esp::check(&program, slot).is_err(), "and a board takes none");
        }
    }
}
