//! `cargo xtask promises`: each promise is measured by its command, and held to its budget.

mod commands;
mod figures;
mod run;
mod table;

use std::collections::BTreeSet;
use std::fs;
use std::str::FromStr;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::paths;
use run::Job;
use table::{DOCUMENT, Promise, document, recorded};

/// No shard of the nightly measurement may take longer.
const SHARD: Duration = Duration::from_secs(80 * 60);

/// Measure the promises, and hold them to their budgets.
///
/// A row of promises.toml is measured by the command in it, which prints a line `promise ID NAME=NUMBER …`. Without
/// `--quick`, docs/promises.md is written anew with what was measured.
#[derive(Args)]
pub(crate) struct Promises {
    /// These promises only, such as C1 [default: all].
    ids: Vec<String>,
    /// Measure what can be measured in little time, with fewer seeds; part of the quick gate.
    #[arg(long, conflicts_with_all = ["nightly", "shard"])]
    quick: bool,
    /// Measure all, in at most 80 minutes for each shard.
    #[arg(long)]
    nightly: bool,
    /// Measure the I-th of N shards.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// How many commands run at once; those that measure the time of this machine run alone.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// Measure nothing; bring the document up to date with promises.toml.
    #[arg(long, conflicts_with_all = ["quick", "nightly", "shard", "ids"])]
    write: bool,
    /// Measure nothing; print the filter of nextest that leaves out what `--quick` runs.
    #[arg(long, conflicts_with_all = ["quick", "nightly", "shard", "ids", "write"])]
    others: bool,
}

/// One of several shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shard {
    /// From 0.
    index: usize,
    count: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(index, count)| {
            Some((index.parse::<usize>().ok()?, count.parse::<usize>().ok()?))
        });
        match numbers {
            Some((index, count)) if (1..=count).contains(&index) => {
                Ok(Self { index: index - 1, count })
            }
            _ => Err("a shard is I/N, with I from 1 to N".to_owned()),
        }
    }
}

impl Promises {
    /// Measures.
    ///
    /// # Errors
    /// When a command fails, a figure is worse than its budget, or there is no such promise. What could be measured is in
    /// the document all the same.
    pub(crate) fn run(self) -> Result<()> {
        let (introduction, promises) = table::read()?;
        for id in &self.ids {
            ensure!(promises.iter().any(|promise| promise.id == *id), "there is no promise {id}");
        }
        if self.others {
            println!("{}", commands::others(&promises)?);
            return Ok(());
        }
        let path = paths::repository().join(DOCUMENT);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {DOCUMENT}"))?;
        let mut measured = recorded(&text);
        let all = (introduction, promises);
        if self.write {
            fs::write(&path, document(&all, &measured))?;
            return Ok(());
        }
        let started = Instant::now();
        let chosen: Vec<&Promise> = all.1.iter().filter(|it| self.is_chosen(it)).collect();
        let mut jobs = run::jobs(&chosen, self.quick);
        if let Some(shard) = self.shard {
            jobs = run::shard(jobs, shard.index, shard.count);
        }
        ensure!(!jobs.is_empty(), "there is nothing to measure");
        run::build(&jobs)?;
        let limit = self.nightly.then(|| started + SHARD);
        let (count, done) = (jobs.len(), self.measure(jobs, limit));
        let mut failed = BTreeSet::new();
        for (promise, result) in done {
            match result {
                Ok(said) => {
                    drop(measured.insert((promise.id.clone(), promise.command.clone()), said));
                }
                Err(_) => drop(failed.insert(promise.id.as_str())),
            }
        }
        if !self.quick {
            fs::write(&path, document(&all, &measured))?;
        }
        let seconds = started.elapsed().as_secs_f32();
        if !failed.is_empty() {
            bail!("not kept: {failed:?} ({count} commands, {seconds:.0} s)");
        }
        println!("promises: all kept ({count} commands, {seconds:.0} s)");
        Ok(())
    }

    fn is_chosen(&self, promise: &Promise) -> bool {
        (self.ids.is_empty() || self.ids.contains(&promise.id))
            && (!self.quick || promise.quick.is_some())
    }

    /// Runs the jobs, and says what came of each as it ends: first those that may run beside each other.
    fn measure<'a>(
        &self,
        jobs: Vec<Job<'a>>,
        limit: Option<Instant>,
    ) -> Vec<(&'a Promise, Result<String>)> {
        let (alone, beside): (Vec<_>, Vec<_>) = jobs.into_iter().partition(Job::is_alone);
        let done = Mutex::new(Vec::new());
        for (jobs, at_once) in [(beside, self.jobs), (alone, 1)] {
            // The longest first.
            let queue = Mutex::new(jobs.into_iter());
            let work = || {
                loop {
                    let Some(job) = queue.lock().ok().and_then(|mut queue| queue.next()) else {
                        return;
                    };
                    let results = job.run(self.quick, limit);
                    if let Ok(mut done) = done.lock() {
                        done.extend(results);
                    }
                }
            };
            thread::scope(|scope| (0..at_once).for_each(|_| drop(scope.spawn(work))));
        }
        done.into_inner().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_one_of_its_count() {
        assert_eq!("2/3".parse(), Ok(Shard { index: 1, count: 3 }));
        for wrong in ["0/3", "4/3", "1", "a/b", "1/0", "-1/3"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_document_is_that_of_the_table() {
        let text = fs::read_to_string(paths::repository().join(DOCUMENT)).unwrap();
        let table = table::read().unwrap();
        let written = document(&table, &recorded(&text));
        assert!(written == text, "`cargo xtask promises --write` brings {DOCUMENT} up to date");
    }
}
