//! The record of a crash, in RTC memory: made as the SDK restarts the chip, found by the next start.

use core::ptr;

use sdk_sys::unlisted::RTC_BLOCKS;
use sdk_sys::user_interface::{
    REASON_EXCEPTION_RST, REASON_SOFT_RESTART, REASON_SOFT_WDT_RST, REASON_WDT_RST, RstInfo,
};
use spore_boot::map::Slot;
use spore_core::crash::{Cause, CrashRecord, Words};

use super::task_local::TaskLocal;
use super::{rtc, time};

/// Marks a record that nobody has seen yet, and one that a start has seen.
const FRESH: u32 = 0x5350_4F43;
const SEEN: u32 = 0x5350_4F63;
/// Words of a record: the longest that this program makes has 16 + 48 + 25 + 1 bytes.
const WORDS: usize = 23;

/// Words that RTC memory holds: mark, length in bytes, record, check.
const STORED: usize = WORDS + 3;
const _: () = assert!(rtc::CRASH as usize + STORED <= RTC_BLOCKS.end as usize);

/// Where words of the stack are looked for, at most; where the stack begins; what may be a place in the program.
const DEPTH: usize = 4096;
const STACK_TOP: usize = 0x3FFF_FFF0;
const IRAM: core::ops::Range<u32> = 0x4010_0000..0x4010_8000;
const SLOTS: core::ops::Range<u32> = Slot::A.window()..Slot::B.window() + Slot::LENGTH;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Who may restart the chip.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The SDK, for reasons of its own.
    Starting,
    /// Nobody.
    Running,
    /// The node, which was asked to.
    Restarting,
}

static PHASE: TaskLocal<Phase> = TaskLocal::new(Phase::Starting);

/// From now on a restart that nobody has asked for is a crash.
pub(super) fn expect_none() {
    PHASE.set(Phase::Running);
}

/// The restart that follows was asked for.
pub(super) fn expect_restart() {
    PHASE.set(Phase::Restarting);
}

unsafe extern "C" {
    /// The register EPC3: where the program was when the radio's interrupt came last (`rt/registers.S`).
    safe fn lx106_epc3() -> u32;
}

/// The SDK calls this as the last thing before it restarts the chip, on the stack of who has crashed. Its own is empty, and
/// weak.
#[unsafe(no_mangle)]
unsafe extern "C" fn system_restart_hook(info: *const RstInfo) {
    // SAFETY: the SDK's struct lives until this returns.
    let info = unsafe { &*info };
    let (cause, pc) = match (info.reason, PHASE.get()) {
        (REASON_EXCEPTION_RST, _) => (cause(info), info.epc1),
        // SDK 3.0.6 tells nobody that this was its watchdog: it notes a restart as if it was asked for. The watchdog runs in
        // the radio's interrupt.
        (REASON_SOFT_WDT_RST, _) | (REASON_SOFT_RESTART, Phase::Running) => {
            (Cause::Watchdog, lx106_epc3())
        }
        _ => return,
    };
    let mut stack = [[0; 4]; CrashRecord::STACK_MAX];
    let stack = Words(trace(&mut stack));
    let (pc, uptime) = (Some(pc), time::uptime_secs());
    let new = CrashRecord::new(cause, VERSION);
    store(FRESH, &CrashRecord { pc, address: info.excvaddr, uptime, stack, ..new });
}

/// A panic of this firmware is an illegal instruction.
fn cause(info: &RstInfo) -> Cause {
    match info.exccause {
        0 => Cause::Panic,
        number => Cause::Exception(number.to_le_bytes()[0]),
    }
}

/// The words of the stack that may be places in the program, from here outward.
fn trace(words: &mut [[u8; 4]; CrashRecord::STACK_MAX]) -> &[[u8; 4]] {
    let here = ptr::from_mut(words).addr() + size_of_val(words);
    let mut found = 0;
    for place in (here..STACK_TOP.min(here + DEPTH)).step_by(4) {
        // SAFETY: data RAM, above what this function has on the stack. No Rust object is referred to.
        let word = unsafe { ptr::with_exposed_provenance::<u32>(place).read_volatile() };
        if (IRAM.contains(&word) || SLOTS.contains(&word))
            && let Some(free) = words.get_mut(found)
        {
            *free = word.to_be_bytes();
            found += 1;
        }
    }
    words.get(..found).unwrap_or_default()
}

/// Takes note of the crash that this start follows, whose record is then [there](load): its cause, and after how many seconds it came, if that is known;
/// `None` if there was none.
pub(super) fn begin(info: &RstInfo) -> Option<(Cause, Option<u32>)> {
    let mut value = [0; WORDS * 4];
    let (mark, len) = read(&mut value);
    let record = CrashRecord::decode(&value[..len]).filter(|_| mark == FRESH);
    // Where there was no time to write one, as with the hardware's watchdog, there is what the SDK knows.
    let record = record.or_else(|| {
        let cause = match info.reason {
            REASON_EXCEPTION_RST => cause(info),
            REASON_WDT_RST | REASON_SOFT_WDT_RST => Cause::Watchdog,
            _ => return None,
        };
        let new = CrashRecord::new(cause, VERSION);
        Some(CrashRecord { pc: Some(info.epc1), address: info.excvaddr, ..new })
    })?;
    store(SEEN, &record);
    Some((record.cause, record.uptime))
}

/// Writes the record into `buf`; its length, or 0 if there is none or no room.
pub(super) fn load(buf: &mut [u8]) -> usize {
    let mut value = [0; WORDS * 4];
    let (_, len) = read(&mut value);
    match buf.get_mut(..len) {
        Some(place) => {
            place.copy_from_slice(&value[..len]);
            len
        }
        None => 0,
    }
}

/// Reads what RTC memory holds: its mark, and the length of its record; 0 if it is none of ours.
fn read(value: &mut [u8; WORDS * 4]) -> (u32, usize) {
    let Some([mark @ (FRESH | SEEN), len, record @ .., _]) = rtc::read::<STORED>(rtc::CRASH) else {
        return (0, 0);
    };
    let len = len as usize;
    if len > value.len() {
        return (0, 0);
    }
    for (bytes, word) in value.as_chunks_mut().0.iter_mut().zip(record) {
        *bytes = word.to_le_bytes();
    }
    (mark, len)
}

fn store(mark: u32, record: &CrashRecord<'_>) {
    let mut value = [0; WORDS * 4];
    let len = record.encode(&mut value);
    let mut words = [0; STORED];
    words[0] = mark;
    words[1] = len as u32;
    for (word, bytes) in words[2..].iter_mut().zip(value.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    rtc::write(rtc::CRASH, &mut words);
}
