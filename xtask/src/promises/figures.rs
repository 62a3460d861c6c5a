//! Figures, as a command prints them, and what they are held to.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};

/// What a figure must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Budget {
    /// Anything; it is told.
    Free,
    AtMost(f64),
    AtLeast(f64),
    Exactly(f64),
}

impl Budget {
    /// Reads `<= 5`, `>= 1000`, `= 0`, or nothing.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let number = |text: &str| text.trim().parse().with_context(|| format!("no number: {text}"));
        Ok(if let Some(most) = text.strip_prefix("<=") {
            Self::AtMost(number(most)?)
        } else if let Some(least) = text.strip_prefix(">=") {
            Self::AtLeast(number(least)?)
        } else if let Some(value) = text.strip_prefix('=') {
            Self::Exactly(number(value)?)
        } else {
            ensure!(text.is_empty(), "a budget is `<= N`, `>= N`, `= N` or empty, not `{text}`");
            Self::Free
        })
    }

    pub(super) fn holds(self, value: f64) -> bool {
        match self {
            Self::Free => true,
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
            Self::Exactly(one) => value == one,
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free => Ok(()),
            Self::AtMost(most) => write!(f, " (<= {most})"),
            Self::AtLeast(least) => write!(f, " (>= {least})"),
            Self::Exactly(one) => write!(f, " (= {one})"),
        }
    }
}

/// Names and numbers in the order in which they were printed. A figure may come several times: each time it is held to its
/// budget, and the last one is told.
pub(super) type Figures = Vec<(String, String)>;

/// The figures of promise `id` in what a command has printed: lines `promise ID NAME=NUMBER …`, perhaps behind what the
/// test harness says. Of a figure that comes several times the last one counts.
pub(super) fn parse(output: &str, id: &str) -> Result<Figures> {
    let mut figures = Figures::new();
    for line in output.lines() {
        let Some((before, said)) = line.split_once("promise ") else { continue };
        if !(before.is_empty() || before.starts_with("test ")) {
            continue;
        }
        let mut words = said.split_whitespace();
        if words.next() != Some(id) {
            continue;
        }
        for word in words {
            let (name, value) =
                word.split_once('=').with_context(|| format!("odd line: {line}"))?;
            ensure!(value.parse::<f64>().is_ok_and(f64::is_finite), "no number in: {line}");
            figures.push((name.to_owned(), value.to_owned()));
        }
    }
    if figures.is_empty() {
        bail!("it has printed no line `promise {id} NAME=NUMBER`");
    }
    Ok(figures)
}

/// `template` with each `{NAME}` replaced by that figure, grouped by thousands.
pub(super) fn fill(template: &str, figures: &Figures) -> Result<String> {
    let mut pieces = template.split('{');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once('}').context("a { without a }")?;
        let figure = figures.iter().rev().find(|(other, _)| other == name);
        let (_, value) = figure.with_context(|| format!("no figure {name}"))?;
        text += &grouped(value);
        text += rest;
    }
    Ok(text)
}

/// What [`fill`] has made `text` of, and what stands behind it: each figure as it was written.
pub(super) fn read<'a>(template: &str, text: &'a str) -> Option<(Figures, &'a str)> {
    let mut pieces = template.split('{');
    let mut rest = text.strip_prefix(pieces.next()?)?;
    let mut figures = Figures::new();
    for piece in pieces {
        let (name, literal) = piece.split_once('}')?;
        let end = rest.find(|c: char| !c.is_ascii_digit() && !".,-".contains(c));
        let value = rest[..end.unwrap_or(rest.len())].trim_end_matches(['.', ',']);
        figures.push((name.to_owned(), value.to_owned()));
        rest = rest[value.len()..].strip_prefix(literal)?;
    }
    figures.iter().all(|(_, value)| !value.is_empty()).then_some((figures, rest))
}

/// `1234567.80` as `1,234,567.80`; a whole number without its `.00`.
fn grouped(value: &str) -> String {
    let value = value.strip_suffix(".00").unwrap_or(value);
    let (whole, fraction) =
        value.split_once('.').map_or((value, ""), |(whole, _)| (whole, &value[whole.len()..]));
    let mut text = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_filled_in_is_read_again_and_another_text_is_not() {
        let template = "{p99} s, {n} of {of}: {lost} lost";
        let filled = [("p99", "1.50"), ("n", "1234567"), ("of", "9"), ("lost", "-3")];
        let filled: Figures =
            filled.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let text = fill(template, &filled).unwrap();
        assert_eq!(text, "1.50 s, 1,234,567 of 9: -3 lost");
        let (figures, rest) = read(template, &text).unwrap();
        assert_eq!((figures[1].1.as_str(), rest), ("1,234,567", ""));
        assert_eq!(read(template, "1.50 s, 2 of 9: 0 lost (twice)").unwrap().1, " (twice)");
        for other in [
            "",
            "1.50 s, 2 of 9: no lost",
            "1.50 s, 2 of 9",
            ", 2 of 9: 0 lost",
            "x s, 2 of 9: 0 lost",
        ] {
            assert!(read(template, other).is_none(), "{other}");
        }
    }

    #[test]
    fn figures_are_found_behind_what_the_harness_says_and_others_are_left() {
        let output = "running 1 test\ntest a::b ... promise C2 p99=1.50 n=3\npromise C3 n=4\n\
            no promise C2 n=9\npromise C2 max=2.00\nok\n";
        let figures = parse(output, "C2").unwrap();
        let expected = [("p99", "1.50"), ("n", "3"), ("max", "2.00")];
        assert_eq!(figures, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert!(parse(output, "C1").is_err(), "a promise without figures");
        assert!(parse("promise C1 n\n", "C1").is_err());
        assert!(parse("promise C1 n=NaN\n", "C1").is_err());
    }

    #[test]
    fn a_budget_is_held_to_the_number() {
        let holds = |text, value| Budget::parse(text).unwrap().holds(value);
        assert!(holds("<= 5", 5.0) && !holds("<= 5", 5.01));
        assert!(holds(">= 1000", 1000.0) && !holds(">= 1000", 999.0));
        assert!(holds("= 0", 0.0) && !holds("= 0", 1.0));
        assert!(holds("", 1e9));
        assert!(Budget::parse("< 5").is_err() && Budget::parse("<= five").is_err());
    }

    #[test]
    fn a_text_is_filled_in_and_numbers_are_grouped() {
        let figures = parse("promise X a=1234567.80 b=12.00 c=100", "X").unwrap();
        assert_eq!(fill("{a} s, {b} of {c}", &figures).unwrap(), "1,234,567.80 s, 12 of 100");
        assert!(fill("{d}", &figures).is_err() && fill("{a", &figures).is_err());
    }
}
