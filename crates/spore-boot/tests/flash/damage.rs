//! What the bootloader makes of a flash that was damaged.

use spore_boot::map::SELECTOR;
use spore_boot::selector::{Choice, Record, Stage};
use spore_boot::{Esp, Slot, choose};
use spore_sim::flash::NorChip;

use crate::board::{self, NEW, OLD, boot, image, new_board};

/// A flash with both images, whose selector says that this slot is confirmed.
fn two_images(confirmed: Slot) -> Vec<u8> {
    let mut bytes = new_board();
    let new = image(Slot::B, NEW);
    bytes[Slot::B.region().start as usize..][..new.len()].copy_from_slice(&new);
    let image = if confirmed == Slot::A { OLD } else { NEW };
    let choice = Choice { slot: confirmed, stage: Stage::Confirmed, image };
    for (sequence, sector) in (1..).zip(SELECTOR) {
        let record = Record::encode(choice, sequence);
        bytes[sector.start as usize..][..record.len()].copy_from_slice(&record);
    }
    bytes
}

fn started(bytes: &[u8]) -> Option<Slot> {
    boot(&mut NorChip::from_bytes(bytes.to_vec())).map(|start| start.slot)
}

#[test]
fn one_bad_sector_of_the_selector_changes_nothing_and_two_leave_the_newer_image() {
    for confirmed in Slot::BOTH {
        let whole = two_images(confirmed);
        assert_eq!(started(&whole), Some(confirmed));
        for fill in [0xFF, 0x00, 0x5A] {
            let mut bytes = whole.clone();
            for (damaged, sector) in SELECTOR.iter().enumerate() {
                let mut one = whole.clone();
                for bytes in [&mut one, &mut bytes] {
                    bytes[sector.start as usize..sector.end() as usize].fill(fill);
                }
                assert_eq!(started(&one), Some(confirmed), "sector {damaged}, {fill:#x}");
            }
            assert_eq!(started(&bytes), Some(Slot::B), "{fill:#x}");
        }
    }
}

#[test]
fn a_flipped_bit_in_a_slot_starts_the_other_one_and_in_both_slots_none() {
    let mut rng = fastrand::Rng::with_seed(3);
    for confirmed in Slot::BOTH {
        let whole = two_images(confirmed);
        let length = image(Slot::A, OLD).len();
        let flip = |bytes: &mut Vec<u8>, slot: Slot, rng: &mut fastrand::Rng| {
            let bit = rng.usize(..length * 8);
            bytes[slot.region().start as usize + bit / 8] ^= 1 << (bit % 8);
        };
        for _ in 0..200 {
            for slot in Slot::BOTH {
                let mut bytes = whole.clone();
                flip(&mut bytes, slot, &mut rng);
                assert_eq!(started(&bytes), Some(slot.other()));
                flip(&mut bytes, slot.other(), &mut rng);
                assert_eq!(started(&bytes), None);
            }
        }
    }
}

#[test]
fn an_image_for_the_other_slot_is_not_started() {
    let mut bytes = new_board();
    let stranger = image(Slot::B, NEW);
    bytes[Slot::A.region().start as usize..][..stranger.len()].copy_from_slice(&stranger);
    assert_eq!(started(&bytes), None);
}

#[test]
fn a_trial_that_cannot_be_counted_is_not_started_while_there_is_another_image() {
    let mut bytes = two_images(Slot::A);
    let choice = Choice { slot: Slot::B, stage: Stage::Trial, image: NEW };
    let record = Record::encode(choice, 3);
    bytes[SELECTOR[0].start as usize..][..record.len()].copy_from_slice(&record);
    let on_trial = |works: board::Programs, bytes: &[u8]| {
        let mut chip = NorChip::from_bytes(bytes.to_vec());
        choose::<Esp>(&mut board::Blocking(&mut chip, works)).map(|start| start.slot)
    };
    assert_eq!(on_trial(board::Programs::Work, &bytes), Some(Slot::B));
    for broken in [board::Programs::Fail, board::Programs::DoNothing] {
        assert_eq!(on_trial(broken, &bytes), Some(Slot::A), "{broken:?}");
        let mut alone = bytes.clone();
        alone[Slot::A.region().start as usize] ^= 1;
        assert_eq!(on_trial(broken, &alone), Some(Slot::B), "{broken:?}: better than none");
    }
}
