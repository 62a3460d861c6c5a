//! `lwip/err.h`: what functions of lwIP return.

use crate::layout::{Header, constants};

/// What is checked.
pub const HEADER: Header = Header { file: "lwip/err.h", types: &[], constants: CONSTANTS };

/// `err_t`.
pub type ErrT = i8;

constants! {
    /// It went well.
    ERR_OK: ErrT = 0;
    /// There is no memory.
    ERR_MEM: ErrT = -1;
    /// A buffer does not fit.
    ERR_BUF: ErrT = -2;
    /// The interface failed.
    ERR_IF: ErrT = -14;
}
