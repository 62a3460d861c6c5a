//! `cargo xtask bench costs`: instructions, on this machine by callgrind, on the LX106 by QEMU.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::budgets::grouped;
use crate::{cost, difftest, paths, process};

/// Count the instructions of what a node does all day.
///
/// The same functions run on this machine under callgrind (package valgrind), and on the LX106 in QEMU, compiled as the
/// firmware is. Each runs N and 2 N times; the difference is free of what is set up.
#[derive(Args)]
pub(super) struct Costs {
    /// Write the table in docs/benchmarks.md.
    #[arg(long)]
    write: bool,
}

/// How often a work is done under callgrind, and how often again.
const COUNTS: [u64; 2] = [32, 64];
/// The nodes of the cluster in which seconds pass.
const NODES: u64 = 8;
/// What the chip executes in a millisecond, at most.
const PER_MILLISECOND: f64 = 80_000.0;

/// What stands before and after the table.
const MARKS: (&str, &str) =
    ("<!-- costs: written by cargo xtask bench costs -->", "<!-- /costs -->");

/// What one work takes, in instructions, by its name.
type Works = BTreeMap<String, u64>;

/// A row: what it is, and what it takes, of what the works take.
type Row = (&'static str, fn(&Works) -> Option<u64>);

const ROWS: [Row; 6] = [
    ("sealing a datagram of 103 bytes, a probe's size", |works| works.get("seal").copied()),
    ("opening it", |works| works.get("open")?.checked_sub(*works.get("seal")?)),
    ("a second at rest in a cluster of eight: a probe, the answer to one, all timers", |works| {
        Some(works.get("second")? / NODES)
    }),
    ("of it the probes: what a node that is alone does not spend", |works| {
        (works.get("second")? / NODES).checked_sub(*works.get("second-alone")?)
    }),
    ("an event, on each of eight nodes", |works| {
        Some(works.get("second-with-event")?.checked_sub(*works.get("second")?)? / NODES)
    }),
    ("an HTTP request for a node's status, with its connection", |works| {
        works.get("request").copied()
    }),
];

impl Costs {
    /// Counts.
    ///
    /// # Errors
    /// When something does not build or run, or there is no valgrind.
    pub(super) fn run(self) -> Result<()> {
        let chip = of_chip(&cost::counted()?)?;
        let program = difftest::build_host(false)?;
        let mut host = Works::new();
        for name in chip.keys() {
            let [few, many] = COUNTS.map(|count| callgrind(&program, name, count));
            host.insert(name.clone(), each(COUNTS, [few?, many?])?);
        }
        let table = table(&host, &chip)?;
        print!("{table}");
        if self.write {
            let document = paths::repository().join("docs/benchmarks.md");
            let text = fs::read_to_string(&document).context("cannot read docs/benchmarks.md")?;
            let text = replaced(&text, &table).context("docs/benchmarks.md has no place for it")?;
            fs::write(&document, text).context("cannot write docs/benchmarks.md")?;
        }
        Ok(())
    }
}

/// What each of them takes.
fn each(counts: [u64; 2], took: [u64; 2]) -> Result<u64> {
    let (count, took) = (counts[1].checked_sub(counts[0]), took[1].checked_sub(took[0]));
    let each = took.zip(count.filter(|count| *count > 0)).map(|(took, count)| took / count);
    each.filter(|each| *each > 0).context("twice as much work takes no longer")
}

/// The instructions that the program executes while it does a work so often.
fn callgrind(program: &Path, name: &str, count: u64) -> Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    valgrind.args(["work", name, &count.to_string()]).stdin(Stdio::null());
    let output = process::output(&mut valgrind)
        .context("cannot run valgrind; the package valgrind has it")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the work {name} fails under valgrind:\n{said}");
    collected(&said).with_context(|| format!("callgrind does not say what {name} took:\n{said}"))
}

/// What callgrind says last: `==123== Collected : 4567`.
fn collected(said: &str) -> Option<u64> {
    let line = said.lines().rev().find_map(|line| line.split_once("Collected :"));
    line?.1.trim().parse().ok()
}

/// What the works take on the LX106, of lines `WORK name count instructions`.
fn of_chip(lines: &[(String, u64, u64)]) -> Result<Works> {
    let mut works = Works::new();
    for pair in lines.chunks(2) {
        let [(name, few, less), (other, many, more)] = pair else {
            anyhow::bail!("a work was done once only");
        };
        ensure!(name == other, "{name} and {other} are not one work");
        works.insert(name.clone(), each([*few, *many], [*less, *more])?);
    }
    Ok(works)
}

fn table(host: &Works, chip: &Works) -> Result<String> {
    let mut text = String::from(
        "\n| what | x86-64, instructions | LX106, instructions | on the chip, at least, ms |\n|---|---|---|---|\n",
    );
    for (what, of) in ROWS {
        let (host, chip) = of(host).zip(of(chip)).with_context(|| format!("{what}: no figure"))?;
        let millis = chip as f64 / PER_MILLISECOND;
        writeln!(text, "| {what} | {} | {} | {millis:.2} |", grouped(host), grouped(chip))?;
    }
    Ok(text)
}

/// `text` with `new` between the marks; `None` if they are not there.
fn replaced(text: &str, new: &str) -> Option<String> {
    let (before, rest) = text.split_once(MARKS.0)?;
    let (_, after) = rest.split_once(MARKS.1)?;
    Some(format!("{before}{}\n{new}\n{}{after}", MARKS.0, MARKS.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn works(factor: u64) -> Works {
        ["seal", "open", "second", "second-with-event", "second-alone", "request"]
            .into_iter()
            .zip([1_000, 1_500, 80_000, 96_000, 7_000, 1_234_567])
            .map(|(name, took)| (name.to_owned(), took * factor))
            .collect()
    }

    #[test]
    fn the_difference_of_more_and_less_work_is_what_one_takes() {
        assert_eq!(each([32, 64], [1_000, 1_320]).unwrap(), 10);
        assert!(each([32, 64], [1_000, 1_000]).is_err());
        assert!(each([32, 64], [1_000, 900]).is_err());
        let lines = [("seal".to_owned(), 32, 320), ("seal".to_owned(), 64, 960)];
        assert_eq!(of_chip(&lines).unwrap(), Works::from([("seal".to_owned(), 20)]));
        assert!(of_chip(&lines[..1]).is_err());
    }

    #[test]
    fn what_callgrind_has_collected_is_found() {
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 45671\n"), Some(45_671));
        assert_eq!(collected("==7== no such tool"), None);
    }

    #[test]
    fn opening_probes_and_events_are_told_without_what_belongs_to_them() {
        let table = table(&works(1), &works(8)).unwrap();
        assert!(table.contains("| opening it | 500 | 4,000 | 0.05 |"), "{table}");
        assert!(table.contains("nodes | 2,000 | 16,000 | 0.20 |"), "{table}");
        assert!(table.contains("alone does not spend | 3,000 | 24,000 | 0.30 |"), "{table}");
        assert!(table.contains("1,234,567"), "{table}");
        assert!(super::table(&Works::new(), &works(1)).is_err());
    }
}
