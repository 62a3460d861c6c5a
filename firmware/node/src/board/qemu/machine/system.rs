//! The emulated board as the body of a node.

use core::cell::RefCell;
use core::future::{Future, ready};

use embassy_futures::block_on;
use embassy_time::{Duration, Instant};
use qemu::{fpga, log_line};
use spore_core::api::ServiceRequest;
use spore_core::node::StoreFailed;
use spore_core::security::{Question, Verdict};
use spore_core::store::MAX_VALUE;
use spore_core::tasks::TaskRun;
use spore_core::{Event, Facts, Hostname, Key, Node, Resources, Seed};
use spore_node::slots::{NoFlash, NoLayout};
use spore_node::store::{ESP01_RANGE, Loaded, Store};
use spore_node::{Named, ServiceReply, Slots, System};

use super::nor::RamNor;
use super::retained::{self, ResetReason, Restarts};
use super::stack;
use crate::board::told;

/// The flash window of the board and of an ESP-01, in bytes.
const FLASH_SIZE: u32 = 1 << 20;

/// After so long, a reset is not in a row with the one before.
const HEALTHY: Duration = Duration::from_secs(600);

/// The part of the chip's data memory that the vendor's SDK takes for itself, without its IP
/// stack, in bytes.
const SDK_STATICS: u32 = 24_668;

/// The emulated board.
pub struct EmulatedSystem {
    /// The board's number: there is no chip that has one.
    chip_id: u32,
    reset_reason: ResetReason,
    seed: [u8; 32],
    store: RefCell<Store<RamNor>>,
    /// The crashes in a row.
    crashes: u8,
    /// The resets in a row that were because of each sprocket.
    restarts: Restarts,
}

impl EmulatedSystem {
    /// The board number `chip_id`, which starts for this reason, with random bytes for this start.
    /// Reads what is in `flash`.
    ///
    /// # Panics
    ///
    /// If the flash cannot be read.
    #[must_use]
    pub fn new(
        chip_id: u32,
        (reset_reason, (crashes, restarts)): (ResetReason, (u8, Restarts)),
        seed: [u8; 32],
        flash: RamNor,
    ) -> Self {
        let store = block_on(Store::open(flash, ESP01_RANGE)).expect("memory can be read");
        if store.is_damaged() {
            log_line!("SETTINGS damaged");
        }
        Self { chip_id, reset_reason, seed, store: RefCell::new(store), crashes, restarts }
    }

    /// Reads the value of `key` into `buf`.
    pub fn load(&self, key: Key, buf: &mut [u8; MAX_VALUE]) -> Loaded {
        let mut store = self.store.borrow_mut();
        block_on(store.load(key.number(), buf)).unwrap_or(Loaded::Damaged)
    }
}

impl System for EmulatedSystem {
    // It is started by QEMU itself, and takes no updates.
    type Layout = NoLayout;
    type Flash = NoFlash;

    fn complete<T, J: Future<Output = T>>(
        &self,
        begin: impl FnOnce() -> J,
    ) -> impl Future<Output = Option<T>> {
        // Nobody asks, and nothing takes memory for it.
        ready(Some(block_on(begin())))
    }

    fn slots(&self) -> Option<Slots<NoFlash>> {
        None
    }

    fn facts(&self) -> Facts {
        Facts {
            board: "emulated",
            version: env!("CARGO_PKG_VERSION"),
            chip_id: self.chip_id,
            flash_size: FLASH_SIZE,
            reset_reason: self.reset_reason.as_str(),
            crashes: self.crashes,
            image: None,
        }
    }

    fn resources(&self) -> Resources {
        // What the chip would have for the SDK's heap.
        let free = stack::unused_memory().saturating_sub(SDK_STATICS);
        Resources { free_memory: u64::from(free) }
    }

    fn seed(&self) -> Seed {
        Seed(self.seed)
    }

    async fn store(&self, key: Key, value: &[u8]) -> Result<(), StoreFailed> {
        // Memory never waits, nor do the flash functions of the SDK. So what the store needs
        // meanwhile is on the stack, and takes no memory for the rest of the time.
        block_on(self.store.borrow_mut().store(key.number(), value)).map_err(|_| StoreFailed)
    }

    async fn recall(&self, key: Key, buf: &mut [u8]) -> usize {
        block_on(self.store.borrow_mut().load(key.number(), buf)).map_or(0, Loaded::len)
    }

    fn crashed(&self, buf: &mut [u8]) -> usize {
        let crashed = matches!(self.reset_reason, ResetReason::Panic | ResetReason::Fault);
        if crashed { retained::load_crash(buf) } else { 0 }
    }

    fn verify(&self, question: &Question<'_>) -> Verdict {
        // SAFETY: what is called makes no such call.
        let (verdict, depth) = unsafe { stack::on_second(|| question.judge()) };
        log_line!("SECOND STACK {depth}");
        verdict
    }

    async fn restart(&self) -> ! {
        retained::note_reason(ResetReason::Restart);
        fpga::reset()
    }

    async fn call(
        &self,
        hostname: &Hostname,
        request: &ServiceRequest<'_>,
        reply: &mut [u8],
    ) -> ServiceReply {
        told::answer(hostname, request, reply)
    }

    async fn run_task(&self, _: &TaskRun) {
        // This program has none.
    }

    fn guard(&self, sprocket: Named, handler: &mut dyn FnMut()) -> Result<(), &'static str> {
        retained::enter(sprocket.place, Instant::now() > Instant::MIN + HEALTHY);
        handler();
        retained::leave();
        Ok(())
    }

    fn restarts(&self, sprocket: Named) -> u8 {
        told::restarts(&self.restarts, sprocket)
    }

    fn report(&self, event: Event, node: &Node<'_>) {
        told::report(event, node);
    }
}
