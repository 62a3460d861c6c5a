//! Firmware that calls the SDK's C interface and says whether it does what it must.
//!
//! `cargo xtask sdk-emu` links it with the stand-in for the SDK and runs it in QEMU. Each thing that holds is a line
//! `ok …`; the first that does not is a line `FAULT …`, and the machine is reset. Which part runs stands in the first
//! word of the configuration's partition, which the launcher writes into the flash file.
#![no_std]
#![cfg(target_arch = "xtensa")]

mod lwip;
mod machine;
mod wifi;

use core::cell::Cell;
use core::ffi::c_void;
use core::panic::PanicInfo;

use sdk_sys::ets_sys::ETSEvent;
use sdk_sys::spi_flash::spi_flash_read;
use sdk_sys::user_interface::*;

use qemu::log_line;

/// A variable of this program, which has one thread.
struct Global<T>(Cell<T>);

// SAFETY: see above.
unsafe impl<T> Sync for Global<T> {}

impl<T: Copy> Global<T> {
    const fn new(value: T) -> Self {
        Self(Cell::new(value))
    }

    fn get(&self) -> T {
        self.0.get()
    }

    fn set(&self, value: T) {
        self.0.set(value);
    }
}

/// Says that something holds, or ends the test.
macro_rules! check {
    ($what:literal, $holds:expr $(, $more:expr)*) => {
        if $holds {
            qemu::log_line!("ok {}", $what);
        } else {
            panic!("{}: {} does not hold {:?}", $what, stringify!($holds), [$(i64::from($more)),*] as [i64; _]);
        }
    };
}
use check;

/// The partition table, as the node has it.
static PARTITIONS: [PartitionItem; 8] = [
    partition(100, 0, 0x1000),
    partition(101, 0x1000, 0x2000),
    partition(102, 0x3000, 0x7_8000),
    partition(103, 0x7_B000, 0x7_8000),
    partition(104, CONFIGURATION, 0x8000),
    partition(SYSTEM_PARTITION_RF_CAL, 0xF_B000, 0x1000),
    partition(SYSTEM_PARTITION_PHY_DATA, 0xF_C000, 0x1000),
    partition(SYSTEM_PARTITION_SYSTEM_PARAMETER, 0xF_D000, 0x3000),
];
/// Where the launcher says which part runs.
const CONFIGURATION: u32 = 0xF_3000;

const fn partition(r#type: u32, addr: u32, size: u32) -> PartitionItem {
    PartitionItem { r#type, addr, size }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn user_pre_init() {
    let rows = PARTITIONS.len() as u32;
    let table = PARTITIONS.as_ptr();
    // SAFETY: a static; what is refused is not kept.
    unsafe {
        let short = system_partition_table_regist(table, rows - 1, FLASH_SIZE_8M_MAP_512_512);
        let other_map = system_partition_table_regist(table, rows, 0);
        let taken = system_partition_table_regist(table, rows, FLASH_SIZE_8M_MAP_512_512);
        check!("partition table", (short, other_map, taken) == (0, 0, 1), short, other_map, taken);
    }
}

/// Begins each run in a task, as firmware must: there is little stack here.
#[unsafe(no_mangle)]
extern "C" fn user_init() {
    static QUEUE: Queue<1> = Queue::new();
    wifi_set_opmode_current(NULL_MODE);
    // SAFETY: the queue is a static of one element.
    unsafe { system_os_task(begin, USER_TASK_PRIO_2, QUEUE.place(), 1) };
    system_os_post(USER_TASK_PRIO_2, 0, 0);
}

unsafe extern "C" fn begin(_: *mut ETSEvent) {
    let mut part = [0];
    // SAFETY: a word.
    unsafe { spi_flash_read(CONFIGURATION, part.as_mut_ptr(), 4) };
    match part {
        [1] => machine::begin(),
        [2] => wifi::begin(),
        [3] => machine::free_twice(),
        _ => panic!("no part {part:?}"),
    }
}

/// Memory for messages, which the SDK keeps.
struct Queue<const N: usize>(core::cell::UnsafeCell<[ETSEvent; N]>);

// SAFETY: only the SDK touches it.
unsafe impl<const N: usize> Sync for Queue<N> {}

impl<const N: usize> Queue<N> {
    const fn new() -> Self {
        Self(core::cell::UnsafeCell::new([ETSEvent { sig: 0, par: 0 }; N]))
    }

    fn place(&self) -> *mut ETSEvent {
        self.0.get().cast()
    }
}

/// The last line: the launcher stops the machine when it has read it.
fn end() {
    log_line!("END");
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    log_line!("FAULT {}", info.message());
    loop {
        system_soft_wdt_feed();
    }
}

/// A pointer for nobody.
const NOBODY: *mut c_void = core::ptr::null_mut();
