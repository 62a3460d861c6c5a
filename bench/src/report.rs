//! Tables, as they stand in docs/benchmarks.md.

use crate::engine;
use crate::figures::{Figures, Measured, Row, Run, Spans};
use crate::plot::{self, Plot};
use anyhow::{Context as _, Result};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// What stands before and after what this program writes.
const MARKS: (&str, &str) =
    ("<!-- peers: written by cargo xtask bench peers -->", "<!-- /peers -->");

/// Writes tables and plots into the folder `docs`.
///
/// # Errors
/// When the document is not there, has no place for them, or cannot be written.
pub(crate) fn write(docs: &Path, figures: &Figures) -> Result<()> {
    let file = docs.join("benchmarks.md");
    let text =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut written = tables(figures);
    for (place, measured) in [("world", &figures.world), ("sockets", &figures.sockets)] {
        for Plot { name, alt, svg } in plot::all(place, measured)? {
            fs::write(docs.join("benchmarks").join(&name), svg)
                .with_context(|| format!("cannot write {name}"))?;
            let _ = writeln!(written, "\n![{alt}](benchmarks/{name})");
        }
    }
    let text = replaced(&text, &written)
        .with_context(|| format!("{} has no place for tables of peers", file.display()))?;
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// `text` with `new` between the marks; `None` if they are not there.
fn replaced(text: &str, new: &str) -> Option<String> {
    let (before, rest) = text.split_once(MARKS.0)?;
    let (_, after) = rest.split_once(MARKS.1)?;
    Some(format!("{before}{}\n{new}\n{}{after}", MARKS.0, MARKS.1))
}

/// All tables.
pub(crate) fn tables(figures: &Figures) -> String {
    let mut text = String::new();
    if !figures.world.rows.is_empty() {
        table(&mut text, "In the simulated world", "unicast datagrams", &figures.world);
        let [(host, of_host), (board, of_board)] = engine::sizes();
        let _ = writeln!(
            text,
            "\nSPORE reserves all that it may ever need when it starts: {host} bytes for {of_host} members on a Linux machine, on an ESP-01 {board} \
             for {of_board} (as this machine counts; [footprint.md](footprint.md) has the board's own), with events, tasks, services and updates; it allocates nothing later."
        );
    }
    if !figures.sockets.rows.is_empty() {
        table(&mut text, "Over real sockets", "packets but broadcasts", &figures.sockets);
    }
    text
}

fn table(text: &mut String, title: &str, lost: &str, measured: &Measured) {
    let _ = writeln!(text, "\n### {title}\n");
    for Run { nodes, contenders, command, machine, date } in &measured.runs {
        let only: String = contenders.iter().map(|it| format!(", {it}")).collect();
        let _ = writeln!(text, "- N={nodes}{only}: `{command}`, {date}, {machine}");
    }
    let mut losses: Vec<u8> = measured.rows.iter().map(|row| row.loss).collect();
    losses.dedup();
    for loss in losses {
        let _ = writeln!(
            text,
            "\n{loss} % of {lost} lost:\n\n\
             | N | engine | clusters | whole, s | joiner known, s | death known, s | packets/s | bytes/s | false deaths |\n\
             |---|---|---|---|---|---|---|---|---|"
        );
        for row in measured.rows.iter().filter(|row| row.loss == loss) {
            let Row {
                nodes,
                contender,
                whole,
                joined,
                dead,
                datagrams,
                bytes,
                false_deaths,
                hours,
                ..
            } = row;
            let _ = writeln!(
                text,
                "| {nodes} | {contender} | {} | {} | {} | {} | {datagrams:.1} | {bytes:.0} | {false_deaths} in {hours:.2} h |",
                whole.count + whole.failed,
                cell(whole),
                cell(joined),
                cell(dead)
            );
        }
    }
    let _ = writeln!(
        text,
        "\nOne node in eight stalls for 5 s in each 20 s:\n\n\
         | N | engine | healthy ones declared dead | stalled ones declared dead |\n|---|---|---|---|"
    );
    for row in &measured.stalls {
        let _ = writeln!(
            text,
            "| {} | {} | {} in {:.2} h | {} |",
            row.nodes, row.contender, row.healthy, row.hours, row.stalled
        );
    }
    let _ = writeln!(text, "\nBytes on the heap of a node:\n");
    let sizes: Vec<usize> = measured
        .memory
        .first()
        .map_or_else(Vec::new, |row| row.heap.iter().map(|(nodes, _)| *nodes).collect());
    let heads: String = sizes.iter().map(|nodes| format!(" N={nodes} |")).collect();
    let _ = writeln!(
        text,
        "| engine |{heads} each further member |\n|---|{}---|",
        "---|".repeat(sizes.len())
    );
    for row in &measured.memory {
        let cells: String = row.heap.iter().map(|(_, bytes)| format!(" {bytes} |")).collect();
        let each = row.per_member().map_or_else(String::new, |bytes| format!("{bytes:.0}"));
        let _ = writeln!(text, "| {} |{cells} {each} |", row.contender);
    }
}

/// Median and 99th percentile; of fewer than 100 the latter is the longest.
fn cell(spans: &Spans) -> String {
    let Spans { p50, p99, count, failed } = spans;
    let failures = match failed {
        0 => String::new(),
        _ => format!(", {failed} of {} never", count + failed),
    };
    match count {
        0 if *failed == 0 => "–".to_owned(),
        0 => format!("never ({failed})"),
        1 => format!("{p50:.2}{failures}"),
        _ => format!("{p50:.2} · {p99:.2}{failures}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{MARKS, cell, replaced};
    use crate::figures::Spans;

    #[test]
    fn only_what_lies_between_the_marks_is_replaced() {
        let text = format!("before\n{}\nold\n{}\nafter", MARKS.0, MARKS.1);
        let new = replaced(&text, "new").unwrap();
        assert_eq!(new, format!("before\n{}\nnew\n{}\nafter", MARKS.0, MARKS.1));
        assert_eq!(replaced("no marks", "new"), None);
    }

    #[test]
    fn what_never_came_is_told() {
        let spans = Spans { p50: 1.0, p99: 2.5, count: 7, failed: 0 };
        assert_eq!(cell(&spans), "1.00 · 2.50");
        assert_eq!(cell(&Spans { failed: 1, ..spans }), "1.00 · 2.50, 1 of 8 never");
        assert_eq!(cell(&Spans { failed: 3, ..Spans::default() }), "never (3)");
        assert_eq!(cell(&Spans::default()), "–");
    }
}
