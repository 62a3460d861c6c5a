//! `user_interface.h`: the system and WiFi.

use core::ffi::{c_int, c_void};

use crate::ets_sys::{ETSEvent, ETSTask};
use crate::ip_addr::{IpAddr, IpInfo};
use crate::layout::{Header, c_type, constants};
use crate::{Bool, Pointer};

/// What is checked.
pub const HEADER: Header = Header {
    file: "user_interface.h",
    types: &[
        RstInfo::LAYOUT,
        PartitionItem::LAYOUT,
        FastScanThreshold::LAYOUT,
        StationConfig::LAYOUT,
        SoftapConfig::LAYOUT,
        ActiveScanTime::LAYOUT,
        ScanTime::LAYOUT,
        ScanConfig::LAYOUT,
        BssInfo::LAYOUT,
        StaModeConnected::LAYOUT,
        StaModeDisconnected::LAYOUT,
        StaModeAuthModeChange::LAYOUT,
        StaModeGotIp::LAYOUT,
        SoftApModeStaConnected::LAYOUT,
        SoftApModeStaDisconnected::LAYOUT,
        SoftApModeDistributeStaIp::LAYOUT,
        SoftApModeProbeReqRecved::LAYOUT,
        OpModeChange::LAYOUT,
        EventInfo::LAYOUT,
        SystemEvent::LAYOUT,
    ],
    constants: CONSTANTS,
};

constants! {
    /// Power was switched on (`enum rst_reason`).
    REASON_DEFAULT_RST: u32 = 0;
    /// The hardware's watchdog.
    REASON_WDT_RST: u32 = 1;
    /// An exception: [`RstInfo`] says more.
    REASON_EXCEPTION_RST: u32 = 2;
    /// The SDK's watchdog.
    REASON_SOFT_WDT_RST: u32 = 3;
    /// `system_restart`.
    REASON_SOFT_RESTART: u32 = 4;
    /// The end of deep sleep.
    REASON_DEEP_SLEEP_AWAKE: u32 = 5;
    /// The reset pin.
    REASON_EXT_SYS_RST: u32 = 6;

    /// The lowest priority of a task of the application; there is one task for each.
    USER_TASK_PRIO_0: u8 = 0;
    /// The middle one.
    USER_TASK_PRIO_1: u8 = 1;
    /// The highest one.
    USER_TASK_PRIO_2: u8 = 2;

    /// 1 MB in two halves (`enum flash_size_map`). With maps 0 and 1 the SDK erases sectors inside a slot.
    FLASH_SIZE_8M_MAP_512_512: u32 = 2;
    /// Where RF calibration is kept (`partition_type_t`).
    SYSTEM_PARTITION_RF_CAL: u32 = 4;
    /// Where the radio's parameters are.
    SYSTEM_PARTITION_PHY_DATA: u32 = 5;
    /// Where the SDK keeps its own settings.
    SYSTEM_PARTITION_SYSTEM_PARAMETER: u32 = 6;
    /// From here on the types are the application's.
    SYSTEM_PARTITION_CUSTOMER_BEGIN: u32 = 100;

    /// No WiFi.
    NULL_MODE: u8 = 0;
    /// Station only.
    STATION_MODE: u8 = 1;
    /// Access point only.
    SOFTAP_MODE: u8 = 2;
    /// Both.
    STATIONAP_MODE: u8 = 3;
    /// The station's interface.
    STATION_IF: u8 = 0;
    /// The access point's interface.
    SOFTAP_IF: u8 = 1;

    /// No password (`AUTH_MODE`).
    AUTH_OPEN: u32 = 0;
    /// WPA2 with a password.
    AUTH_WPA2_PSK: u32 = 3;
    /// WPA or WPA2 with a password.
    AUTH_WPA_WPA2_PSK: u32 = 4;

    /// The radio never sleeps (`enum sleep_type`).
    NONE_SLEEP_T: u32 = 0;
    /// The radio sleeps between beacons.
    MODEM_SLEEP_T: u32 = 2;

    /// A scan that asks (`wifi_scan_type_t`).
    WIFI_SCAN_TYPE_ACTIVE: u32 = 0;
    /// What was asked for is done (`STATUS`).
    OK: u32 = 0;

    /// The station is in a network, but has no address yet.
    EVENT_STAMODE_CONNECTED: u32 = 0;
    /// The station is in no network, or could not join one.
    EVENT_STAMODE_DISCONNECTED: u32 = 1;
    /// The network has another kind of password.
    EVENT_STAMODE_AUTHMODE_CHANGE: u32 = 2;
    /// The station has an address.
    EVENT_STAMODE_GOT_IP: u32 = 3;
    /// DHCP has failed.
    EVENT_STAMODE_DHCP_TIMEOUT: u32 = 4;
    /// Somebody has joined the access point.
    EVENT_SOFTAPMODE_STACONNECTED: u32 = 5;
    /// Somebody has left the access point.
    EVENT_SOFTAPMODE_STADISCONNECTED: u32 = 6;
    /// Somebody asks for access points.
    EVENT_SOFTAPMODE_PROBEREQRECVED: u32 = 7;
    /// The mode has changed.
    EVENT_OPMODE_CHANGED: u32 = 8;
    /// The access point's DHCP server has given out an address.
    EVENT_SOFTAPMODE_DISTRIBUTE_STA_IP: u32 = 9;

    /// Unknown (802.11's reasons of a disconnection, to 24).
    REASON_UNSPECIFIED: u8 = 1;
    /// The authentication is no longer valid.
    REASON_AUTH_EXPIRE: u8 = 2;
    /// The other side leaves.
    REASON_AUTH_LEAVE: u8 = 3;
    /// The other side was silent for too long.
    REASON_ASSOC_EXPIRE: u8 = 4;
    /// The access point is full.
    REASON_ASSOC_TOOMANY: u8 = 5;
    /// This side leaves.
    REASON_ASSOC_LEAVE: u8 = 8;
    /// The four-way handshake was not finished, as with a wrong password.
    REASON_4WAY_HANDSHAKE_TIMEOUT: u8 = 15;
    /// 802.1X has refused.
    REASON_802_1X_AUTH_FAILED: u8 = 23;
    /// The network is heard no longer (the SDK's own reasons).
    REASON_BEACON_TIMEOUT: u8 = 200;
    /// There is no such network.
    REASON_NO_AP_FOUND: u8 = 201;
    /// It has refused the authentication.
    REASON_AUTH_FAIL: u8 = 202;
    /// It has refused the association.
    REASON_ASSOC_FAIL: u8 = 203;
    /// The handshake took too long.
    REASON_HANDSHAKE_TIMEOUT: u8 = 204;
}

c_type! {
    /// Why the chip was reset.
    struct RstInfo = "struct rst_info" {
        /// `REASON_…_RST`.
        reason: u32,
        /// The core's EXCCAUSE, if it was an exception.
        exccause: u32,
        /// Where it was: the address of the instruction.
        epc1: u32,
        /// The same for interrupts of level 2.
        epc2: u32,
        /// The same for the non-maskable interrupt.
        epc3: u32,
        /// Which address it was about.
        excvaddr: u32,
        /// Where an exception in an exception was.
        depc: u32,
    }
}

c_type! {
    /// A row of the partition table.
    struct PartitionItem = "partition_item_t" {
        /// `SYSTEM_PARTITION_…`.
        r#type: u32,
        /// First byte, from the start of flash.
        addr: u32,
        /// Bytes.
        size: u32,
    }
}

c_type! {
    /// What a network must be like to be joined.
    struct FastScanThreshold = "wifi_fast_scan_threshold_t" {
        /// dBm.
        rssi: i8,
        /// `AUTH_…`.
        authmode: u32,
    }
}

c_type! {
    /// Which network the station joins.
    struct StationConfig = "struct station_config" {
        /// Its name, with zeros behind it.
        ssid: [u8; 32],
        /// Its password, with zeros behind it.
        password: [u8; 64],
        /// Where to look first; 0: everywhere.
        channel: u8,
        /// Whether `bssid` counts.
        bssid_set: u8,
        /// Which of its access points.
        bssid: [u8; 6],
        /// What it must be like.
        threshold: FastScanThreshold,
        /// Whether networks without a password, or with WEP, are left alone.
        open_and_wep_mode_disable: Bool,
        /// Whether all channels are looked at, to find the strongest one.
        all_channel_scan: Bool,
    }
}

c_type! {
    /// What the access point is like.
    struct SoftapConfig = "struct softap_config" {
        /// Its name.
        ssid: [u8; 32],
        /// Its password, with zeros behind it.
        password: [u8; 64],
        /// How long its name is; 0: up to the first zero.
        ssid_len: u8,
        /// 1 to 13; the station's while that is connected.
        channel: u8,
        /// `AUTH_…`.
        authmode: u32,
        /// Whether its name is kept back.
        ssid_hidden: u8,
        /// How many may be on it, at most 4.
        max_connection: u8,
        /// Milliseconds, 100 to 60,000.
        beacon_interval: u16,
    }
}

c_type! {
    /// How long an active scan stays on a channel, in milliseconds.
    struct ActiveScanTime = "wifi_active_scan_time_t" {
        /// Where nobody answers.
        min: u32,
        /// Where somebody does; above 1500 the station may lose its network.
        max: u32,
    }
}

c_type! {
    /// How long a scan stays on a channel.
    union ScanTime = "wifi_scan_time_t" {
        /// Of an active one.
        active: ActiveScanTime,
        /// Of a passive one, in milliseconds.
        passive: u32,
    }
}

impl core::fmt::Debug for ScanTime {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("ScanTime(…)")
    }
}

c_type! {
    /// What to scan for.
    struct ScanConfig = "struct scan_config" {
        /// This name only, or null.
        ssid: Pointer<u8>,
        /// This access point only, or null.
        bssid: Pointer<u8>,
        /// This channel only; 0: all.
        channel: u8,
        /// Whether networks count that keep their names back.
        show_hidden: u8,
        /// `WIFI_SCAN_TYPE_…`.
        scan_type: u32,
        /// How long on each channel; zeros: as the SDK does.
        scan_time: ScanTime,
    }
}

c_type! {
    /// A network that a scan has found: an element of a list.
    beginning BssInfo = "struct bss_info" {
        /// The next one, or null.
        next: Pointer<BssInfo>,
        /// The access point's address.
        bssid: [u8; 6],
        /// Its name.
        ssid: [u8; 32],
        /// How long that is.
        ssid_len: u8,
        /// 1 to 14.
        channel: u8,
        /// dBm.
        rssi: i8,
        /// `AUTH_…`.
        authmode: u32,
        /// Whether it keeps its name back.
        is_hidden: u8,
    }
}

c_type! {
    /// [`EVENT_STAMODE_CONNECTED`].
    struct StaModeConnected = "Event_StaMode_Connected_t" {
        /// The network's name.
        ssid: [u8; 32],
        /// How long that is.
        ssid_len: u8,
        /// The access point's address.
        bssid: [u8; 6],
        /// Its channel.
        channel: u8,
    }
}

c_type! {
    /// [`EVENT_STAMODE_DISCONNECTED`].
    struct StaModeDisconnected = "Event_StaMode_Disconnected_t" {
        /// The network's name.
        ssid: [u8; 32],
        /// How long that is.
        ssid_len: u8,
        /// The access point's address.
        bssid: [u8; 6],
        /// `REASON_…`.
        reason: u8,
    }
}

c_type! {
    /// [`EVENT_STAMODE_AUTHMODE_CHANGE`].
    struct StaModeAuthModeChange = "Event_StaMode_AuthMode_Change_t" {
        /// `AUTH_…` of before.
        old_mode: u8,
        /// `AUTH_…` from now on.
        new_mode: u8,
    }
}

c_type! {
    /// [`EVENT_STAMODE_GOT_IP`].
    struct StaModeGotIp = "Event_StaMode_Got_IP_t" {
        /// The address.
        ip: IpAddr,
        /// The mask of the network.
        mask: IpAddr,
        /// The router.
        gw: IpAddr,
    }
}

c_type! {
    /// [`EVENT_SOFTAPMODE_STACONNECTED`].
    struct SoftApModeStaConnected = "Event_SoftAPMode_StaConnected_t" {
        /// Whose.
        mac: [u8; 6],
        /// Its number.
        aid: u8,
    }
}

c_type! {
    /// [`EVENT_SOFTAPMODE_STADISCONNECTED`].
    struct SoftApModeStaDisconnected = "Event_SoftAPMode_StaDisconnected_t" {
        /// Whose.
        mac: [u8; 6],
        /// Its number.
        aid: u8,
    }
}

c_type! {
    /// [`EVENT_SOFTAPMODE_DISTRIBUTE_STA_IP`].
    struct SoftApModeDistributeStaIp = "Event_SoftAPMode_Distribute_Sta_IP_t" {
        /// Whose.
        mac: [u8; 6],
        /// What it got.
        ip: IpAddr,
        /// Its number.
        aid: u8,
    }
}

c_type! {
    /// [`EVENT_SOFTAPMODE_PROBEREQRECVED`].
    struct SoftApModeProbeReqRecved = "Event_SoftAPMode_ProbeReqRecved_t" {
        /// dBm.
        rssi: c_int,
        /// Whose.
        mac: [u8; 6],
    }
}

c_type! {
    /// [`EVENT_OPMODE_CHANGED`].
    struct OpModeChange = "Event_OpMode_Change_t" {
        /// `…_MODE` of before.
        old_opmode: u8,
        /// `…_MODE` from now on.
        new_opmode: u8,
    }
}

c_type! {
    /// More of an event.
    union EventInfo = "Event_Info_u" {
        /// Of [`EVENT_STAMODE_CONNECTED`].
        connected: StaModeConnected,
        /// Of [`EVENT_STAMODE_DISCONNECTED`].
        disconnected: StaModeDisconnected,
        /// Of [`EVENT_STAMODE_AUTHMODE_CHANGE`].
        auth_change: StaModeAuthModeChange,
        /// Of [`EVENT_STAMODE_GOT_IP`].
        got_ip: StaModeGotIp,
        /// Of [`EVENT_SOFTAPMODE_STACONNECTED`].
        sta_connected: SoftApModeStaConnected,
        /// Of [`EVENT_SOFTAPMODE_DISTRIBUTE_STA_IP`].
        distribute_sta_ip: SoftApModeDistributeStaIp,
        /// Of [`EVENT_SOFTAPMODE_STADISCONNECTED`].
        sta_disconnected: SoftApModeStaDisconnected,
        /// Of [`EVENT_SOFTAPMODE_PROBEREQRECVED`].
        ap_probereqrecved: SoftApModeProbeReqRecved,
        /// Of [`EVENT_OPMODE_CHANGED`].
        opmode_changed: OpModeChange,
    }
}

impl core::fmt::Debug for EventInfo {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("EventInfo(…)")
    }
}

c_type! {
    /// What WiFi has to tell.
    struct SystemEvent = "System_Event_t" {
        /// `EVENT_…`.
        event: u32,
        /// More of it.
        event_info: EventInfo,
    }
}

/// Takes what WiFi has to tell.
pub type WifiEventHandlerCb = unsafe extern "C" fn(event: *mut SystemEvent);
/// Takes what a scan has found: the first [`BssInfo`] of a list, or null, if `status` is [`OK`].
pub type ScanDoneCb = unsafe extern "C" fn(found: *mut c_void, status: u32);

unsafe extern "C" {
    /// Why the chip was reset. Never null; it stays.
    pub safe fn system_get_rst_info() -> *const RstInfo;
    /// Restarts the chip soon; returns.
    pub safe fn system_restart();
    /// Microseconds since the start, modulo 2³².
    pub safe fn system_get_time() -> u32;
    /// How much is left of the heap, in bytes.
    pub safe fn system_get_free_heap_size() -> u32;
    /// A number that every chip has of its own: the last three bytes of its MAC address.
    pub safe fn system_get_chip_id() -> u32;
    /// Feeds both watchdogs.
    pub safe fn system_soft_wdt_feed();
    /// Registers the task of a priority; the SDK keeps `queue`, which has `len` elements.
    pub fn system_os_task(task: ETSTask, priority: u8, queue: *mut ETSEvent, len: u8) -> Bool;
    /// Sends a message to the task of a priority. False if its queue is full. May be called in interrupts.
    pub safe fn system_os_post(priority: u8, signal: u32, parameter: u32) -> Bool;
    /// Reads RTC memory, which outlives a reset: `block` counts 4 bytes each, ours are 64 to 191.
    pub fn system_rtc_mem_read(block: u8, to: *mut c_void, len: u16) -> Bool;
    /// Writes RTC memory.
    pub fn system_rtc_mem_write(block: u8, from: *const c_void, len: u16) -> Bool;
    /// Tells the SDK what is where in flash; it keeps `table`. False if it refuses.
    pub fn system_partition_table_regist(table: *const PartitionItem, rows: u32, map: u32) -> Bool;

    /// Sets the mode until the next restart.
    pub safe fn wifi_set_opmode_current(mode: u8) -> Bool;
    /// Whether the radio sleeps.
    pub safe fn wifi_set_sleep_type(kind: u32) -> Bool;
    /// The address of an interface: writes 6 bytes.
    pub fn wifi_get_macaddr(interface: u8, to: *mut u8) -> Bool;
    /// What an interface is to know.
    pub fn wifi_set_ip_info(interface: u8, info: *mut IpInfo) -> Bool;
    /// Has `handler` told what WiFi has to tell.
    pub fn wifi_set_event_handler_cb(handler: WifiEventHandlerCb);
    /// Which network to join, until the next restart.
    pub fn wifi_station_set_config_current(config: *mut StationConfig) -> Bool;
    /// Begins to join; events tell how it goes.
    pub safe fn wifi_station_connect() -> Bool;
    /// Leaves, or stops joining.
    pub safe fn wifi_station_disconnect() -> Bool;
    /// Whether the SDK tries again by itself.
    pub safe fn wifi_station_set_reconnect_policy(again: Bool) -> Bool;
    /// Whether the SDK asks for an address by itself.
    pub safe fn wifi_station_dhcpc_stop() -> Bool;
    /// How strong the network is heard, in dBm; 31 if there is none.
    pub safe fn wifi_station_get_rssi() -> i8;
    /// Begins to scan; `done` tells what was found.
    pub fn wifi_station_scan(config: *mut ScanConfig, done: ScanDoneCb) -> Bool;
    /// What the access point is like, until the next restart.
    pub fn wifi_softap_set_config_current(config: *mut SoftapConfig) -> Bool;
    /// Whether the access point's own DHCP server runs.
    pub safe fn wifi_softap_dhcps_stop() -> Bool;
}
