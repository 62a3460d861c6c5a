//! `cargo xtask canaries`: the gate bites (promise F2). Bugs are seeded in the engine, and tests that the quick gate runs
//! must find each of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::{paths, process, toolchain};

/// The feature of `spore-core` that has the bugs, and the variable that chooses one.
const FEATURE: &str = "seeded-bugs";
const CHOICE: &str = "SPORE_SEEDED_BUG";

/// Tests that have not ended by then have not found a bug: they hang by it.
const PATIENCE: Duration = Duration::from_secs(120);

/// A seeded bug.
struct Bug {
    /// As the engine's source has it.
    name: &'static str,
    what: &'static str,
    /// The tests that must find it: a target of tests and a part of their names. None of them is ignored.
    package: &'static str,
    tests: &'static str,
}

const BUGS: [Bug; 5] = [
    Bug {
        name: "incarnation-backwards",
        what: "older news of a member is believed rather than newer",
        package: "spore-core",
        // Others do not end with it.
        tests: "tests::pair::a_restarted_node_keeps_its_id",
    },
    Bug {
        name: "never-refutes",
        what: "a node does not contradict that it is suspect or dead",
        package: "spore-core",
        tests: "tests::pair",
    },
    Bug {
        name: "replay-window-too-wide",
        what: "a datagram that is just out of the window is taken, and taken again",
        package: "spore-core",
        tests: "security::replay",
    },
    Bug {
        name: "former-boot-delivered",
        what: "an event of a publisher's former boot is delivered after those of its present one",
        package: "spore-core",
        tests: "tests::events",
    },
    Bug {
        name: "quarantine-forgotten",
        what: "an image that was rolled back is taken again",
        package: "spore-core",
        tests: "ota::",
    },
];

/// Seed bugs in the engine, one at a time, and have the quick gate's tests find each.
#[derive(Args)]
pub(crate) struct Canaries {
    /// These bugs only [default: all].
    names: Vec<String>,
}

impl Canaries {
    /// Builds the tests with the bugs in them, and runs those that must find them.
    ///
    /// # Errors
    /// When a bug is not found, when the tests fail without any, or when something does not build.
    pub(crate) fn run(self) -> Result<()> {
        for name in &self.names {
            let known: Vec<_> = BUGS.iter().map(|bug| bug.name).collect();
            ensure!(known.contains(&&**name), "there is no bug {name}; there are {known:?}");
        }
        same_bugs_as_in_the_source()?;
        let started = Instant::now();
        let mut found = 0;
        for bug in BUGS
            .iter()
            .filter(|bug| self.names.is_empty() || self.names.iter().any(|name| name == bug.name))
        {
            let program = build(bug.package)?;
            let with = failures(&program, &[bug.tests], Some(bug.name))?;
            ensure!(
                !with.is_empty(),
                "{} is NOT found: {}; all tests {}* of {} pass with it",
                bug.name,
                bug.what,
                bug.tests,
                bug.package
            );
            // Else it is something else that they have found.
            let names: Vec<&str> = with.iter().map(String::as_str).collect();
            let without = failures(&program, &[&["--exact"], &names[..]].concat(), None)?;
            ensure!(without.is_empty(), "these fail without any bug: {without:?}");
            println!("canaries: {:<24} found by {} tests, as {}", bug.name, with.len(), with[0]);
            found += 1;
        }
        println!("promise F2 found={found} of={found}");
        println!("canaries: all found ({:.0} s)", started.elapsed().as_secs_f32());
        Ok(())
    }
}

/// Builds the unit tests of a package with all bugs in them.
fn build(package: &str) -> Result<PathBuf> {
    let mut cargo = toolchain::cargo_for_host();
    cargo.current_dir(paths::repository()).args([
        "test",
        "--no-run",
        "--lib",
        "--package",
        package,
    ]);
    cargo.arg(format!("--features=spore-core/{FEATURE}")).arg("--message-format=json");
    let messages = process::run(&mut cargo)?;
    let executable = messages.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    });
    executable.with_context(|| format!("cargo names no tests of {package}"))
}

/// Runs tests, with a bug or without: the names of those that fail.
fn failures(program: &Path, tests: &[&str], bug: Option<&str>) -> Result<Vec<String>> {
    let mut command = Command::new(program);
    command.args(tests).env_remove(CHOICE).env_remove("RUST_BACKTRACE");
    if let Some(bug) = bug {
        command.env(CHOICE, bug);
    }
    let output = process::output_before(&mut command, Some(Instant::now() + PATIENCE))
        .with_context(|| format!("tests {tests:?} with the bug {bug:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let (failed, run) = (failed(&text), number_of_tests(&text));
    ensure!(run.is_some_and(|run| run > 0), "{} runs no test {tests:?}", program.display());
    match (output.status.success(), failed.is_empty()) {
        (true, true) | (false, false) => Ok(failed),
        _ => bail!("{} ended with {}, and names {failed:?}", program.display(), output.status),
    }
}

/// How many tests the harness has begun.
fn number_of_tests(text: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix("running "))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The names of the tests that the harness says have failed.
fn failed(text: &str) -> Vec<String> {
    let names = text.lines().filter_map(|line| {
        line.strip_prefix("test ")?.strip_suffix(" ... FAILED").map(str::to_owned)
    });
    names.collect()
}

/// A bug that the source does not have would never be found, and one that only the source has would not be looked for.
fn same_bugs_as_in_the_source() -> Result<()> {
    let mut seeded = Vec::new();
    collect(&paths::repository().join("crates/spore-core/src"), &mut seeded)?;
    seeded.sort();
    seeded.dedup();
    let mut listed = BUGS.map(|bug| bug.name.to_owned()).to_vec();
    listed.sort();
    ensure!(seeded == listed, "the engine has the bugs {seeded:?}, and {listed:?} are looked for");
    Ok(())
}

/// The names in `seeded!("…", …)` of all files below `folder`.
fn collect(folder: &Path, names: &mut Vec<String>) -> Result<()> {
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, names)?;
        } else {
            let text = fs::read_to_string(&path)?;
            let uses = text.split("seeded!(").skip(1);
            names.extend(uses.filter_map(|after| after.split('"').nth(1)).map(str::to_owned));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bugs_of_the_source_are_those_that_are_looked_for() {
        same_bugs_as_in_the_source().unwrap();
    }

    #[test]
    fn failed_tests_are_read_from_what_the_harness_prints() {
        let text = "\nrunning 3 tests\ntest a::b ... ok\ntest a::c ... FAILED\ntest d ... ignored\n\
            failures:\n    a::c\n";
        assert_eq!((number_of_tests(text), failed(text)), (Some(3), vec!["a::c".to_owned()]));
        assert_eq!(number_of_tests("error: no"), None);
    }

    /// Nothing that is shipped, or that others build upon, asks for the feature.
    #[test]
    fn no_manifest_asks_for_seeded_bugs() {
        let mut asking = Vec::new();
        let mut folders = vec![paths::repository()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                let name = entry.file_name();
                if path.is_dir() && name != "target" && name != ".git" {
                    folders.push(path);
                } else if name == "Cargo.toml"
                    && fs::read_to_string(&path).unwrap().contains(FEATURE)
                {
                    asking.push(path.strip_prefix(paths::repository()).unwrap().to_owned());
                }
            }
        }
        assert_eq!(asking, [Path::new("crates/spore-core/Cargo.toml")]);
    }
}
