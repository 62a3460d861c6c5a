//! A cut at every operation, in three ways, and another one after it; and an error at every
//! operation, after which the same store goes on.

use crate::{KEYS, Values, change, open, store, values};
use fastrand::Rng;
use spore_node::store::StoreError;
use spore_sim::flash::{Cut, FlashError, Lapse, NorChip, SECTOR, Tear, When};
use std::ops::AddAssign;

/// How long and how thorough a sweep is.
struct Plan {
    seed: u64,
    sectors: usize,
    stores: u32,
    /// Seeds for each kind of tear.
    tears: u64,
}

#[derive(Debug, Default)]
struct Figures {
    stores: u64,
    operations: u64,
    cuts: u64,
    second_cuts: u64,
    /// Errors that were reported.
    lapses: u64,
    new: u64,
    /// Erases of the least erased sector.
    erases: u32,
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.stores += other.stores;
        self.operations += other.operations;
        self.cuts += other.cuts;
        self.second_cuts += other.second_cuts;
        self.lapses += other.lapses;
        self.new += other.new;
        self.erases += other.erases;
    }
}

/// The moments of a cut: before, after, and so many of each kind in between.
fn moments(tears: u64) -> impl Iterator<Item = (When, u64)> {
    let torn = Tear::ALL
        .into_iter()
        .flat_map(move |tear| (0..tears).map(move |seed| (When::Torn(tear), seed)));
    [(When::Before, 0), (When::After, 0)].into_iter().chain(torn)
}

/// Stores `(key, value)` in a flash with these bytes, with `cut` at an operation of it. Returns the
/// bytes that are left, or `None` if the store was complete before the cut.
fn cut_short(bytes: &[u8], (key, value): &(u8, Vec<u8>), cut: Cut) -> Option<(Vec<u8>, bool)> {
    let mut chip = NorChip::from_bytes(bytes.to_vec());
    chip.arm(cut);
    let end = u32::try_from(bytes.len()).ok()?;
    let opened = embassy_futures::block_on(spore_node::store::Store::open(chip, 0..end));
    let mut flash = opened.expect("opening does not write");
    let result = store(&mut flash, *key, value);
    let chip = flash.into_flash();
    assert!(result.is_ok() || chip.is_off(), "{result:?}");
    chip.is_off().then(|| (chip.bytes().to_vec(), result.is_ok()))
}

/// The values in a flash after a cut: those from before it, or with the change. Whether it is
/// there.
#[track_caller]
fn old_or_new(bytes: &[u8], old: &Values, (key, value): &(u8, Vec<u8>), what: &str) -> bool {
    let mut new = old.clone();
    new.insert(*key, value.clone());
    let found = values(&mut open(bytes));
    assert!(found == *old || found == new, "{what}: neither the old values nor the new ones");
    found == new
}

fn sweep(plan: &Plan) -> Figures {
    let mut rng = Rng::with_seed(plan.seed);
    let mut figures = Figures::default();
    let mut flash = open(&vec![0xFF; plan.sectors * SECTOR]);
    let mut now = Values::new();
    for step in 0..plan.stores {
        let (first, second, third) = (change(&mut rng), change(&mut rng), change(&mut rng));
        let before = flash.into_flash();
        let bytes = before.bytes().to_vec();
        flash = reopen(before);
        let start = flash_operations(&flash);
        store(&mut flash, first.0, &first.1).expect("the power is on");
        let operations = flash_operations(&flash) - start;
        figures.stores += 1;
        figures.operations += operations;
        for operation in 0..operations {
            for effect in [false, true] {
                let lapse = Lapse { operation, effect };
                let what = format!("seed {}, store {step}, {lapse:?}", plan.seed);
                go_on_after(&bytes, &now, [&first, &second, &third], lapse, &what);
                figures.lapses += 1;
            }
            for (when, seed) in moments(plan.tears) {
                let seed = seed ^ rng.u64(..);
                let cut = Cut { operation, when, seed };
                let what = format!("seed {}, store {step}, {cut:?}", plan.seed);
                let (left, durable) =
                    cut_short(&bytes, &first, cut).expect("the cut comes in this store");
                figures.cuts += 1;
                let stored = old_or_new(&left, &now, &first, &what);
                figures.new += u64::from(stored);
                assert!(stored || !durable, "{what}: said to be durable, and is not");
                let mut after = now.clone();
                if stored {
                    after.insert(first.0, first.1.clone());
                }
                // The next store, whole; and cut short too, and another one after that.
                next(&left, &after, &second, &what);
                let torn = When::Torn(Tear::ALL[rng.usize(..Tear::ALL.len())]);
                let when = [When::Before, When::After, torn, torn][rng.usize(..4)];
                let cut = Cut { operation: rng.u64(..8), when, seed };
                let Some((left, durable)) = cut_short(&left, &second, cut) else { continue };
                figures.second_cuts += 1;
                let what = format!("{what}, then {cut:?}");
                let stored = old_or_new(&left, &after, &second, &what);
                assert!(stored || !durable, "{what}: said to be durable, and is not");
                if stored {
                    after.insert(second.0, second.1.clone());
                }
                next(&left, &after, &third, &what);
            }
        }
        now.insert(first.0, first.1);
        assert_eq!(values(&mut flash), now, "store {step}");
    }
    figures.erases = *flash.into_flash().erases().iter().min().expect("there are sectors");
    assert!(figures.erases > 0, "the history is too short to come around");
    figures
}

/// After a cut, the next store must succeed, and be there at the next start.
#[track_caller]
fn next(bytes: &[u8], old: &Values, (key, value): &(u8, Vec<u8>), what: &str) {
    let mut flash = open(bytes);
    let result = store(&mut flash, *key, value);
    assert_eq!(result, Ok(()), "{what}: the next store");
    let mut new = old.clone();
    new.insert(*key, value.clone());
    assert_eq!(values(&mut flash), new, "{what}: after the next store");
    assert_eq!(values(&mut open(flash.into_flash().bytes())), new, "{what}: at the next start");
}

/// Stores three values with a store that goes on after `lapse`. What is acknowledged must be there
/// at the next start, and what is not acknowledged may be, unless another value came after it.
#[track_caller]
fn go_on_after(bytes: &[u8], old: &Values, changes: [&(u8, Vec<u8>); 3], lapse: Lapse, what: &str) {
    let mut chip = NorChip::from_bytes(bytes.to_vec());
    chip.arm_lapse(lapse);
    let mut flash = reopen(chip);
    let (mut sure, mut doubtful) = (old.clone(), None);
    // An identity is short, and what follows a refused value is likely to be.
    let short = (KEYS[0], vec![0x5A; 10]);
    for (key, value) in [changes[0], &short, changes[1], changes[2]] {
        match store(&mut flash, *key, value) {
            Ok(()) => {
                doubtful = doubtful.filter(|(doubted, _)| doubted != key);
                sure.insert(*key, value.clone());
            }
            Err(StoreError::Flash(FlashError::Lapse)) if doubtful.is_none() => {
                doubtful = Some((*key, value.clone()));
            }
            Err(error) => panic!("{what}: {error:?}"),
        }
        let found = values(&mut open(flash.flash().bytes()));
        let mut other = sure.clone();
        other.extend(doubtful.clone());
        assert!(found == sure || found == other, "{what}: what was acknowledged is not there");
    }
}

fn reopen(chip: NorChip) -> spore_node::store::Store<NorChip> {
    let end = u32::try_from(chip.bytes().len()).expect("a chip is small");
    embassy_futures::block_on(spore_node::store::Store::open(chip, 0..end)).expect("it has power")
}

fn flash_operations(flash: &spore_node::store::Store<NorChip>) -> u64 {
    flash.flash().operations()
}

fn print(name: &str, sectors: &str, figures: &Figures) {
    let Figures { stores, operations, cuts, second_cuts, lapses, new, erases } = figures;
    println!(
        "{name}: {stores} stores in {sectors} sectors, {operations} operations, each sector erased \
         at least {erases} times; {cuts} cuts, {second_cuts} second cuts, {lapses} errors: 0 values lost, \
         {new} times the new value, next store always taken"
    );
    println!("promise O5 cuts={cuts} second_cuts={second_cuts} lost=0");
}

#[test]
fn a_cut_at_any_operation_leaves_the_old_or_the_new_value_and_all_others() {
    let mut figures = Figures::default();
    for sectors in [2, 3] {
        figures += sweep(&Plan { seed: 1, sectors, stores: 90, tears: 1 });
    }
    print("O5, quick", "2 and 3", &figures);
    assert!(figures.erases >= 2 && figures.cuts > 5_000 && figures.second_cuts > 3_000);
    assert!(figures.lapses > 1_000);
    assert!(figures.new * 10 > figures.cuts);
}

#[test]
#[ignore = "takes minutes"]
fn a_cut_at_any_operation_leaves_the_old_or_the_new_value_and_all_others_long() {
    let mut figures = Figures::default();
    for seed in 0..4 {
        figures += sweep(&Plan { seed, sectors: 8, stores: 600, tears: 4 });
    }
    print("O5", "8", &figures);
    assert!(figures.erases >= 4);
}

#[test]
fn erases_are_even_and_as_rare_as_computed() {
    for (keys, len, per_sector) in [(3, 256, 13), (1, 10, 170)] {
        let mut flash = open(&[0xFF; 8 * SECTOR]);
        let stores = 8 * per_sector * 3;
        for number in 0..stores {
            let value = vec![u8::try_from(number % 251).expect("small"); len];
            store(&mut flash, 1 + u8::try_from(number % keys).expect("small"), &value)
                .expect("the power is on");
        }
        let chip = flash.into_flash();
        println!("{stores} stores under {keys} keys of {len} bytes: erases {:?}", chip.erases());
        assert!(chip.erases().iter().all(|erases| *erases == 3));
    }
}
