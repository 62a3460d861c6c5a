//! The ROM's `printf`: `%d %u %x %X %p %c %s %%`, with a width and zeros in front.

use core::ffi::c_char;
use core::fmt::{self, Write as _};

/// What a conversion asks for.
#[derive(Default)]
struct Wish {
    zeros: bool,
    width: usize,
}

/// Where text goes.
struct Text<'a> {
    put: &'a mut dyn FnMut(u8),
}

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(&mut self.put);
        Ok(())
    }
}

/// Writes to `put`; `next` is the next argument behind the format. Returns how many bytes of the format there were.
///
/// # Safety
/// The format must end, and ask for no more arguments than there are; strings among them must end.
pub(crate) unsafe fn format(
    put: &mut dyn FnMut(u8),
    format: *const c_char,
    next: &mut dyn FnMut() -> u32,
) -> i32 {
    let mut text = Text { put };
    let mut at = 0;
    // SAFETY: the caller promises a text with an end.
    let byte = |at: usize| unsafe { format.add(at).read() } as u8;
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
                unsafe { convert(&mut text, byte(at), &wish, next) };
            }
            // As the chip's, which is for terminals.
            b'\n' => {
                (text.put)(b'\r');
                (text.put)(b'\n');
            }
            plain => (text.put)(plain),
        }
        at += 1;
    }
}

/// One conversion.
///
/// # Safety
/// The argument of `%s` must be a text with an end.
unsafe fn convert(text: &mut Text<'_>, kind: u8, wish: &Wish, next: &mut dyn FnMut() -> u32) {
    let (width, zeros) = (wish.width, wish.zeros);
    // The serial line never fails.
    let _ = match (kind, zeros) {
        (b'd' | b'i', _) => write!(text, "{:width$}", next() as i32),
        (b'u', false) => write!(text, "{:width$}", next()),
        (b'u', true) => write!(text, "{:0width$}", next()),
        (b'x' | b'p', false) => write!(text, "{:width$x}", next()),
        (b'x' | b'p', true) => write!(text, "{:0width$x}", next()),
        (b'X', false) => write!(text, "{:width$X}", next()),
        (b'X', true) => write!(text, "{:0width$X}", next()),
        (b'c', _) => {
            (text.put)(next() as u8);
            Ok(())
        }
        (b's', _) => {
            let mut string = core::ptr::with_exposed_provenance::<u8>(next() as usize);
            // SAFETY: as promised by the caller.
            while let byte @ 1.. = unsafe { string.read() } {
                (text.put)(byte);
                string = string.wrapping_add(1);
            }
            Ok(())
        }
        (other, _) => {
            (text.put)(other);
            Ok(())
        }
    };
}
