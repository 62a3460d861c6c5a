//! Images that must not be taken: promise O4.

use ed25519_dalek::{Signer as _, SigningKey};
use fastrand::Rng;
use spore_boot::map::{MANIFEST, SELECTOR, Slot};
use spore_boot::{Esp, Header, Start};
use spore_image::head::{HEAD, HeadError};
use spore_image::{Head, Refusal, SignatureError, Target, build};
use spore_sim::flash::NorChip;

use crate::board::{self, NEW, OLD, container, install, target};

fn release_key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

fn verify(head: &Head) -> Result<(), SignatureError> {
    head.verify(&release_key().verifying_key().to_bytes())
}

fn sign(container: &mut [u8], key: &SigningKey) {
    let head = Head::decode(container.first_chunk::<HEAD>().unwrap()).unwrap();
    build::put_signature(container, &key.sign(&head.message()).to_bytes());
}

fn signed(sequence: u32) -> Vec<u8> {
    let mut container = container(sequence);
    sign(&mut container, &release_key());
    container
}

/// The container of an image whose header was changed, before it was built and signed.
fn built(change: impl Fn(&mut Header), words: u32) -> Vec<u8> {
    let [a, b] = Slot::BOTH.map(|slot| {
        let image = board::image(slot, NEW);
        let mut header = Header::decode::<Esp>(slot, image.first_chunk().unwrap()).unwrap();
        let contents = [&vec![0; 4 * words as usize], &image[256..]].concat();
        header.in_place += 4 * words;
        change(&mut header);
        [&header.encode(&contents)[..], &contents].concat()
    });
    let mut container = build::from_slots(&a, &b).unwrap();
    sign(&mut container, &release_key());
    container
}

fn refusal(start: &Start, chip: &mut NorChip, bytes: &[u8], target: &Target<'_>) -> Refusal {
    let before = chip.bytes().to_vec();
    let refusal = install(chip, bytes, target, verify).expect_err("a hostile image was taken");
    let slot = start.slot.other().region();
    let same = |from: usize, to: usize| chip.bytes()[from..to] == before[from..to];
    assert!(same(0, slot.start as usize) && same(slot.end() as usize, before.len()), "{refusal:?}");
    assert_eq!(board::boot(chip).map(|start| start.slot), Some(start.slot), "{refusal:?}");
    refusal
}

/// A board whose image is confirmed.
fn ready() -> (NorChip, Start) {
    let mut chip = NorChip::from_bytes(board::new_board());
    let start = board::boot(&mut chip).unwrap();
    board::confirm(&mut chip, &start).unwrap();
    (chip, start)
}

#[test]
fn what_the_head_tells_is_refused_before_anything_is_written() {
    let (mut chip, start) = ready();
    let good = signed(NEW);
    let other = {
        let mut bytes = good.clone();
        sign(&mut bytes, &SigningKey::from_bytes(&[2; 32]));
        bytes
    };
    let unknown = [b"SPOR\x02", &good[5..]].concat();
    let plain = target(&start);
    let length = Target { length: Some(good.len() as u32 + 1), ..plain };
    let quarantined = Target { quarantined: Some(NEW), ..plain };
    let program = {
        let mut bytes = build::program(&[1; 4000], board::BOARD, "1", NEW).unwrap();
        sign(&mut bytes, &release_key());
        bytes
    };
    let slot = Refusal::Slot(spore_boot::HeaderError::Entry);
    for (bytes, target, expected) in [
        (&container(NEW), &plain, Refusal::Signature(SignatureError::Unsigned)),
        (&other, &plain, Refusal::Signature(SignatureError::Forged)),
        (&signed(OLD), &plain, Refusal::Older),
        (&signed(0), &plain, Refusal::Older),
        (&good, &quarantined, Refusal::Quarantined),
        (&good, &length, Refusal::Length),
        (&built(|header| header.board = *b"esp-02\0\0\0\0\0\0\0\0\0\0", 0), &plain, Refusal::Board),
        (&program, &plain, slot),
        (&unknown, &plain, Refusal::Head(HeadError::Format)),
        (&vec![0xFF; 5000], &plain, Refusal::Head(HeadError::Magic)),
        (&board::image(Slot::B, NEW), &plain, Refusal::Head(HeadError::Magic)),
        (&vec![], &plain, Refusal::Length),
    ] {
        let before = chip.operations();
        assert_eq!(refusal(&start, &mut chip, bytes, target), expected);
        assert_eq!(chip.operations(), before, "{expected:?}: the flash was touched");
    }
}

#[test]
fn an_image_that_leaves_no_room_for_its_manifest_is_refused() {
    let (mut chip, start) = ready();
    // No tool makes one.
    let mut bytes = signed(NEW);
    let room = Slot::LENGTH - MANIFEST - 256 - 1120;
    bytes[16..20].copy_from_slice(&(room + 4).to_le_bytes());
    sign(&mut bytes, &release_key());
    let before = chip.operations();
    assert_eq!(refusal(&start, &mut chip, &bytes, &target(&start)), Refusal::TooLarge);
    assert_eq!(chip.operations(), before);
    let largest = built(|_| (), room / 4 - 1000);
    assert!(install(&mut chip, &largest, &target(&start), verify).is_ok());
    assert_eq!(board::boot(&mut chip).unwrap().header.length(), Slot::LENGTH - MANIFEST);
}

#[test]
fn nothing_is_installed_over_what_an_unconfirmed_image_goes_back_to() {
    let good = signed(NEW);
    // A blank selector, a trial under way, and one that chose the other slot.
    let (mut chip, start) = ready();
    install(&mut chip, &good, &target(&start), verify).unwrap();
    let trial = board::boot(&mut chip).unwrap();
    assert_eq!(trial.slot, Slot::B);
    let before = chip.bytes().to_vec();
    for start in [start, trial] {
        let next = install(&mut chip, &signed(NEW + 1), &target(&start), verify);
        assert_eq!(next, Err(Refusal::Unconfirmed));
    }
    assert!(chip.bytes() == before);
    let mut chip = NorChip::from_bytes(board::new_board());
    let start = board::boot(&mut chip).unwrap();
    assert_eq!(install(&mut chip, &good, &target(&start), verify), Err(Refusal::Unconfirmed));
    assert_eq!(chip.operations(), 0);
}

/// So many images that are unsigned, signed by others, cut, continued, altered, older, or all of that.
fn hostile(count: u32, seed: u64) {
    let (mut chip, start) = ready();
    let mut rng = Rng::with_seed(seed);
    let good = signed(NEW);
    for length in 0..HEAD + 2 {
        refusal(&start, &mut chip, &good[..length], &target(&start));
    }
    for _ in 0..count {
        let mut bytes = good.clone();
        let mut key = release_key();
        match rng.u8(..8) {
            0 => bytes = container(NEW + rng.u32(..100)),
            1 => key = SigningKey::from_bytes(&[rng.u8(2..); 32]),
            2 => bytes.truncate(rng.usize(..bytes.len())),
            3 => bytes.extend((0..rng.usize(1..600)).map(|_| rng.u8(..))),
            4 => bytes = signed(rng.u32(..=OLD)),
            5 => {
                // Whoever has the key has signed something that is none. What the head says of slot A is not asked here.
                let byte = rng.usize(..192);
                let byte = if byte < 160 { byte } else { byte + 32 };
                bytes[byte] ^= 1 << rng.u8(..8);
                match Head::decode(bytes.first_chunk().unwrap()) {
                    // Another number and version are another image, if the digests are right; they are not.
                    Ok(_) => sign(&mut bytes, &key),
                    Err(_) => continue,
                }
            }
            _ => {
                let reach = if rng.bool() { 2 * HEAD } else { bytes.len() };
                for _ in 0..rng.usize(1..4) {
                    let bit = rng.usize(..8 * reach);
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
            }
        }
        if bytes == good {
            // Two flips of one bit.
            continue;
        }
        if key.to_bytes() != release_key().to_bytes() {
            sign(&mut bytes, &key);
        }
        refusal(&start, &mut chip, &bytes, &target(&start));
    }
    let sectors = SELECTOR.map(|sector| chip.erases()[sector.start as usize / 4096]);
    println!("{count} hostile images: 0 taken; erases of the selector {sectors:?}");
    assert!(install(&mut chip, &good, &target(&start), verify).is_ok(), "and a good one is");
    println!("promise O4 images={count} images_taken=0");
}

#[test]
fn hostile_images_are_not_taken_and_touch_nothing_that_runs() {
    hostile(1_000, 4);
}

#[test]
#[ignore = "takes a minute"]
fn hostile_images_are_not_taken_and_touch_nothing_that_runs_20000_long() {
    hostile(20_000, 5);
}
