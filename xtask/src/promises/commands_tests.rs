//! Each command exists, and each long test is run by one.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser as _;

use super::super::table;
use super::{Promise, Tests, others};
use crate::{Cli, paths};

/// The promises that the document must have, in this order.
const PROMISES: [&str; 25] = [
    "S1", "S2", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "E1", "T1", "H1", "H2", "M1", "M2", "O1",
    "O2", "O3", "O4", "O5", "O6", "N1", "D1", "F1", "F2",
];

/// Whether the command can be run: its tests or its options exist.
fn check(command: &str) -> Result<()> {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words[..] {
        ["cargo", "xtask", ..] => {
            Cli::try_parse_from(&words[1..])?;
            Ok(())
        }
        ["cargo", "test", ..] => check_test(&words[2..]),
        _ => bail!("`{command}` is no command that is known here"),
    }
}

/// Whether the package has the test file that the arguments name, and tests that match.
fn check_test(arguments: &[&str]) -> Result<()> {
    let Tests { package, file, filter, ignored } = Tests::parse(arguments)?;
    let package = package.context("no package is named")?;
    let filter = filter.context("no test is named")?;
    let folder = paths::repository().join(if package == "xtask" {
        package.to_owned()
    } else {
        format!("crates/{package}")
    });
    let sources = match file {
        None => vec![folder],
        Some(file) => {
            let tests = folder.join("tests");
            vec![tests.join(file), tests.join(format!("{file}.rs"))]
        }
    };
    let mut found = false;
    for source in sources {
        found |= has_test(&source, filter, ignored)?;
    }
    let kind = if ignored { "ignored test" } else { "test that is not ignored" };
    ensure!(found, "{package} has no {kind} {filter}");
    Ok(())
}

/// Whether a test with `filter` in its name, ignored or not, is in the Rust files at or below `path`.
fn has_test(path: &Path, filter: &str, ignored: bool) -> Result<bool> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            if has_test(&entry?.path(), filter, ignored)? {
                return Ok(true);
            }
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") && path.exists() {
        let text = fs::read_to_string(path)?;
        let mut tests = text.split("#[test]\n").skip(1);
        let is_meant = |test: &str| {
            let (attributes, rest) = test.split_once("fn ")?;
            let (name, _) = rest.split_once('(')?;
            Some(name.contains(filter) && attributes.contains("#[ignore") == ignored)
        };
        return Ok(tests.any(|test| is_meant(test) == Some(true)));
    }
    Ok(false)
}

fn promises() -> Vec<Promise> {
    table::read().unwrap().1
}

#[test]
fn the_promises_are_all_there_with_commands_that_exist() {
    let promises = promises();
    let mut ids: Vec<&str> = promises.iter().map(|promise| &*promise.id).collect();
    ids.dedup();
    assert_eq!(ids, PROMISES);
    for promise in &promises {
        for command in [Some(&promise.command), promise.quick.as_ref()].into_iter().flatten() {
            if let Err(error) = check(command) {
                panic!("{}, `{command}`: {error:#}", promise.id);
            }
        }
    }
}

#[test]
fn what_does_not_exist_is_noticed() {
    let wrong = |command| check(command).map_err(|error| format!("{error:#}")).unwrap_err();
    assert!(wrong("true").contains("no command that is known"));
    assert!(wrong("cargo xtask nothing").contains("nothing"));
    assert!(wrong("cargo xtask soak --nodes many").contains("many"));
    assert!(wrong("cargo test -p spore-sim").contains("no test is named"));
    let test = "cargo test --release -p spore-sim --test world no_such_test -- --ignored";
    assert!(wrong(test).contains("no ignored test no_such_test"));
    // Without `--ignored` nothing would run.
    let nothing = "cargo test -p spore-sim --test world joiners_under_loss_1000_seeds_long";
    assert!(wrong(nothing).contains("no test that is not ignored"));
    let elsewhere = "cargo test -p spore-core the_promises_are_all_there";
    assert!(wrong(elsewhere).contains("spore-core has no"));
    check("cargo test -p xtask the_promises_are_all_there").unwrap();
}

#[test]
fn the_gate_leaves_out_what_the_quick_measurement_runs() {
    let filter = others(&promises()).unwrap();
    let one = "package(=spore-sim) and binary(=world) and test(~joiners_under_loss_20_seeds)";
    assert!(filter.starts_with("not (") && filter.contains(one), "{filter}");
    let script = fs::read_to_string(paths::repository().join("ctl.sh")).unwrap();
    for line in ["cargo xtask promises --quick\n", "cargo xtask promises --others"] {
        assert!(script.contains(line), "ctl.sh has no {line}");
    }
}

/// Tests that take long and measure no promise are run by a shard all the same.
#[test]
fn every_ignored_test_is_run_by_the_long_tests() {
    let mut commands: Vec<String> = promises().into_iter().map(|it| it.command).collect();
    let script = fs::read_to_string(paths::repository().join("ctl.sh")).unwrap();
    commands.extend(script.lines().filter_map(|line| {
        let (_, command) = line.split_once("cargo test ")?;
        Some(format!("cargo test {command}"))
    }));
    let mut names = Vec::new();
    ignored_tests(&paths::repository().join("crates"), &mut names);
    assert!(names.len() > 20, "{names:?}");
    let is_run = |name: &str| {
        commands.iter().filter(|command| command.contains("--ignored")).any(|command| {
            command.split_whitespace().any(|word| word.len() > 5 && name.contains(word))
        })
    };
    let left: Vec<_> = names.iter().filter(|name| !is_run(name)).collect();
    assert!(left.is_empty(), "no shard of ctl.sh test --long runs {left:?}");
}

fn ignored_tests(path: &Path, names: &mut Vec<String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            ignored_tests(&entry.unwrap().path(), names);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        let text = fs::read_to_string(path).unwrap();
        for after in text.split("#[ignore").skip(1) {
            let (_, rest) = after.split_once("fn ").unwrap();
            names.push(rest.split('(').next().unwrap().to_owned());
        }
    }
}
