//! Functions of the SDK, and of the mask ROM, that no header of the SDK declares. Their shapes are from disassembly.

use core::ffi::{c_int, c_void};

use crate::ip_addr::IpAddr;
use crate::lwip::netif::Netif;

unsafe extern "C" {
    /// Gives the memory of a received frame back to the radio: the `eb` of its `pbuf`.
    pub fn system_pp_recycle_rx_pkt(eb: *mut c_void);
    /// The SDK's interface of this number ([`STATION_IF`](crate::user_interface::STATION_IF) or `SOFTAP_IF`), or null.
    pub safe fn eagle_lwip_getif(interface: u8) -> *mut Netif;
    /// Tells the SDK that the station's interface, whose `netif` holds the new address, had these before: it raises
    /// `EVENT_STAMODE_GOT_IP` if something has changed.
    pub fn system_station_got_ip_set(ip: *const IpAddr, mask: *const IpAddr, gw: *const IpAddr);
    /// Writes a character to the serial line, as the mask ROM does.
    pub safe fn ets_write_char(character: c_int);
}

/// The application's blocks of RTC memory, of four bytes each: those before are the SDK's. As its documentation has it.
pub const RTC_BLOCKS: core::ops::Range<u8> = 64..192;
