//! What the SDK asks of lwIP, as far as the test needs it: one received frame is looked at, the others are dropped.

use core::ffi::{c_int, c_void};
use core::ptr;

use sdk_sys::ip_addr::IpAddr;
use sdk_sys::lwip::err::ErrT;
use sdk_sys::lwip::netif::{Netif, NetifInitFn, NetifInputFn};
use sdk_sys::lwip::pbuf::{PBUF_RAM, Pbuf};
use sdk_sys::mem::{pvPortMalloc, vPortFree};
use sdk_sys::unlisted::system_pp_recycle_rx_pkt;

use crate::{Global, NOBODY, wifi};

/// The interfaces of station and access point.
pub(crate) static INTERFACES: [Global<*mut Netif>; 2] = [const { Global::new(ptr::null_mut()) }; 2];
/// Calls of `sys_check_timeouts`.
pub(crate) static TIMEOUTS: Global<u32> = Global::new(0);
/// Packets that were allocated and not freed.
pub(crate) static PACKETS: Global<u32> = Global::new(0);

#[unsafe(no_mangle)]
unsafe extern "C" fn netif_add(
    netif: *mut Netif,
    _: *mut IpAddr,
    _: *mut IpAddr,
    _: *mut IpAddr,
    state: *mut c_void,
    init: NetifInitFn,
    input: NetifInputFn,
) -> *mut Netif {
    // SAFETY: the SDK's interface.
    unsafe {
        (*netif).state = state;
        (*netif).input = Some(input);
        init(netif);
        if let Some(place) = INTERFACES.get(usize::from((*netif).num)) {
            place.set(netif);
        }
    }
    netif
}

#[unsafe(no_mangle)]
unsafe extern "C" fn netif_remove(netif: *mut Netif) {
    for place in &INTERFACES {
        if place.get() == netif {
            place.set(ptr::null_mut());
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn netif_set_addr(
    netif: *mut Netif,
    ip: *const IpAddr,
    mask: *const IpAddr,
    gw: *const IpAddr,
) {
    // SAFETY: the SDK's structs.
    unsafe { ((*netif).ip_addr, (*netif).netmask, (*netif).gw) = (*ip, *mask, *gw) };
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn pbuf_alloc(_: u32, len: u16, kind: u32) -> *mut Pbuf {
    let head = size_of::<Pbuf>();
    let size = head + if kind == PBUF_RAM { usize::from(len) } else { 0 };
    // SAFETY: new memory of this size.
    unsafe {
        let pbuf = pvPortMalloc(size, ptr::null(), 0, 0).cast::<Pbuf>();
        if !pbuf.is_null() {
            let payload = pbuf.byte_add(head).cast();
            pbuf.write(Pbuf {
                next: ptr::null_mut(),
                payload,
                tot_len: len,
                len,
                r#type: kind as u8,
                flags: 0,
                r#ref: 1,
                eb: NOBODY,
            });
            PACKETS.set(PACKETS.get() + 1);
        }
        pbuf
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn pbuf_free(pbuf: *mut Pbuf) -> u8 {
    // SAFETY: a packet of `pbuf_alloc`.
    unsafe {
        (*pbuf).r#ref -= 1;
        if (*pbuf).r#ref > 0 {
            return 0;
        }
        if !(*pbuf).eb.is_null() {
            system_pp_recycle_rx_pkt((*pbuf).eb);
        }
        vPortFree(pbuf.cast(), ptr::null(), 0);
    }
    PACKETS.set(PACKETS.get() - 1);
    1
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pbuf_ref(pbuf: *mut Pbuf) {
    // SAFETY: a packet of `pbuf_alloc`.
    unsafe { (*pbuf).r#ref += 1 };
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ethernet_input(pbuf: *mut Pbuf, netif: *mut Netif) -> ErrT {
    // SAFETY: the SDK's packet, which is one piece, and its interface.
    unsafe {
        let frame = core::slice::from_raw_parts((*pbuf).payload.cast(), (*pbuf).len.into());
        wifi::received((*netif).num, frame);
        pbuf_free(pbuf);
    }
    0
}

#[unsafe(no_mangle)]
extern "C" fn sys_check_timeouts() {
    TIMEOUTS.set(TIMEOUTS.get() + 1);
}

#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "the name is lwIP's")]
static netif_default: Global<*mut Netif> = Global::new(ptr::null_mut());

#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "the name is lwIP's")]
static ethbroadcast: Global<[u8; 6]> = Global::new([0xFF; 6]);

macro_rules! empty {
    ($($name:ident),* $(,)?) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name() -> c_int {
                0
            }
        )*
    };
}

empty!(
    lwip_init,
    netif_set_default,
    netif_set_up,
    netif_set_down,
    pbuf_copy,
    etharp_output,
    dhcp_start,
    dhcp_stop,
    dhcp_release,
    dhcp_cleanup,
    dhcps_start,
    dhcps_stop,
    espconn_init,
);
