//! The 23 symbols of lwIP 1.4 that the SDK's libraries refer to, over our own IP stack: only frames pass.
//!
//! *In*: the SDK hands a frame to `netif->input` as one `pbuf`, in a task. Its bytes are copied into the [`Link`], and
//! it is freed at once, which gives the radio its memory back. *Out*: `netif->linkoutput` is given the one `pbuf` of
//! ours, which points into the link's own frame; the SDK writes its header in front of the bytes, holds the `pbuf` while
//! it is in the air, and frees it then. What each function must do is from Espressif's fork of lwIP and from
//! disassembly of SDK 3.0.6.
//!
//! [`Link`]: crate::net::link::Link

use core::ffi::{c_int, c_void};
use core::ptr;

use sdk_sys::FALSE;
use sdk_sys::ip_addr::{IpAddr, IpInfo};
use sdk_sys::lwip::err::{ERR_BUF, ERR_IF, ERR_OK, ErrT};
use sdk_sys::lwip::netif::{NETIF_FLAG_LINK_UP, NETIF_FLAG_UP, Netif, NetifInitFn, NetifInputFn};
use sdk_sys::lwip::pbuf::{PBUF_RAM, PBUF_RAW, PBUF_REF, Pbuf};
use sdk_sys::mem::{pvPortMalloc, vPortFree};
use sdk_sys::unlisted::{eagle_lwip_getif, system_pp_recycle_rx_pkt};
use sdk_sys::user_interface::{SOFTAP_IF, STATION_IF};

use super::task_local::TaskLocal;
use crate::net::access_point::AccessPoint;
use crate::net::link::{FRAME_MIN, HEADROOM};
use crate::node::NodeLink;

/// Where frames go, and who says from which network they are. Before it is set, they are dropped.
static LINK: TaskLocal<Option<(&'static NodeLink, &'static AccessPoint)>> = TaskLocal::new(None);

/// The frame that is in the air.
static SENT: TaskLocal<Pbuf> = TaskLocal::new(Pbuf {
    next: ptr::null_mut(),
    payload: ptr::null_mut(),
    tot_len: 0,
    len: 0,
    r#type: PBUF_REF as u8,
    flags: 0,
    r#ref: 0,
    eb: ptr::null_mut(),
});

/// The interface that packets without a better one go through.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "the name is lwIP's")]
static netif_default: TaskLocal<*mut Netif> = TaskLocal::new(ptr::null_mut());

/// The address that every station listens to. The SDK reads it in interrupts (`wdev.o`), when reading from flash is not
/// allowed, so it must be in RAM: as a value that might change it is. The linker script checks that.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "the name is lwIP's")]
static ethbroadcast: TaskLocal<[u8; 6]> = TaskLocal::new([0xFF; 6]);

/// Frames of the station and of `access_point` go to `link` from now on.
pub(super) fn attach(link: &'static NodeLink, access_point: &'static AccessPoint) {
    LINK.set(Some((link, access_point)));
}

/// Gives the radio the frame that waits to be sent, if there is one. One that the radio does not take is lost, as others
/// are on the air.
pub(super) fn transmit() {
    let Some((link, access_point)) = LINK.get() else { return };
    let mut frame = None;
    link.start_transmit_in_place(|whole| {
        let inside = access_point.sends(&whole[HEADROOM..]);
        frame = Some((whole.as_mut_ptr(), whole.len() - HEADROOM, inside));
    });
    let Some((start, len, inside)) = frame else { return };
    // A frame has at most 854 bytes.
    let len = len as u16;
    // SAFETY: the link keeps the bytes where they are until it is told that they are no longer read, and nobody else
    // touches the `pbuf` meanwhile. The interface is the SDK's own.
    let taken = unsafe {
        let netif = eagle_lwip_getif(if inside { SOFTAP_IF } else { STATION_IF });
        // Nobody holds it, also if the radio has kept to itself that it could not send the one before.
        SENT.set(Pbuf {
            payload: start.add(HEADROOM).cast(),
            tot_len: len,
            len,
            r#ref: 0,
            ..SENT.get()
        });
        match netif.as_ref().and_then(|netif| netif.linkoutput) {
            Some(linkoutput) => linkoutput(netif, SENT.as_ptr()) == ERR_OK,
            None => false,
        }
    };
    if !taken {
        link.transmit_done();
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ethernet_input(frame: *mut Pbuf, netif: *mut Netif) -> ErrT {
    // SAFETY: the SDK gives a whole frame in one piece, and its own interface.
    unsafe {
        let Pbuf { payload, len, .. } = *frame;
        let inside = ptr::eq(netif, eagle_lwip_getif(SOFTAP_IF));
        let len = usize::from(len);
        if let Some((link, access_point)) = LINK.get()
            && len >= FRAME_MIN
            && let Some(receiver) = access_point.mark(payload.cast::<[u8; 6]>().read(), inside)
        {
            link.deliver(receiver, len, |bytes| {
                ptr::copy_nonoverlapping(payload.cast(), bytes.as_mut_ptr(), bytes.len());
                bytes[..6].copy_from_slice(&receiver);
            });
        }
        pbuf_free(frame);
    }
    ERR_OK
}

/// Takes an interface into use: returns it.
#[unsafe(no_mangle)]
unsafe extern "C" fn netif_add(
    netif: *mut Netif,
    address: *const IpAddr,
    mask: *const IpAddr,
    gateway: *const IpAddr,
    state: *mut c_void,
    init: NetifInitFn,
    input: NetifInputFn,
) -> *mut Netif {
    // SAFETY: the SDK gives valid pointers, as lwIP asks for. The struct is from its heap, with anything in it.
    unsafe {
        (*netif).next = ptr::null_mut();
        (*netif).flags = 0;
        (*netif).state = state;
        (*netif).dhcp = ptr::null_mut();
        (*netif).dhcps_pcb = ptr::null_mut();
        (*netif).igmp_mac_filter = None;
        (*netif).input = Some(input);
        let station = ptr::eq(netif, eagle_lwip_getif(STATION_IF));
        (*netif).num = if station { STATION_IF } else { SOFTAP_IF };
        if init(netif) != ERR_OK {
            return ptr::null_mut();
        }
        netif_set_addr(netif, address, mask, gateway);
    }
    netif
}

#[unsafe(no_mangle)]
unsafe extern "C" fn netif_set_addr(
    netif: *mut Netif,
    address: *const IpAddr,
    mask: *const IpAddr,
    gateway: *const IpAddr,
) {
    // SAFETY: as in `netif_add`.
    unsafe {
        (*netif).ip_addr = *address;
        (*netif).netmask = *mask;
        (*netif).gw = *gateway;
        set_flags(netif, NETIF_FLAG_LINK_UP, (*address).addr != 0);
    }
}

unsafe fn set_flags(netif: *mut Netif, flags: u8, on: bool) {
    // SAFETY: the callers give the SDK's own interface.
    unsafe {
        let others = (*netif).flags & !flags;
        (*netif).flags = if on { others | flags } else { others };
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn netif_set_up(netif: *mut Netif) {
    // SAFETY: the SDK's own interface.
    unsafe { set_flags(netif, NETIF_FLAG_UP | NETIF_FLAG_LINK_UP, true) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn netif_set_down(netif: *mut Netif) {
    // SAFETY: the SDK's own interface.
    unsafe { set_flags(netif, NETIF_FLAG_UP | NETIF_FLAG_LINK_UP, false) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn netif_remove(netif: *mut Netif) {
    // SAFETY: the SDK's own interface.
    unsafe { netif_set_down(netif) }
}

#[unsafe(no_mangle)]
extern "C" fn netif_set_default(netif: *mut Netif) {
    netif_default.set(netif);
}

/// The station is in a network: from now on frames can pass. The address is our own DHCP client's business.
#[unsafe(no_mangle)]
unsafe extern "C" fn dhcp_start(netif: *mut Netif) -> ErrT {
    // SAFETY: the SDK's own interface.
    unsafe { netif_set_up(netif) }
    ERR_OK
}

/// The access point is open: frames can pass.
#[unsafe(no_mangle)]
unsafe extern "C" fn dhcps_start(_: *mut IpInfo) {
    // SAFETY: the SDK's own interface, or null.
    unsafe {
        let netif = eagle_lwip_getif(SOFTAP_IF);
        if !netif.is_null() {
            netif_set_up(netif);
        }
    }
}

/// A packet for the SDK: for its own handshakes (RAM), and for what it has received (REF). Null if there is no memory.
#[unsafe(no_mangle)]
unsafe extern "C" fn pbuf_alloc(layer: u32, length: u16, kind: u32) -> *mut Pbuf {
    let bytes = match kind {
        _ if layer != PBUF_RAW => return ptr::null_mut(),
        PBUF_RAM => HEADROOM + usize::from(length),
        PBUF_REF => 0,
        _ => return ptr::null_mut(),
    };
    // SAFETY: the block is as long as what is written into it; it is aligned to 8.
    unsafe {
        let block = pvPortMalloc(size_of::<Pbuf>() + bytes, c"".as_ptr(), 0, FALSE).cast::<Pbuf>();
        if block.is_null() {
            return block;
        }
        let payload = match kind {
            PBUF_RAM => block.add(1).cast::<u8>().add(HEADROOM).cast(),
            _ => ptr::null_mut(),
        };
        block.write(Pbuf {
            next: ptr::null_mut(),
            payload,
            tot_len: length,
            len: length,
            r#type: kind as u8,
            flags: 0,
            r#ref: 1,
            eb: ptr::null_mut(),
        });
        block
    }
}

/// Gives a packet back; returns how many parts of it were freed.
#[unsafe(no_mangle)]
unsafe extern "C" fn pbuf_free(packet: *mut Pbuf) -> u8 {
    // SAFETY: the SDK gives a packet that it holds, of `pbuf_alloc` or ours.
    unsafe {
        (*packet).r#ref = (*packet).r#ref.saturating_sub(1);
        if (*packet).r#ref > 0 {
            return 0;
        }
        if ptr::eq(packet, SENT.as_ptr()) {
            if let Some((link, _)) = LINK.get() {
                link.transmit_done();
            }
            return 1;
        }
        if !(*packet).eb.is_null() {
            system_pp_recycle_rx_pkt((*packet).eb);
        }
        vPortFree(packet.cast(), c"".as_ptr(), 0);
    }
    1
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pbuf_ref(packet: *mut Pbuf) {
    // SAFETY: the SDK gives a packet that it holds.
    unsafe { (*packet).r#ref += 1 }
}

/// Only for packets in several parts, which none is.
#[unsafe(no_mangle)]
extern "C" fn pbuf_copy(_to: *mut Pbuf, _from: *mut Pbuf) -> ErrT {
    ERR_BUF
}

/// Only lwIP itself would call this.
#[unsafe(no_mangle)]
extern "C" fn etharp_output(_: *mut Netif, _: *mut Pbuf, _: *mut IpAddr) -> ErrT {
    ERR_IF
}

/// Functions that have nothing to do: what they would, our own stack does, or nobody needs.
macro_rules! nothing_to_do {
    ($($name:ident),* $(,)?) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name() -> c_int {
                0
            }
        )*
    };
}

nothing_to_do!(
    dhcp_cleanup,
    dhcp_release,
    dhcp_stop,
    dhcps_stop,
    espconn_init,
    lwip_init,
    sys_check_timeouts,
);
