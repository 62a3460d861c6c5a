//! How far back a history goes, and how large it may be: 90s, 1.5h, 90d; 64M.

use crate::times::millis;

/// How long something lies back or is kept, in milliseconds: a second to a hundred years.
pub(in crate::commands) fn past(text: &str) -> Result<u64, String> {
    match millis(text) {
        Some(millis) if (1e3..=3.156e12).contains(&millis) => Ok(millis as u64),
        _ => Err("a time such as 90s, 30m, 2h or 90d".to_owned()),
    }
}

/// The bytes of a history, from a megabyte to a terabyte.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let bytes = bytes(text).filter(|bytes| (1 << 20..=1 << 40).contains(bytes));
    bytes.ok_or_else(|| "a size such as 16M or 1G, from 1M".to_owned())
}

/// The bytes of a size: a number of them, or of K, M or G, which are powers of 1,024.
fn bytes(text: &str) -> Option<u64> {
    let units = [("K", 10), ("M", 20), ("G", 30)];
    let (digits, shift) = units
        .iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)))
        .unwrap_or((text, 0));
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::{bytes, past};

    #[test]
    fn times_have_a_unit_and_sizes_may() {
        assert_eq!(["90s", "1.5h", "90d"].map(past), [90_000, 5_400_000, 7_776_000_000].map(Ok));
        for text in ["", "5", "-1s", "10ms", "NaNs", "infd", "40000d", "5 weeks"] {
            assert!(past(text).is_err(), "{text}");
        }
        assert_eq!(["7", "2K", "64M", "1G"].map(bytes), [7, 2_048, 64 << 20, 1 << 30].map(Some));
        assert!(
            ["", "M", "-1", "1.5M", "1T", "99999999999G"].map(bytes).iter().all(Option::is_none)
        );
    }
}
