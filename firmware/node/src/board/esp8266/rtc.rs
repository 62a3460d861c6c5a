//! RTC memory, which outlives a reset and is lost with the power: whose handler was running, how a reset was meant, and how many were
//! not.

use core::ptr;

use sdk_sys::unlisted::RTC_BLOCKS;
use sdk_sys::user_interface::{
    REASON_DEFAULT_RST, REASON_SOFT_RESTART, RstInfo, system_get_rst_info, system_rtc_mem_read,
    system_rtc_mem_write,
};
use spore_core::crash::{Cause, in_a_row};
use spore_core::sprockets::MAX_SPROCKETS;

use super::crash;
use crate::log::{Hex, log_line};

/// Where what this module keeps begins, and where the record of a crash does.
const BLOCK: u8 = RTC_BLOCKS.start;
pub(super) const CRASH: u8 = BLOCK + 8;
const WORDS: usize = 5;
const _: () = assert!(WORDS <= (CRASH - BLOCK) as usize);

/// Marks memory that was written by us; other than all zeros and all ones.
const MAGIC: u32 = 0x5350_4F53;

/// For each sprocket, by its place, the resets in a row that were because of it.
pub(super) type Restarts = [u8; MAX_SPROCKETS];

#[derive(Clone, Copy)]
struct Record {
    /// The place of the sprocket whose handler runs, from 1; 0 for none.
    running: u8,
    /// Crashes in a row, whoever is to blame.
    crashes: u8,
    restarts: Restarts,
}

impl Record {
    const EMPTY: Self = Self { running: 0, crashes: 0, restarts: [0; MAX_SPROCKETS] };

    fn load() -> Self {
        let Some([MAGIC, counts, first, second, _]) = read::<WORDS>(BLOCK) else {
            return Self::EMPTY;
        };
        let ([a, b, c, d], [e, f, g, h]) = (first.to_le_bytes(), second.to_le_bytes());
        let [running, crashes, ..] = counts.to_le_bytes();
        Self { running, crashes, restarts: [a, b, c, d, e, f, g, h] }
    }

    fn store(self) {
        let [a, b, c, d, e, f, g, h] = self.restarts;
        let (first, second) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        let counts = u32::from_le_bytes([self.running, self.crashes, 0, 0]);
        write(BLOCK, &mut [MAGIC, counts, first, second, 0]);
    }
}

/// Reads the words from `block` on, if somebody [has written](write) so many there.
pub(super) fn read<const N: usize>(block: u8) -> Option<[u32; N]> {
    let mut words = [0; N];
    // SAFETY: the words are there; the SDK refuses blocks of its own.
    let read = unsafe {
        system_rtc_mem_read(block, ptr::from_mut(&mut words).cast(), size_of_val(&words) as u16)
    };
    (read != 0 && words[N - 1] == checksum(&words)).then_some(words)
}

/// Writes the words from `block` on; the last one becomes the check of the others.
pub(super) fn write<const N: usize>(block: u8, words: &mut [u32; N]) {
    const { assert!(N <= (RTC_BLOCKS.end - RTC_BLOCKS.start) as usize) };
    words[N - 1] = checksum(words);
    // SAFETY: as in `read`.
    unsafe {
        system_rtc_mem_write(block, ptr::from_ref(words).cast(), size_of_val(words) as u16);
    }
}

/// FNV-1a over all words but the last: after power-on the memory holds anything.
fn checksum<const N: usize>(words: &[u32; N]) -> u32 {
    words[..N - 1].iter().fold(0x811C_9DC5, |sum, word| (sum ^ word).wrapping_mul(0x0100_0193))
}

/// Why the chip has started.
pub(super) struct Start {
    /// In the words of the API.
    pub(super) reason: &'static str,
    /// Whether it was a crash, of which there is a [record](crash::load).
    pub(super) crashed: bool,
    /// How many there were in a row.
    pub(super) crashes: u8,
    /// Because of which sprockets there were resets in a row.
    pub(super) restarts: Restarts,
}

/// Begins a run. To be called once per start.
pub(super) fn begin() -> Start {
    // SAFETY: it is never null, stays, and nobody writes it after the start.
    let info = unsafe { &*system_get_rst_info() };
    let mut record = Record::load();
    let crash = crash::begin(info);
    let name = crash.map_or(reason(info), |(cause, _)| cause.name());
    log_line!(
        "BOOT ",
        name,
        " cause ",
        info.exccause,
        " epc1 ",
        Hex(info.epc1),
        " address ",
        Hex(info.excvaddr)
    );
    record.crashes = crash.map_or(0, |(_, uptime)| in_a_row(record.crashes, uptime));
    if crash.is_none() {
        // Whoever switches it off and on, or asks for a restart, gives all of them another chance.
        record.restarts = Record::EMPTY.restarts;
    } else if let Some(place) = record.running.checked_sub(1)
        && let Some(restarts) = record.restarts.get_mut(usize::from(place))
    {
        *restarts = restarts.saturating_add(1);
    }
    Record { running: 0, ..record }.store();
    Start {
        reason: name,
        crashed: crash.is_some(),
        crashes: record.crashes,
        restarts: record.restarts,
    }
}

/// The reason of a reset that was no crash, in the words of the API.
fn reason(info: &RstInfo) -> &'static str {
    match info.reason {
        REASON_DEFAULT_RST => "power-on",
        REASON_SOFT_RESTART => "restart",
        _ => "external",
    }
}

/// Notes that a handler of the sprocket at `place` begins. If the board was `healthy` until now, what is to come is not in a
/// row with what was.
pub(super) fn enter(place: usize, healthy: bool) {
    let record = Record::load();
    let restarts = if healthy { Record::EMPTY.restarts } else { record.restarts };
    let running = u8::try_from(place).unwrap_or(u8::MAX).saturating_add(1);
    Record { running, restarts, ..record }.store();
}

/// Notes that the handler has ended.
pub(super) fn leave() {
    Record { running: 0, ..Record::load() }.store();
}
