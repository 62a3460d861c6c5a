//! Spans of time as people write them.

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A span of time: `250us`, `20ms`, `1.5s`, `10m`, `24h` or `100d`; a number alone is seconds. From 0 to 10,000 days, in whole
/// microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

const UNITS: [(&str, f64); 6] =
    [("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];

const MOST: f64 = 10_000.0 * 86_400.0;

/// What was written is no span of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSpan(String);

impl fmt::Display for NoSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no span of time; write 250us, 20ms, 1.5s, 10m, 24h or 100d", self.0)
    }
}

impl std::error::Error for NoSpan {}

impl Span {
    pub(super) const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    pub(super) const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    fn of_seconds(seconds: f64) -> Option<Self> {
        let micros = (0.0..=MOST).contains(&seconds).then(|| (seconds * 1e6).round() as u64);
        micros.map(|micros| Self(Duration::from_micros(micros)))
    }
}

impl FromStr for Span {
    type Err = NoSpan;

    fn from_str(text: &str) -> Result<Self, NoSpan> {
        let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = &text[number.len()..];
        let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let factor = if unit.is_empty() { Some(1.0) } else { factor };
        let value = number.parse::<f64>().ok().zip(factor);
        value
            .and_then(|(number, factor)| Self::of_seconds(number * factor))
            .ok_or_else(|| NoSpan(text.to_owned()))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a span of time, such as \"20ms\", or a number of seconds")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_i64<E: Error>(self, seconds: i64) -> Result<Span, E> {
                self.visit_f64(seconds as f64)
            }

            fn visit_f64<E: Error>(self, seconds: f64) -> Result<Span, E> {
                Span::of_seconds(seconds).ok_or_else(|| E::custom(NoSpan(seconds.to_string())))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::Span;
    use std::time::Duration;

    #[test]
    fn spans_have_units_and_what_is_none_is_refused() {
        for (text, micros) in [
            ("0", 0),
            ("250us", 250),
            ("20ms", 20_000),
            ("1.5s", 1_500_000),
            ("2", 2_000_000),
            ("10m", 600_000_000),
            ("1d", 86_400_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_micros(micros))), "{text}");
        }
        for text in ["", "s", "1 s", "1w", "-1s", "NaN", "inf", "1e99", "10001d", "1ss"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
