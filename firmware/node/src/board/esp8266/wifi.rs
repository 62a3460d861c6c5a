//! The radio: the network manager's commands to the SDK, and the SDK's events to the network manager.

use core::cell::RefCell;
use core::ffi::c_void;
use core::ptr;
use core::task::{Poll, Waker};

use embassy_net::{ConfigV4, Ipv4Cidr, Stack, StaticConfigV4};
use heapless::Deque;
use sdk_sys::ip_addr::IpAddr;
use sdk_sys::unlisted::{eagle_lwip_getif, system_station_got_ip_set};
use sdk_sys::user_interface::{
    AUTH_OPEN, AUTH_WPA2_PSK, BssInfo, EVENT_SOFTAPMODE_STACONNECTED,
    EVENT_SOFTAPMODE_STADISCONNECTED, EVENT_STAMODE_CONNECTED, EVENT_STAMODE_DISCONNECTED,
    FastScanThreshold, NONE_SLEEP_T, OK, REASON_4WAY_HANDSHAKE_TIMEOUT, REASON_ASSOC_LEAVE,
    REASON_AUTH_FAIL, REASON_BEACON_TIMEOUT, REASON_HANDSHAKE_TIMEOUT, REASON_NO_AP_FOUND,
    SOFTAP_IF, STATION_IF, STATION_MODE, STATIONAP_MODE, SoftapConfig, StationConfig, SystemEvent,
    wifi_get_macaddr, wifi_set_event_handler_cb, wifi_set_opmode_current, wifi_set_sleep_type,
    wifi_softap_set_config_current, wifi_station_connect, wifi_station_disconnect,
    wifi_station_get_rssi, wifi_station_scan, wifi_station_set_config_current,
    wifi_station_set_reconnect_policy,
};
use sdk_sys::{FALSE, TRUE};
use spore_core::Node;
use spore_core::network::{
    Credentials, Lease, Password, RadioCommand, RadioEvent, Reason, Seen, Ssid,
};
use spore_node::provision::CLIENTS;

use super::task_local::TaskLocal;
use crate::log::log_line;
use crate::net::dhcp::Change;
use crate::net::driver::Identity;
use crate::net::interface::Interface;
use crate::node::{NodeLink, NodeShell};

/// What the SDK has told and the engine has not been told yet. The SDK tells one thing at a time, seconds apart.
struct Told {
    events: Deque<RadioEvent, 4>,
    waker: Option<Waker>,
}

/// The node's side of the radio.
#[derive(Clone, Copy)]
struct Station {
    link: &'static NodeLink,
    interface: &'static Interface,
    network: Stack<'static>,
    /// Whom a scan is reported to. `None` until the node has started.
    shell: Option<&'static NodeShell>,
    /// Whether the network manager wants to be in a network.
    wanted: bool,
    /// Whether it is in one.
    joined: bool,
}

static STATION: TaskLocal<Option<Station>> = TaskLocal::new(None);
static TOLD: TaskLocal<RefCell<Told>> =
    TaskLocal::new(RefCell::new(Told { events: Deque::new(), waker: None }));

fn told() -> &'static RefCell<Told> {
    // SAFETY: a static of this thread, of which only shared references are made.
    unsafe { &*TOLD.as_ptr() }
}

/// Before the SDK starts WiFi: station only, in no network. To be called in `user_init`.
pub(super) fn prepare() {
    wifi_set_opmode_current(STATION_MODE);
    // SAFETY: the handler lives for ever.
    unsafe { wifi_set_event_handler_cb(handle) };
}

/// `link` is up while there is a network from now on, `interface` looks for an address whenever the station has joined one, and
/// `network` has that address.
pub(super) fn attach(
    link: &'static NodeLink,
    interface: &'static Interface,
    network: Stack<'static>,
) {
    // The network manager decides when it is tried again.
    wifi_station_set_reconnect_policy(FALSE);
    // A radio that sleeps between beacons loses broadcasts, and answers late.
    wifi_set_sleep_type(NONE_SLEEP_T);
    let station = Station { link, interface, network, shell: None, wanted: false, joined: false };
    STATION.set(Some(station));
}

/// What the SDK tells goes to `shell` from now on: this never ends.
pub(super) async fn report_to(shell: &'static NodeShell) -> ! {
    if let Some(station) = STATION.get() {
        STATION.set(Some(Station { shell: Some(shell), ..station }));
    }
    loop {
        let event = core::future::poll_fn(|context| {
            let mut told = told().borrow_mut();
            let Some(event) = told.events.pop_front() else {
                told.waker = Some(context.waker().clone());
                return Poll::Pending;
            };
            Poll::Ready(event)
        });
        let event = event.await;
        shell.handle_radio(event);
    }
}

fn tell(event: RadioEvent) {
    let mut told = told().borrow_mut();
    // One that finds no room is of the past by the time it could be told: the network manager's own times see to it.
    let _ = told.events.push_back(event);
    if let Some(waker) = told.waker.take() {
        waker.wake();
    }
}

impl Station {
    /// Tells the IP stack which address it has, and whether frames can pass.
    fn readdress(&self) {
        self.network.set_config_v4(match self.interface.stack() {
            Some(Identity { ip, prefix_len, .. }) => ConfigV4::Static(StaticConfigV4 {
                address: Ipv4Cidr::new(ip, prefix_len),
                // The driver knows which way leads where, and where there is none: no packet is to end before it.
                gateway: Some(ip),
                dns_servers: heapless::Vec::new(),
            }),
            None => ConfigV4::None,
        });
        self.link.set_up(self.joined || self.interface.access_point().is_open());
    }
}

/// What the station's DHCP client has come to: the IP stack, the SDK and the network manager are told.
pub(super) fn addressed(change: Change) {
    if let Some(station) = STATION.get() {
        station.readdress();
    }
    match change {
        Change::Address(lease) => {
            tell_sdk(&lease);
            tell(RadioEvent::Signal(wifi_station_get_rssi()));
            tell(RadioEvent::Address(lease));
        }
        Change::Lost => tell(RadioEvent::Disconnected(Reason::Lost)),
    }
}

/// The SDK's own state depends on whether the station has an address.
fn tell_sdk(lease: &Lease) {
    let in_network_order =
        |address: core::net::Ipv4Addr| IpAddr { addr: u32::from_ne_bytes(address.octets()) };
    let mask = !u32::MAX.checked_shr(u32::from(lease.prefix_len)).unwrap_or(0);
    // SAFETY: the SDK's own interface, if there is one.
    unsafe {
        let Some(netif) = eagle_lwip_getif(STATION_IF).as_mut() else { return };
        let (ip, netmask, gw) = (netif.ip_addr, netif.netmask, netif.gw);
        netif.ip_addr = in_network_order(lease.address);
        netif.netmask = IpAddr { addr: mask.to_be() };
        netif.gw = lease.gateway.map_or(IpAddr { addr: 0 }, in_network_order);
        system_station_got_ip_set(&ip, &netmask, &gw);
    }
}

/// The engine has given a command; `node` knows the credentials.
pub(super) fn command(command: RadioCommand, node: &Node<'_>) {
    match command {
        RadioCommand::Connect => {
            leave();
            if let Some(credentials) = node.station() {
                join(credentials);
            }
        }
        RadioCommand::Disconnect => leave(),
        RadioCommand::Scan => scan(),
        RadioCommand::OpenAccessPoint => match node.access_point() {
            Some((ssid, password)) => open_access_point(&ssid, password),
            None => close_access_point(),
        },
        RadioCommand::CloseAccessPoint => close_access_point(),
    }
}

/// Puts the access point on the air. Until the SDK has taken its password, no frame of it is let in.
fn open_access_point(ssid: &Ssid, password: &Password) {
    let Some(station) = STATION.get() else { return };
    let mut config = SoftapConfig {
        ssid: [0; 32],
        password: [0; 64],
        ssid_len: ssid.as_str().len() as u8,
        // While the station is in a network, the SDK takes that one's.
        channel: 1,
        authmode: AUTH_WPA2_PSK,
        ssid_hidden: 0,
        max_connection: CLIENTS as u8,
        beacon_interval: 100,
    };
    fill(&mut config.ssid, ssid.as_str());
    fill(&mut config.password, password.as_str());
    let mut mac = [0; 6];
    // SAFETY: the SDK copies the struct, and writes six bytes.
    let opened = unsafe {
        !password.is_open()
            && wifi_set_opmode_current(STATIONAP_MODE) == TRUE
            && wifi_softap_set_config_current(&raw mut config) == TRUE
            && wifi_get_macaddr(SOFTAP_IF, mac.as_mut_ptr()) == TRUE
    };
    if !opened {
        log_line!("WIFI the SDK has not opened the access point");
        return close_access_point();
    }
    log_line!("WIFI access point ", ssid.as_str(), " open");
    station.interface.access_point().open(mac);
    station.readdress();
}

fn close_access_point() {
    let Some(station) = STATION.get() else { return };
    wifi_set_opmode_current(STATION_MODE);
    station.interface.access_point().close();
    // A frame that was on its way to a client may never be freed.
    station.link.transmit_done();
    told().borrow_mut().events.retain(|event| !is_of_client(event));
    station.readdress();
}

const fn is_of_client(event: &RadioEvent) -> bool {
    matches!(event, RadioEvent::ClientJoined | RadioEvent::ClientLeft)
}

/// Writes a text that is short enough.
fn fill(to: &mut [u8], text: &str) {
    to[..text.len()].copy_from_slice(text.as_bytes());
}

fn leave() {
    let Some(station) = STATION.get() else { return };
    let station = Station { wanted: false, joined: false, ..station };
    STATION.set(Some(station));
    station.interface.stop();
    station.readdress();
    told().borrow_mut().events.retain(is_of_client);
    wifi_station_disconnect();
}

fn join(credentials: &Credentials) {
    let Some(station) = STATION.get() else { return };
    let mut config = StationConfig {
        ssid: [0; 32],
        password: [0; 64],
        channel: 0,
        bssid_set: FALSE,
        bssid: [0; 6],
        threshold: FastScanThreshold { rssi: -127, authmode: AUTH_OPEN },
        // With a password, an open network of the same name would be somebody else's.
        open_and_wep_mode_disable: if credentials.password.is_open() { FALSE } else { TRUE },
        // The strongest of several.
        all_channel_scan: TRUE,
    };
    fill(&mut config.ssid, credentials.ssid.as_str());
    fill(&mut config.password, credentials.password.as_str());
    STATION.set(Some(Station { wanted: true, ..station }));
    // SAFETY: the SDK copies the struct.
    let begun = unsafe { wifi_station_set_config_current(&raw mut config) } == TRUE
        && wifi_station_connect() == TRUE;
    if !begun {
        tell(RadioEvent::Disconnected(Reason::Other(0)));
    }
}

fn scan() {
    // SAFETY: null asks for all networks on all channels; the function lives for ever.
    let begun = unsafe { wifi_station_scan(ptr::null_mut(), scanned) } == TRUE;
    if !begun {
        tell(RadioEvent::ScanDone);
    }
}

/// A scan is over. The SDK calls this in a task of its own, so the engine can be told at once, network by network.
unsafe extern "C" fn scanned(found: *mut c_void, status: u32) {
    let Some(shell) = STATION.get().and_then(|station| station.shell) else { return };
    let mut next: *const BssInfo = if status == OK { found.cast() } else { ptr::null() };
    // SAFETY: the SDK's list lives until this returns.
    while let Some(network) = unsafe { next.as_ref() } {
        next = network.next;
        let len = usize::from(network.ssid_len).min(network.ssid.len());
        // A name that is no text cannot be chosen, nor one that is kept back.
        if let Ok(ssid) = Ssid::new(&network.ssid[..len]) {
            let (rssi, channel) = (network.rssi, network.channel);
            let secure = network.authmode != AUTH_OPEN;
            shell.handle_radio(RadioEvent::Scanned(Seen { ssid, rssi, channel, secure }));
        }
    }
    shell.handle_radio(RadioEvent::ScanDone);
}

/// What WiFi has to tell.
unsafe extern "C" fn handle(event: *mut SystemEvent) {
    // SAFETY: the SDK's event lives until this returns.
    let event = unsafe { &*event };
    let Some(station) = STATION.get() else { return };
    match event.event {
        EVENT_STAMODE_CONNECTED if station.wanted => {
            let station = Station { joined: true, ..station };
            STATION.set(Some(station));
            // A frame that was on its way out of an earlier network may never be freed.
            station.link.transmit_done();
            station.readdress();
            station.interface.start(super::system::random());
            tell(RadioEvent::Associated);
        }
        EVENT_STAMODE_DISCONNECTED if station.wanted => {
            // SAFETY: the SDK fills in this part for this event.
            let reason = unsafe { event.event_info.disconnected.reason };
            // That is what an attempt before this one has ended with, at our own wish.
            if reason != REASON_ASSOC_LEAVE {
                log_line!("WIFI disconnected, reason ", reason);
                leave();
                tell(RadioEvent::Disconnected(why(reason, station.joined)));
            }
        }
        EVENT_SOFTAPMODE_STACONNECTED => tell(RadioEvent::ClientJoined),
        EVENT_SOFTAPMODE_STADISCONNECTED => tell(RadioEvent::ClientLeft),
        _ => (),
    }
}

/// What the SDK's `reason` means for a station that had `joined`, or had not.
const fn why(reason: u8, joined: bool) -> Reason {
    match reason {
        _ if joined => Reason::Lost,
        REASON_NO_AP_FOUND => Reason::NotFound,
        REASON_BEACON_TIMEOUT => Reason::Lost,
        REASON_4WAY_HANDSHAKE_TIMEOUT | REASON_AUTH_FAIL | REASON_HANDSHAKE_TIMEOUT => {
            Reason::WrongPassword
        }
        other => Reason::Other(other),
    }
}
