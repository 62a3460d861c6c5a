//! The commands that documents show are understood: those of `cargo xtask` and of `./ctl.sh`; the `spore` ones are `spore-cli`'s.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::{Cli, paths};

/// A command as a document shows it.
struct Shown {
    path: PathBuf,
    /// What is behind the program.
    words: Vec<String>,
    /// Within a sentence, where what is clear may be left out.
    inline: bool,
}

/// The lines of all documents but of the one that tells of what was, too.
fn lines() -> Vec<(PathBuf, String)> {
    let folders = ["", "docs", "docs/decisions", "examples"].map(|it| paths::repository().join(it));
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap().flatten());
    let documents = entries.map(|entry| entry.path()).filter(|path| {
        path.extension().is_some_and(|it| it == "md") && !path.ends_with("CHANGELOG.md")
    });
    let lines = documents.flat_map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        text.lines().map(|line| (path.clone(), line.to_owned())).collect::<Vec<_>>()
    });
    lines.collect()
}

/// The words of `command` before a comment, a pipe or the like.
fn words(command: &str) -> Vec<String> {
    let words = command.split_whitespace();
    words.take_while(|word| !word.starts_with(['#', '|', '>', '&'])).map(str::to_owned).collect()
}

/// The commands that begin with `program`.
fn commands(program: &str) -> Vec<Shown> {
    let mut found = Vec::new();
    for (path, line) in lines() {
        let code = line.strip_prefix("$ ").or_else(|| line.strip_prefix("    "));
        let inline = line.split('`').skip(1).step_by(2).map(|it| (it, true));
        for (command, inline) in code.map(|it| (it, false)).into_iter().chain(inline) {
            if let Some(rest) = command.trim_start().strip_prefix(program) {
                found.push(Shown { path: path.clone(), words: words(rest), inline });
            }
        }
    }
    found
}

/// What is wrong with a command of `cargo xtask`.
fn error(words: &[String], inline: bool) -> Option<clap::Error> {
    let error =
        Cli::try_parse_from(["cargo xtask"].into_iter().chain(words.iter().map(String::as_str)))
            .err()?;
    let matters = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => false,
        ErrorKind::InvalidSubcommand | ErrorKind::UnknownArgument => true,
        _ => !inline,
    };
    matters.then_some(error)
}

#[test]
fn commands_of_xtask_that_are_shown_are_understood() {
    let all = commands("cargo xtask ");
    for Shown { path, words, inline } in &all {
        let wrong = error(words, *inline);
        assert!(
            wrong.is_none(),
            "{}: cargo xtask {}: {}",
            path.display(),
            words.join(" "),
            wrong.unwrap()
        );
    }
    assert!(all.len() > 50, "{}", all.len());
    assert!(
        error(&words("dashboard --bord"), true).is_some() && error(&words("dash"), true).is_some()
    );
    assert!(error(&words("soak --nodes many"), false).is_some());
}

/// The words that the usage of `ctl.sh` names.
fn usage() -> BTreeSet<String> {
    let script = fs::read_to_string(paths::repository().join("ctl.sh")).unwrap();
    let (_, rest) = script.split_once("<<'EOF'\n").unwrap();
    let (usage, _) = rest.split_once("\nEOF\n").unwrap();
    // What is explained stands two spaces behind its command.
    let commands = usage.lines().filter_map(|line| line.strip_prefix("  "));
    let commands =
        commands.filter(|line| !line.starts_with(' ')).filter_map(|line| line.split("  ").next());
    commands.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

#[test]
fn commands_of_ctl_sh_that_are_shown_are_in_its_usage() {
    let (all, usage) = (commands("./ctl.sh "), usage());
    for Shown { path, words, inline } in &all {
        let shown = format!("{}: ./ctl.sh {}", path.display(), words.join(" "));
        assert!(words.first().is_some_and(|it| usage.contains(it)), "{shown}");
        // Who understands the rest.
        let (command, rest) = words.split_first().unwrap();
        match command.as_str() {
            "build" | "flash" | "monitor" => {
                let task = if command == "build" { "image" } else { command };
                let wrong = error(&[&[task.to_owned()], rest].concat(), *inline);
                assert!(wrong.is_none(), "{shown}: {}", wrong.unwrap());
            }
            "ota" => (),
            _ => assert!(rest.iter().all(|word| usage.contains(word)), "{shown}"),
        }
    }
    assert!(all.len() > 20, "{}", all.len());
    assert!(!usage.contains("dashboard") && usage.contains("--long"), "{usage:?}");
}
