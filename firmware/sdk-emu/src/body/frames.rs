//! Interfaces and frames: the boundary between the SDK and the firmware's IP stack.
//!
//! As in the SDK, a received frame is a `pbuf` of the kind `PBUF_REF` over memory of the radio, which the firmware gives
//! back by `system_pp_recycle_rx_pkt`; and a frame to send is held until it is in the air, which is later than the call.

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr;

use sdk_sys::ip_addr::IpInfo;
use sdk_sys::lwip::err::{ERR_OK, ErrT};
use sdk_sys::lwip::netif::{NETIF_FLAG_BROADCAST, NETIF_FLAG_ETHARP, NETIF_FLAG_LINK_UP, Netif};
use sdk_sys::lwip::pbuf::{PBUF_RAW, PBUF_REF, Pbuf};
use sdk_sys::unlisted;
use sdk_sys::user_interface::{SOFTAP_IF, STATION_IF};

use qemu::eth::{Ethernet, FRAME_MAX};

use super::app::app;
use super::local::Local;
use super::{fault, memory, wifi};

/// Received frames that the firmware may hold; one more is lost. How many the SDK has is not known.
const RECEIVE: usize = 8;
/// Frames that wait to be sent; one more is refused, as the SDK does.
const TRANSMIT: usize = 8;
/// An Ethernet header.
const HEADER: usize = 14;
/// The type of a frame with which a client leaves the access point, in place of a frame of 802.11: the second one that is
/// for experiments (IEEE 802).
const LEAVING: [u8; 2] = [0x88, 0xB6];
/// What the SDK returns for a frame that it does not take.
const REFUSED: ErrT = 1;
/// `NETIF_FLAG_IGMP`, which the SDK sets, too.
const NETIF_FLAG_IGMP: u8 = 0x80;

struct Frames {
    card: Option<Ethernet>,
    interfaces: [*mut Netif; 2],
    /// Which of the radio's buffers the firmware has.
    held: [bool; RECEIVE],
    /// What waits to be sent, and through which interface.
    waiting: [Option<(*mut Pbuf, u8)>; TRANSMIT],
}

// SAFETY: the pointers are followed by one thread only.
unsafe impl Send for Frames {}

static FRAMES: Local<Frames> = Local::new(Frames {
    card: None,
    interfaces: [ptr::null_mut(); 2],
    held: [false; RECEIVE],
    waiting: [None; TRANSMIT],
});

/// The radio's memory.
struct Buffers(UnsafeCell<[[u8; FRAME_MAX]; RECEIVE]>);

// SAFETY: there is one thread, and each buffer has one owner at a time (`held`).
unsafe impl Sync for Buffers {}

static BUFFERS: Buffers = Buffers(UnsafeCell::new([[0; FRAME_MAX]; RECEIVE]));

fn buffer(number: usize) -> *mut u8 {
    BUFFERS.0.get().cast::<[u8; FRAME_MAX]>().wrapping_add(number).cast()
}

/// Starts the network card, which hears everything, since there are two addresses.
pub(super) fn start(mac: [u8; 6]) {
    let mut card = Ethernet::start(mac);
    card.hear_all();
    FRAMES.with(|frames| frames.card = Some(card));
}

/// The interface, or null if the mode does not have it.
pub(super) fn netif(interface: u8) -> *mut Netif {
    FRAMES.with(|frames| frames.interfaces.get(usize::from(interface)).copied()).unwrap_or_default()
}

/// The same for the firmware, by the name that the SDK's libraries have for it.
#[unsafe(no_mangle)]
extern "C" fn eagle_lwip_getif(interface: u8) -> *mut Netif {
    netif(interface)
}

/// Makes an interface and has the firmware take it; null if there is no memory, or it did not.
pub(super) fn add(interface: u8, mac: [u8; 6], address: IpInfo) -> *mut Netif {
    let netif = memory::take(size_of::<Netif>() as u32).cast::<Netif>();
    if netif.is_null() {
        return netif;
    }
    let app = app();
    let made = Netif {
        next: ptr::null_mut(),
        ip_addr: address.ip,
        netmask: address.netmask,
        gw: address.gw,
        input: None,
        output: Some(app.etharp_output),
        linkoutput: Some(link_output),
        // The SDK's connection, of which nothing is known; it is not null.
        state: netif.cast(),
        dhcp: ptr::null_mut(),
        dhcps_pcb: ptr::null_mut(),
        dhcp_event: None,
        hostname: ptr::null_mut(),
        mtu: 0,
        hwaddr_len: 0,
        hwaddr: mac,
        flags: 0,
        name: *b"ew",
        num: interface,
        igmp_mac_filter: None,
    };
    let mut address = address;
    // As in the SDK, the interface is known before the firmware is told of it.
    FRAMES.with(|frames| frames.interfaces[usize::from(interface)] = netif);
    // SAFETY: new memory of this size, aligned to 8; then the firmware's function.
    let taken = unsafe {
        netif.write(made);
        (app.netif_add)(
            netif,
            &mut address.ip,
            &mut address.netmask,
            &mut address.gw,
            netif.cast(),
            set_up,
            app.ethernet_input,
        )
    };
    if taken != netif {
        fault::misuse(format_args!("netif_add did not return the interface"));
    }
    netif
}

/// Has the firmware give an interface back. What waits to be sent through it is dropped.
pub(super) fn remove(interface: u8) {
    let index = usize::from(interface);
    let netif = FRAMES.with(|frames| core::mem::take(&mut frames.interfaces[index]));
    if netif.is_null() {
        return;
    }
    while let Some(pbuf) = FRAMES.with(|frames| {
        let mine =
            |place: &&mut Option<(*mut Pbuf, u8)>| place.is_some_and(|(_, of)| of == interface);
        frames.waiting.iter_mut().find(mine).and_then(Option::take)
    }) {
        free(pbuf.0);
    }
    // SAFETY: the firmware's function, with an interface that it has taken.
    unsafe { (app().netif_remove)(netif) };
    memory::give(netif.cast());
}

/// What the SDK has `netif_add` call.
unsafe extern "C" fn set_up(netif: *mut Netif) -> ErrT {
    // SAFETY: an interface of ours.
    unsafe {
        (*netif).hwaddr_len = 6;
        (*netif).mtu = 1500;
        (*netif).flags =
            NETIF_FLAG_IGMP | NETIF_FLAG_ETHARP | NETIF_FLAG_LINK_UP | NETIF_FLAG_BROADCAST;
    }
    ERR_OK
}

/// `linkoutput` of both interfaces.
unsafe extern "C" fn link_output(netif: *mut Netif, pbuf: *mut Pbuf) -> ErrT {
    let interface = FRAMES.with(|frames| frames.interfaces.iter().position(|&own| own == netif));
    let Some(interface) = interface else {
        fault::misuse(format_args!("linkoutput of {netif:p}, which is no interface"));
    };
    let interface = if interface == 0 { STATION_IF } else { SOFTAP_IF };
    // SAFETY: the caller vouches for its frame.
    let fits =
        !pbuf.is_null() && (HEADER..=FRAME_MAX).contains(&usize::from(unsafe { (*pbuf).tot_len }));
    let taken = fits
        && wifi::is_on(interface)
        && FRAMES.with(|frames| {
            let place = frames.waiting.iter_mut().find(|place| place.is_none());
            place.map(|place| *place = Some((pbuf, interface))).is_some()
        });
    if !taken {
        return REFUSED;
    }
    // SAFETY: the firmware's function and its frame.
    unsafe { (app().pbuf_ref)(pbuf) };
    ERR_OK
}

fn free(pbuf: *mut Pbuf) {
    // SAFETY: the firmware's function, with a frame that is held.
    unsafe { (app().pbuf_free)(pbuf) };
}

/// Sends what waits and hands on what has come. False if there was nothing to do.
pub(super) fn run() -> bool {
    let sent = send_one();
    let received = receive();
    sent || received
}

fn send_one() -> bool {
    let pbuf = FRAMES.with(|frames| {
        let card = frames.card.as_mut()?;
        if !card.can_transmit() {
            return None;
        }
        let (pbuf, interface) = frames.waiting[0].take()?;
        frames.waiting.rotate_left(1);
        let mut frame = [0; FRAME_MAX];
        let mut len = 0;
        let mut part = pbuf;
        while !part.is_null() {
            // SAFETY: a frame that is held stays as it is, and all parts of it.
            let (next, bytes) = unsafe {
                let bytes = core::slice::from_raw_parts((*part).payload.cast(), (*part).len.into());
                ((*part).next, bytes)
            };
            let Some(place) = frame.get_mut(len..len + bytes.len()) else { break };
            place.copy_from_slice(bytes);
            len += bytes.len();
            part = next;
        }
        if wifi::is_on(interface) {
            card.transmit(&frame[..len]);
        }
        Some(pbuf)
    });
    pbuf.map(free).is_some()
}

fn receive() -> bool {
    let mut ready = [None; RECEIVE];
    FRAMES.with(|frames| {
        let Frames { card: Some(card), held, .. } = frames else { return };
        card.acknowledge();
        let mut places = ready.iter_mut();
        card.receive(|frame| {
            let ([Some(to), Some(sender)], HEADER..=FRAME_MAX) =
                ([0, 6].map(|at| frame.get(at..).and_then(<[u8]>::first_chunk::<6>)), frame.len())
            else {
                return;
            };
            let Some((interface, mac)) = wifi::hearing(*sender) else { return };
            let for_us = *to == mac || to[0] & 1 != 0;
            let number = held.iter().position(|held| !held);
            if let (true, Some(number), Some(place)) = (for_us, number, places.next()) {
                held[number] = true;
                // SAFETY: nobody has this buffer, and it is long enough.
                unsafe { ptr::copy_nonoverlapping(frame.as_ptr(), buffer(number), frame.len()) };
                *place = Some((interface, number, frame.len()));
            }
        });
    });
    let mut any = false;
    for (interface, number, len) in ready.into_iter().flatten() {
        any = true;
        deliver(interface, number, len);
    }
    any
}

/// Hands the frame in a buffer to the firmware, or gives the buffer back.
fn deliver(interface: u8, number: usize, len: usize) {
    let netif = netif(interface);
    // SAFETY: an interface that the firmware has taken.
    let listens = !netif.is_null() && unsafe { (*netif).flags } & NETIF_FLAG_LINK_UP != 0;
    // SAFETY: the buffer is filled, with a header at least.
    let (sender, kind) = unsafe {
        let header = buffer(number);
        (header.add(6).cast::<[u8; 6]>().read(), header.add(12).cast::<[u8; 2]>().read())
    };
    let admitted = interface != SOFTAP_IF || wifi::admit(sender, kind == LEAVING);
    if !listens || !admitted {
        return release(number);
    }
    // SAFETY: the firmware's functions, with what they expect.
    unsafe {
        let pbuf = (app().pbuf_alloc)(PBUF_RAW, len as u16, PBUF_REF);
        if pbuf.is_null() {
            return release(number);
        }
        (*pbuf).payload = buffer(number).cast();
        (*pbuf).eb = token(number);
        match (*netif).input {
            Some(input) => {
                input(pbuf, netif);
            }
            None => fault::misuse(format_args!("netif_add has set no input")),
        }
    }
}

/// What stands for the radio's own record of a buffer: its address, which is never null.
fn token(number: usize) -> *mut c_void {
    buffer(number).cast()
}

fn release(number: usize) {
    FRAMES.with(|frames| frames.held[number] = false);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn system_pp_recycle_rx_pkt(eb: *mut c_void) {
    let number = (0..RECEIVE).find(|&number| token(number) == eb);
    let was_held = number.is_some_and(|number| {
        FRAMES.with(|frames| core::mem::replace(&mut frames.held[number], false))
    });
    if !was_held {
        fault::misuse(format_args!("{eb:p} is no received frame, or was given back before"));
    }
}

super::as_declared!(unlisted::{eagle_lwip_getif, system_pp_recycle_rx_pkt});
