//! Figures, their limits, and the document that they stand in.

use std::fmt::Write as _;

use super::load;
use crate::budgets::{self, Bound, Budgets, grouped};
use crate::image::parts::Parts;

/// How far a size of code or data may be from the recorded one before it is news.
const SIZE_TOLERANCE_PERCENT: u64 = 2;
/// Differences of a size up to so many bytes are no news, whatever the percentage.
const SIZE_TOLERANCE_BYTES: u64 = 64;
/// The stack's highest mark depends on when interrupts come.
const STACK_TOLERANCE_BYTES: u64 = 512;

/// How far a figure may be from the recorded one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tolerance {
    /// The compiler computes it from the sources alone.
    Exact,
    /// A size of code or data.
    Size,
    /// The stack's highest mark.
    Stack,
    /// It depends on the run, so it is told and not compared.
    Any,
}

impl Tolerance {
    fn allows(self, recorded: u64, measured: u64) -> bool {
        let allowed = match self {
            Self::Exact => 0,
            Self::Size => (measured * SIZE_TOLERANCE_PERCENT / 100).max(SIZE_TOLERANCE_BYTES),
            Self::Stack => STACK_TOLERANCE_BYTES,
            Self::Any => u64::MAX,
        };
        recorded.abs_diff(measured) <= allowed
    }
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    name: &'static str,
    value: u64,
    /// What it is held to, if to anything.
    bound: Option<Bound>,
    tolerance: Tolerance,
}

impl Figure {
    /// A size without a limit.
    pub(super) fn free(name: &'static str, value: u64) -> Self {
        Self { name, value, bound: None, tolerance: Tolerance::Size }
    }

    pub(super) fn limited(name: &'static str, value: u64, limit: u64) -> Self {
        Self { bound: Some(Bound::AtMost(limit)), ..Self::free(name, value) }
    }

    pub(super) fn minimum(name: &'static str, value: u64, limit: u64) -> Self {
        Self { bound: Some(Bound::AtLeast(limit)), ..Self::free(name, value) }
    }

    /// The same, compared to the byte.
    pub(super) fn exact(self) -> Self {
        Self { tolerance: Tolerance::Exact, ..self }
    }

    /// The same, compared as a mark on the stack.
    pub(super) fn stack(self) -> Self {
        Self { tolerance: Tolerance::Stack, ..self }
    }

    /// The same, told and not compared.
    pub(super) fn of_this_run(self) -> Self {
        Self { tolerance: Tolerance::Any, ..self }
    }

    fn holds(&self) -> bool {
        self.bound.is_none_or(|bound| bound.excess(self.value) == 0)
    }

    fn limit(&self) -> String {
        self.bound.map(|bound| bound.to_string()).unwrap_or_default()
    }

    fn row(&self) -> String {
        format!("| {} | {} | {} |", self.name, grouped(self.value), self.limit())
    }
}

/// Everything that was measured.
#[derive(Debug)]
pub(super) struct Table {
    /// The compilers and their versions, on one line.
    pub(super) compilers: String,
    figures: Vec<Figure>,
    /// The largest statics that are not the SDK's, largest first.
    pub(super) largest: Vec<(String, u64)>,
    /// What the image for the ESP-01 takes.
    pub(super) image: u64,
    /// Whose the most of that is, largest first.
    pub(super) owners: Vec<(String, u64)>,
    /// What some of it is for.
    pub(super) parts: Parts,
    budgets: Budgets,
}

impl Table {
    /// A table without figures, of code by these compilers.
    pub(super) fn new(compilers: String, budgets: &Budgets) -> Self {
        Self {
            compilers,
            figures: Vec::new(),
            largest: Vec::new(),
            image: 0,
            owners: Vec::new(),
            parts: Parts::default(),
            budgets: budgets.clone(),
        }
    }

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
            let _ = writeln!(text, "  {:<40} {value:>9}  {}", figure.name, figure.limit());
        }
        text
    }

    /// `docs/footprint.md`.
    pub(super) fn document(&self) -> String {
        let mut text = introduction(&self.compilers, self.budgets.image);
        for figure in &self.figures {
            let _ = writeln!(text, "{}", figure.row());
        }
        text.push_str(LARGEST);
        for (name, size) in &self.largest {
            let _ = writeln!(text, "| {} | {} |", name_of(name), grouped(*size));
        }
        text.push_str(&self.image_by_owner());
        text
    }

    /// How far the image is from the C++ equivalent's, and what its largest parts are; told and not compared.
    fn image_by_owner(&self) -> String {
        let distance = self.budgets.comparison.distance(self.image);
        let mut text = format!(
            "\nThe C++ equivalent, which has far less in it (no signatures, no events in the cluster, no services, \
             no tasks that move), takes {} bytes of flash. The image of the ESP-01 takes {}: {distance}. \
             Its largest parts, by who wrote them:\n\n",
            grouped(self.budgets.comparison.cplusplus),
            grouped(self.image)
        );
        for (owner, size) in &self.owners {
            let _ = writeln!(text, "- {owner}: {}", grouped(*size));
        }
        text.push_str("\nBy what it is for, with what nothing else refers to:\n\n");
        for (part, size) in self.parts.rows() {
            let _ = writeln!(text, "- {part}: {}", grouped(size));
        }
        text
    }

    /// Where `recorded`, the document as it is checked in, tells something else.
    pub(super) fn differences(&self, recorded: &str) -> Vec<String> {
        let figures = self.figures.iter().map(|f| (f.name.to_owned(), f.value, f.tolerance));
        let statics =
            self.largest.iter().map(|(name, size)| (name_of(name), *size, Tolerance::Size));
        let measured: Vec<(String, u64, Tolerance)> = figures.chain(statics).collect();
        let rows: Vec<(&str, u64)> = recorded.lines().filter_map(row).collect();
        let mut differences = Vec::new();
        if !recorded.lines().any(|line| line.starts_with(COMPILERS)) {
            differences.push("it does not name the compilers".to_owned());
        }
        for (name, value, tolerance) in &measured {
            match rows.iter().find(|(row, _)| row == name) {
                None => differences.push(format!("there is no row for {name}")),
                Some((_, recorded)) if tolerance.allows(*recorded, *value) => {}
                Some((_, recorded)) => {
                    differences.push(format!("{name}: {value} instead of {recorded}"));
                }
            }
        }
        let gone = rows.iter().filter(|(row, _)| measured.iter().all(|(name, ..)| name != row));
        differences.extend(gone.map(|(row, _)| format!("nothing is measured for the row {row}")));
        differences
    }

    /// The compilers that `recorded` was made with, if they are others than today's.
    pub(super) fn other_compilers<'a>(&self, recorded: &'a str) -> Option<&'a str> {
        let line = recorded.lines().find_map(|line| line.strip_prefix(COMPILERS));
        line.filter(|compilers| *compilers != self.compilers)
    }
}

/// Name and value of a row of either table.
fn row(line: &str) -> Option<(&str, u64)> {
    let (name, rest) = line.strip_prefix("| ")?.split_once(" | ")?;
    Some((name, ungrouped(rest.split(" |").next()?)?))
}

/// What stands before the compilers' versions.
const COMPILERS: &str = "Compilers: ";

fn introduction(compilers: &str, limits: budgets::Image) -> String {
    let load::Extent { boards, crowd, busy_junk, slow_clients, junk, lists, clients } =
        load::EXTENT;
    let seats = slow_clients - 1;
    let [whole, dashboard] = [limits.whole, limits.dashboard].map(grouped);
    format!(
        "\
# Footprint

What a node takes on the LX106, in bytes. Made by `cargo xtask footprint`. `cargo xtask footprint --check`,
which is part of `./ctl.sh test`, measures again. It fails when a limit is passed, whoever compiled; and, with
the compilers named here, when a figure is another than here: by more than {SIZE_TOLERANCE_PERCENT} % and
{SIZE_TOLERANCE_BYTES} bytes for code and data, by more than {STACK_TOLERANCE_BYTES} bytes for the stack, by anything for
what begins with *engine*. What was free of the heap is not compared. With other compilers, a difference is a warning.

{COMPILERS}{compilers}

The image is that of the ESP-01, linked with Espressif's SDK. The marks are those of the same object files, linked with a stand-in for
the SDK (decisions/0015), in QEMU: its functions may take other amounts of stack than the SDK's do.
The limits are the design's: {whole} bytes with dashboard and updates, of which {dashboard} are kept for the dashboard
(decisions/0009). What verifying signatures takes (Ed25519 and SHA-512) is the difference to the same image linked without it.

What is there for updates (transfer and rollouts), for signatures and for the dashboard is told by names and references: what has a name of theirs, and what
nothing but that refers to (`xtask/src/image/parts.rs`).

The load is {boards} boards in one cluster with {crowd} members that run in the launcher, as many as a board can list,
none of which may hold a board for dead. Before that, each says for a while, and has nothing else to do, what is free of its heap. Each board in turn meets {slow_clients} slow clients, of which {seats} hold its seats and
one is refused, and with them {busy_junk} hostile requests and {busy_junk} good ones, some of which it must refuse. Then
follow {junk} hostile requests with a good one before each, of which it must answer more than half, and
{lists} requests for its member list, one after another, and as many by {clients} clients at once.
At last it is given a release key and that key's successor, with an altered signature and with a genuine one, which
it verifies on the second stack, in memory of the SDK's heap. The engine is made there, too. Before start-up the stack is painted, and
once a second it is looked how much of the paint is gone, and what was free of the heap at least. Of all boards, the mark that is nearest to a
limit is in the table.

| | bytes | limit |
|---|---|---|
"
    )
}

/// A static's name as it stands in its row.
fn name_of(symbol: &str) -> String {
    format!("`{symbol}`")
}

const LARGEST: &str = "
The largest statics that are not the SDK's:

| static | bytes |
|---|---|
";

fn ungrouped(text: &str) -> Option<u64> {
    text.trim().replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Figure, Table, ungrouped};
    use crate::budgets::{Budgets, grouped};

    fn table(code: u64, stack: u64) -> Table {
        let mut table = Table::new("a 1.2; b 3".to_owned(), &Budgets::read().unwrap());
        table.add(Figure::free("code", code));
        table.add(Figure::limited("stack", stack, 5_200).stack());
        table.add(Figure::minimum("heap", 12_001, 12_000));
        table.add(Figure::free("member", 96).exact());
        table.add(Figure::free("frames", 7).of_this_run());
        table.largest = vec![("node::BUFFERS".to_owned(), 8_192)];
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
        assert_eq!(table(100_000, 3_000).differences("").len(), 7);
    }

    #[test]
    fn some_figures_are_compared_to_the_byte_and_some_not_at_all() {
        let document = table(100_000, 3_000).document();
        let other = document.replace("| member | 96 |", "| member | 97 |");
        assert_eq!(table(100_000, 3_000).differences(&other), ["member: 96 instead of 97"]);
        let other = document.replace("| frames | 7 |", "| frames | 900 |");
        assert!(table(100_000, 3_000).differences(&other).is_empty());
    }

    #[test]
    fn the_largest_statics_are_compared_by_name() {
        let mut table = table(100_000, 3_000);
        let document = table.document();
        table.largest[0].1 = 4_096;
        assert_eq!(table.differences(&document), ["`node::BUFFERS`: 4096 instead of 8192"]);
        table.largest = vec![("node::OTHER".to_owned(), 8_192)];
        let differences = table.differences(&document);
        assert_eq!(
            differences,
            [
                "there is no row for `node::OTHER`",
                "nothing is measured for the row `node::BUFFERS`"
            ]
        );
    }

    #[test]
    fn the_distance_to_the_cpp_equivalent_is_told() {
        let mut table = table(100_000, 3_000);
        table.image = 400_000;
        table.owners = vec![("spore_core".to_owned(), 98_648)];
        let document = table.document();
        assert!(document.contains("takes 400,000: 52,268 bytes more."), "{document}");
        assert!(document.contains("\n- spore_core: 98,648\n"), "{document}");
        assert!(document.ends_with("\n- dashboard: 0\n"), "{document}");
        // It is no row, and so not compared.
        assert!(table.differences(&document).is_empty());
    }

    #[test]
    fn other_compilers_are_noticed() {
        let table = table(100_000, 3_000);
        let document = table.document();
        assert_eq!(table.other_compilers(&document), None);
        let other = document.replace("a 1.2", "a 1.3");
        assert_eq!(table.other_compilers(&other), Some("a 1.3; b 3"));
    }

    #[test]
    fn a_limit_that_is_passed_is_named() {
        assert!(table(1, 5_200).over_limit().is_empty());
        assert_eq!(table(1, 5_201).over_limit(), ["stack"]);
    }
}
