//! The serial line: what the program writes, and lines of our own in between.

use core::ffi::c_char;
use core::fmt::{self, Write as _};

use qemu::uart;

use crate::format::format;
use crate::local::Local;

/// What the program has installed to write characters.
type Put = unsafe extern "C" fn(u32);

static INSTALLED: Local<Option<Put>> = Local::new(None);
/// Whether the line is empty so far.
static AT_START: Local<bool> = Local::new(true);

/// Sends a byte.
pub(crate) fn send(byte: u8) {
    AT_START.set(byte == b'\n');
    uart::write_byte(byte);
}

struct Line;

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(send);
        Ok(())
    }
}

/// Writes a line of our own: it begins a new one if the program has not ended its own.
pub(crate) fn line(line: fmt::Arguments<'_>) {
    let start = if AT_START.get() { "" } else { "\n" };
    // The serial line never fails.
    let _ = writeln!(Line, "{start}{line}");
}

/// `ets_install_putc1`.
#[unsafe(no_mangle)]
extern "C" fn rom_install_putc(put: Option<Put>) {
    INSTALLED.set(put);
}

/// `ets_write_char`: a byte, of which more than one may make up a character.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn rom_write_char(byte: u8) {
    match INSTALLED.get() {
        // SAFETY: the program has installed it.
        Some(put) => unsafe { put(u32::from(byte)) },
        None => send(byte),
    }
}

/// `ets_printf`, behind `table.S`; `arguments` are those behind the format. Returns how many bytes of the format there were.
///
/// # Safety
/// The format must end, and ask for no more arguments than there are; strings among them must end.
#[unsafe(no_mangle)]
unsafe extern "C" fn rom_format(text: *const c_char, arguments: *const u32) -> i32 {
    let mut argument = arguments;
    let mut next = || {
        // SAFETY: the caller promises as many arguments as the format asks for.
        let value = unsafe { argument.read() };
        argument = argument.wrapping_add(1);
        value
    };
    // SAFETY: as promised by the caller.
    unsafe { format(&mut rom_write_char_of, text, &mut next) }
}

fn rom_write_char_of(byte: u8) {
    rom_write_char(byte);
}

/// `ets_vprintf`. The arguments are a `va_list` of the calling convention: six words from registers, and the others, which begin
/// eight words behind `stack`; `index` counts the bytes that were taken.
///
/// # Safety
/// As [`rom_format`]; `put` writes a character.
#[unsafe(no_mangle)]
unsafe extern "C" fn rom_vprintf(
    put: Put,
    text: *const c_char,
    stack: *const u32,
    registers: *const u32,
    index: u32,
) -> i32 {
    let mut index = index as usize / size_of::<u32>();
    let mut next = || {
        let from = if index < 6 { registers } else { stack };
        index = if index < 6 { index } else { index.max(8) };
        // SAFETY: the caller promises as many arguments as the format asks for.
        let value = unsafe { from.add(index).read() };
        index += 1;
        value
    };
    // SAFETY: the caller vouches for it.
    let mut put = |byte: u8| unsafe { put(u32::from(byte)) };
    // SAFETY: as promised by the caller.
    unsafe { format(&mut put, text, &mut next) }
}
