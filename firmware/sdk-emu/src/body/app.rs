//! What the firmware gives: the functions that the SDK calls by their names, and where its memory is.

use core::ffi::c_void;

use sdk_sys::ip_addr::{IpAddr, IpInfo};
use sdk_sys::lwip::err::ErrT;
use sdk_sys::lwip::netif::{Netif, NetifInitFn, NetifInputFn, NetifOutputFn};
use sdk_sys::lwip::pbuf::Pbuf;
use sdk_sys::user_interface::RstInfo;

use super::fault;
use super::local::Local;

/// Says that the table has the order of [`App`].
const MARK: u32 = 0x5350_4B32;

type Procedure = unsafe extern "C" fn();
type OfNetif = unsafe extern "C" fn(netif: *mut Netif);

/// The table in `link/app.S`, in its order. Fields that nothing reads are there since the SDK's libraries refer to
/// what they name, so that firmware which lacks one does not link here either.
#[derive(Clone, Copy)]
#[repr(C)]
#[allow(dead_code, reason = "see above")]
pub(super) struct App {
    mark: u32,
    pub(super) bss_start: *mut u32,
    pub(super) bss_end: *mut u32,
    pub(super) heap_start: *mut u32,
    pub(super) user_pre_init: Procedure,
    pub(super) user_init: Procedure,
    pub(super) lwip_init: Procedure,
    pub(super) espconn_init: Procedure,
    pub(super) sys_check_timeouts: Procedure,
    pub(super) netif_add: unsafe extern "C" fn(
        netif: *mut Netif,
        address: *mut IpAddr,
        mask: *mut IpAddr,
        router: *mut IpAddr,
        state: *mut c_void,
        init: NetifInitFn,
        input: NetifInputFn,
    ) -> *mut Netif,
    pub(super) netif_remove: OfNetif,
    pub(super) netif_set_up: OfNetif,
    pub(super) netif_set_down: OfNetif,
    pub(super) netif_set_addr: unsafe extern "C" fn(
        netif: *mut Netif,
        address: *mut IpAddr,
        mask: *mut IpAddr,
        router: *mut IpAddr,
    ),
    netif_set_default: OfNetif,
    netif_default: *mut *mut Netif,
    pub(super) pbuf_alloc: unsafe extern "C" fn(layer: u32, len: u16, kind: u32) -> *mut Pbuf,
    pub(super) pbuf_free: unsafe extern "C" fn(pbuf: *mut Pbuf) -> u8,
    pub(super) pbuf_ref: unsafe extern "C" fn(pbuf: *mut Pbuf),
    pbuf_copy: unsafe extern "C" fn(to: *mut Pbuf, from: *mut Pbuf) -> ErrT,
    pub(super) ethernet_input: NetifInputFn,
    pub(super) etharp_output: NetifOutputFn,
    ethbroadcast: *const [u8; 6],
    pub(super) dhcp_start: unsafe extern "C" fn(netif: *mut Netif) -> ErrT,
    pub(super) dhcp_stop: OfNetif,
    dhcp_release: unsafe extern "C" fn(netif: *mut Netif) -> ErrT,
    dhcp_cleanup: OfNetif,
    pub(super) dhcps_start: unsafe extern "C" fn(info: *mut IpInfo),
    pub(super) dhcps_stop: Procedure,
    /// Weak in the SDK: there it does nothing.
    pub(super) system_restart_hook: unsafe extern "C" fn(info: *mut RstInfo),
}

static APP: Local<Option<App>> = Local::new(None);

/// Takes the firmware's table, and clears its memory.
///
/// # Safety
/// `table` must be that of `link/app.S` in a program that was loaded.
pub(super) unsafe fn enter(table: *const App) {
    // SAFETY: the caller vouches for the table; the mark comes first.
    let mark = unsafe { table.cast::<u32>().read() };
    if mark != MARK {
        fault::misuse(format_args!("the firmware was linked for another stand-in"));
    }
    // SAFETY: as above.
    let app = unsafe { table.read() };
    let mut word = app.bss_start;
    while word < app.bss_end {
        // SAFETY: these words are the firmware's, which does not run yet.
        unsafe {
            word.write_volatile(0);
            word = word.add(1);
        }
    }
    APP.with(|place| *place = Some(app));
}

/// The firmware, if its table was read.
pub(super) fn find() -> Option<App> {
    APP.with(|app| *app)
}

/// The firmware.
pub(super) fn app() -> App {
    match find() {
        Some(app) => app,
        None => fault::misuse(format_args!("there is no firmware")),
    }
}
