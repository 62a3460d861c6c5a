//! What differs from board to board: processor start, time, serial line, network hardware.

#[cfg(all(target_arch = "xtensa", feature = "sdk"))]
pub mod esp8266;
pub mod qemu;
#[cfg(all(target_arch = "xtensa", any(feature = "image", feature = "sdk")))]
mod told;

#[cfg(all(target_arch = "xtensa", feature = "sdk"))]
pub(crate) use esp8266::put;
#[cfg(all(target_arch = "xtensa", feature = "sdk"))]
pub use esp8266::{Body, on_second, pins};
#[cfg(all(target_arch = "xtensa", feature = "image"))]
pub use qemu::machine::{pins, system::EmulatedSystem as Body};

/// Writes to the serial line, and waits while that is busy.
#[cfg(all(target_arch = "xtensa", feature = "image"))]
pub(crate) fn put(text: &str) {
    text.bytes().for_each(::qemu::uart::write_byte);
}

/// Calls `function` on the board's second stack, and tells how many bytes of it that took. `None` if there is no memory for
/// one: `function` was not called. No such call may be made within another one.
#[cfg(all(target_arch = "xtensa", feature = "image"))]
pub fn on_second<F: FnOnce() -> T, T>(function: F) -> Option<(T, u32)> {
    // SAFETY: the node makes such a call at its start, and to verify a signature, which makes none.
    Some(unsafe { qemu::machine::stack::on_second(function) })
}
