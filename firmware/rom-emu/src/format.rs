//! The ROM's `printf`: `%d %u %x %X %p %c %s %%`, with a width and zeros in front.

use core::ffi::c_char;
use core::fmt::Write as _;

use qemu::uart::{Uart, write_byte as put};

/// What a conversion asks for.
#[derive(Default)]
struct Wish {
    zeros: bool,
    width: usize,
}

/// Prints; `arguments` are those behind the format. Returns how many bytes of the format there were.
///
/// # Safety
/// The format must end, and ask for no more arguments than there are; strings among them must end.
#[unsafe(no_mangle)]
unsafe extern "C" fn rom_format(format: *const c_char, arguments: *const u32) -> i32 {
    let mut at = 0;
    let mut argument = arguments;
    // SAFETY: the caller promises a text with an end.
    let byte = |at: usize| unsafe { format.add(at).read() } as u8;
    let mut next = || {
        // SAFETY: the caller promises as many arguments as the format asks for.
        let value = unsafe { argument.read() };
        argument = argument.wrapping_add(1);
        value
    };
    loop {
        match byte(at) {
            0 => return at as i32,
            b'%' => {
                let mut wish = Wish::default();
                at += 1;
                while byte(at).is_ascii_digit() {
                    let digit = usize::from(byte(at) - b'0');
                    wish.zeros |= wish.width == 0 && digit == 0;
                    wish.width = wish.width * 10 + digit;
                    at += 1;
                }
                while byte(at) == b'l' {
                    at += 1;
                }
                if byte(at) == 0 {
                    return at as i32;
                }
                // SAFETY: a string argument is what the caller promises for `%s`.
                unsafe { convert(byte(at), &wish, &mut next) };
            }
            // As the chip's, which is for terminals.
            b'\n' => {
                put(b'\r');
                put(b'\n');
            }
            plain => put(plain),
        }
        at += 1;
    }
}

/// One conversion.
///
/// # Safety
/// The argument of `%s` must be a text with an end.
unsafe fn convert(kind: u8, wish: &Wish, next: &mut impl FnMut() -> u32) {
    let (width, zeros) = (wish.width, wish.zeros);
    // The serial line never fails.
    let _ = match (kind, zeros) {
        (b'd' | b'i', _) => write!(Uart, "{:width$}", next() as i32),
        (b'u', false) => write!(Uart, "{:width$}", next()),
        (b'u', true) => write!(Uart, "{:0width$}", next()),
        (b'x' | b'p', false) => write!(Uart, "{:width$x}", next()),
        (b'x' | b'p', true) => write!(Uart, "{:0width$x}", next()),
        (b'X', false) => write!(Uart, "{:width$X}", next()),
        (b'X', true) => write!(Uart, "{:0width$X}", next()),
        (b'c', _) => {
            put(next() as u8);
            Ok(())
        }
        (b's', _) => {
            let mut text = core::ptr::with_exposed_provenance::<u8>(next() as usize);
            // SAFETY: as promised by the caller.
            while let byte @ 1.. = unsafe { text.read() } {
                put(byte);
                text = text.wrapping_add(1);
            }
            Ok(())
        }
        (other, _) => {
            put(other);
            Ok(())
        }
    };
}
