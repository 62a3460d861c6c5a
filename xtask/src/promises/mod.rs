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
/// Nor the quick one, when all is compiled.
const QUICK: Duration = Duration::from_secs(5 * 60);

/// Measure the promises, and hold them to their budgets.
///
/// A row of promises.toml is measured by the command in it, which prints a line `promise ID NAME=NUMBER …`. Without
/// `--quick`, docs/promises.md is written anew with what was measured.
#[derive(Args)]
pub(crate) struct Promises {
    /// These promises only, such as C1, or C4/2 for its second row [default: all].
    ids: Vec<String>,
    /// Measure what can be measured in five minutes, with fewer seeds; part of the quick gate.
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
            let is_one = |index| is_row(&promises, index, id);
            ensure!((0..promises.len()).any(is_one), "there is no promise {id}");
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
        let chosen = (0..all.1.len()).filter(|index| self.is_chosen(&all.1, *index));
        let chosen: Vec<&Promise> = chosen.map(|index| &all.1[index]).collect();
        let mut jobs = run::jobs(&chosen, self.quick);
        if let Some(shard) = self.shard {
            jobs = run::shard(jobs, shard.index, shard.count);
        }
        ensure!(!jobs.is_empty(), "there is nothing to measure");
        run::build(&jobs)?;
        let limit = match (self.nightly, self.quick) {
            (true, _) => Some(started + SHARD),
            (_, true) => Some(Instant::now() + QUICK),
            _ => None,
        };
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

    fn is_chosen(&self, promises: &[Promise], index: usize) -> bool {
        (self.ids.is_empty() || self.ids.iter().any(|id| is_row(promises, index, id)))
            && (!self.quick || promises[index].quick.is_some())
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

/// Whether a row is one of promise `C4`, or the one that is meant by `C4/2`.
fn is_row(promises: &[Promise], index: usize, name: &str) -> bool {
    let (id, number) = name.split_once('/').map_or((name, None), |(id, number)| (id, Some(number)));
    let before = promises[..index].iter().filter(|promise| promise.id == id).count();
    promises[index].id == id && number.is_none_or(|number| number.parse() == Ok(before + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_is_chosen_whole_or_by_a_row() {
        let promises = table::read().unwrap().1;
        let chosen = |name: &str| {
            let rows = (0..promises.len()).filter(|index| is_row(&promises, *index, name));
            rows.map(|index| &*promises[index].text).collect::<Vec<_>>()
        };
        let all = chosen("C4");
        assert!(all.len() > 1);
        assert_eq!(chosen("C4/2"), all[1..2]);
        for none in ["C4/0", "C4/99", "C4/", "C4/x", "C", ""] {
            assert!(chosen(none).is_empty(), "{none}");
        }
    }

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
