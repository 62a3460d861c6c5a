//! `lwip/ip_addr.h`: addresses, in network byte order.

use crate::layout::{Header, c_type};

/// What is checked.
pub const HEADER: Header =
    Header { file: "lwip/ip_addr.h", types: &[IpAddr::LAYOUT, IpInfo::LAYOUT], constants: &[] };

c_type! {
    /// An IPv4 address.
    #[derive(PartialEq, Eq)]
    struct IpAddr = "struct ip_addr" {
        /// Its four bytes in the order in which they are written.
        addr: u32,
    }
}

c_type! {
    /// What an interface is to know.
    #[derive(PartialEq, Eq)]
    struct IpInfo = "struct ip_info" {
        /// Its address.
        ip: IpAddr,
        /// The mask of its network.
        netmask: IpAddr,
        /// The router.
        gw: IpAddr,
    }
}
