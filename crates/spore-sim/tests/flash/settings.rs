//! Settings of which a bit flips: a release key that is lost must not make room for another.

use crate::{load, open, store};
use fastrand::Rng;
use spore_core::Key;
use spore_core::security::ReleaseKey;
use spore_core::settings::Settings;
use spore_core::store::{MAX_VALUE, Stored};
use spore_node::store::Store;
use spore_sim::flash::{Cut, NorChip, SECTOR, Tear, When};

/// What a node that starts with this flash would make of its settings.
fn restored(flash: &mut Store<NorChip>) -> Settings {
    let (loaded, value) = load(flash, Key::Settings.number());
    let mut stored = Stored { settings: &value, ..Stored::default() };
    if loaded.is_damaged() {
        stored.doubt(Key::Settings);
    }
    Settings::restore(&stored)
}

fn settings(version: u32, key: u8) -> Settings {
    let hostname = Some("attic".parse().expect("a name"));
    Settings { version, hostname, release_key: Some(ReleaseKey([key; 32])), damaged: false }
}

fn put(flash: &mut Store<NorChip>, settings: &Settings) {
    let mut value = [0; MAX_VALUE];
    let len = settings.encode(&mut value);
    store(flash, Key::Settings.number(), &value[..len]).expect("the power is on");
}

fn start(flash: &mut Store<NorChip>, boot: u8) {
    store(flash, Key::Identity.number(), &[boot; 10]).expect("the power is on");
}

/// A node's flash after some starts, whose release key was replaced; and its settings.
fn used(starts: u8) -> (Vec<u8>, Settings) {
    let mut flash = open(&[0xFF; 3 * SECTOR]);
    start(&mut flash, 0);
    put(&mut flash, &settings(1, 7));
    put(&mut flash, &settings(2, 8));
    (1..=starts).for_each(|boot| start(&mut flash, boot));
    (flash.into_flash().bytes().to_vec(), settings(2, 8))
}

/// Neither the key that was in force nor its predecessor is lost for one that anybody can set.
#[track_caller]
fn refuses(flash: &mut Store<NorChip>, what: &str) {
    let found = restored(flash);
    assert!(found.damaged && found.release_key.is_none(), "{what}: {found:?}");
}

/// The start of a node, cut short at one of its operations.
fn cut_start(bytes: &[u8], rng: &mut Rng) -> Vec<u8> {
    let torn = When::Torn(Tear::ALL[rng.usize(..Tear::ALL.len())]);
    let when = [When::Before, When::After, torn, torn][rng.usize(..4)];
    let mut chip = NorChip::from_bytes(bytes.to_vec());
    chip.arm(Cut { operation: rng.u64(..60), when, seed: rng.u64(..) });
    let end = u32::try_from(bytes.len()).expect("small");
    let mut flash = embassy_futures::block_on(Store::open(chip, 0..end)).expect("it only reads");
    let _ = store(&mut flash, Key::Identity.number(), &[0xAA; 10]);
    flash.into_flash().bytes().to_vec()
}

/// Flips every `step`th bit of the first `sectors` sectors. Of how many flips settings were lost.
fn sweep(starts: u8, step: usize) -> (usize, usize) {
    let mut rng = Rng::with_seed(starts.into());
    let (bytes, whole) = used(starts);
    let (mut flips, mut losses) = (0, 0);
    for bit in (rng.usize(..step)..8 * bytes.len()).step_by(step) {
        let what = format!("{starts} starts, bit {bit}");
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        flips += 1;
        let mut flash = open(&bytes);
        assert!(!flash.is_foreign(), "{what}");
        if restored(&mut flash) == whole {
            continue;
        }
        losses += 1;
        refuses(&mut flash, &what);
        // A start, whole and cut short; and so many that no sector is as it was.
        refuses(&mut open(&cut_start(&bytes, &mut rng)), &what);
        start(&mut flash, 0xBB);
        let mut flash = open(flash.into_flash().bytes());
        refuses(&mut flash, &what);
        let bytes = flash.flash().bytes().to_vec();
        refuses(&mut open(&cut_start(&bytes, &mut rng)), &what);
        if losses % 16 == 0 {
            (0..250).for_each(|boot| start(&mut flash, boot));
            refuses(&mut open(flash.flash().bytes()), &what);
        }
        // Another setting is changed, as the API does it.
        let lost = restored(&mut flash);
        put(&mut flash, &Settings { version: 9, hostname: None, ..lost });
        let mut flash = open(flash.into_flash().bytes());
        refuses(&mut flash, &what);
        // Somebody at the machine clears it.
        let cleared = Settings { damaged: false, ..restored(&mut flash) };
        put(&mut flash, &cleared);
        put(&mut flash, &settings(11, 9));
        assert_eq!(restored(&mut open(flash.flash().bytes())), settings(11, 9), "{what}");
    }
    (flips, losses)
}

#[test]
fn a_flipped_bit_never_makes_room_for_another_release_key() {
    let (mut flips, mut losses) = (0, 0);
    // In the first sector, and in the second one, of which the first is the predecessor.
    for starts in [0, 3, 150, 200] {
        let (more, lost) = sweep(starts, 7);
        flips += more;
        losses += lost;
    }
    println!("one bit of {flips} flashes flipped: settings lost in {losses}, no room for a key");
    assert!(losses > 200, "{losses}");
}
