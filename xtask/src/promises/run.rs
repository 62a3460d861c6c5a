//! The commands that measure promises: built, put into shards, run.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use super::figures;
use super::table::Promise;
use crate::{paths, process, toolchain};

/// One command, and the promises that it measures.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) command: &'a str,
    pub(super) promises: Vec<&'a Promise>,
}

/// What measures `promises`, each command once, the longest first.
pub(super) fn jobs<'a>(promises: &[&'a Promise], quick: bool) -> Vec<Job<'a>> {
    let mut jobs: Vec<Job<'a>> = Vec::new();
    for &promise in promises {
        let command = if quick { promise.quick.as_deref() } else { Some(&*promise.command) };
        let Some(command) = command else { continue };
        match jobs.iter_mut().find(|job| job.command == command) {
            Some(job) => job.promises.push(promise),
            None => jobs.push(Job { command, promises: vec![promise] }),
        }
    }
    jobs.sort_by_key(|job| std::cmp::Reverse(job.minutes()));
    jobs
}

/// Those of shard `index` of `count`: each job, the longest first, goes to the shard that has least to do.
pub(super) fn shard(jobs: Vec<Job<'_>>, index: usize, count: usize) -> Vec<Job<'_>> {
    let mut shards: Vec<(u32, Vec<Job<'_>>)> = (0..count).map(|_| (0, Vec::new())).collect();
    for job in jobs {
        if let Some((minutes, shard)) = shards.iter_mut().min_by_key(|(minutes, _)| *minutes) {
            *minutes += job.minutes();
            shard.push(job);
        }
    }
    shards.swap_remove(index).1
}

/// Builds the tests that the jobs run, each target once, so that they do not wait for each other.
///
/// # Errors
/// When they do not compile.
pub(super) fn build(jobs: &[Job<'_>]) -> Result<()> {
    let builds: BTreeSet<Vec<&str>> = jobs.iter().filter_map(Job::build).collect();
    for arguments in builds {
        let mut cargo = toolchain::cargo_for_host();
        cargo.current_dir(paths::repository()).args(&arguments).args(["--no-run", "--quiet"]);
        process::run(&mut cargo)?;
    }
    Ok(())
}

impl<'a> Job<'a> {
    fn minutes(&self) -> u32 {
        self.promises.iter().map(|promise| promise.minutes).max().unwrap_or(1)
    }

    pub(super) fn is_alone(&self) -> bool {
        self.promises.iter().any(|promise| promise.alone)
    }

    /// The arguments of cargo that name the tests' target, if the job is one of tests.
    fn build(&self) -> Option<Vec<&'a str>> {
        let mut words = self.command.split_whitespace().skip(1);
        let mut build = vec![words.next().filter(|word| *word == "test")?];
        while let Some(word) = words.next() {
            match word {
                "-p" | "--package" | "--test" => build.extend([word, words.next()?]),
                "--release" => build.push(word),
                _ => break,
            }
        }
        Some(build)
    }

    /// Runs it until `limit` at most, and says and returns what came of each promise: how the document says it.
    pub(super) fn run(
        &self,
        quick: bool,
        limit: Option<Instant>,
    ) -> Vec<(&'a Promise, Result<String>)> {
        let start = Instant::now();
        let output = self.output(limit);
        let seconds = start.elapsed().as_secs_f32();
        let judge = |promise: &'a Promise| {
            let id = &promise.id;
            let result = match &output {
                Ok(output) => figures::parse(output, id)
                    .and_then(|figures| Ok((promise.judge(&figures, quick)?, figures))),
                Err(error) => Err(anyhow::format_err!("{error:#}")),
            };
            let result = result.and_then(|(said, figures)| {
                println!("{id:<3} kept: {said} ({seconds:.0} s)");
                if quick { Ok(said) } else { promise.said(&figures) }
            });
            if let Err(error) = &result {
                println!(
                    "{id:<3} NOT KEPT: {error:#}\n    repeat it with: {} ({seconds:.0} s)",
                    self.command
                );
            }
            (promise, result)
        };
        self.promises.iter().copied().map(judge).collect()
    }

    /// What it prints.
    fn output(&self, limit: Option<Instant>) -> Result<String> {
        let words: Vec<&str> = self.command.split_whitespace().collect();
        let mut command = match words[..] {
            ["cargo", "xtask", ref arguments @ ..] => {
                // This program, which is built.
                let mut xtask = Command::new(std::env::current_exe()?);
                xtask.args(arguments);
                xtask
            }
            ["cargo", ref arguments @ ..] => {
                let mut cargo = toolchain::cargo_for_host();
                cargo.args(arguments);
                cargo
            }
            _ => bail!("`{}` is no command of cargo", self.command),
        };
        let output = process::output_before(command.current_dir(paths::repository()), limit)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let complained = String::from_utf8_lossy(&output.stderr);
            let last =
                said.lines().filter(|line| line.contains("panicked") || line.contains("error"));
            let last: Vec<&str> = last.collect();
            bail!(
                "the command failed:\n{}\n{}",
                last.join("\n"),
                process::telling_lines(&complained)
            );
        }
        Ok(said)
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn every_job_is_in_one_shard_and_shards_are_about_as_long() {
        let (_, promises) = table::read().unwrap();
        let promises: Vec<_> = promises.iter().collect();
        for count in 1..5 {
            let shards: Vec<_> =
                (0..count).map(|n| shard(jobs(&promises, false), n, count)).collect();
            let mut commands: Vec<_> = shards.iter().flatten().map(|job| job.command).collect();
            commands.sort_unstable();
            let mut all: Vec<_> = jobs(&promises, false).iter().map(|job| job.command).collect();
            all.sort_unstable();
            assert_eq!(commands, all);
            let minutes = |shard: &Vec<Job<'_>>| shard.iter().map(Job::minutes).sum::<u32>();
            let longest = promises.iter().map(|promise| promise.minutes).max().unwrap();
            let (least, most) =
                (shards.iter().map(minutes).min(), shards.iter().map(minutes).max());
            assert!(most.unwrap() <= least.unwrap() + longest);
        }
    }

    #[test]
    fn a_command_that_measures_two_promises_runs_once() {
        let (_, promises) = table::read().unwrap();
        let soaks: Vec<_> = promises.iter().filter(|it| it.command == "cargo xtask soak").collect();
        assert_eq!(jobs(&soaks, false).len(), 1);
        assert!(soaks.len() > 1);
    }

    #[test]
    fn tests_are_built_without_their_names() {
        let command = "cargo test --release -p a --test b name_long -- --ignored";
        let job = Job { command, promises: Vec::new() };
        assert_eq!(job.build().unwrap(), ["test", "--release", "-p", "a", "--test", "b"]);
        assert_eq!(Job { command: "cargo xtask soak", promises: Vec::new() }.build(), None);
    }
}
