//! Figures, their limits, and the document that they stand in.

use std::fmt::Write as _;

/// How far a size may be from the recorded one: the path of the sources is part of the image, and
/// the toolchain's minor versions differ a little.
const TOLERANCE_PERCENT: u64 = 2;
/// Differences up to so many bytes are no news, whatever the percentage.
const TOLERANCE_BYTES: u64 = 64;
/// The stack's highest mark depends on when interrupts come.
const STACK_TOLERANCE: u64 = 512;

/// What a figure is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Free,
    AtMost(u64),
    AtLeast(u64),
    /// It depends on the run, so it is told and not compared.
    Load,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    name: &'static str,
    value: u64,
    bound: Bound,
}

impl Figure {
    pub(super) fn free(name: &'static str, value: u64) -> Self {
        Self { name, value, bound: Bound::Free }
    }

    pub(super) fn limited(name: &'static str, value: u64, limit: u64) -> Self {
        Self { name, value, bound: Bound::AtMost(limit) }
    }

    pub(super) fn minimum(name: &'static str, value: u64, limit: u64) -> Self {
        Self { name, value, bound: Bound::AtLeast(limit) }
    }

    pub(super) fn load(name: &'static str, value: u64) -> Self {
        Self { name, value, bound: Bound::Load }
    }

    fn holds(&self) -> bool {
        match self.bound {
            Bound::AtMost(limit) => self.value <= limit,
            Bound::AtLeast(limit) => self.value >= limit,
            Bound::Free | Bound::Load => true,
        }
    }

    fn limit(&self) -> String {
        match self.bound {
            Bound::AtMost(limit) => format!("at most {}", grouped(limit)),
            Bound::AtLeast(limit) => format!("at least {}", grouped(limit)),
            Bound::Free | Bound::Load => String::new(),
        }
    }

    fn row(&self) -> String {
        format!("| {} | {} | {} |", self.name, grouped(self.value), self.limit())
    }

    fn tolerance(&self) -> u64 {
        if self.name.contains("stack") {
            return STACK_TOLERANCE;
        }
        (self.value * TOLERANCE_PERCENT / 100).max(TOLERANCE_BYTES)
    }
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub(super) struct Table {
    figures: Vec<Figure>,
    /// The largest statics of the node, largest first.
    pub(super) largest: Vec<(String, u64)>,
}

impl Table {
    pub(super) fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// The names of the figures that are over their limits.
    pub(super) fn over_limit(&self) -> Vec<&'static str> {
        self.figures.iter().filter(|figure| !figure.holds()).map(|figure| figure.name).collect()
    }

    pub(super) fn figures_as_text(&self) -> String {
        let mut text = String::new();
        for figure in &self.figures {
            let value = grouped(figure.value);
            let _ = writeln!(text, "  {:<46} {value:>9}  {}", figure.name, figure.limit());
        }
        text
    }

    /// `docs/footprint.md`.
    pub(super) fn document(&self) -> String {
        let mut text = String::from(INTRODUCTION);
        for figure in &self.figures {
            let _ = writeln!(text, "{}", figure.row());
        }
        text.push_str(LARGEST);
        for (name, size) in &self.largest {
            let _ = writeln!(text, "| `{name}` | {} |", grouped(*size));
        }
        text
    }

    /// Where `recorded`, the document as it is checked in, tells something else.
    pub(super) fn differences(&self, recorded: &str) -> Vec<String> {
        let compared = self.figures.iter().filter(|figure| figure.bound != Bound::Load);
        compared.filter_map(|figure| figure.difference(recorded)).collect()
    }
}

impl Figure {
    fn difference(&self, recorded: &str) -> Option<String> {
        let start = format!("| {} | ", self.name);
        let row = recorded.lines().find_map(|line| line.strip_prefix(&start));
        let value = row.and_then(|row| row.split(" |").next()).and_then(ungrouped);
        match value {
            None => Some(format!("no row for {:?}", self.name)),
            Some(value) if value.abs_diff(self.value) <= self.tolerance() => None,
            Some(value) => Some(format!("{}: {} instead of {value}", self.name, self.value)),
        }
    }
}

const INTRODUCTION: &str = "\
# Footprint

What a node takes on the LX106, in bytes. Made by `cargo xtask footprint`; `cargo xtask footprint
--check`, which is part of `./ctl.sh test`, fails when a limit is passed or a figure has moved by more
than 2 % (the stack: 512 bytes).

*emulated* is the firmware on QEMU's board with the chip's limits: it ran. *esp01* is the same node linked
with Espressif's SDK, lwIP's symbols as dummies: it was linked, and has not run. The load is three boards
in one cluster, each sent 20 hostile requests while four slow clients hold all its connections and 300
after that, and asked for its member list 100 times. The stack is painted before start-up and read afterwards.

| | bytes | limit |
|---|---|---|
";

const LARGEST: &str = "
The largest statics of the emulated node:

| static | bytes |
|---|---|
";

/// A number with its thousands apart.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn ungrouped(text: &str) -> Option<u64> {
    text.trim().replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Figure, Table, grouped, ungrouped};

    fn table(code: u64, stack: u64) -> Table {
        let mut table = Table::default();
        table.add(Figure::free("code", code));
        table.add(Figure::limited("stack", stack, 5_200));
        table.add(Figure::minimum("heap", 12_001, 12_000));
        table
    }

    #[test]
    fn numbers_are_grouped_and_read_back() {
        for (value, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(value), text);
            assert_eq!(ungrouped(text), Some(value));
        }
    }

    #[test]
    fn the_document_agrees_with_the_table_that_made_it_and_with_no_other() {
        let document = table(100_000, 3_000).document();
        assert!(table(100_000, 3_000).differences(&document).is_empty());
        assert!(table(101_900, 3_400).differences(&document).is_empty(), "within the tolerance");
        assert_eq!(table(103_000, 3_000).differences(&document).len(), 1);
        assert_eq!(table(97_000, 3_600).differences(&document).len(), 2);
        assert_eq!(table(100_000, 3_000).differences("").len(), 3);
    }

    #[test]
    fn a_limit_that_is_passed_is_named() {
        assert!(table(1, 5_200).over_limit().is_empty());
        assert_eq!(table(1, 5_201).over_limit(), ["stack"]);
    }
}
