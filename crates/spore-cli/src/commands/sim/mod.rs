//! `spore sim`.

mod arguments;
mod figures;
mod pcap;
mod plot;
mod run;
mod text;
mod trace;

pub(crate) use arguments::Sim;

use crate::misuse::Misuse;
use crate::output;
use anyhow::{Context as _, Result, anyhow, bail};
use arguments::Choice;
use figures::Group;
use run::Finished;
use std::fs;

impl Sim {
    pub(crate) fn run(self) -> Result<()> {
        let choices = self.choices()?;
        let seeds = self.seeds();
        let single = choices.len() == 1 && seeds.start + 1 == seeds.end;
        if !single && self.trace.is_some() {
            return Err(Misuse::error("--trace is about one run; choose a seed with --replay"));
        }
        if single {
            let Some(choice) = choices.into_iter().next() else { return Ok(()) };
            return self.one(&choice, seeds.start);
        }
        let mut groups = Vec::new();
        for choice in choices {
            let mut group = Group::new(&choice.label);
            run::many(&choice, seeds.clone(), self.jobs.get(), |finished| group.add(&finished))?;
            groups.push(group);
        }
        let failures = groups.iter().flat_map(|group| &group.failures);
        let failures: Vec<_> = failures.cloned().collect();
        if self.json {
            output::print_line(figures::document(&groups))?;
        } else {
            output::print(figures::table(&groups))?;
        }
        if let Some(path) = &self.plot {
            fs::write(path, plot::groups(&groups, self.sweep_key())?)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        for (label, seed, what) in failures.iter().take(10) {
            output::note(format_args!("seed {seed}: {what}\n  {}", self.repeat(label, *seed)));
        }
        match failures.len() {
            0 => Ok(()),
            count => {
                bail!("{count} of {} runs failed", groups.iter().map(Group::runs).sum::<usize>())
            }
        }
    }

    fn one(&self, choice: &Choice, seed: u64) -> Result<()> {
        let plan = choice.plan(seed);
        let trace = self.trace.as_deref().map(trace::File::create).transpose()?;
        let tells = self.replay.is_some() && !self.json;
        let Finished { outcome, worked, .. } = run::one(&plan, seed, trace.as_ref(), tells)?;
        trace.map_or(Ok(()), trace::File::finish)?;
        let repeat = self.repeat("", seed);
        let outcome = outcome.map_err(|what| anyhow!("{what}\n  {repeat}"))?;
        if self.json {
            output::print_line(text::document(&outcome))?;
        } else {
            output::print(text::report(&plan, &outcome, worked))?;
        }
        if let Some(path) = &self.plot {
            fs::write(path, plot::run(&plan, &outcome)?)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        match &outcome.failures[..] {
            [] => Ok(()),
            failures => bail!("{}\n  {repeat}", failures.join("; ")),
        }
    }
}
