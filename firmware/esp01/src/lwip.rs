//! The 23 symbols of lwIP that the SDK's libraries refer to, without lwIP.
//!
//! They are empty: no frame passes yet. What each must do once the radio drives our own IP stack stands in lwIP 1.4's
//! headers; all that holds already is that `netif_add` returns a valid interface, which the SDK relies on.

use core::ffi::{c_int, c_void};
use core::ptr;

use crate::Shared;

/// The interface that packets without a better one go through (`struct netif *`).
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "the name is lwIP's")]
pub static netif_default: Shared<*mut c_void> = Shared::new(ptr::null_mut());

/// The address that every station listens to.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "the name is lwIP's")]
pub static ethbroadcast: [u8; 6] = [0xFF; 6];

/// Takes an interface into use: returns it, or null on failure.
#[unsafe(no_mangle)]
pub extern "C" fn netif_add(netif: *mut c_void) -> *mut c_void {
    netif
}

/// Allocates a packet: null says that there is no memory.
#[unsafe(no_mangle)]
pub extern "C" fn pbuf_alloc(_layer: c_int, _length: u16, _kind: c_int) -> *mut c_void {
    ptr::null_mut()
}

/// Gives a packet back; returns how many parts of it were freed.
#[unsafe(no_mangle)]
pub extern "C" fn pbuf_free(_packet: *mut c_void) -> u8 {
    0
}

/// Functions whose result, if they have one, is lwIP's `err_t`: 0 says that all went well.
macro_rules! empty {
    ($($name:ident),* $(,)?) => {
        $(
            #[doc = concat!("lwIP's `", stringify!($name), "`.")]
            #[unsafe(no_mangle)]
            pub extern "C" fn $name() -> c_int {
                0
            }
        )*
    };
}

empty!(
    lwip_init,
    netif_remove,
    netif_set_addr,
    netif_set_default,
    netif_set_up,
    netif_set_down,
    pbuf_ref,
    pbuf_copy,
    ethernet_input,
    etharp_output,
    dhcp_start,
    dhcp_stop,
    dhcp_release,
    dhcp_cleanup,
    dhcps_start,
    dhcps_stop,
    espconn_init,
    sys_check_timeouts,
);
