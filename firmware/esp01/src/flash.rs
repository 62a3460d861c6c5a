//! What is where in the 1 MB of flash: two equal slots, our settings, and the SDK's sectors at the end.

use crate::sdk::Partition;

/// The smallest part of flash that can be erased, in bytes.
pub const SECTOR: u32 = 0x1000;
/// Where the SDK keeps the radio's calibration.
pub const RF_CALIBRATION: u32 = 0xFB000;
/// `FLASH_SIZE_8M_MAP_512_512` of `user_interface.h`: 1 MB in two halves. With maps 0 and 1 the SDK erases sectors
/// inside a slot.
pub const MAP_512_512: u32 = 2;

/// The partition table, for the SDK, which keeps a pointer to it.
pub static PARTITIONS: [Partition; 8] = TABLE;

/// Kinds 4, 5 and 6 are the SDK's (`SYSTEM_PARTITION_RF_CAL`, `_PHY_DATA`, `_SYSTEM_PARAMETER`), the others ours.
/// Kinds 1 to 3 are left out: the SDK accepts slots at its own addresses only.
const TABLE: [Partition; 8] = [
    Partition { kind: 100, address: 0, size: 0x1000 },
    Partition { kind: 101, address: 0x1000, size: 0x2000 },
    Partition { kind: 102, address: 0x3000, size: 0x78000 },
    Partition { kind: 103, address: 0x7B000, size: 0x78000 },
    Partition { kind: 104, address: 0xF3000, size: 0x8000 },
    Partition { kind: 4, address: RF_CALIBRATION, size: 0x1000 },
    Partition { kind: 5, address: 0xFC000, size: 0x1000 },
    Partition { kind: 6, address: 0xFD000, size: 0x3000 },
];

// With a gap or an overlap, two owners could write to one sector.
const _: () = {
    let mut end = 0;
    let mut row = 0;
    while row < TABLE.len() {
        assert!(TABLE[row].address == end, "the partitions leave a gap or overlap");
        end += TABLE[row].size;
        row += 1;
    }
    assert!(end == 1 << 20, "the partitions do not fill the flash");
};
