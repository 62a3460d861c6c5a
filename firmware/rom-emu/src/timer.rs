//! The chip's second timer (FRC2): it counts up, and interrupts when it reaches its alarm. And the time of all devices.

use qemu::cpu;
use qemu::cycle_clock::{CYCLES_PER_US, CycleClock};

use crate::local::Local;

/// The clock of the chip's devices, in megahertz.
const MHZ: u64 = 80;
/// The core interrupts at least so often, so that no round of its counter is missed.
const LONGEST_US: u64 = 10_000_000;

struct Timer {
    clock: CycleClock,
    /// The clock of the devices is divided by this.
    divider: u64,
    /// The count when the clock was at zero.
    start: u32,
    alarm: Option<u32>,
}

static TIMER: Local<Timer> =
    Local::new(Timer { clock: CycleClock::new(), divider: 1, start: 0, alarm: None });

impl Timer {
    fn now_us(&mut self) -> u64 {
        self.clock.advance(cpu::cycles())
    }

    fn count(&mut self) -> u32 {
        // The count is what fits into 32 bits.
        ((self.now_us() * MHZ / self.divider) as u32).wrapping_add(self.start)
    }

    fn load(&mut self, count: u32) {
        self.start = 0;
        self.start = count.wrapping_sub(self.count());
        self.arm();
    }

    /// Has the core interrupt when the alarm is due, or before.
    fn arm(&mut self) {
        let left = self.alarm.map(|alarm| u64::from(alarm.wrapping_sub(self.count())));
        let us = left.map_or(LONGEST_US, |left| (left * self.divider / MHZ + 1).min(LONGEST_US));
        cpu::set_timer(cpu::cycles().wrapping_add(us as u32 * CYCLES_PER_US));
    }
}

/// Microseconds since the start.
pub(crate) fn now_us() -> u64 {
    TIMER.with(Timer::now_us)
}

/// `FRC2_COUNT`.
pub(crate) fn count() -> u32 {
    TIMER.with(Timer::count)
}

/// `FRC2_LOAD`.
pub(crate) fn load(count: u32) {
    TIMER.with(|timer| timer.load(count));
}

/// `FRC2_CTRL`: of its bits, those that say by how much the clock is divided.
pub(crate) fn control(value: u32) {
    TIMER.with(|timer| {
        let count = timer.count();
        timer.divider = match value >> 2 & 3 {
            0 => 1,
            1 => 16,
            _ => 256,
        };
        timer.load(count);
    });
}

/// `FRC2_ALARM`.
pub(crate) fn set_alarm(count: u32) {
    TIMER.with(|timer| {
        timer.alarm = Some(count);
        timer.arm();
    });
}

/// Whether the alarm has come due, which is told once.
pub(crate) fn expired() -> bool {
    TIMER.with(|timer| {
        let count = timer.count();
        let due = timer.alarm.is_some_and(|alarm| count.wrapping_sub(alarm).cast_signed() >= 0);
        if due {
            timer.alarm = None;
        }
        timer.arm();
        due
    })
}
