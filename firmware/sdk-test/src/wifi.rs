//! A station's life: `air=home:secret1234:6;down@…;up@…:11;attic::1:-80`, and somebody on the wire who sends each frame
//! back to its sender.

use core::ffi::c_void;
use core::ptr;

use sdk_sys::ip_addr::IpAddr;
use sdk_sys::lwip::pbuf::{PBUF_RAM, PBUF_RAW};
use sdk_sys::unlisted::system_station_got_ip_set;
use sdk_sys::user_interface::*;

use crate::lwip::{INTERFACES, PACKETS, TIMEOUTS, pbuf_alloc, pbuf_free};
use crate::{Global, check, end};

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Mode,
    Scan,
    WrongPassword,
    NoNetwork,
    Join,
    Echo,
    Lost,
    Back,
    Address,
    Leave,
    AccessPoint,
    Client,
    ClientEcho,
    Done,
}

static STEP: Global<Step> = Global::new(Step::Mode);
/// Whether a function of the SDK is being called: it must not call back.
static CALLING: Global<bool> = Global::new(false);

/// Calls a function of the SDK that must be taken, and that has consequences later.
fn call(function: impl FnOnce() -> u8) {
    CALLING.set(true);
    let taken = function();
    CALLING.set(false);
    assert!(taken == 1, "refused in step {:?}", STEP.get());
}

pub(crate) fn begin() {
    // SAFETY: a function that stays.
    unsafe { wifi_set_event_handler_cb(told) };
    check!("nothing is joined without a station", wifi_station_connect() == 0);
    call(|| wifi_station_dhcpc_stop());
    call(|| wifi_station_set_reconnect_policy(0));
    call(|| wifi_set_opmode_current(STATION_MODE));
    check!("the station's interface is there", !INTERFACES[0].get().is_null());
}

fn join(ssid: &str, password: &str, step: Step) {
    STEP.set(step);
    // SAFETY: all zeros are a configuration.
    let mut config: StationConfig = unsafe { core::mem::zeroed() };
    config.ssid[..ssid.len()].copy_from_slice(ssid.as_bytes());
    config.password[..password.len()].copy_from_slice(password.as_bytes());
    // SAFETY: a struct of ours.
    call(|| unsafe { wifi_station_set_config_current(&mut config) });
    call(|| wifi_station_connect());
}

unsafe extern "C" fn told(event: *mut SystemEvent) {
    assert!(!CALLING.get(), "an event within the call that caused it");
    // SAFETY: the SDK's struct, with the part that belongs to the event.
    unsafe {
        let info = (*event).event_info;
        match (*event).event {
            EVENT_STAMODE_CONNECTED => connected(info.connected.channel),
            EVENT_STAMODE_DISCONNECTED => disconnected(&info.disconnected),
            EVENT_STAMODE_GOT_IP => {
                check!(
                    "the address is told",
                    info.got_ip.ip == ADDRESS && STEP.get() == Step::Address
                );
                STEP.set(Step::Leave);
                call(|| wifi_station_disconnect());
            }
            EVENT_OPMODE_CHANGED => mode_changed(info.opmode_changed.new_opmode),
            EVENT_SOFTAPMODE_STACONNECTED => {
                check!(
                    "a client is told",
                    STEP.get() == Step::Client && info.sta_connected.mac == PEER
                );
                STEP.set(Step::ClientEcho);
                send(SOFTAP_IF);
            }
            other => panic!("event {other}"),
        }
    }
}

fn mode_changed(mode: u8) {
    match STEP.get() {
        Step::Mode => {
            check!("the mode is told", mode == STATION_MODE, mode);
            STEP.set(Step::Scan);
            // SAFETY: null: everything is scanned for.
            call(|| unsafe { wifi_station_scan(ptr::null_mut(), scanned) });
            // SAFETY: as above.
            let again = unsafe { wifi_station_scan(ptr::null_mut(), scanned) };
            check!("one scan at a time", again == 0, again);
        }
        Step::AccessPoint => {
            check!("the access point's mode is told", mode == SOFTAP_MODE, mode);
            let there = !INTERFACES[1].get().is_null();
            check!("and its interface is there", there && INTERFACES[0].get().is_null());
            access_point();
            STEP.set(Step::Client);
            send(SOFTAP_IF);
        }
        step => panic!("mode {mode} in step {step:?}"),
    }
}

fn access_point() {
    // SAFETY: all zeros are a configuration.
    let mut config: SoftapConfig = unsafe { core::mem::zeroed() };
    config.ssid[..5].copy_from_slice(b"spore");
    config.password[..7].copy_from_slice(b"secret1");
    (config.channel, config.authmode, config.max_connection) = (6, AUTH_WPA2_PSK, 4);
    config.beacon_interval = 100;
    // SAFETY: a struct of ours.
    let short = unsafe { wifi_softap_set_config_current(&mut config) };
    config.password[7] = b'2';
    // SAFETY: as above.
    let taken = unsafe { wifi_softap_set_config_current(&mut config) };
    check!("the access point's password has 8 bytes", (short, taken) == (0, 1), short, taken);
}

unsafe extern "C" fn scanned(found: *mut c_void, status: u32) {
    assert!(!CALLING.get(), "a scan has ended within its call");
    let mut next = found.cast::<BssInfo>();
    let mut names = [None; 4];
    for name in &mut names {
        // SAFETY: the SDK's list.
        if let Some(network) = unsafe { next.as_ref() } {
            *name = Some((network.channel, network.rssi, network.authmode, network.ssid[0]));
            next = network.next;
        }
    }
    let expected =
        [Some((6, -55, AUTH_WPA2_PSK, b'h')), Some((1, -80, AUTH_OPEN, b'a')), None, None];
    check!("a scan lists the networks", status == OK && names == expected);
    join("home", "secret123X", Step::WrongPassword);
}

fn disconnected(info: &StaModeDisconnected) {
    let reason = info.reason;
    match STEP.get() {
        Step::WrongPassword => {
            check!("a wrong password is told", reason == REASON_4WAY_HANDSHAKE_TIMEOUT, reason);
            join("nowhere", "secret1234", Step::NoNetwork);
        }
        Step::NoNetwork => {
            check!("no network is told", reason == REASON_NO_AP_FOUND, reason);
            join("home", "secret1234", Step::Join);
        }
        Step::Lost => {
            check!("a lost network is told", reason == REASON_BEACON_TIMEOUT, reason);
            check!("and has no strength", wifi_station_get_rssi() == 31);
            STEP.set(Step::Back);
        }
        // Until it is back.
        Step::Back => check!("and missed", reason == REASON_NO_AP_FOUND, reason),
        Step::Leave => {
            check!("leaving is told", reason == REASON_ASSOC_LEAVE, reason);
            STEP.set(Step::AccessPoint);
            call(|| wifi_set_opmode_current(SOFTAP_MODE));
        }
        step => panic!("disconnected for {reason} in step {step:?}"),
    }
}

const ADDRESS: IpAddr = IpAddr { addr: u32::from_le_bytes([10, 0, 1, 21]) };
const NO_ADDRESS: IpAddr = IpAddr { addr: 0 };
/// Who sends frames back.
const PEER: [u8; 6] = [2, 0, 0, 0, 0, 0xEE];
const FRAME_LEN: u16 = 700;

fn connected(channel: u8) {
    match STEP.get() {
        Step::Join => {
            check!("the network lets it in", channel == 6, channel);
            check!("and is heard", wifi_station_get_rssi() == -55, wifi_station_get_rssi());
            check!("lwIP's clocks are looked at", TIMEOUTS.get() > 100, TIMEOUTS.get());
            STEP.set(Step::Echo);
            send(STATION_IF);
        }
        Step::Back => {
            check!("the network is back on another channel", channel == 11, channel);
            STEP.set(Step::Address);
            let netif = INTERFACES[0].get();
            // SAFETY: the SDK's interface, and addresses of ours.
            unsafe {
                system_station_got_ip_set(&NO_ADDRESS, &NO_ADDRESS, &NO_ADDRESS);
                (*netif).ip_addr = ADDRESS;
                system_station_got_ip_set(&NO_ADDRESS, &NO_ADDRESS, &NO_ADDRESS);
            }
        }
        step => panic!("connected in step {step:?}"),
    }
}

/// Sends a frame to the peer.
fn send(interface: u8) {
    let netif = INTERFACES[usize::from(interface)].get();
    // SAFETY: the SDK's interface, and a packet of ours.
    unsafe {
        let pbuf = pbuf_alloc(PBUF_RAW, FRAME_LEN, PBUF_RAM);
        let frame = (*pbuf).payload.cast::<u8>();
        for (at, byte) in PEER.into_iter().chain((*netif).hwaddr).chain([0x88, 0xB5]).enumerate() {
            frame.add(at).write(byte);
        }
        for at in 14..FRAME_LEN {
            frame.add(at.into()).write(at as u8);
        }
        let Some(output) = (*netif).linkoutput else { panic!("there is no linkoutput") };
        let result = output(netif, pbuf);
        assert!(result == 0 && (*pbuf).r#ref == 2, "the frame was not taken: {result}");
        pbuf_free(pbuf);
    }
}

/// A frame has come.
pub(crate) fn received(interface: u8, frame: &[u8]) {
    let netif = INTERFACES[usize::from(interface)].get();
    // SAFETY: the SDK's interface.
    let own = unsafe { (*netif).hwaddr };
    let is_echo = frame.len() == usize::from(FRAME_LEN)
        && frame[..6] == own
        && frame[6..12] == PEER
        && frame[14..].iter().zip(14_u16..).all(|(&byte, at)| byte == at as u8);
    match (STEP.get(), interface) {
        (Step::Echo, STATION_IF) => {
            check!("a frame goes out and comes in", is_echo);
            check!("and the sent one was given back", PACKETS.get() == 1, PACKETS.get());
            call(|| wifi_station_set_reconnect_policy(1));
            STEP.set(Step::Lost);
        }
        // The first one tells the access point that there is a client.
        (Step::Client, SOFTAP_IF) => check!("the access point hears the client", is_echo),
        (Step::ClientEcho, SOFTAP_IF) => {
            check!("and goes on to", is_echo);
            STEP.set(Step::Done);
            end();
        }
        (step, interface) => panic!("a frame for interface {interface} in step {step:?}"),
    }
}
