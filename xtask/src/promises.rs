//! docs/promises.md must not promise what nobody can check: each command in it is looked at here.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser as _;

use crate::{Cli, paths};

/// The promises that the document must have, in this order.
const PROMISES: [&str; 21] = [
    "S1", "S2", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "E1", "T1", "H1", "H2", "M1", "M2", "O1",
    "O2", "O4", "O5", "O6", "N1",
];

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

/// The tests that `cargo test` is to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tests<'a> {
    package: Option<&'a str>,
    file: Option<&'a str>,
    filter: Option<&'a str>,
    ignored: bool,
}

impl<'a> Tests<'a> {
    fn parse(arguments: &[&'a str]) -> Result<Self> {
        let mut tests = Self { ignored: arguments.contains(&"--ignored"), ..Self::default() };
        let mut words = arguments.iter().copied();
        while let Some(word) = words.next() {
            match word {
                "-p" | "--package" => tests.package = words.next(),
                "--test" => tests.file = words.next(),
                "--" => break,
                "--release" => {}
                name if !name.starts_with('-') => tests.filter = Some(name),
                other => bail!("the option {other} is not known here"),
            }
        }
        Ok(tests)
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

/// What `./ctl.sh test --long` runs, each command as its words.
fn long_commands(script: &str) -> Result<Vec<Vec<&str>>> {
    let (_, long) = script.split_once("        --long)\n").context("ctl.sh has no --long")?;
    let (long, _) = long.split_once(";;").context("--long has an end")?;
    let mut commands = Vec::new();
    let mut called: Vec<&str> = long.lines().map(str::trim).collect();
    while let Some(name) = called.pop() {
        let Some((_, body)) = script.split_once(&format!("\n{name}() {{\n")) else { continue };
        let (body, _) = body.split_once("\n}\n").context("a function has an end")?;
        for line in body.lines().map(str::trim) {
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["run", "timeout", _, ref command @ ..] | ["run", ref command @ ..] => {
                    commands.push(command.to_vec());
                }
                [function] => called.push(function),
                _ => {}
            }
        }
    }
    Ok(commands)
}

/// Whether one of `commands` runs what this one runs.
fn is_run(command: &str, commands: &[Vec<&str>]) -> Result<bool> {
    let words: Vec<&str> = command.trim_matches('`').split_whitespace().collect();
    let ["cargo", "test", arguments @ ..] = &words[..] else {
        return Ok(commands.contains(&words));
    };
    let tests = Tests::parse(arguments)?;
    if !tests.ignored {
        return Ok(commands
            .iter()
            .any(|run| run[..] == ["cargo", "nextest", "run", "--workspace"]));
    }
    let all = Tests { filter: None, ..tests };
    Ok(commands.iter().any(|run| match run[..] {
        ["cargo", "test", ref arguments @ ..] => {
            Tests::parse(arguments).is_ok_and(|run| run == all)
        }
        _ => false,
    }))
}

#[test]
fn each_command_is_run_by_the_long_tests() {
    let read = |name| fs::read_to_string(paths::repository().join(name)).unwrap();
    let (document, script) = (read("docs/promises.md"), read("ctl.sh"));
    let commands = long_commands(&script).unwrap();
    assert!(commands.len() > 15, "{commands:?}");
    for row in rows(&document).unwrap() {
        let run = row.command == NOTHING_YET || is_run(row.command, &commands).unwrap();
        assert!(run, "no shard of ctl.sh runs {}", row.command);
    }
    // Each shard is run with the others, and can be run alone.
    for shard in script.lines().filter_map(|line| line.strip_suffix("() {")) {
        let calls = script.lines().filter(|line| line.trim() == shard).count();
        assert!(!shard.starts_with("shard_") || calls == 2, "{shard} is called {calls} times");
    }
}

#[test]
fn a_command_that_no_shard_runs_is_noticed() {
    let script = "\nquick() {\n    run cargo xtask purity\n    tests\n}\n\n\
        tests() {\n    run cargo nextest run --workspace\n}\n\n\
        shard_1() {\n    run timeout \"$x\" cargo test --release --package a --test b -- --ignored\n}\n\n\
        shard_2() {\n    run cargo xtask soak\n}\n\
        \n        --long)\n            quick\n            shard_1\n            ;;\n";
    let commands = long_commands(script).unwrap();
    let run = |command| is_run(command, &commands).unwrap();
    assert!(run("`cargo xtask purity`") && run("`cargo test -p a c -- --nocapture`"));
    assert!(run("`cargo test --release -p a --test b c_long -- --ignored --nocapture`"));
    assert!(!run("`cargo test --release -p a --test d c_long -- --ignored`"), "another file");
    assert!(!run("`cargo test --release -p d --test b c_long -- --ignored`"), "another package");
    assert!(!run("`cargo xtask soak`"), "a shard that is not called");
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
