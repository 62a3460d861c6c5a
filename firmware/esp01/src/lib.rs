//! The node on an ESP-01, linked with Espressif's NONOS SDK.
//!
//! The SDK owns the reset, the clock, the radio and the main loop; it calls the functions below by their names.
//! What is proved by this crate today is that the firmware and the SDK link, and what they take together
//! (`cargo xtask firmware build --board esp01`). It does not run on a board yet: the node behind [`user_init`] still
//! speaks to QEMU's network card, and lwIP's functions ([`lwip`]) are empty.
#![no_std]

pub mod flash;
pub mod lwip;
pub mod sdk;

// For its entry, which is reached by name: see `sdk::lx106_main`.
use node as _;

use core::cell::UnsafeCell;
use core::ptr;

/// A value that only the SDK touches, through the pointer that it was given.
#[repr(transparent)]
pub struct Shared<T>(UnsafeCell<T>);

// SAFETY: the SDK runs all of this on one core, and Rust hands out the pointer once and never looks inside.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// A value for the SDK.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Where it is.
    pub const fn as_ptr(&self) -> *mut T {
        self.0.get()
    }
}

/// Messages that wait for [`node_task`]: the one that starts it.
static QUEUE: Shared<[sdk::Event; 1]> = Shared::new([sdk::Event { signal: 0, parameter: 0 }]);

/// First call of the SDK: where things are in flash.
///
/// # Safety
/// For the SDK to call, once, before anything else here.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn user_pre_init() {
    // SAFETY: the table is a static, since the SDK keeps the pointer.
    unsafe {
        let table = &flash::PARTITIONS;
        // On refusal the SDK has printed why, and goes on to restart by itself.
        sdk::system_partition_table_regist(table.as_ptr(), table.len() as u32, flash::MAP_512_512);
    }
}

/// Second call of the SDK, with its own parts ready. Only some 2.7 KB of stack are free here, so the node begins in a task.
///
/// # Safety
/// For the SDK to call, once, after [`user_pre_init`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn user_init() {
    // SAFETY: plain calls into the initialised SDK; the queue is a static of one element.
    unsafe {
        sdk::wifi_set_opmode_current(sdk::STATION);
        sdk::system_os_task(node_task, sdk::TASK_PRIORITY, QUEUE.as_ptr().cast(), 1);
        sdk::system_os_post(sdk::TASK_PRIORITY, 0, 0);
    }
}

unsafe extern "C" fn node_task(_: *mut sdk::Event) {
    // SAFETY: posted once, by `user_init`. Null: there are no boot parameters on this board.
    unsafe { sdk::lx106_main(ptr::null()) }
}

/// The sector for RF calibration. No library of SDK 3.0.6 calls this, its documentation asks for it.
#[unsafe(no_mangle)]
pub extern "C" fn user_rf_cal_sector_set() -> u32 {
    flash::RF_CALIBRATION / flash::SECTOR
}

/// Replaces the SDK's attempt to switch the flash chip to four data lines, which the ESP-01 does not wire up.
#[unsafe(no_mangle)]
pub extern "C" fn user_spi_flash_dio_to_qio_pre_init() {}
