//! Memory that keeps its content over a reset and loses it when the machine is switched off, as
//! the chip's RTC memory does. It tells why the machine was reset, and how often, and because of which sprocket.
//!
//! It lies in QEMU's data RAM below the 80 KB that the ESP8266 has, where nothing is loaded and
//! nothing is cleared.

use core::ptr;

use spore_core::crash::{CrashRecord, in_a_row};
use spore_core::sprockets::MAX_SPROCKETS;
use spore_core::store::MAX_VALUE;

/// Where the record of a crash lies: its length, a check, and its bytes.
const CRASH: *mut Crash = ptr::with_exposed_provenance_mut(0x3FF4_0040);

type Crash = (u32, u32, [u8; MAX_VALUE]);

/// Where it lies; seven words of the chip's 192.
const MEMORY: *mut [u32; WORDS] = ptr::with_exposed_provenance_mut(0x3FF4_0000);
const WORDS: usize = 7;

/// Marks memory that was written by us; other than all zeros and all ones.
const MAGIC: u32 = 0x5350_4F52;

/// Why the machine starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetReason {
    /// It was switched on.
    PowerOn,
    /// It was reset from outside, or for a reason that it could not write down.
    External,
    /// The firmware panicked.
    Panic,
    /// The core ran into an exception.
    Fault,
    /// A restart was asked for.
    Restart,
}

impl ResetReason {
    /// The reason in the words of the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PowerOn => "power-on",
            Self::External => "external",
            Self::Panic => "panic",
            Self::Fault => "exception",
            Self::Restart => "restart",
        }
    }

    const fn from_word(word: u32) -> Self {
        match word {
            2 => Self::Panic,
            3 => Self::Fault,
            4 => Self::Restart,
            _ => Self::External,
        }
    }

    const fn to_word(self) -> u32 {
        match self {
            Self::PowerOn => 0,
            Self::External => 1,
            Self::Panic => 2,
            Self::Fault => 3,
            Self::Restart => 4,
        }
    }
}

/// What is retained.
#[derive(Clone, Copy)]
struct Record {
    /// Resets since the machine was switched on.
    resets: u32,
    /// The reason that the next start will find.
    reason: ResetReason,
    /// The place of the sprocket whose handler runs, from 1; 0 for none.
    running: u8,
    /// Crashes in a row, whoever is to blame.
    crashes: u8,
    /// Resets in a row within the handlers of each sprocket.
    restarts: Restarts,
}

/// For each sprocket, by its place, the resets in a row that were because of it.
pub type Restarts = [u8; MAX_SPROCKETS];

impl Record {
    const EMPTY: Self = Self {
        resets: 0,
        reason: ResetReason::PowerOn,
        running: 0,
        crashes: 0,
        restarts: [0; MAX_SPROCKETS],
    };

    fn load() -> Option<Self> {
        // SAFETY: ordinary memory that no Rust object lies in, and there is one thread.
        let words = unsafe { MEMORY.read_volatile() };
        let [magic, resets, reason, counts, first, second, sum] = words;
        if magic != MAGIC || sum != checksum(&words) {
            return None;
        }
        let ([a, b, c, d], [e, f, g, h]) = (first.to_le_bytes(), second.to_le_bytes());
        let [running, crashes, ..] = counts.to_le_bytes();
        let reason = ResetReason::from_word(reason);
        Some(Self { resets, reason, running, crashes, restarts: [a, b, c, d, e, f, g, h] })
    }

    fn store(self) {
        let [a, b, c, d, e, f, g, h] = self.restarts;
        let (first, second) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        let counts = u32::from_le_bytes([self.running, self.crashes, 0, 0]);
        let mut words = [MAGIC, self.resets, self.reason.to_word(), counts, first, second, 0];
        words[WORDS - 1] = checksum(&words);
        // SAFETY: as in `load`.
        unsafe { MEMORY.write_volatile(words) }
    }
}

/// FNV-1a over all words but the last: the memory is unwritten or whole, but a wild pointer may
/// have been there.
fn checksum(words: &[u32; WORDS]) -> u32 {
    words[..WORDS - 1].iter().fold(0x811C_9DC5, |sum, word| (sum ^ word).wrapping_mul(0x0100_0193))
}

/// Begins a run: returns why the machine starts, how often it was reset since it was switched
/// on, how many crashes there were in a row, and because of which sprockets. To be called once per start.
pub fn begin() -> (ResetReason, u32, (u8, Restarts)) {
    let mut record = match Record::load() {
        None => Record::EMPTY,
        Some(record) => Record { resets: record.resets.wrapping_add(1), ..record },
    };
    record.crashes = match record.reason {
        ResetReason::Panic | ResetReason::Fault => in_a_row(record.crashes, crash_uptime()),
        _ => 0,
    };
    if record.reason == ResetReason::Restart {
        // Whoever asks for a restart gives all of them another chance.
        record.restarts = Record::EMPTY.restarts;
    } else if let Some(place) = record.running.checked_sub(1)
        && let Some(restarts) = record.restarts.get_mut(usize::from(place))
    {
        *restarts = restarts.saturating_add(1);
    }
    Record { reason: ResetReason::External, running: 0, ..record }.store();
    (record.reason, record.resets, (record.crashes, record.restarts))
}

/// Notes that a handler of the sprocket at `place` begins. If the machine was `healthy` until now, what is to come is
/// not in a row with what was.
pub fn enter(place: usize, healthy: bool) {
    let record = Record::load().unwrap_or(Record::EMPTY);
    let restarts = if healthy { Record::EMPTY.restarts } else { record.restarts };
    let running = u8::try_from(place).unwrap_or(u8::MAX).saturating_add(1);
    Record { running, restarts, ..record }.store();
}

/// Notes that the handler has ended.
pub fn leave() {
    Record { running: 0, ..Record::load().unwrap_or(Record::EMPTY) }.store();
}

/// Keeps the record of a crash for the next start.
pub fn keep_crash(record: &CrashRecord<'_>) {
    let mut value = [0; MAX_VALUE];
    let len = record.encode(&mut value) as u32;
    // SAFETY: as in `load`.
    unsafe { CRASH.write_volatile((len, len ^ MAGIC, value)) }
}

/// Writes the record that was kept last into `buf`; its length, or 0 if there is none or no room.
pub fn load_crash(buf: &mut [u8]) -> usize {
    // SAFETY: as in `load`.
    let (len, check, value) = unsafe { CRASH.read_volatile() };
    let value = value.get(..len as usize).filter(|_| check == len ^ MAGIC);
    match (value, buf.get_mut(..len as usize)) {
        (Some(value), Some(place)) => {
            place.copy_from_slice(value);
            value.len()
        }
        _ => 0,
    }
}

/// After how many seconds the crash came whose record was kept last.
fn crash_uptime() -> Option<u32> {
    let mut value = [0; MAX_VALUE];
    let len = load_crash(&mut value);
    CrashRecord::decode(value.get(..len)?)?.uptime
}

/// Notes why the machine is about to be reset.
pub fn note_reason(reason: ResetReason) {
    Record { reason, ..Record::load().unwrap_or(Record::EMPTY) }.store();
}
