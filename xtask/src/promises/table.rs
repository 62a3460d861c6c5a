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
    /// Likewise in the quick measurement, where that is another budget, of how much was tried, or another figure.
    #[serde(default)]
    quick_figures: BTreeMap<String, String>,
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
            let budget = self.budget(name, quick)?;
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

    fn budget(&self, name: &str, quick: bool) -> Result<Budget> {
        let other = self.quick_figures.get(name).filter(|_| quick);
        let budget = other.or_else(|| self.figures.get(name));
        Budget::parse(budget.with_context(|| format!("promises.toml has no figure {name}"))?)
    }

    /// Whether `cell` is what [`said`](Self::said) makes of figures that are within their budgets, perhaps with a remark in
    /// parentheses behind it.
    fn is_said(&self, cell: &str) -> bool {
        let Some((figures, rest)) = figures::read(&self.measured, cell) else { return false };
        let is_kept = |(name, value): &(String, String)| {
            let value = value.replace(',', "").parse();
            self.budget(name, false).is_ok_and(|budget| value.is_ok_and(|it| budget.holds(it)))
        };
        let is_remark = rest.starts_with(" (") && rest.ends_with(')');
        figures.iter().all(is_kept) && (rest.is_empty() || is_remark)
    }

    /// How the document says it.
    pub(super) fn said(&self, figures: &Figures) -> Result<String> {
        figures::fill(&self.measured, figures)
    }

    /// Whether the row makes sense by itself.
    fn check(&self) -> Result<()> {
        for (name, budget) in self.figures.iter().chain(&self.quick_figures) {
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

/// The document; what was not measured now is as in `recorded`, unless that is not what the promise says of its figures.
pub(super) fn document(
    (introduction, promises): &(String, Vec<Promise>),
    recorded: &BTreeMap<(String, String), String>,
) -> String {
    let mut text =
        format!("{introduction}\n| id | promise | measured | command |\n|---|---|---|---|\n");
    for promise in promises {
        let Promise { id, text: what, command, .. } = promise;
        let measured = recorded.get(&(id.clone(), command.clone()));
        let measured = measured.filter(|cell| promise.is_said(cell));
        let measured = measured.map_or("not measured yet", String::as_str);
        text += &format!("| {id} | {what} | {measured} | `{command}` |\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promise() -> Promise {
        let text = "id = 'X1'\ntext = 'x'\nmeasured = '{lost} of {all}'\ncommand = 'x'\n\
            figures = { lost = '= 0', all = '>= 1000' }\nquick_figures = { all = '>= 10' }";
        toml::from_str(text).unwrap()
    }

    fn figures(lost: &str, all: &str) -> Figures {
        vec![("lost".to_owned(), lost.to_owned()), ("all".to_owned(), all.to_owned())]
    }

    #[test]
    fn little_is_enough_in_the_quick_gate_only() {
        assert!(promise().judge(&figures("0", "10"), true).is_ok());
        assert!(promise().judge(&figures("0", "9"), true).is_err());
        assert!(promise().judge(&figures("0", "999"), false).is_err());
        assert!(promise().judge(&figures("0", "1000"), false).is_ok());
        assert!(promise().judge(&figures("1", "1000"), true).is_err());
        let mut of_fewer = promise();
        of_fewer.quick_figures.insert("of_8".to_owned(), "<= 4".to_owned());
        let printed = |of_8: &str| vec![("of_8".to_owned(), of_8.to_owned())];
        assert!(of_fewer.judge(&printed("4"), true).is_ok(), "the quick one prints others");
        assert!(of_fewer.judge(&printed("5"), true).is_err());
        assert!(
            of_fewer.judge(&figures("0", "1000"), false).is_ok(),
            "which the long one does not"
        );
    }

    #[test]
    fn what_is_on_record_is_what_the_promise_says_of_figures_that_are_kept() {
        for good in ["0 of 1,000", "0 of 4,000 (three runs)"] {
            assert!(promise().is_said(good), "{good}");
        }
        for bad in
            ["1 of 1,000", "0 of 10", "none of 1,000", "0 of 1,000 and more", "not measured yet"]
        {
            assert!(!promise().is_said(bad), "{bad}");
        }
    }
}
