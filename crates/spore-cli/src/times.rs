//! Times as people write them: 250ms, 5s, 1.5h, 90d.

/// The milliseconds of a number with a unit.
pub(crate) fn millis(text: &str) -> Option<f64> {
    let units = [("ms", 1.0), ("s", 1e3), ("m", 6e4), ("h", 3.6e6), ("d", 8.64e7)];
    units.iter().find_map(|(unit, factor)| {
        let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
        Some((number * factor).round())
    })
}

#[cfg(test)]
mod tests {
    use super::millis;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(["250ms", "5s", "1.5h"].map(millis), [250.0, 5e3, 5.4e6].map(Some));
        assert!(["", "5", "s", "5 weeks"].map(millis).iter().all(Option::is_none));
    }
}
