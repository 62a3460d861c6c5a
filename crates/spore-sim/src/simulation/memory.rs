//! What the nodes remember, each in a flash chip of its own, and what a kill leaves of it.

use super::Simulation;
use crate::body::Body;
use crate::flash::{Cut, NorChip, Tear, When};
use crate::queue::Input;
use embassy_futures::block_on;
use fastrand::Rng;
use spore_core::node::StoreFailed;
use spore_core::security::ReleaseKey;
use spore_core::settings::Settings;
use spore_core::store::MAX_VALUE;
use spore_core::{Completion, Key};
use spore_node::store::{Loaded, SECTOR, Store};
use std::rc::Rc;
use std::time::Duration;

/// As many as an ESP-01 has for its settings.
pub(crate) const SECTORS: usize = 8;

/// A store that a node has asked for.
#[derive(Debug)]
pub(crate) struct Pending {
    key: Key,
    value: Rc<[u8]>,
    /// When the flash begins with it: it does one after the other.
    begins: Duration,
    ends: Duration,
    /// Whether the flash will do it, or report a failure and do nothing.
    success: bool,
}

impl Body {
    /// Reads all values from the flash, and whether the last one is damaged.
    pub(crate) fn remembered(&mut self) -> Vec<(Key, Vec<u8>, bool)> {
        self.with_store(|store| {
            let load = |key: Key| {
                let mut buf = [0; MAX_VALUE];
                let loaded = block_on(store.load(key.number(), &mut buf));
                let loaded = loaded.unwrap_or(Loaded::Damaged);
                (key, buf[..loaded.len()].to_vec(), loaded.is_damaged())
            };
            Key::ALL.map(load).to_vec()
        })
    }

    fn with_store<R>(&mut self, act: impl FnOnce(&mut Store<NorChip>) -> R) -> R {
        let chip = std::mem::replace(&mut self.chip, NorChip::blank(0));
        let range = 0..u32::try_from(SECTORS).unwrap_or(0) * SECTOR;
        let mut store = block_on(Store::open(chip, range)).expect("the chip has power");
        let result = act(&mut store);
        self.chip = store.into_flash();
        result
    }

    /// Stores a value. What the chip says of it, and how many operations it took.
    fn store(&mut self, pending: &Pending) -> (bool, u64) {
        let before = self.chip.operations();
        let Pending { key, value, .. } = pending;
        let stored = self.with_store(|store| block_on(store.store(key.number(), value)).is_ok());
        (stored, self.chip.operations() - before)
    }

    /// The power goes. A store that was under way is cut at one of its operations, which is torn
    /// with the probability `torn`.
    pub(crate) fn cut_store(&mut self, now: Duration, torn: f64, rng: &mut Rng) {
        let pending = std::mem::take(&mut self.pending).pop_front();
        let Some(pending) = pending.filter(|pending| pending.success && pending.begins <= now)
        else {
            return;
        };
        let bytes = self.chip.clone();
        let (_, operations) = self.store(&pending);
        self.chip = bytes;
        let when = moment(torn, rng);
        let operation = self.chip.operations() + rng.u64(..operations);
        self.chip.arm(Cut { operation, when, seed: rng.u64(..) });
        self.store(&pending);
        self.chip.power_on();
    }
}

impl Simulation {
    /// A node asks for a value to be stored.
    pub(super) fn begin_store(&mut self, node: usize, key: Key, value: Rc<[u8]>) {
        let failure = self.rng.f64() < self.scenario.flash.failure;
        let success = !failure || self.core.contains(&node);
        let body = &mut self.bodies[node];
        let begins = body.pending.back().map_or(self.now, |last| last.ends.max(self.now));
        let ends = begins + self.scenario.flash.time;
        body.pending.push_back(Pending { key, value, begins, ends, success });
        self.expect(ends, node, Input::Stored);
    }

    /// The flash has ended the first store that it was asked for.
    pub(super) fn stored(&mut self, node: usize) {
        let body = &mut self.bodies[node];
        let Some(pending) = body.pending.pop_front() else { return };
        let stored = pending.success && body.store(&pending).0;
        let result = if stored { Ok(()) } else { Err(StoreFailed) };
        let Some(life) = &mut body.life else { return };
        let local = life.clock.local(self.now);
        let own = life.engine.with(|node| {
            let before = node.own().clone();
            node.handle_completion(local, Completion::Store(pending.key, result));
            Some(node.own().clone()).filter(|own| *own != before)
        });
        if let Some(own) = own {
            self.watch.renamed(node, &own);
            self.review();
        }
    }
}

/// The moment of an operation at which the power goes: in its midst with the probability `torn`.
pub(crate) fn moment(torn: f64, rng: &mut Rng) -> When {
    if rng.f64() < torn {
        When::Torn(Tear::ALL[rng.usize(..Tear::ALL.len())])
    } else if rng.bool() {
        When::Before
    } else {
        When::After
    }
}

/// The value of settings with the release key `key`.
pub(crate) fn settings(key: ReleaseKey) -> Vec<u8> {
    let settings = Settings { release_key: Some(key), ..Settings::default() };
    let mut value = [0; MAX_VALUE];
    let len = settings.encode(&mut value);
    value[..len].to_vec()
}
