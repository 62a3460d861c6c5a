//! The C interface of Espressif's NONOS SDK 3.0.6 for the ESP8266, as far as the firmware uses it: declarations only,
//! one module for each of the SDK's headers.
//!
//! Names of functions, fields and constants are the SDK's, so that its documentation applies. Every struct and constant
//! is in [`HEADERS`], with which `cargo xtask sdk` has the C compiler check sizes, offsets and values against the
//! headers. Whoever implements this interface (our stand-in for the SDK) uses the same declarations.
//!
//! Pointers have 32 bits, also where this crate is compiled for a host: what lies where is the same everywhere, and
//! only on the chip do the pointers lead anywhere.
#![no_std]

pub mod eagle_soc;
pub mod ets_sys;
pub mod ip_addr;
pub mod layout;
pub mod lwip;
pub mod mem;
pub mod osapi;
pub mod spi_flash;
pub mod unlisted;
pub mod user_interface;

use layout::Header;

/// C's `bool` in the SDK's headers: `unsigned char`.
pub type Bool = u8;
/// [`Bool`]'s true.
pub const TRUE: Bool = 1;
/// [`Bool`]'s false.
pub const FALSE: Bool = 0;

/// A pointer, or null.
#[cfg(target_pointer_width = "32")]
pub type Pointer<T> = *mut T;

/// A pointer to a function, or null.
#[cfg(target_pointer_width = "32")]
pub type Callback<F> = Option<F>;

/// As large as a pointer of the chip.
#[cfg(not(target_pointer_width = "32"))]
#[repr(transparent)]
pub struct Pointer<T>(u32, core::marker::PhantomData<*mut T>);

#[cfg(not(target_pointer_width = "32"))]
impl<T> Clone for Pointer<T> {
    fn clone(&self) -> Self {
        *self
    }
}

#[cfg(not(target_pointer_width = "32"))]
impl<T> Copy for Pointer<T> {}

#[cfg(not(target_pointer_width = "32"))]
impl<T> core::fmt::Debug for Pointer<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

/// As large as a pointer of the chip.
#[cfg(not(target_pointer_width = "32"))]
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Callback<F>(u32, core::marker::PhantomData<F>);

/// Everything that the SDK's headers can be held against.
pub const HEADERS: &[Header] = &[
    eagle_soc::HEADER,
    ets_sys::HEADER,
    ip_addr::HEADER,
    lwip::err::HEADER,
    lwip::netif::HEADER,
    lwip::pbuf::HEADER,
    spi_flash::HEADER,
    user_interface::HEADER,
];
