//! A node's own clock, which agrees with nobody else's.

use spore_core::time::Instant;
use std::time::Duration;

const MILLION: u128 = 1_000_000;

/// Tells the local time of one boot from the world's time, and back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// The world's time at the boot.
    boot: Duration,
    /// The local time at the boot, in microseconds.
    offset: u64,
    /// Local microseconds in one million of the world's.
    rate: u32,
}

impl Clock {
    /// A clock that shows `offset` at the world's time `boot`, and gains `drift_ppm` microseconds a
    /// second, which must be above minus one million.
    pub(crate) fn new(boot: Duration, offset: Duration, drift_ppm: i32) -> Self {
        let rate = 1_000_000_u32.saturating_add_signed(drift_ppm).max(1);
        Self { boot, offset: micros(offset), rate }
    }

    /// Jumps forward by `span`.
    pub(crate) fn step(&mut self, span: Duration) {
        self.offset = self.offset.saturating_add(micros(span));
    }

    /// What it shows at the world's time `now`.
    pub(crate) fn local(&self, now: Duration) -> Instant {
        let elapsed = now.saturating_sub(self.boot).as_micros() * u128::from(self.rate) / MILLION;
        Instant::from_micros(self.offset.saturating_add(saturate(elapsed)))
    }

    /// The first microsecond of the world at which it shows `local` or more.
    pub(crate) fn world(&self, local: Instant) -> Duration {
        let elapsed = u128::from(local.as_micros().saturating_sub(self.offset)) * MILLION;
        let elapsed = elapsed.div_ceil(u128::from(self.rate));
        self.boot.saturating_add(Duration::from_micros(saturate(elapsed)))
    }
}

fn micros(span: Duration) -> u64 {
    saturate(span.as_micros())
}

fn saturate(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::Clock;
    use spore_core::time::Instant;
    use std::time::Duration;

    #[test]
    fn a_fast_clock_is_ahead_and_a_slow_one_behind() {
        let boot = Duration::from_secs(10);
        let offset = Duration::from_secs(1000);
        let now = boot + Duration::from_secs(100);
        let fast = Clock::new(boot, offset, 50_000);
        let slow = Clock::new(boot, offset, -50_000);
        assert_eq!(fast.local(boot), Instant::from_micros(1_000_000_000));
        assert_eq!(fast.local(now), Instant::from_micros(1_105_000_000));
        assert_eq!(slow.local(now), Instant::from_micros(1_095_000_000));
    }

    #[test]
    fn a_deadline_has_passed_when_the_world_says_so_and_not_before() {
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..10_000 {
            let boot = Duration::from_micros(rng.u64(..1 << 40));
            let offset = Duration::from_micros(rng.u64(..1 << 40));
            let clock = Clock::new(boot, offset, rng.i32(-200_000..200_000));
            let deadline = Instant::from_micros(clock.offset + rng.u64(..1 << 40));
            let at = clock.world(deadline);
            assert!(clock.local(at) >= deadline);
            assert!(at == boot || clock.local(at - Duration::from_micros(1)) < deadline);
        }
    }
}
