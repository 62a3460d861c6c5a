//! `cargo xtask difftest`: the same computations on this machine and on the emulated LX106, hashes compared.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::firmware::{self, Build, Objects};
use crate::machine::Pace;
use crate::{machine, paths, process, toolchain};

const PACKAGE: &str = "difftest";
/// The profile that the products are built in.
const SHIPPED: &str = "release";
/// A profile with opt-level `s`, in which nothing ships.
const OTHER_LEVEL: &str = "fast";
/// What ships, and so must be compiled with options that were checked.
const PRODUCTS: [&str; 2] = ["node", "boot"];

/// How long the emulated machine may take; it needs a few seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// What both sides print after the last group.
const END: &str = "END";
/// Steps that are shown before the first one that differs.
const CONTEXT_STEPS: usize = 3;

/// Compare what compiled code computes on this machine and on the emulated LX106.
#[derive(Args)]
pub(crate) struct Difftest {
    /// Check the code of opt-level `s`, too, and of each of LLVM's options with which a build may get past the
    /// compiler's crash [default: of the level and the options that the products are built with].
    #[arg(long)]
    every_option: bool,
    /// Trace this group even if its hashes agree, and say how many steps it has.
    #[arg(long)]
    group: Option<String>,
    /// Fail if firmware/Cargo.lock would change.
    #[arg(long)]
    locked: bool,
}

/// A line of a report: what was computed, and the result.
type Lines = Vec<(String, String)>;

impl Difftest {
    /// Runs the comparison.
    ///
    /// # Errors
    /// When a side cannot be built or does not end, or when a result differs.
    pub(crate) fn run(self) -> Result<()> {
        let started = Instant::now();
        let host = build_host(self.locked)?;
        let images = self.build_images()?;
        if let Some(group) = &self.group {
            return trace_group(&host, &images, group);
        }
        let expected = run_host(&host, "")?;
        let mut results = Vec::new();
        for (name, elf) in &images {
            results.push((name.as_str(), run_lx106(elf, "")?));
        }
        println!("{}", table(&expected, &results));
        let failures = differences(&expected, &results);
        for (image, group) in &failures {
            for (_, elf) in images.iter().filter(|(name, _)| name == image) {
                println!("{group} ({image}): {}", first_difference(&host, elf, group)?);
            }
        }
        ensure!(
            failures.is_empty(),
            "{} results differ: the compiler, or the build, is broken for the LX106",
            failures.len()
        );
        println!(
            "{} groups agree in {} builds ({:.0} s)",
            expected.len(),
            images.len(),
            started.elapsed().as_secs_f32()
        );
        Ok(())
    }
}

impl Difftest {
    /// Builds the LX106 side in every way that is to be checked, each once and with a name for the table.
    fn build_images(&self) -> Result<Vec<(String, PathBuf)>> {
        let products = self.products()?;
        let mut wanted: Vec<_> =
            products.iter().map(|(_, objects)| (SHIPPED, objects.rung)).collect();
        if self.every_option {
            wanted.extend((0..firmware::LADDER.len()).map(|rung| (SHIPPED, rung)));
            wanted.push((OTHER_LEVEL, 0));
        }
        let mut images: Vec<(String, PathBuf)> = Vec::new();
        let mut tried = Vec::new();
        for (profile, rung) in wanted {
            if tried.contains(&(profile, rung)) {
                continue;
            }
            tried.push((profile, rung));
            let order = Build {
                profile: profile.to_owned(),
                first_rung: rung,
                locked: self.locked,
                ..Build::of(PACKAGE)
            };
            let image = firmware::build(&order)?;
            // A crash may have led to a later rung, so the option is what was used.
            let name = name_of(profile, image.option);
            if images.iter().any(|(other, _)| *other == name) {
                continue;
            }
            // The next build overwrites the image.
            let kept = image.elf.with_extension(format!("rung{rung}.elf"));
            fs::copy(&image.elf, &kept)
                .with_context(|| format!("cannot write {}", kept.display()))?;
            images.push((name, kept));
        }
        for (product, objects) in &products {
            let checked = images.iter().any(|(name, _)| *name == name_of(SHIPPED, objects.option));
            ensure!(
                checked,
                "{product} is compiled with LLVM's option {}, which cannot be checked: LLVM crashes on the \
                 differential test with it. Change the function of {PACKAGE} or of {product} on which it crashes",
                objects.option
            );
            println!("difftest: {product} is compiled with {}", objects.option);
        }
        Ok(images)
    }

    /// Compiles what ships, to learn which options that takes.
    fn products(&self) -> Result<Vec<(&'static str, Objects)>> {
        let compile = |product| {
            let order = Build { locked: self.locked, ..Build::of(product) };
            Ok((product, firmware::build_objects(&order)?))
        };
        PRODUCTS.into_iter().map(compile).collect()
    }
}

/// A name for what the compiler was told, by which builds are told apart.
fn name_of(profile: &str, option: &str) -> String {
    format!("{profile}, {option}")
}

/// Builds the side of this machine.
pub(crate) fn build_host(locked: bool) -> Result<PathBuf> {
    let target = paths::firmware_target().join("host");
    let mut cargo = toolchain::cargo_for_host();
    cargo.args(["build", "--release", "--package", PACKAGE, "--bin", "difftest-host"]);
    cargo.arg("--manifest-path").arg(paths::firmware().join("Cargo.toml"));
    cargo.arg("--target-dir").arg(&target);
    if locked {
        cargo.arg("--locked");
    }
    println!("difftest: for this machine");
    process::run(&mut cargo).context("the differential test does not compile for this machine")?;
    Ok(target.join("release/difftest-host"))
}

fn run_host(program: &Path, group: &str) -> Result<Lines> {
    let output = process::run(Command::new(program).arg(group).stdin(Stdio::null()))?;
    parse(&output).context("the differential test failed on this machine")
}

fn run_lx106(elf: &Path, group: &str) -> Result<Lines> {
    let output = machine::run_to_line(elf, group, Pace::Host, END, PATIENCE)?;
    parse(&output).with_context(|| {
        let tail: Vec<&str> = output.lines().rev().take(3).collect();
        format!("the emulated LX106 did not reach the end; it said last (latest first): {tail:#?}")
    })
}

/// Splits each line into what was computed and the result, up to the line [`END`].
fn parse(output: &str) -> Result<Lines> {
    let mut lines = Lines::new();
    for line in output.lines() {
        let line = line.trim_end();
        if line == END {
            return Ok(lines);
        }
        ensure!(
            !(line.starts_with("PANIC") || line.starts_with("FAULT")),
            "it stopped with: {line}"
        );
        let (key, value) = line.split_once(' ').with_context(|| format!("odd line: {line}"))?;
        lines.push((key.to_owned(), value.to_owned()));
    }
    bail!("the output ends without {END}")
}

fn result_of<'a>(lines: &'a Lines, group: &str) -> Option<&'a str> {
    lines.iter().find(|(name, _)| name == group).map(|(_, result)| result.as_str())
}

fn differences<'a>(expected: &'a Lines, results: &[(&'a str, Lines)]) -> Vec<(&'a str, &'a str)> {
    let mut failures = Vec::new();
    for (profile, lines) in results {
        for (group, hash) in expected {
            if result_of(lines, group) != Some(hash) {
                failures.push((*profile, group.as_str()));
            }
        }
    }
    failures
}

fn table(expected: &Lines, results: &[(&str, Lines)]) -> String {
    let mut text = String::new();
    for (column, (image, _)) in results.iter().enumerate() {
        let _ = writeln!(text, "LX106 {}: {image}", column + 1);
    }
    let _ = write!(text, "{:<20} {:<16}", "group", "x86-64");
    for column in 1..=results.len() {
        let _ = write!(text, "  LX106 {column:<10}");
    }
    for (group, hash) in expected {
        let _ = write!(text, "\n{group:<20} {hash}");
        for (_, lines) in results {
            let found = result_of(lines, group).unwrap_or("missing");
            let _ = write!(text, "  {:<16}", if found == hash { "same" } else { found });
        }
    }
    text
}

/// Runs `group` on both sides with every step written out, and describes where they part.
fn first_difference(host: &Path, elf: &Path, group: &str) -> Result<String> {
    let (expected, found) = (run_host(host, group)?, run_lx106(elf, group)?);
    let steps = expected.iter().map(Some).chain(std::iter::repeat(None));
    let others = found.iter().map(Some).chain(std::iter::repeat(None));
    let longest = expected.len().max(found.len());
    let Some(at) = steps.zip(others).take(longest).position(|(a, b)| a != b) else {
        return Ok(format!("no difference in {} steps", expected.len().saturating_sub(1)));
    };
    let mut text = String::new();
    for (step, value) in &expected[at.saturating_sub(CONTEXT_STEPS).min(expected.len())..at] {
        let _ = write!(text, "\n  step {step} on both: {value}");
    }
    for (side, lines) in [("x86-64", &expected), ("LX106 ", &found)] {
        let (step, value) = lines.get(at).map_or(("-", "nothing"), |(s, v)| (s, v));
        let _ = write!(text, "\n  step {step} on {side}: {value}");
    }
    Ok(text)
}

fn trace_group(host: &Path, images: &[(String, PathBuf)], group: &str) -> Result<()> {
    ensure!(
        run_host(host, "")?.iter().any(|(name, _)| name == group),
        "there is no group `{group}`; `cargo xtask difftest` lists them"
    );
    for (profile, elf) in images {
        println!("{group} ({profile}): {}", first_difference(host, elf, group)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Lines {
        parse(text).unwrap()
    }

    #[test]
    fn a_changed_and_a_missing_hash_are_differences() {
        let expected = lines("a 1\nb 2\nc 3\nEND\n");
        let results = [("release", lines("a 1\nb 9\nEND\n"))];
        assert_eq!(differences(&expected, &results), [("release", "b"), ("release", "c")]);
    }

    #[test]
    fn a_report_without_an_end_or_with_a_fault_is_an_error() {
        assert!(parse("a 1\n").is_err());
        assert!(parse("a 1\nFAULT cause 28\nEND\n").is_err());
    }
}
