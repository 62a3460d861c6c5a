//! `lwip/netif.h`: network interfaces.

use core::ffi::{c_char, c_void};

use super::err::ErrT;
use super::pbuf::Pbuf;
use crate::ip_addr::IpAddr;
use crate::layout::{Header, c_type, constants};
use crate::{Callback, Pointer};

/// What is checked.
pub const HEADER: Header =
    Header { file: "lwip/netif.h", types: &[Netif::LAYOUT], constants: CONSTANTS };

constants! {
    /// The interface is in use.
    NETIF_FLAG_UP: u8 = 0x01;
    /// It can reach all at once.
    NETIF_FLAG_BROADCAST: u8 = 0x02;
    /// It is connected: without this flag the SDK hands on nothing that it receives.
    NETIF_FLAG_LINK_UP: u8 = 0x10;
    /// It speaks ARP.
    NETIF_FLAG_ETHARP: u8 = 0x20;
}

/// Readies an interface: sets its MTU, its flags and its outputs.
pub type NetifInitFn = unsafe extern "C" fn(netif: *mut Netif) -> ErrT;
/// Takes a received frame, which the callee then owns.
pub type NetifInputFn = unsafe extern "C" fn(frame: *mut Pbuf, netif: *mut Netif) -> ErrT;
/// Sends an IP packet.
pub type NetifOutputFn =
    unsafe extern "C" fn(netif: *mut Netif, packet: *mut Pbuf, to: *mut IpAddr) -> ErrT;
/// Sends an Ethernet frame.
pub type NetifLinkoutputFn = unsafe extern "C" fn(netif: *mut Netif, frame: *mut Pbuf) -> ErrT;
/// Sets the filter for a multicast group.
pub type NetifIgmpMacFilterFn =
    unsafe extern "C" fn(netif: *mut Netif, group: *mut IpAddr, action: u8) -> ErrT;
/// Says that the DHCP client has something to say.
pub type DhcpEventFn = unsafe extern "C" fn();

c_type! {
    /// A network interface.
    struct Netif = "struct netif" {
        /// The next one.
        next: Pointer<Netif>,
        /// Its address, or zeros.
        ip_addr: IpAddr,
        /// The mask of its network.
        netmask: IpAddr,
        /// The router.
        gw: IpAddr,
        /// What takes a received frame: the SDK calls it.
        input: Callback<NetifInputFn>,
        /// The SDK's: `etharp_output`.
        output: Callback<NetifOutputFn>,
        /// The SDK's: sends a frame.
        linkoutput: Callback<NetifLinkoutputFn>,
        /// The SDK's: the connection that belongs to it.
        state: Pointer<c_void>,
        /// lwIP's DHCP client.
        dhcp: Pointer<c_void>,
        /// lwIP's DHCP server.
        dhcps_pcb: Pointer<c_void>,
        /// What lwIP's DHCP client calls.
        dhcp_event: Callback<DhcpEventFn>,
        /// The node's name for DHCP.
        hostname: Pointer<c_char>,
        /// The longest packet, in bytes.
        mtu: u16,
        /// How long the hardware's address is.
        hwaddr_len: u8,
        /// The hardware's address.
        hwaddr: [u8; 6],
        /// `NETIF_FLAG_…`.
        flags: u8,
        /// Two letters.
        name: [c_char; 2],
        /// `STATION_IF` or `SOFTAP_IF`.
        num: u8,
        /// Sets the filter for a multicast group.
        igmp_mac_filter: Callback<NetifIgmpMacFilterFn>,
    }
}
