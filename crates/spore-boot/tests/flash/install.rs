//! Installing into either slot, in pieces of any size, and on flash that does not do what it is told.

use embassy_futures::block_on;
use embedded_io_async::{ErrorType, Read};
use embedded_storage_async::nor_flash::{self, NorFlash, ReadNorFlash};
use fastrand::Rng;
use spore_boot::image::HEADER;
use spore_boot::{Esp, Slot};
use spore_image::{Refusal, Target};
use spore_sim::flash::{FlashError, Lapse, NorChip};

use crate::board::{self, NEW, boot, confirm, container, image, install, target};

/// Hands out pieces of any size.
struct Pieces<'a>(&'a [u8], Rng);

impl ErrorType for Pieces<'_> {
    type Error = core::convert::Infallible;
}

impl Read for Pieces<'_> {
    async fn read(&mut self, room: &mut [u8]) -> Result<usize, Self::Error> {
        let most = self.0.len().min(room.len());
        let length = if most == 0 { 0 } else { self.1.usize(1..=most) };
        let (piece, rest) = self.0.split_at(length);
        room[..length].copy_from_slice(piece);
        self.0 = rest;
        Ok(length)
    }
}

fn slot_bytes(chip: &NorChip, slot: Slot, from: u32, length: usize) -> &[u8] {
    &chip.bytes()[(slot.region().start + from) as usize..][..length]
}

#[test]
fn a_board_goes_from_slot_to_slot_and_each_holds_what_was_linked_for_it() {
    let mut chip = NorChip::from_bytes(board::new_board());
    let mut start = boot(&mut chip).unwrap();
    for sequence in NEW..NEW + 20 {
        confirm(&mut chip, &start).unwrap();
        let bytes = container(sequence);
        let target = Target { length: Some(bytes.len() as u32), ..target(&start) };
        let mut source = Pieces(&bytes, Rng::with_seed(sequence.into()));
        let installed =
            spore_image::install::<Esp, _, _>(&mut chip, &mut source, &target, |_| Ok(()));
        let head = block_on(installed).unwrap();
        start = boot(&mut chip).unwrap();
        assert_eq!((start.slot, start.header.sequence), (target.slot, sequence));
        let linked = image(start.slot, sequence);
        assert_eq!(slot_bytes(&chip, start.slot, 0, linked.len()), linked);
        // What peers ask for.
        let manifest = &bytes[..head.manifest_length() as usize];
        let from = start.slot.manifest().start - start.slot.region().start;
        assert_eq!(slot_bytes(&chip, start.slot, from, manifest.len()), manifest);
    }
}

#[test]
fn an_error_of_the_flash_at_any_operation_ends_the_update_and_the_next_one_gets_through() {
    let ready = {
        let mut chip = NorChip::from_bytes(board::new_board());
        let start = boot(&mut chip).unwrap();
        confirm(&mut chip, &start).unwrap();
        NorChip::from_bytes(chip.bytes().to_vec())
    };
    let bytes = container(NEW);
    let mut whole = ready.clone();
    let start = boot(&mut whole).unwrap();
    install(&mut whole, &bytes, &target(&start), |_| Ok(())).unwrap();
    for operation in 0..whole.operations() {
        for effect in [false, true] {
            let mut chip = ready.clone();
            chip.arm_lapse(Lapse { operation, effect });
            let failed = install(&mut chip, &bytes, &target(&start), |_| Ok(()));
            let refusal = failed.expect_err("an error was not noticed");
            // The record is erased, and then written.
            let last = operation + 2 >= whole.operations();
            let expected = if last { Refusal::Selector } else { Refusal::Flash };
            assert_eq!(refusal, expected, "{operation}, {effect}");
            let slot = boot(&mut chip).unwrap().slot;
            assert!(slot == Slot::A || refusal == Refusal::Selector);
            if slot == Slot::A {
                confirm(&mut chip, &start).unwrap();
                install(&mut chip, &bytes, &target(&start), |_| Ok(())).unwrap();
                assert_eq!(boot(&mut chip).unwrap().slot, Slot::B);
            }
        }
    }
}

/// A flash with a bit that cannot be programmed to one thing: it reads as zero.
struct Worn<'a> {
    chip: &'a mut NorChip,
    bit: usize,
}

impl nor_flash::ErrorType for Worn<'_> {
    type Error = FlashError;
}

impl ReadNorFlash for Worn<'_> {
    const READ_SIZE: usize = 4;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.chip.bytes_mut()[self.bit / 8] &= !(1 << (self.bit % 8));
        self.chip.read(offset, bytes).await
    }

    fn capacity(&self) -> usize {
        self.chip.capacity()
    }
}

impl NorFlash for Worn<'_> {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        self.chip.erase(from, to).await
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.chip.write(offset, bytes).await
    }
}

#[test]
fn a_worn_bit_is_found_when_the_image_is_read_back() {
    let mut rng = Rng::with_seed(8);
    let bytes = container(NEW);
    let linked = image(Slot::B, NEW);
    let manifest = bytes.len() - (linked.len() - HEADER);
    let mut found = 0;
    for _ in 0..400 {
        let mut chip = NorChip::from_bytes(board::new_board());
        let start = boot(&mut chip).unwrap();
        confirm(&mut chip, &start).unwrap();
        let (from, length) = if rng.bool() {
            (Slot::B.region().start, linked.len())
        } else {
            (Slot::B.manifest().start, manifest)
        };
        let at = from as usize + rng.usize(..length);
        let bit = 8 * at + rng.usize(..8);
        let is = |chip: &NorChip| chip.bytes()[at] >> (bit % 8) & 1;
        let mut worn = Worn { chip: &mut chip, bit };
        match install(&mut worn, &bytes, &target(&start), |_| Ok(())) {
            Ok(_) => {
                assert_eq!(boot(&mut chip).unwrap().slot, Slot::B, "a bit that is zero anyway");
            }
            Err(refusal) => {
                found += 1;
                assert!(matches!(refusal, Refusal::Flash | Refusal::Altered), "{refusal:?}");
                assert_eq!(is(&chip), 0);
                assert_eq!(boot(&mut chip).unwrap().slot, Slot::A);
            }
        }
    }
    assert!((100..300).contains(&found), "about half of the bits are ones: {found}");
}
