//! Values in flash, and power cuts at every operation: promise O5.
//!
//! Figures are printed: add `--no-capture`. What takes longer ends in `_long` and is ignored.

mod damage;
mod library;
mod settings;
mod sweep;

use embassy_futures::block_on;
use fastrand::Rng;
use spore_core::store::MAX_VALUE;
use spore_node::store::{Loaded, SECTOR, Store, StoreError};
use spore_sim::flash::{FlashError, NorChip};
use std::collections::BTreeMap;

/// What is stored, by key.
type Values = BTreeMap<u8, Vec<u8>>;

/// Those of a node, and one of a program to come.
const KEYS: [u8; 4] = [1, 2, 3, 9];

fn open(bytes: &[u8]) -> Store<NorChip> {
    let end = u32::try_from(bytes.len()).expect("a chip is small");
    assert!(end.is_multiple_of(SECTOR));
    block_on(Store::open(NorChip::from_bytes(bytes.to_vec()), 0..end)).expect("the power is on")
}

fn store(store: &mut Store<NorChip>, key: u8, value: &[u8]) -> Result<(), StoreError<FlashError>> {
    block_on(store.store(key, value))
}

fn load(store: &mut Store<NorChip>, key: u8) -> (Loaded, Vec<u8>) {
    let mut buf = [0; MAX_VALUE];
    let loaded = block_on(store.load(key, &mut buf)).expect("the power is on");
    (loaded, buf[..loaded.len()].to_vec())
}

/// All values, none of which may be damaged.
fn values(store: &mut Store<NorChip>) -> Values {
    assert!(!store.is_damaged(), "damaged");
    let mut values = Values::new();
    for key in KEYS {
        match load(store, key) {
            (Loaded::Absent, _) => (),
            (Loaded::Whole(_), value) => drop(values.insert(key, value)),
            (loaded, _) => panic!("key {key}: {loaded:?}"),
        }
    }
    values
}

/// The next thing to store: mostly short values, as identities are, and some long ones.
fn change(rng: &mut Rng) -> (u8, Vec<u8>) {
    let key = KEYS[rng.usize(..KEYS.len())];
    let len = if rng.bool() { 10 } else { rng.usize(..=MAX_VALUE) };
    let blank = rng.u8(..8) == 0;
    (key, (0..len).map(|_| if blank { 0xFF } else { rng.u8(..) }).collect())
}
