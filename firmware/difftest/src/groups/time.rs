//! embassy's instants and durations, without a clock, and the random numbers of `fastrand`.

use embassy_time::{Duration, Instant};

use crate::{Inputs, Trace};

pub(super) fn times(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    for _ in 0..300 {
        // Small enough that the sums below cannot overflow, which would be a panic.
        let (a, b) = (inputs.edge() >> 2, inputs.edge() >> 2);
        let (instant, span) = (Instant::from_ticks(a), Duration::from_ticks(b));
        trace.word(instant.as_micros());
        trace.word(instant.as_millis());
        trace.word(span.as_secs());
        trace.word((instant + span).as_ticks());
        trace.word(instant.checked_sub(span).map_or(1, |before| before.as_ticks()));
        trace.word(
            instant.checked_duration_since(Instant::from_ticks(b)).map_or(2, |d| d.as_micros()),
        );
        trace.word(instant.saturating_duration_since(Instant::from_ticks(b)).as_millis());
        trace.word(Duration::from_millis(b >> 12).as_ticks());
        trace.word(Duration::from_hz(1 + (b & 0xFFFF)).as_ticks());
        trace.word((span / (1 + (a as u32 & 0xFFF))).as_ticks());
        trace.word(span.cmp(&Duration::from_ticks(a)));
        trace.display(span);
        trace.display(instant);
    }
}

pub(super) fn random(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    for _ in 0..40 {
        let mut rng = fastrand::Rng::with_seed(inputs.edge());
        for _ in 0..20 {
            // Not `usize`, nor what is built on it (`choice`, `alphanumeric`, `shuffle`): it depends on its width.
            trace.word(rng.u8(..));
            trace.word(rng.u32(3..1000));
            trace.word(rng.i64(-5..=inputs.below(1 << 40) as i64));
            trace.wide(rng.u128(..));
            trace.word(rng.bool());
            trace.double(rng.f64());
            trace.single(rng.f32());
        }
        let mut bytes = [0; 21];
        rng.fill(&mut bytes);
        trace.bytes(&bytes);
        trace.word(rng.fork().u64(..));
    }
}
