//! `lwip/pbuf.h`: packets in memory.

use core::ffi::c_void;

use crate::Pointer;
use crate::layout::{Header, c_type, constants};

/// What is checked.
pub const HEADER: Header =
    Header { file: "lwip/pbuf.h", types: &[Pbuf::LAYOUT], constants: CONSTANTS };

constants! {
    /// Room for no header at all (`pbuf_layer`).
    PBUF_RAW: u32 = 3;
    /// The bytes follow the struct (`pbuf_type`).
    PBUF_RAM: u32 = 0;
    /// The bytes do not move.
    PBUF_ROM: u32 = 1;
    /// The bytes are somebody else's.
    PBUF_REF: u32 = 2;
}

c_type! {
    /// A packet, or a part of one.
    struct Pbuf = "struct pbuf" {
        /// The next part.
        next: Pointer<Pbuf>,
        /// The bytes.
        payload: Pointer<c_void>,
        /// How many there are in this part and all that follow.
        tot_len: u16,
        /// How many there are in this part.
        len: u16,
        /// Where the bytes are: [`PBUF_RAM`] and others.
        r#type: u8,
        /// lwIP's.
        flags: u8,
        /// How many hold it.
        r#ref: u16,
        /// What the radio wants back of a received frame, or null: see `system_pp_recycle_rx_pkt`.
        eb: Pointer<c_void>,
    }
}
