//! What a slot holds: `docs/image.md`, "A slot".

use anyhow::{Result, bail, ensure};
use spore_boot::image::{HEADER, Header, IN_PLACE, MAX_SEGMENTS, Segment};
use spore_boot::map::Slot;

use super::Program;

/// What an image says of itself to people and nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label<'a> {
    /// Its place in the order of all images.
    pub(crate) sequence: u32,
    /// At most 16 ASCII characters.
    pub(crate) board: &'a str,
    /// At most 24 ASCII characters.
    pub(crate) version: &'a str,
}

/// The bytes for `slot` of a program that was linked for it.
///
/// # Errors
/// When the program does not fit the slot or the memories that images may fill, or a label is too long.
pub(crate) fn image(program: &Program, slot: Slot, label: &Label<'_>) -> Result<Vec<u8>> {
    let window = slot.window() + IN_PLACE..slot.window() + Slot::LENGTH;
    let mut in_place: Vec<u8> = Vec::new();
    let mut loaded: Vec<u8> = Vec::new();
    let mut segments = Vec::new();
    for piece in &program.pieces {
        let length = u32::try_from(piece.bytes.len())?;
        if window.contains(&piece.address) {
            let at = usize::try_from(piece.address - window.start)?;
            ensure!(at >= in_place.len(), "sections overlap at {:#x}", piece.address);
            in_place.resize(at, 0xFF);
            in_place.extend(&piece.bytes);
        } else {
            segments.push(Segment { address: piece.address, length });
            loaded.extend(&piece.bytes);
        }
    }
    let count = segments.len();
    ensure!(count <= MAX_SEGMENTS, "{count} segments for RAM; an image has at most {MAX_SEGMENTS}");
    segments.resize(MAX_SEGMENTS, Segment::default());
    let Ok(segments) = segments.try_into() else { bail!("no room for the segments") };
    let header = Header {
        sequence: label.sequence,
        entry: program.entry,
        in_place: u32::try_from(in_place.len())?,
        board: text(label.board)?,
        version: text(label.version)?,
        segments,
    };
    if let Err(error) = header.check(slot) {
        bail!(
            "the program cannot stand in slot {slot:?} ({error:?}): entry {:#x}, {} bytes in place, segments {:x?}",
            header.entry,
            header.in_place,
            &header.segments[..count]
        );
    }
    let contents = [in_place, loaded].concat();
    let image = [header.encode(&contents).as_slice(), &contents].concat();
    debug_assert_eq!(image.len(), contents.len() + HEADER);
    Ok(image)
}

/// ASCII, padded with zeros.
fn text<const N: usize>(text: &str) -> Result<[u8; N]> {
    ensure!(
        text.len() <= N && text.bytes().all(|byte| byte.is_ascii_graphic()),
        "\"{text}\" is no name: that is at most {N} ASCII characters without spaces"
    );
    let mut bytes = [0; N];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    Ok(bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Piece;
    use super::*;

    pub(crate) fn program(slot: Slot) -> Program {
        let start = slot.window() + IN_PLACE;
        let code = [start.to_le_bytes(), [1, 2, 3, 4], (start + 4).to_le_bytes()].concat();
        Program {
            entry: 0x4010_0000,
            pieces: vec![
                Piece { address: 0x3FFE_8000, bytes: start.to_le_bytes().to_vec() },
                Piece { address: 0x4010_0000, bytes: vec![7; 8] },
                Piece { address: start, bytes: code },
            ],
        }
    }

    pub(crate) const LABEL: Label<'_> = Label { sequence: 3, board: "esp-01", version: "0.1.0" };

    #[test]
    fn an_image_holds_the_part_in_place_and_then_the_segments() {
        let image = image(&program(Slot::A), Slot::A, &LABEL).unwrap();
        let header =
            Header::decode::<spore_boot::Esp>(Slot::A, image[..HEADER].try_into().unwrap())
                .unwrap();
        assert_eq!((header.sequence, header.in_place, header.length()), (3, 12, 256 + 24));
        assert_eq!(header.board, *b"esp-01\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(image[256 + 12 + 4..], [7; 8]);
    }

    #[test]
    fn what_cannot_stand_in_the_slot_is_refused_with_its_reason() {
        let error = image(&program(Slot::A), Slot::B, &LABEL).unwrap_err().to_string();
        assert!(error.contains("slot B") && error.contains("Segment"), "{error}");
        let long = Label { board: "a-name-of-17-char", ..LABEL };
        assert!(image(&program(Slot::A), Slot::A, &long).is_err());
    }
}
