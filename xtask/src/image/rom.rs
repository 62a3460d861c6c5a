//! The format that the mask ROM loads: esptool's documentation, "Firmware Image Format", version 1.

use anyhow::{Result, ensure};
use spore_boot::map::{BOOTLOADER, SIZE_AND_MAP};

use super::Program;

const MAGIC: u8 = 0xE9;
const CHECKSUM: u8 = 0xEF;
/// Two data lines for reading, one for the command: what all chips on ESP-01 boards can do.
const MODE_DOUT: u8 = 3;
/// Low nibble of byte 3: 40 MHz.
const CLOCK_40_MHZ: u8 = 0;

/// The image for the first sector of flash.
///
/// # Errors
/// When it does not fit into the sector; the message says how much it is over.
pub(crate) fn image(program: &Program) -> Result<Vec<u8>> {
    let count = u8::try_from(program.pieces.len()).unwrap_or(u8::MAX);
    ensure!(count <= 16, "the mask ROM loads 16 segments, and the bootloader has {count}");
    let mut image = vec![MAGIC, count, MODE_DOUT, SIZE_AND_MAP << 4 | CLOCK_40_MHZ];
    image.extend(program.entry.to_le_bytes());
    let mut checksum = CHECKSUM;
    for piece in &program.pieces {
        let length = u32::try_from(piece.bytes.len())?;
        image.extend(piece.address.to_le_bytes());
        image.extend(length.to_le_bytes());
        image.extend(&piece.bytes);
        checksum = piece.bytes.iter().fold(checksum, |sum, byte| sum ^ byte);
    }
    // The checksum is the last byte of a block of 16.
    image.resize(image.len() / 16 * 16 + 15, 0);
    image.push(checksum);
    let room = BOOTLOADER.length as usize;
    ensure!(
        image.len() <= room,
        "the bootloader with its header is {} bytes, {} more than its sector",
        image.len(),
        image.len() - room
    );
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::super::Piece;
    use super::*;

    fn program(bytes: usize) -> Program {
        let pieces = vec![Piece { address: 0x4010_8000, bytes: vec![0x11; bytes] }];
        Program { entry: 0x4010_8000, pieces }
    }

    #[test]
    fn the_header_tells_the_sdk_of_two_halves_and_the_checksum_ends_a_block() {
        let image = image(&program(12)).unwrap();
        assert_eq!(image[..8], [0xE9, 1, 3, 0x20, 0x00, 0x80, 0x10, 0x40]);
        assert_eq!(image[8..16], [0x00, 0x80, 0x10, 0x40, 12, 0, 0, 0]);
        assert_eq!(image.len(), 32);
        // Twelve equal bytes cancel out.
        assert_eq!(image[31], 0xEF);
    }

    #[test]
    fn what_does_not_fit_into_the_sector_is_refused() {
        assert_eq!(image(&program(4096 - 32)).unwrap().len(), 4096);
        let error = image(&program(4096)).unwrap_err().to_string();
        assert!(error.contains("4128 bytes, 32 more"), "{error}");
    }
}
