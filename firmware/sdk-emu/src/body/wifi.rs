//! WiFi: mode, station, scan and access point, and what they tell the firmware.
//!
//! Everything is told from the main loop, never within the call that causes it. The access point is on the air as soon
//! as the mode has it, and knows nobody's password: whoever sends it a frame over the network card is on it, until he says
//! that he leaves. There is one network card: while the station is in a network, too, who is where is told by his address
//! ([`is_client`]).

use core::ptr;

use qemu::log_line;
use sdk_sys::ip_addr::{IpAddr, IpInfo};
use sdk_sys::lwip::netif::Netif;
use sdk_sys::user_interface::*;
use sdk_sys::{Bool, FALSE, TRUE, unlisted, user_interface as sdk};

use super::app::app;
use super::local::Local;
use super::scan::Scan;
use super::{frames, reset};
use crate::air::Air;
use crate::arguments::Arguments;
use crate::station::{self, Station, Wanted};

/// Events that wait to be told; more are lost.
const EVENTS: usize = 8;
/// Stations on the access point, as the SDK has it.
const CLIENTS: usize = 4;
/// What `wifi_station_get_rssi` says without a network.
const NO_RSSI: i8 = 31;
/// The access point's address before the firmware gives it another: 192.168.4.1/24.
const SOFTAP_IP: IpInfo = IpInfo {
    ip: IpAddr { addr: u32::from_le_bytes([192, 168, 4, 1]) },
    netmask: IpAddr { addr: u32::from_le_bytes([255, 255, 255, 0]) },
    gw: IpAddr { addr: u32::from_le_bytes([192, 168, 4, 1]) },
};
const NO_IP: IpInfo =
    IpInfo { ip: IpAddr { addr: 0 }, netmask: IpAddr { addr: 0 }, gw: IpAddr { addr: 0 } };

struct Wifi {
    air: Air<'static>,
    macs: [[u8; 6]; 2],
    /// Whether the radio runs: not before `user_init` has returned.
    started: bool,
    mode: u8,
    station: Station,
    handler: Option<WifiEventHandlerCb>,
    events: [Option<SystemEvent>; EVENTS],
    scan: Option<Scan>,
    asks_for_address: bool,
    serves_addresses: bool,
    addresses: [IpInfo; 2],
    clients: [Option<[u8; 6]>; CLIENTS],
}

/// Whether this is the address of a client of the access point, where there could be others: its first byte has the bit
/// by which the access point's own address differs from the station's.
const fn is_client(mac: [u8; 6]) -> bool {
    mac[0] & 4 != 0
}

static WIFI: Local<Wifi> = Local::new(Wifi {
    air: Air::SILENT,
    macs: [[0; 6]; 2],
    started: false,
    // What the SDK does with blank parameters.
    mode: SOFTAP_MODE,
    station: Station::NEW,
    handler: None,
    events: [const { None }; EVENTS],
    scan: None,
    asks_for_address: true,
    serves_addresses: true,
    addresses: [NO_IP, SOFTAP_IP],
    clients: [None; CLIENTS],
});

impl Wifi {
    fn tell(&mut self, event: u32, event_info: EventInfo) {
        if let Some(place) = self.events.iter_mut().find(|place| place.is_none()) {
            *place = Some(SystemEvent { event, event_info });
        }
    }

    fn has(&self, mode: u8) -> bool {
        self.started && self.mode & mode != 0
    }

    fn tell_of_station(&mut self, event: station::Event) {
        let mut ssid = [0; 32];
        let wanted = self.station.wanted().ssid();
        let ssid_len = wanted.len() as u8;
        ssid[..wanted.len()].copy_from_slice(wanted);
        match event {
            station::Event::Connected { bssid, channel } => {
                let connected = StaModeConnected { ssid, ssid_len, bssid, channel };
                self.tell(EVENT_STAMODE_CONNECTED, EventInfo { connected });
            }
            station::Event::Disconnected { bssid, reason } => {
                let disconnected = StaModeDisconnected { ssid, ssid_len, bssid, reason };
                self.tell(EVENT_STAMODE_DISCONNECTED, EventInfo { disconnected });
            }
        }
    }
}

/// Before the firmware runs: what is around it.
pub(super) fn prepare(arguments: &Arguments<'static>) {
    WIFI.with(|wifi| {
        wifi.air = arguments.air.clone();
        wifi.macs = [arguments.station_mac(), arguments.softap_mac()];
    });
    frames::start(arguments.station_mac());
}

/// After `user_init`: the radio starts in the mode that it has set.
pub(super) fn start() {
    let mode = WIFI.with(|wifi| {
        wifi.started = true;
        wifi.mode
    });
    change_interfaces(NULL_MODE, mode);
    if mode & STATION_MODE != 0 {
        // A network that is known already is joined without being asked.
        wifi_station_connect();
    }
}

fn change_interfaces(before: u8, after: u8) {
    for (interface, mode) in [(STATION_IF, STATION_MODE), (SOFTAP_IF, SOFTAP_MODE)] {
        let index = usize::from(interface);
        let (mac, address, serves) =
            WIFI.with(|wifi| (wifi.macs[index], wifi.addresses[index], wifi.serves_addresses));
        match (before & mode != 0, after & mode != 0) {
            (false, true) => {
                let netif = frames::add(interface, mac, address);
                if interface == SOFTAP_IF && !netif.is_null() {
                    let mut address = address;
                    // SAFETY: the firmware's functions, with an interface that it has taken.
                    unsafe {
                        (app().netif_set_up)(netif);
                        if serves {
                            (app().dhcps_start)(&mut address);
                        }
                    }
                }
            }
            (true, false) => {
                if interface == SOFTAP_IF && serves {
                    // SAFETY: the firmware's function.
                    unsafe { (app().dhcps_stop)() };
                }
                frames::remove(interface);
            }
            _ => (),
        }
    }
}

/// Moves station and scan on, and tells the firmware one event. False if there was none to tell.
pub(super) fn run_one() -> bool {
    let now = reset::age_us();
    if let Some(scan) = WIFI.with(|wifi| wifi.scan.take_if(|scan| scan.is_done(now))) {
        let air = WIFI.with(|wifi| wifi.air.clone());
        scan.finish(&air, now);
        return true;
    }
    let event = WIFI.with(|wifi| {
        if let Some(event) = wifi.station.poll(&wifi.air, now) {
            wifi.tell_of_station(event);
        }
        // The first one; the others move up.
        let event = wifi.events[0].take();
        wifi.events.rotate_left(1);
        event
    });
    let Some(mut event) = event else { return false };
    let (handler, asks) = WIFI.with(|wifi| (wifi.handler, wifi.asks_for_address));
    let netif = frames::netif(STATION_IF);
    if !netif.is_null() {
        // SAFETY: the firmware's functions, with an interface that it has taken.
        unsafe {
            match event.event {
                EVENT_STAMODE_CONNECTED => {
                    (app().netif_set_up)(netif);
                    if asks {
                        (app().dhcp_start)(netif);
                    }
                }
                EVENT_STAMODE_DISCONNECTED => {
                    if asks {
                        (app().dhcp_stop)(netif);
                    }
                    (app().netif_set_down)(netif);
                }
                _ => (),
            }
        }
    }
    if let Some(handler) = handler {
        // SAFETY: what the firmware has asked for.
        unsafe { handler(&mut event) };
    }
    true
}

impl Wifi {
    /// Whether an interface is on the air: the station while it is in a network.
    fn is_on(&self, interface: u8) -> bool {
        match interface {
            STATION_IF => self.has(STATION_MODE) && self.station.hears(),
            _ => self.has(SOFTAP_MODE),
        }
    }
}

/// Whether frames leave through an interface.
pub(super) fn is_on(interface: u8) -> bool {
    WIFI.with(|wifi| wifi.is_on(interface))
}

/// Which interface hears what `sender` sends, if any, and its address.
pub(super) fn hearing(sender: [u8; 6]) -> Option<(u8, [u8; 6])> {
    WIFI.with(|wifi| match [STATION_IF, SOFTAP_IF].map(|interface| wifi.is_on(interface)) {
        [true, true] if is_client(sender) => Some((SOFTAP_IF, wifi.macs[1])),
        [true, _] => Some((STATION_IF, wifi.macs[0])),
        [false, true] => Some((SOFTAP_IF, wifi.macs[1])),
        [false, false] => None,
    })
}

/// A frame for the access point is of `client`, who has joined if it is new, or `leaves`. False if there is no place for it,
/// or nothing more to hear.
pub(super) fn admit(client: [u8; 6], leaves: bool) -> bool {
    WIFI.with(|wifi| {
        let known = wifi.clients.iter().position(|known| *known == Some(client));
        if let (Some(place), true) = (known, leaves) {
            wifi.clients[place] = None;
            let sta_disconnected = SoftApModeStaDisconnected { mac: client, aid: place as u8 + 1 };
            wifi.tell(EVENT_SOFTAPMODE_STADISCONNECTED, EventInfo { sta_disconnected });
        }
        if known.is_some() || leaves {
            return !leaves;
        }
        let Some(place) = wifi.clients.iter().position(Option::is_none) else { return false };
        wifi.clients[place] = Some(client);
        let sta_connected = SoftApModeStaConnected { mac: client, aid: place as u8 + 1 };
        wifi.tell(EVENT_SOFTAPMODE_STACONNECTED, EventInfo { sta_connected });
        true
    })
}

#[unsafe(no_mangle)]
extern "C" fn wifi_set_opmode_current(mode: u8) -> Bool {
    if mode > STATIONAP_MODE {
        return FALSE;
    }
    let (before, started) = WIFI.with(|wifi| {
        let before = core::mem::replace(&mut wifi.mode, mode);
        if before != mode && wifi.started {
            let opmode_changed = OpModeChange { old_opmode: before, new_opmode: mode };
            wifi.tell(EVENT_OPMODE_CHANGED, EventInfo { opmode_changed });
            if mode & STATION_MODE == 0 {
                wifi.station.stop();
                wifi.scan = None;
            }
            if mode & SOFTAP_MODE == 0 {
                wifi.clients = [None; CLIENTS];
            }
        }
        (before, wifi.started)
    });
    if started {
        change_interfaces(before, mode);
    }
    TRUE
}

#[unsafe(no_mangle)]
extern "C" fn wifi_set_sleep_type(_kind: u32) -> Bool {
    // This radio never sleeps.
    TRUE
}

#[unsafe(no_mangle)]
unsafe extern "C" fn wifi_get_macaddr(interface: u8, to: *mut u8) -> Bool {
    let macs = WIFI.with(|wifi| wifi.macs);
    let Some(mac) = macs.get(usize::from(interface)) else { return FALSE };
    // SAFETY: the caller vouches for its buffer.
    unsafe { ptr::copy_nonoverlapping(mac.as_ptr(), to, mac.len()) };
    TRUE
}

#[unsafe(no_mangle)]
extern "C" fn system_get_chip_id() -> u32 {
    let [.., a, b, c] = WIFI.with(|wifi| wifi.macs[0]);
    u32::from_be_bytes([0, a, b, c])
}

#[unsafe(no_mangle)]
unsafe extern "C" fn wifi_set_ip_info(interface: u8, info: *mut IpInfo) -> Bool {
    // SAFETY: the caller vouches for its struct.
    let Some(&given) = (unsafe { info.as_ref() }) else { return FALSE };
    let stored = WIFI.with(|wifi| match wifi.addresses.get_mut(usize::from(interface)) {
        // As the SDK: while it asks for addresses, or serves them, they are not to be changed.
        Some(place) if interface != STATION_IF || !wifi.asks_for_address => {
            *place = given;
            true
        }
        _ => false,
    });
    let netif = frames::netif(interface);
    if stored && !netif.is_null() {
        let mut given = given;
        // SAFETY: the firmware's function, with an interface that it has taken.
        unsafe {
            (app().netif_set_addr)(netif, &mut given.ip, &mut given.netmask, &mut given.gw);
        }
    }
    Bool::from(stored)
}

/// The station's interface has got an address.
#[unsafe(no_mangle)]
unsafe extern "C" fn system_station_got_ip_set(
    ip: *const IpAddr,
    mask: *const IpAddr,
    gw: *const IpAddr,
) {
    let netif: *mut Netif = frames::netif(STATION_IF);
    if netif.is_null() || ip.is_null() || mask.is_null() || gw.is_null() {
        return;
    }
    // SAFETY: an interface of ours, and the caller vouches for its addresses.
    let (before, now) =
        unsafe { ([*ip, *mask, *gw], [(*netif).ip_addr, (*netif).netmask, (*netif).gw]) };
    if before != now {
        let got_ip = StaModeGotIp { ip: now[0], mask: now[1], gw: now[2] };
        WIFI.with(|wifi| wifi.tell(EVENT_STAMODE_GOT_IP, EventInfo { got_ip }));
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn wifi_set_event_handler_cb(handler: WifiEventHandlerCb) {
    WIFI.with(|wifi| wifi.handler = Some(handler));
}

#[unsafe(no_mangle)]
unsafe extern "C" fn wifi_station_set_config_current(config: *mut StationConfig) -> Bool {
    // SAFETY: the caller vouches for its struct.
    let Some(config) = (unsafe { config.as_ref() }) else { return FALSE };
    WIFI.with(|wifi| {
        let allowed = wifi.mode & STATION_MODE != 0;
        if allowed {
            wifi.station.set_wanted(Wanted::new(config));
        }
        Bool::from(allowed)
    })
}

#[unsafe(no_mangle)]
extern "C" fn wifi_station_connect() -> Bool {
    let now = reset::age_us();
    WIFI.with(|wifi| Bool::from(wifi.has(STATION_MODE) && wifi.station.connect(now)))
}

#[unsafe(no_mangle)]
extern "C" fn wifi_station_disconnect() -> Bool {
    let now = reset::age_us();
    WIFI.with(|wifi| {
        if !wifi.has(STATION_MODE) {
            return FALSE;
        }
        if let Some(event) = wifi.station.disconnect(&wifi.air, now) {
            wifi.tell_of_station(event);
        }
        TRUE
    })
}

#[unsafe(no_mangle)]
extern "C" fn wifi_station_set_reconnect_policy(again: Bool) -> Bool {
    WIFI.with(|wifi| wifi.station.set_again(again != FALSE));
    TRUE
}

#[unsafe(no_mangle)]
extern "C" fn wifi_station_dhcpc_stop() -> Bool {
    WIFI.with(|wifi| wifi.asks_for_address = false);
    TRUE
}

#[unsafe(no_mangle)]
extern "C" fn wifi_station_get_rssi() -> i8 {
    let now = reset::age_us();
    WIFI.with(|wifi| wifi.station.rssi(&wifi.air, now)).unwrap_or(NO_RSSI)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn wifi_station_scan(config: *mut ScanConfig, done: ScanDoneCb) -> Bool {
    // SAFETY: the caller vouches for its struct.
    let scan = Scan::new(unsafe { config.as_ref() }, done, reset::age_us());
    WIFI.with(|wifi| {
        let allowed = wifi.has(STATION_MODE) && wifi.scan.is_none();
        if allowed {
            wifi.scan = Some(scan);
        }
        Bool::from(allowed)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn wifi_softap_set_config_current(config: *mut SoftapConfig) -> Bool {
    // SAFETY: the caller vouches for its struct.
    let Some(config) = (unsafe { config.as_ref() }) else { return FALSE };
    let name = usize::from(config.ssid_len) <= config.ssid.len() && config.ssid[0] != 0;
    let password = config.password.iter().position(|&byte| byte == 0).unwrap_or(64);
    // What the SDK's documentation asks for.
    let fits = name
        && (config.authmode == AUTH_OPEN || (8..=63).contains(&password))
        && (1..=13).contains(&config.channel)
        && (1..=4).contains(&config.max_connection)
        && (100..=60_000).contains(&config.beacon_interval);
    let taken = fits && WIFI.with(|wifi| wifi.mode & SOFTAP_MODE != 0);
    if taken {
        let name = config.ssid.get(..config.ssid_len.into()).unwrap_or_default();
        let (name, mode) = (name.escape_ascii(), config.authmode);
        log_line!("SDK access point {name}, authmode {mode}, password of {password} bytes");
    }
    Bool::from(taken)
}

#[unsafe(no_mangle)]
extern "C" fn wifi_softap_dhcps_stop() -> Bool {
    let ran = WIFI.with(|wifi| core::mem::replace(&mut wifi.serves_addresses, false));
    if ran && !frames::netif(SOFTAP_IF).is_null() {
        // SAFETY: the firmware's function.
        unsafe { (app().dhcps_stop)() };
    }
    TRUE
}

super::as_declared!(sdk::{
    wifi_set_opmode_current, wifi_set_sleep_type, wifi_get_macaddr, system_get_chip_id,
    wifi_set_ip_info, wifi_set_event_handler_cb, wifi_station_set_config_current,
    wifi_station_connect, wifi_station_disconnect, wifi_station_set_reconnect_policy,
    wifi_station_dhcpc_stop, wifi_station_get_rssi, wifi_station_scan,
    wifi_softap_set_config_current, wifi_softap_dhcps_stop
});
super::as_declared!(unlisted::{system_station_got_ip_set});
