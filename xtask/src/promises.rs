//! docs/promises.md must not promise what nobody can check: each command in it is looked at here.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser as _;

use crate::{Cli, paths};

/// The promises that the document must have, in this order.
const PROMISES: [&str; 14] =
    ["S1", "S2", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "H1", "H2", "M1", "M2", "O5"];

/// What stands where there is nothing to say yet.
const NOTHING_YET: &str = "not measured yet";

/// One row of the table, but for the promise itself.
#[derive(Debug, PartialEq, Eq)]
struct Row<'a> {
    id: &'a str,
    measured: &'a str,
    command: &'a str,
}

fn rows(document: &str) -> Result<Vec<Row<'_>>> {
    let lines = document.lines().filter(|line| line.starts_with("| "));
    let rows = lines.skip_while(|line| !line.starts_with("| id |")).skip(1);
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [id, _, measured, command] = cells[..] else { bail!("not four cells: {line}") };
        Ok(Row { id, measured, command })
    })
    .collect()
}

/// Whether the command can be run: its tests or its options exist.
fn check(row: &Row<'_>) -> Result<()> {
    if row.command == NOTHING_YET {
        ensure!(row.measured == NOTHING_YET, "a figure without a command");
        return Ok(());
    }
    let command = row.command.strip_prefix('`').and_then(|command| command.strip_suffix('`'));
    let command = command.context("a command stands between backticks")?;
    let words: Vec<&str> = command.split_whitespace().collect();
    match words[..] {
        ["cargo", "xtask", ..] => {
            Cli::try_parse_from(&words[1..])?;
            Ok(())
        }
        ["cargo", "test", ..] => check_test(&words[2..]),
        ["cargo", "nextest", "run", ..] => check_test(&words[3..]),
        _ => bail!("`{command}` is no command that is known here"),
    }
}

/// Whether the package has the test file that the arguments name, and tests that match.
fn check_test(arguments: &[&str]) -> Result<()> {
    let (mut package, mut file, mut filter) = (None, None, None);
    let ignored = arguments.contains(&"--ignored");
    let mut words = arguments.iter().copied();
    while let Some(word) = words.next() {
        match word {
            "-p" | "--package" => package = words.next(),
            "--test" => file = words.next(),
            "--" => break,
            "--release" => {}
            name if !name.starts_with('-') => filter = Some(name),
            other => bail!("the option {other} is not known here"),
        }
    }
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

#[test]
fn the_promises_are_all_there_with_commands_that_exist() {
    let document = fs::read_to_string(paths::repository().join("docs/promises.md")).unwrap();
    let rows = rows(&document).unwrap();
    let mut ids: Vec<&str> = rows.iter().map(|row| row.id).collect();
    ids.dedup();
    assert_eq!(ids, PROMISES);
    for row in &rows {
        if let Err(error) = check(row) {
            panic!("{row:?}: {error:#}");
        }
    }
}

#[test]
fn what_does_not_exist_is_noticed() {
    let wrong = |measured, command| {
        let row = Row { id: "C1", measured, command };
        check(&row).map_err(|error| format!("{error:#}")).unwrap_err()
    };
    assert!(wrong("1 s", NOTHING_YET).contains("without a command"));
    assert!(wrong("1 s", "cargo test").contains("backticks"));
    assert!(wrong("1 s", "`true`").contains("no command that is known"));
    assert!(wrong("1 s", "`cargo xtask nothing`").contains("nothing"));
    assert!(wrong("1 s", "`cargo xtask soak --nodes many`").contains("many"));
    assert!(wrong("1 s", "`cargo test -p spore-sim`").contains("no test is named"));
    let test = "`cargo test --release -p spore-sim --test world no_such_test -- --ignored`";
    assert!(wrong("1 s", test).contains("no ignored test no_such_test"));
    // Without `--ignored` nothing would run.
    let nothing = "`cargo test -p spore-sim --test world joiners_under_loss_1000_seeds_long`";
    assert!(wrong("1 s", nothing).contains("no test that is not ignored"));
    let elsewhere = "`cargo nextest run -p spore-core the_promises_are_all_there`";
    assert!(wrong("1 s", elsewhere).contains("spore-core has no"));
    let here = "`cargo nextest run -p xtask the_promises_are_all_there`";
    check(&Row { id: "C1", measured: "1 s", command: here }).unwrap();
}
