//! Scans.

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr;

use sdk_sys::user_interface::{AUTH_OPEN, AUTH_WPA2_PSK, BssInfo, OK, ScanConfig, ScanDoneCb};

use crate::air::{Air, NETWORKS};

/// How long a scan takes, of all channels and of one.
const ALL_US: u64 = 2_200_000;
const ONE_US: u64 = 150_000;

/// A scan that is under way.
#[derive(Clone, Copy)]
pub(super) struct Scan {
    done: ScanDoneCb,
    until_us: u64,
    ssid: Option<[u8; 32]>,
    bssid: Option<[u8; 6]>,
    channel: u8,
}

/// The list that the firmware gets, for as long as its callback runs.
struct Found(UnsafeCell<[BssInfo; NETWORKS]>);

// SAFETY: there is one thread, and one scan at a time.
unsafe impl Sync for Found {}

const NOTHING: BssInfo = BssInfo {
    next: ptr::null_mut(),
    bssid: [0; 6],
    ssid: [0; 32],
    ssid_len: 0,
    channel: 0,
    rssi: 0,
    authmode: AUTH_OPEN,
    is_hidden: 0,
};

static FOUND: Found = Found(UnsafeCell::new([NOTHING; NETWORKS]));

impl Scan {
    /// A scan that begins now, for what `config` wants.
    pub(super) fn new(config: Option<&ScanConfig>, done: ScanDoneCb, now_us: u64) -> Self {
        let mut scan =
            Self { done, until_us: now_us + ALL_US, ssid: None, bssid: None, channel: 0 };
        let Some(config) = config else { return scan };
        if config.channel != 0 {
            scan.channel = config.channel;
            scan.until_us = now_us + ONE_US;
        }
        if !config.bssid.is_null() {
            // SAFETY: six bytes, as the SDK's documentation has it.
            scan.bssid = Some(unsafe { config.bssid.cast::<[u8; 6]>().read_unaligned() });
        }
        if !config.ssid.is_null() {
            let mut ssid = [0; 32];
            for (at, place) in ssid.iter_mut().enumerate() {
                // SAFETY: a name that ends with a zero, or with its 32nd byte.
                *place = unsafe { config.ssid.add(at).read() };
                if *place == 0 {
                    break;
                }
            }
            scan.ssid = Some(ssid);
        }
        scan
    }

    pub(super) fn is_done(&self, now_us: u64) -> bool {
        self.until_us <= now_us
    }

    /// Tells what was found.
    pub(super) fn finish(self, air: &Air<'_>, now_us: u64) {
        let list = FOUND.0.get().cast::<BssInfo>();
        let mut found = 0;
        for (_, network) in air.all_heard(now_us) {
            let mut ssid = [0; 32];
            ssid[..network.ssid.len()].copy_from_slice(network.ssid.as_bytes());
            let wanted = self.ssid.is_none_or(|wanted| wanted == ssid)
                && self.bssid.is_none_or(|wanted| wanted == network.bssid)
                && (self.channel == 0 || self.channel == network.channel);
            if !wanted {
                continue;
            }
            let info = BssInfo {
                bssid: network.bssid,
                ssid,
                ssid_len: network.ssid.len() as u8,
                channel: network.channel,
                rssi: network.rssi,
                authmode: if network.password.is_empty() { AUTH_OPEN } else { AUTH_WPA2_PSK },
                ..NOTHING
            };
            // SAFETY: there is a place for each network, and nobody reads the list now.
            unsafe {
                list.add(found).write(info);
                if let Some(before) = found.checked_sub(1) {
                    (*list.add(before)).next = list.add(found);
                }
            }
            found += 1;
        }
        let first = if found == 0 { ptr::null_mut() } else { list.cast::<c_void>() };
        // SAFETY: what the firmware has asked for.
        unsafe { (self.done)(first, OK) };
    }
}
