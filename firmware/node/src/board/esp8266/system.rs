//! The ESP-01 as the body of a node.

use core::cell::RefCell;
use core::future::ready;

use embassy_futures::block_on;
use embassy_time::{Duration, Instant};
use sdk_sys::osapi::os_get_random;
use sdk_sys::user_interface::{
    system_get_chip_id, system_get_free_heap_size, system_restart, system_soft_wdt_feed,
};
use spore_boot::layout::Esp;
use spore_boot::map::Slot;
use spore_core::api::ServiceRequest;
use spore_core::network::RadioCommand;
use spore_core::node::StoreFailed;
use spore_core::ota::Running;
use spore_core::security::{Question, ReleaseKey, Verdict};
use spore_core::store::MAX_VALUE;
use spore_core::tasks::TaskRun;
use spore_core::{Event, Facts, Hostname, Key, Node, Resources, Seed};
use spore_image::{Head, SignatureError};
use spore_node::slots::{self, Slots};
use spore_node::store::{ESP01_RANGE, Loaded, Store};
use spore_node::{Named, ServiceReply, System};

use super::flash::SdkFlash;
use super::held::Held;
use super::rtc::{self, Start};
use super::{crash, stack, told, wifi};
use crate::log::log_line;

/// The flash of an ESP-01, in bytes.
const FLASH_SIZE: u32 = 1 << 20;

/// After so long, a reset is not in a row with the one before.
const HEALTHY: Duration = Duration::from_secs(600);

/// The board.
pub struct Body {
    start: Start,
    store: RefCell<Store<SdkFlash>>,
    /// The image that runs.
    image: Option<Running>,
}

/// A word from the hardware's generator.
pub(super) fn random() -> u32 {
    u32::from_ne_bytes(random_bytes())
}

fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // SAFETY: the bytes are there. It always succeeds.
    unsafe { os_get_random(bytes.as_mut_ptr(), N) };
    bytes
}

/// The slots, and the one that runs: that in which this very code is.
fn open_slots() -> Slots<SdkFlash> {
    let here = Body::new as fn() -> Body as usize as u32;
    let runs = if Slot::B.in_window(here) { Slot::B } else { Slot::A };
    // SAFETY: it is opened by the one task that installs images, by the one that drives the engine, which writes selectors while
    // no image is being installed, and by those that answer over HTTP, which only read.
    Slots { runs, flash: unsafe { SdkFlash::slots(runs) } }
}

impl Body {
    /// The board, which starts now. Reads what is in its flash.
    ///
    /// # Panics
    ///
    /// If the flash cannot be read.
    pub(super) fn new() -> Self {
        let start = rtc::begin();
        // SAFETY: there is one body, and it is the flash's only user.
        let flash = unsafe { SdkFlash::settings() };
        let mut store = block_on(Store::open(flash, ESP01_RANGE)).expect("the flash can be read");
        if store.is_foreign() {
            // Whoever flashes a board writes its settings, so there were some.
            store.mourn();
        }
        if store.is_damaged() {
            log_line!("SETTINGS damaged");
        }
        let image = block_on(slots::running::<Esp, _>(open_slots()));
        if image.is_none() {
            log_line!("SLOT damaged: no updates are taken");
        }
        Self { start, store: RefCell::new(store), image }
    }

    /// Reads the value of `key` into `buf`.
    pub fn load(&self, key: Key, buf: &mut [u8; MAX_VALUE]) -> Loaded {
        let mut store = self.store.borrow_mut();
        block_on(store.load(key.number(), buf)).unwrap_or(Loaded::Damaged)
    }
}

impl System for Body {
    type Layout = Esp;
    type Flash = SdkFlash;

    fn complete<T, J: Future<Output = T>>(
        &self,
        begin: impl FnOnce() -> J,
    ) -> impl Future<Output = Option<T>> {
        // The SDK's functions return when the flash is done.
        ready(stack::on_second(|| block_on(begin())).map(|(result, _)| result))
    }

    async fn hold<T, J: Future<Output = T>>(&self, begin: impl FnOnce() -> J) -> Option<T> {
        let held = Held::new(begin);
        if held.is_none() {
            log_line!("HEAP no memory");
        }
        Some(held?.await)
    }

    fn slots(&self) -> Option<Slots<SdkFlash>> {
        Some(open_slots())
    }

    fn verify_image(&self, head: &Head, key: &ReleaseKey) -> Result<(), SignatureError> {
        match stack::on_second(|| head.verify(&key.0)) {
            Some((verdict, depth)) => {
                log_line!("SECOND STACK ", depth);
                verdict
            }
            None => {
                log_line!("SECOND STACK no memory");
                Err(SignatureError::Unsigned)
            }
        }
    }

    fn facts(&self) -> Facts {
        Facts {
            board: "esp-01",
            version: env!("CARGO_PKG_VERSION"),
            chip_id: system_get_chip_id(),
            flash_size: FLASH_SIZE,
            reset_reason: self.start.reason,
            crashes: self.start.crashes,
            image: self.image,
        }
    }

    fn resources(&self) -> Resources {
        Resources { free_memory: u64::from(system_get_free_heap_size()) }
    }

    fn seed(&self) -> Seed {
        Seed(random_bytes())
    }

    async fn store(&self, key: Key, value: &[u8]) -> Result<(), StoreFailed> {
        // The SDK's flash functions never wait, they block. So what the store needs meanwhile is on the stack.
        block_on(self.store.borrow_mut().store(key.number(), value)).map_err(|_| StoreFailed)
    }

    async fn recall(&self, key: Key, buf: &mut [u8]) -> Option<usize> {
        block_on(self.store.borrow_mut().load(key.number(), buf)).ok().map(Loaded::len)
    }

    fn crashed(&self, buf: &mut [u8]) -> usize {
        if self.start.crashed { crash::load(buf) } else { 0 }
    }

    fn verify(&self, question: &Question<'_>) -> Verdict {
        match stack::on_second(|| question.judge()) {
            Some((verdict, depth)) => {
                log_line!("SECOND STACK ", depth);
                verdict
            }
            None => {
                log_line!("SECOND STACK no memory");
                Verdict::Unsigned
            }
        }
    }

    async fn restart(&self) -> ! {
        crash::expect_restart();
        system_restart();
        // The SDK does it soon, in a timer of its own.
        core::future::pending().await
    }

    fn radio(&self, command: RadioCommand, node: &Node<'_>) {
        wifi::command(command, node);
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
        rtc::enter(sprocket.place, Instant::now() > Instant::MIN + HEALTHY);
        system_soft_wdt_feed();
        handler();
        rtc::leave();
        Ok(())
    }

    fn restarts(&self, sprocket: Named) -> u8 {
        told::restarts(&self.start.restarts, sprocket)
    }

    fn report(&self, event: Event, node: &Node<'_>) {
        told::report(event, node);
    }
}
