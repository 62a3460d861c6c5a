//! The part of the SDK's C interface that is used. Shapes and names: `user_interface.h` and `ets_sys.h` of SDK 3.0.6.

/// A message to a task (`os_event_t`).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Event {
    /// What happened.
    pub signal: u32,
    /// More of it.
    pub parameter: u32,
}

/// A row of the partition table (`partition_item_t`).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Partition {
    /// `partition_type_t`; from 100 on they are the application's own.
    pub kind: u32,
    /// First byte, from the start of flash.
    pub address: u32,
    /// Bytes.
    pub size: u32,
}

/// Priority of the node's task, of 0, 1 and 2.
pub const TASK_PRIORITY: u8 = 0;
/// WiFi mode: station, no access point.
pub const STATION: u8 = 1;

unsafe extern "C" {
    /// Tells the SDK where things are in flash; it keeps `table`. Returns 0 if it refuses.
    pub fn system_partition_table_regist(table: *const Partition, rows: u32, map: u32) -> u8;
    /// Registers `task` for its messages; the SDK keeps `queue`, which has `len` elements.
    pub fn system_os_task(
        task: unsafe extern "C" fn(*mut Event),
        priority: u8,
        queue: *mut Event,
        len: u8,
    ) -> u8;
    /// Sends a message to the task of a priority. Returns 0 if its queue is full.
    pub fn system_os_post(priority: u8, signal: u32, parameter: u32) -> u8;
    /// Sets the WiFi mode until the next restart.
    pub fn wifi_set_opmode_current(mode: u8) -> u8;

    /// The node's entry, with its boot parameters or null.
    pub fn lx106_main(parameters: *const u32) -> !;
}
