//! Time from a counter of 32 bits that counts 40 cycles per microsecond.
//!
//! The counter comes round every 107 s. Two readings tell how much time has passed between them
//! only if it was less than a round, so whoever sleeps must wake up well before.

/// The clock that the readings are taken from, in hertz.
pub const CLOCK_HZ: u32 = 40_000_000;

/// Cycles in a microsecond.
pub const CYCLES_PER_US: u32 = CLOCK_HZ / 1_000_000;

/// The longest sleep, in microseconds.
pub const SLEEP_MAX_US: u32 = 1_000_000;

// A host that keeps the machine waiting for a minute after its sleep has not hidden a round from it.
const _: () = assert!((SLEEP_MAX_US as u64) * (CYCLES_PER_US as u64) < 1 << 28);

/// Microseconds since the first reading was zero.
pub struct CycleClock {
    last_cycles: u32,
    /// Cycles that do not make up a whole microsecond.
    rest: u32,
    now_us: u64,
}

impl CycleClock {
    /// A clock at zero.
    #[must_use]
    pub const fn new() -> Self {
        Self { last_cycles: 0, rest: 0, now_us: 0 }
    }

    /// Takes the counter's reading `cycles`, less than a round after the one before; the time now.
    pub fn advance(&mut self, cycles: u32) -> u64 {
        let passed = cycles.wrapping_sub(self.last_cycles);
        self.last_cycles = cycles;
        self.now_us += u64::from(passed / CYCLES_PER_US);
        self.rest += passed % CYCLES_PER_US;
        if self.rest >= CYCLES_PER_US {
            self.rest -= CYCLES_PER_US;
            self.now_us += 1;
        }
        self.now_us
    }
}

impl Default for CycleClock {
    fn default() -> Self {
        Self::new()
    }
}

/// Cycles to sleep from `now_us` to `deadline_us`, [`SLEEP_MAX_US`] at most.
#[must_use]
pub fn sleep_cycles(now_us: u64, deadline_us: u64) -> u32 {
    // The minimum makes it fit.
    deadline_us.saturating_sub(now_us).min(SLEEP_MAX_US.into()) as u32 * CYCLES_PER_US
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_over_the_end_of_the_counter() {
        let mut clock = CycleClock::new();
        let (mut cycles, mut total) = (0_u32, 0_u64);
        for step in 0..1_000_u32 {
            let passed = step.wrapping_mul(2_654_435_761) >> 1;
            cycles = cycles.wrapping_add(passed);
            total += u64::from(passed);
            assert_eq!(clock.advance(cycles), total / u64::from(CYCLES_PER_US));
        }
        assert!(total >> 32 > 100, "the run must go round often");
    }

    #[test]
    fn sleeps_are_bounded() {
        assert_eq!(sleep_cycles(7, 7), 0);
        assert_eq!(sleep_cycles(8, 7), 0);
        assert_eq!(sleep_cycles(7, 10), 3 * CYCLES_PER_US);
        assert_eq!(sleep_cycles(7, u64::MAX), SLEEP_MAX_US * CYCLES_PER_US);
    }
}
