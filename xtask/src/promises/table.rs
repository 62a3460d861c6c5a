//! promises.toml, where the promises stand with their budgets, and docs/promises.md, which is written from it.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::figures::{self, Budget, Figures};
use crate::paths;

/// The document, from the repository's root.
pub(super) const DOCUMENT: &str = "docs/promises.md";

/// One row of promises.toml.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Promise {
    /// Which promise; several rows may be about one.
    pub(super) id: String,
    /// What is promised.
    pub(super) text: String,
    /// The measured figures as a sentence: `{NAME}` stands for a figure.
    measured: String,
    /// What each figure that the command prints is held to; all of them must come.
    figures: BTreeMap<String, String>,
    /// What measures it.
    pub(super) command: String,
    /// The same in little time, with fewer figures or worse ones.
    pub(super) quick: Option<String>,
    /// About how long the command takes.
    #[serde(default = "one")]
    pub(super) minutes: u32,
    /// Whether it measures the time of this machine, and so has it for itself.
    #[serde(default)]
    pub(super) alone: bool,
}

fn one() -> u32 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// What stands above the table in the document.
    introduction: String,
    promise: Vec<Promise>,
}

impl Promise {
    /// Holds figures to their budgets, and says how they are.
    ///
    /// # Errors
    /// When one passes its budget, has none, or, unless this is the quick measurement, is missing.
    pub(super) fn judge(&self, figures: &Figures, quick: bool) -> Result<String> {
        let (mut said, mut worse) = (Vec::new(), Vec::new());
        for (name, value) in figures {
            let budget = self.figures.get(name);
            let budget = budget.with_context(|| format!("promises.toml has no figure {name}"))?;
            let budget = Budget::parse(budget)?;
            let line = format!("{name}={value}{budget}");
            if !budget.holds(value.parse().context("it was a number")?) {
                worse.push(line.clone());
            }
            said.push(line);
        }
        let is_there = |name: &String| figures.iter().any(|(other, _)| other == name);
        let missing: Vec<_> = self.figures.keys().filter(|name| !is_there(name)).collect();
        ensure!(worse.is_empty(), "worse than its budget: {}", worse.join(", "));
        ensure!(quick || missing.is_empty(), "these figures were not printed: {missing:?}");
        Ok(said.join(", "))
    }

    /// How the document says it.
    pub(super) fn said(&self, figures: &Figures) -> Result<String> {
        figures::fill(&self.measured, figures)
    }

    /// Whether the row makes sense by itself.
    fn check(&self) -> Result<()> {
        for (name, budget) in &self.figures {
            Budget::parse(budget).with_context(|| format!("the figure {name}"))?;
        }
        let any: Figures = self.figures.keys().map(|name| (name.clone(), "0".to_owned())).collect();
        self.said(&any)?;
        for text in [&self.text, &self.measured, &self.command] {
            ensure!(!text.contains('|') && !text.contains('\n'), "no cell of a table: {text}");
        }
        Ok(())
    }
}

/// All promises, and what stands above them in the document.
///
/// # Errors
/// When promises.toml cannot be read, or makes no sense.
pub(super) fn read() -> Result<(String, Vec<Promise>)> {
    let path = paths::repository().join("promises.toml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let table: Table = toml::from_str(&text).context("promises.toml")?;
    for promise in &table.promise {
        promise
            .check()
            .with_context(|| format!("promises.toml, {}: {}", promise.id, promise.text))?;
    }
    Ok((table.introduction, table.promise))
}

/// What the document says was measured, by promise and command.
pub(super) fn recorded(document: &str) -> BTreeMap<(String, String), String> {
    let rows = document.lines().filter(|line| line.starts_with("| "));
    let cells = rows.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect());
    let cells = cells.filter_map(|cells: Vec<&str>| match cells[..] {
        [id, _, measured, command] => {
            let command = command.trim_matches('`').to_owned();
            Some(((id.to_owned(), command), measured.to_owned()))
        }
        _ => None,
    });
    cells.collect()
}

/// The document; what was not measured now is as in `recorded`.
pub(super) fn document(
    (introduction, promises): &(String, Vec<Promise>),
    recorded: &BTreeMap<(String, String), String>,
) -> String {
    let mut text =
        format!("{introduction}\n| id | promise | measured | command |\n|---|---|---|---|\n");
    for Promise { id, text: what, command, .. } in promises {
        let measured = recorded.get(&(id.clone(), command.clone()));
        let measured = measured.map_or("not measured yet", String::as_str);
        text += &format!("| {id} | {what} | {measured} | `{command}` |\n");
    }
    text
}
