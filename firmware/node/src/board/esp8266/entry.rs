//! Start-up: what the SDK calls by name, and its task in which everything of ours runs.

use core::fmt::Write as _;
use core::net::Ipv4Addr;
use core::panic::PanicInfo;

use embassy_executor::raw::Executor;
use embassy_futures::join::join;
use sdk_sys::ets_sys::ETSEvent;
use sdk_sys::user_interface::{
    FLASH_SIZE_8M_MAP_512_512, PartitionItem, STATION_IF, SYSTEM_PARTITION_CUSTOMER_BEGIN,
    SYSTEM_PARTITION_PHY_DATA, SYSTEM_PARTITION_RF_CAL, SYSTEM_PARTITION_SYSTEM_PARAMETER,
    USER_TASK_PRIO_0, system_get_chip_id, system_os_post, system_os_task,
    system_partition_table_regist, wifi_get_macaddr,
};
use spore_boot::map::{
    BOOTLOADER, CONFIGURATION, PHY_DATA, RF_CALIBRATION, Region, SECTOR, SELECTOR,
    SYSTEM_PARAMETERS, Slot,
};
use spore_core::Hostname;
use spore_core::config::DEFAULT_PORT;
use spore_core::network::{Radio, RadioConfig};
use spore_core::text::hex;
use static_cell::StaticCell;

use super::console::Console;
use super::system::{Body, random};
use super::task_local::TaskLocal;
use super::{crash, lwip, serial, time, wifi};
use crate::net::driver::Identity;
use crate::net::interface::Interface;
use crate::node::{self, NodeLink, NodeShell, SPAWNED_ONCE, Start};

/// The partition table, for the SDK, which keeps a pointer to it. Types 1 to 3 are left out: the SDK accepts slots at its
/// own addresses only.
static PARTITIONS: TaskLocal<[PartitionItem; 8]> = TaskLocal::new([
    partition(SYSTEM_PARTITION_CUSTOMER_BEGIN, BOOTLOADER),
    partition(SYSTEM_PARTITION_CUSTOMER_BEGIN + 1, Region { length: 2 * SECTOR, ..SELECTOR[0] }),
    partition(SYSTEM_PARTITION_CUSTOMER_BEGIN + 2, Slot::A.region()),
    partition(SYSTEM_PARTITION_CUSTOMER_BEGIN + 3, Slot::B.region()),
    partition(SYSTEM_PARTITION_CUSTOMER_BEGIN + 4, CONFIGURATION),
    partition(SYSTEM_PARTITION_RF_CAL, RF_CALIBRATION),
    partition(SYSTEM_PARTITION_PHY_DATA, PHY_DATA),
    partition(SYSTEM_PARTITION_SYSTEM_PARAMETER, SYSTEM_PARAMETERS),
]);
const _: () = assert!(SELECTOR[0].end() == SELECTOR[1].start);

const fn partition(kind: u32, region: Region) -> PartitionItem {
    PartitionItem { r#type: kind, addr: region.start, size: region.length }
}

/// The priority of our task: the lowest. The SDK's own tasks come first.
pub(super) const PRIORITY: u8 = USER_TASK_PRIO_0;
/// The message that the node is to be started, and the one that the executor has something to do.
const START: u32 = 0;
pub(super) const POLL: u32 = 1;

/// Messages that wait for the task: the first one, and one that somebody has been woken.
static QUEUE: TaskLocal<[ETSEvent; 2]> = TaskLocal::new([ETSEvent { sig: START, par: 0 }; 2]);

static EXECUTOR: StaticCell<Executor> = StaticCell::new();
/// What runs, once it does.
static RUNNING: TaskLocal<Option<&'static Executor>> = TaskLocal::new(None);

/// First call of the SDK: where things are in flash.
#[unsafe(no_mangle)]
unsafe extern "C" fn user_pre_init() {
    // SAFETY: the table is a static, since the SDK keeps the pointer. On refusal the SDK has printed why, and goes on to
    // restart by itself.
    unsafe {
        let table = PARTITIONS.as_ptr().cast::<PartitionItem>();
        system_partition_table_regist(table, 8, FLASH_SIZE_8M_MAP_512_512);
    }
}

/// Second call of the SDK, with its own parts ready. Only some 2.7 KB of stack are free here, so the node begins in a task.
#[unsafe(no_mangle)]
unsafe extern "C" fn user_init() {
    serial::prepare();
    wifi::prepare();
    // SAFETY: the queue is a static of two elements.
    unsafe { system_os_task(run, PRIORITY, QUEUE.as_ptr().cast(), 2) };
    system_os_post(PRIORITY, START, 0);
}

/// The sector for RF calibration. No library of SDK 3.0.6 calls this, its documentation asks for it.
#[unsafe(no_mangle)]
extern "C" fn user_rf_cal_sector_set() -> u32 {
    RF_CALIBRATION.start / SECTOR
}

/// Replaces the SDK's attempt to switch the flash chip to four data lines, which the ESP-01 does not wire up.
#[unsafe(no_mangle)]
extern "C" fn user_spi_flash_dio_to_qio_pre_init() {}

/// The task: one round of the executor for each message.
unsafe extern "C" fn run(message: *mut ETSEvent) {
    // SAFETY: the SDK's message lives until this returns.
    if unsafe { (*message).sig } == START {
        crash::expect_none();
        RUNNING.set(Some(start()));
    }
    let Some(executor) = RUNNING.get() else { return };
    time::begin_round();
    // SAFETY: this is the only place that polls, and no task does.
    unsafe { executor.poll() };
    lwip::transmit();
    time::end_round();
}

/// Starts everything. Not inlined, so that its locals leave the stack before the tasks run.
#[inline(never)]
fn start() -> &'static Executor {
    let body = Body::new();
    let executor: &'static Executor = EXECUTOR.init_with(|| Executor::new(core::ptr::null_mut()));
    let spawner = executor.spawner();
    let link = node::link();
    let mut mac = [0; 6];
    // SAFETY: the bytes are there.
    unsafe { wifi_get_macaddr(STATION_IF, mac.as_mut_ptr()) };
    let nobody = Identity { mac, ip: Ipv4Addr::UNSPECIFIED, prefix_len: 0 };
    let interface = node::interface(nobody);
    lwip::attach(link, interface.access_point());
    let seed = u64::from(random()) << 32 | u64::from(random());
    let config = embassy_net::Config::default();
    let network = node::start_network(spawner, (link, interface), config, seed);
    wifi::attach(link, interface, network);
    let shell = node::start_node(spawner, (network, interface), &settings(), body);
    spawner.spawn(run_dhcp(interface, link).expect(SPAWNED_ONCE));
    spawner.spawn(run_radio(shell).expect(SPAWNED_ONCE));
    executor
}

/// What a board that was never told anything starts with.
fn settings() -> Start {
    let [_, chip @ ..] = system_get_chip_id().to_be_bytes();
    let mut name = heapless::String::<12>::new();
    let _ = name.push_str("spore-").and_then(|()| name.push_str(&hex::<6>(&chip)));
    Start {
        hostname: Hostname::new(&name).expect("letters, a hyphen and digits are a name"),
        address: Ipv4Addr::UNSPECIFIED,
        port: DEFAULT_PORT,
        http_port: 80,
        key: None,
        radio: Some(RadioConfig { kind: Radio::Esp8266, password: None, credentials: None }),
    }
}

/// Gives the station an address, whenever it is in a network.
#[embassy_executor::task]
async fn run_dhcp(interface: &'static Interface, link: &'static NodeLink) -> ! {
    interface.run(link, wifi::addressed).await
}

/// Tells the engine what the radio does, and what comes over the serial line: a task takes memory.
#[embassy_executor::task]
async fn run_radio(shell: &'static NodeShell) -> ! {
    join(wifi::report_to(shell), serial::run(shell)).await.0
}

unsafe extern "C" {
    /// An illegal instruction (`abort.S`).
    safe fn abort() -> !;
}

/// Only with messages: what ships is an illegal instruction at the place itself. Either ends in the SDK's handler for
/// exceptions, which restarts the chip and tells the next start why.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // The serial line never fails.
    let _ = match info.location() {
        Some(place) => {
            writeln!(Console, "PANIC {}:{}: {}", place.file(), place.line(), info.message())
        }
        None => writeln!(Console, "PANIC {}", info.message()),
    };
    abort()
}
