//! The 1 MB of flash of an ESP-01: two equal slots, and who owns the rest.
//!
//! | from | bytes | what |
//! |---|---|---|
//! | 0x00000 | 4,096 | [`BOOTLOADER`]; its header is the only one that mask ROM and SDK read |
//! | 0x01000, 0x02000 | 4,096 each | [`SELECTOR`] |
//! | 0x03000 | 491,520 | slot A |
//! | 0x7B000 | 491,520 | slot B |
//! | 0xF3000 | 32,768 | [`CONFIGURATION`] |
//! | 0xFB000 | 4,096 | [`RF_CALIBRATION`], the SDK's |
//! | 0xFC000 | 4,096 | [`PHY_DATA`], the SDK's: 128 bytes, without which it restarts for ever |
//! | 0xFD000 | 12,288 | [`SYSTEM_PARAMETERS`], the SDK's |

/// The smallest part of flash that can be erased, in bytes.
pub const SECTOR: u32 = 0x1000;

/// The part of flash that is programmed at once, in bytes.
pub const PAGE: u32 = 0x100;

/// All of the flash, in bytes.
pub const FLASH: u32 = 0x10_0000;

/// Where the processor sees the first byte of flash while the cache is on. The window is as large as the flash and cannot
/// be moved by less, so an image runs only in the slot that it was linked for.
pub const WINDOW: u32 = 0x4020_0000;

/// Byte 3 of the header at flash 0, high nibble: 1 MB in two halves of 512 KB (the SDK's `FLASH_SIZE_8M_MAP_512_512`).
/// With 0 and 1 the SDK erases sectors inside a slot.
pub const SIZE_AND_MAP: u8 = 2;

/// Bytes of flash with one owner: whole sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The first byte, from the start of flash.
    pub start: u32,
    /// Bytes.
    pub length: u32,
}

impl Region {
    /// The first byte behind it.
    pub const fn end(self) -> u32 {
        self.start + self.length
    }

    /// Whether all of the `length` bytes from `start` on are in it. No bytes are in it as well, up to its end.
    pub const fn holds(self, start: u32, length: u32) -> bool {
        match start.checked_add(length) {
            Some(end) => self.start <= start && end <= self.end(),
            None => false,
        }
    }
}

/// The bootloader with its header.
pub const BOOTLOADER: Region = Region { start: 0, length: SECTOR };

/// Two sectors that say which slot is started, each by itself.
pub const SELECTOR: [Region; 2] =
    [Region { start: 0x1000, length: SECTOR }, Region { start: 0x2000, length: SECTOR }];

/// The settings of the node.
pub const CONFIGURATION: Region = Region { start: 0xF_3000, length: 0x8000 };

/// Where the SDK keeps the calibration of the radio (`SYSTEM_PARTITION_RF_CAL`).
pub const RF_CALIBRATION: Region = Region { start: 0xF_B000, length: SECTOR };

/// Parameters of the radio that the SDK reads at each start (`SYSTEM_PARTITION_PHY_DATA`).
pub const PHY_DATA: Region = Region { start: 0xF_C000, length: SECTOR };

/// The SDK's own settings (`SYSTEM_PARTITION_SYSTEM_PARAMETER`).
pub const SYSTEM_PARAMETERS: Region = Region { start: 0xF_D000, length: 0x3000 };

/// One of the two places for an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// The lower one.
    A,
    /// The upper one.
    B,
}

impl Slot {
    /// Bytes of a slot.
    pub const LENGTH: u32 = 0x7_8000;

    /// Both, A first.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// Where it is in flash.
    pub const fn region(self) -> Region {
        let start = match self {
            Self::A => 0x3000,
            Self::B => 0x3000 + Self::LENGTH,
        };
        Region { start, length: Self::LENGTH }
    }

    /// The part of it that is kept for the manifest of its image.
    pub const fn manifest(self) -> Region {
        Region { start: self.region().end() - MANIFEST, length: MANIFEST }
    }

    /// Where the processor sees its first byte.
    pub const fn window(self) -> u32 {
        WINDOW + self.region().start
    }

    /// Whether the processor sees a byte of it at `address`.
    pub const fn in_window(self, address: u32) -> bool {
        self.window() <= address && address - self.window() < Self::LENGTH
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// Bytes at the end of a slot that are kept for the manifest of the image in it, so that the node can give the image on as
/// it was signed.
pub const MANIFEST: u32 = 3 * SECTOR;

/// All regions with their names, in the order of their addresses: they fill the flash.
pub const REGIONS: [(&str, Region); 9] = [
    ("bootloader", BOOTLOADER),
    ("selector 0", SELECTOR[0]),
    ("selector 1", SELECTOR[1]),
    ("slot A", Slot::A.region()),
    ("slot B", Slot::B.region()),
    ("configuration", CONFIGURATION),
    ("RF calibration", RF_CALIBRATION),
    ("PHY data", PHY_DATA),
    ("system parameters", SYSTEM_PARAMETERS),
];

#[cfg(test)]
mod tests {
    use super::{CONFIGURATION, FLASH, REGIONS, Region, SECTOR, Slot, WINDOW};

    // With a gap or an overlap, two owners could write to one sector.
    #[test]
    fn regions_are_whole_sectors_and_fill_the_flash() {
        let mut end = 0;
        for (name, region) in REGIONS {
            assert_eq!(region.start, end, "{name}");
            assert!(region.length > 0 && region.length.is_multiple_of(SECTOR), "{name}");
            end = region.end();
        }
        assert_eq!(end, FLASH);
    }

    #[test]
    fn the_slots_are_alike_and_each_is_the_others_other() {
        for slot in Slot::BOTH {
            assert_eq!(slot.region().length, Slot::LENGTH);
            assert_eq!(slot.window() - WINDOW, slot.region().start);
            assert_eq!(slot.other().other(), slot);
        }
        assert_eq!(Slot::B.window() - Slot::A.window(), 0x7_8000);
    }

    #[test]
    fn a_region_holds_what_does_not_pass_its_ends() {
        let Region { start, length } = CONFIGURATION;
        assert!(CONFIGURATION.holds(start, length));
        assert!(CONFIGURATION.holds(start + length, 0));
        for (start, length) in
            [(start - 1, 1), (start, length + 1), (start + length, 1), (start, u32::MAX)]
        {
            assert!(!CONFIGURATION.holds(start, length), "{start:#x} {length:#x}");
        }
    }
}
