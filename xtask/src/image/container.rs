//! The container that nodes are updated with: `docs/image.md`, "The container".

use anyhow::{Context, Result, ensure};
use embassy_futures::block_on;
use spore_boot::image::HEADER;
use spore_boot::layout::{Esp, Layout as _};
use spore_boot::map::Slot;
use spore_image::pieces::{self, PIECE};
use spore_image::{CHUNK_BYTES, Container, build};
use spore_sim::flash::NorChip;

/// A container that was made, not signed.
pub(crate) struct Made {
    pub(crate) bytes: Vec<u8>,
    /// How many words move.
    pub(crate) moved: usize,
    /// Bytes of the manifest.
    pub(crate) manifest: u32,
}

/// The container of the images that were linked for slot A and for slot B, which each come out of it byte for byte.
///
/// # Errors
/// When they do not: then the node cannot make one from the other.
pub(crate) fn of(a: &[u8], b: &[u8]) -> Result<Made> {
    let bytes = build::from_slots(a, b).context("the slots' images make no container")?;
    let container = Container::parse(&bytes)?;
    for (slot, linked) in [(Slot::A, a), (Slot::B, b)] {
        let image = image(&container, slot)?;
        ensure!(
            image == linked,
            "what the container gives for slot {slot:?} is not what was linked for it"
        );
        let neutral = neutral(&container, slot, &image)?;
        ensure!(
            neutral == container.payload(),
            "slot {slot:?} does not give the container's payload back"
        );
    }
    let (moved, manifest) = (container.moved(), container.head().manifest_length());
    Ok(Made { moved, manifest, bytes })
}

/// What a node writes into `slot`.
///
/// # Errors
/// When the container is not for slots of a board.
pub(crate) fn image(container: &Container<'_>, slot: Slot) -> Result<Vec<u8>> {
    let page = container.head().page::<Esp>(slot);
    let mut image = page.map_err(|error| anyhow::anyhow!("no header: {error:?}"))?.to_vec();
    let mut chunk = [0; CHUNK_BYTES];
    for number in 0..container.head().chunks() {
        let length = container.relocated(number, slot, &mut chunk);
        image.extend(&chunk[..length]);
    }
    Ok(image)
}

/// What a node's own code reads out of a slot for others, piece by piece, must be this container.
///
/// # Errors
/// When it is not, or the slot offers nothing.
pub(crate) fn expect_given_on(flash: &[u8], slot: Slot, container: &[u8]) -> Result<()> {
    let id = pieces::id(container.first_chunk().context("the container has no head")?);
    let mut chip = NorChip::from_bytes(flash.to_vec());
    let offered = block_on(pieces::offered::<Esp, _>(&mut chip, slot, &id))?;
    let offered = offered.with_context(|| format!("slot {slot:?} does not offer its image"))?;
    let mut given: Vec<u8> = Vec::new();
    for piece in 0..offered.count {
        let mut room = [0; PIECE];
        let length = block_on(pieces::read::<Esp, _>(&mut chip, slot, piece, &mut room))?;
        given.extend(&room[..length]);
    }
    ensure!(given == container, "slot {slot:?} gives on something else than its image");
    Ok(())
}

/// What a node gives on to others out of `slot`.
fn neutral(container: &Container<'_>, slot: Slot, image: &[u8]) -> Result<Vec<u8>> {
    let mut payload = image[HEADER..].to_vec();
    for number in 0..container.head().chunks() {
        let range = container.head().chunk(number);
        let chunk = &mut payload[range.start as usize..range.end as usize];
        container
            .relocate(number, chunk, Esp::distance(slot).wrapping_neg())
            .ok()
            .context("a list of relocations is none")?;
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::super::slot::image;
    use super::super::slot::tests::{LABEL, program};
    use super::of;
    use spore_boot::map::Slot;

    #[test]
    fn words_that_point_into_the_slot_are_listed_and_others_must_be_equal() {
        let linked = |slot| image(&program(slot), slot, &LABEL).unwrap();
        assert_eq!(of(&linked(Slot::A), &linked(Slot::B)).unwrap().moved, 3);
        let mut odd = program(Slot::B);
        odd.pieces[2].bytes[4] ^= 1;
        let odd = image(&odd, Slot::B, &LABEL).unwrap();
        let error = format!("{:#}", of(&linked(Slot::A), &odd).err().unwrap());
        assert!(error.contains("0x104") && error.contains("no address that moved"), "{error}");
    }
}
