//! Values that were whole once, and cells that are worn.

use crate::{KEYS, Values, change, load, open, store, values};
use embassy_futures::block_on;
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use fastrand::Rng;
use spore_core::Key;
use spore_node::store::{Loaded, Store, StoreError};
use spore_sim::flash::{FlashError, NorChip, SECTOR};

/// A flash with a history, and what was stored in it last.
fn used(seed: u64, stores: u32) -> (Vec<u8>, Values) {
    let (mut rng, mut now) = (Rng::with_seed(seed), Values::new());
    let mut flash = open(&[0xFF; 3 * SECTOR]);
    let identity = (Key::Identity.number(), vec![1; 10]);
    for (key, value) in (0..stores).map(|_| change(&mut rng)).chain([identity]) {
        store(&mut flash, key, &value).expect("the power is on");
        now.insert(key, value);
    }
    (flash.into_flash().bytes().to_vec(), now)
}

#[test]
fn a_flipped_bit_is_noticed_and_never_brings_an_older_identity_back() {
    let mut rng = Rng::with_seed(1);
    let (mut flips, mut losses, mut older) = (0, 0, 0);
    for history in 0..60 {
        let (bytes, now) = used(history, 1 + 2 * u32::try_from(history).expect("small"));
        for _ in 0..100 {
            let mut bytes = bytes.clone();
            let bit = rng.usize(..8 * bytes.len());
            bytes[bit / 8] ^= 1 << (bit % 8);
            flips += 1;
            let mut flash = open(&bytes);
            let (damaged, foreign) = (flash.is_damaged(), flash.is_foreign());
            for key in KEYS {
                let (loaded, value) = load(&mut flash, key);
                let newest = now.get(&key).cloned().unwrap_or_default();
                match loaded {
                    Loaded::Whole(_) => assert_eq!(value, newest, "bit {bit}, key {key}"),
                    Loaded::Older(_) => {
                        assert!(damaged && key != Key::Identity.number(), "bit {bit}");
                        older += 1;
                    }
                    Loaded::Damaged => assert!(damaged, "bit {bit}, key {key}"),
                    // The very first sector's head, and one value: it may be half a first store.
                    Loaded::Absent => {
                        let untold = foreign && now.len() == 1;
                        assert!(untold || newest.is_empty(), "bit {bit}, key {key}");
                    }
                }
                losses += usize::from(loaded.is_damaged());
            }
            // What is lost stays lost, whatever else is stored.
            let identity = load(&mut flash, Key::Identity.number()).0;
            if identity.is_damaged() {
                store(&mut flash, Key::Peers.number(), b"peers").expect("the power is on");
                flash = open(flash.into_flash().bytes());
                assert_eq!(load(&mut flash, Key::Identity.number()).0, Loaded::Damaged);
            }
            // The next store makes a whole of what is left.
            store(&mut flash, 1, b"new").expect("the power is on");
            let mut flash = open(flash.into_flash().bytes());
            assert!(!flash.is_damaged() && !flash.is_foreign());
            assert_eq!(load(&mut flash, 1).1, b"new");
        }
    }
    println!("one bit of {flips} flashes flipped: {losses} values lost, {older} of them older");
    assert!(losses > 100 && older > 20, "{losses}, {older}");
}

#[test]
fn a_flash_of_something_else_holds_no_values_and_takes_some() {
    for seed in 0..200 {
        let mut rng = Rng::with_seed(seed);
        let bytes: Vec<_> = (0..2 * SECTOR).map(|_| rng.u8(..)).collect();
        let mut flash = open(&bytes);
        assert!(flash.is_foreign());
        assert_eq!(load(&mut flash, 1).0, Loaded::Absent);
        store(&mut flash, 1, b"first").expect("the power is on");
        assert_eq!(values(&mut open(flash.into_flash().bytes())).len(), 1);
    }
}

#[test]
fn what_cannot_be_stored_is_refused() {
    let mut flash = open(&[0xFF; 2 * SECTOR]);
    assert_eq!(store(&mut flash, 1, &[0; 257]), Err(StoreError::Refused));
    assert_eq!(store(&mut flash, 10, &[0; 1]), Err(StoreError::Refused));
    assert_eq!(store(&mut flash, 7, &[0; 256]), Ok(()));
    assert_eq!(block_on(flash.load(7, &mut [0; 255])), Err(StoreError::Refused));
    assert_eq!(flash.into_flash().operations(), 1 + 1 + 4 + 2 + 1, "and costs no operation");
}

/// A chip of which some words are worn out: bit 2 of each is 1 after any program.
struct Worn {
    chip: NorChip,
    words: Vec<usize>,
}

impl ErrorType for Worn {
    type Error = FlashError;
}

impl ReadNorFlash for Worn {
    const READ_SIZE: usize = NorChip::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.chip.read(offset, bytes).await
    }

    fn capacity(&self) -> usize {
        self.chip.capacity()
    }
}

impl NorFlash for Worn {
    const WRITE_SIZE: usize = NorChip::WRITE_SIZE;
    const ERASE_SIZE: usize = NorChip::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        self.chip.erase(from, to).await
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.chip.write(offset, bytes).await?;
        self.words.iter().for_each(|word| self.chip.bytes_mut()[4 * word] |= 4);
        Ok(())
    }
}

#[test]
fn words_that_are_worn_out_are_passed_by_until_too_many_are() {
    let range = 0..u32::try_from(3 * SECTOR).expect("small");
    let run = |words: Vec<usize>| -> Result<(), StoreError<FlashError>> {
        let mut rng = Rng::with_seed(1);
        let flash = Worn { chip: NorChip::blank(3), words };
        let mut flash = block_on(Store::open(flash, range.clone())).expect("it has power");
        let mut now = Values::new();
        for _ in 0..200 {
            let (key, value) = change(&mut rng);
            block_on(flash.store(key, &value))?;
            now.insert(key, value);
        }
        assert_eq!(values(&mut open(flash.into_flash().chip.bytes())), now);
        Ok(())
    };
    let sector = SECTOR / 4;
    assert_eq!(run(vec![]), Ok(()));
    // One whole sector, and single words of the others.
    assert_eq!(run((sector..2 * sector).chain([600, 2 * sector + 900]).collect()), Ok(()));
    // The place of a head in two of three sectors: one is left, and cannot be copied anywhere.
    assert_eq!(run(vec![0, sector]), Err(StoreError::Worn));
}
