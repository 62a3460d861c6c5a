//! What the commands of the promises run: tests and checks that exist, each of them once.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};

use super::table::Promise;

/// The filter of nextest for all tests but those that measure promises in the quick gate.
///
/// # Errors
/// When one of their commands is not of tests.
pub(super) fn others(promises: &[Promise]) -> Result<String> {
    let quick: BTreeSet<&str> = promises.iter().filter_map(|it| it.quick.as_deref()).collect();
    let mut sets = Vec::new();
    for command in quick {
        let words: Vec<&str> = command.split_whitespace().collect();
        let ["cargo", "test", arguments @ ..] = &words[..] else { continue };
        let Tests { package, file, filter, .. } = Tests::parse(arguments)?;
        let package = package.context("no package is named")?;
        let filter = filter.context("no test is named")?;
        let file = file.map(|file| format!(" and binary(={file})")).unwrap_or_default();
        sets.push(format!("package(={package}){file} and test(~{filter})"));
    }
    Ok(format!("not ({})", sets.join(" or ")))
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

#[cfg(test)]
#[path = "commands_tests.rs"]
mod tests;
