//! Running other programs: quiet when they work, the telling lines when they do not.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// Lines of a failed program that are shown; compilers repeat themselves after that.
const SHOWN_LINES: usize = 40;
/// Columns of a line that are shown: rustc's command lines run to kilobytes.
const SHOWN_COLUMNS: usize = 300;

/// Runs `command` to its end and returns its output, whatever its exit status.
///
/// # Errors
/// When the program cannot be started; the message names the program and the command that repairs it.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| {
        format!(
            "cannot run `{}`: run `cargo xtask doctor` to see what is missing",
            command.get_program().display()
        )
    })
}

/// Runs `command` and returns its standard output as text.
///
/// # Errors
/// When it cannot be started or fails; the message holds the last lines of its error output.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let done = output(command)?;
    if !done.status.success() {
        bail!(
            "`{}` failed ({}):\n{}",
            command.get_program().display(),
            done.status,
            telling_lines(&String::from_utf8_lossy(&done.stderr))
        );
    }
    String::from_utf8(done.stdout).context("the program's output is not UTF-8")
}

/// The part of a program's error output that is worth a reader's time: no progress lines, no endless ones.
pub(crate) fn telling_lines(stderr: &str) -> String {
    let is_progress = |line: &str| {
        let word = line.split_whitespace().next().unwrap_or("");
        line.starts_with(' ')
            && matches!(word, "Compiling" | "Downloading" | "Downloaded" | "Updating" | "Locking")
    };
    let lines: Vec<&str> = stderr.lines().filter(|line| !is_progress(line)).collect();
    let from = lines
        .iter()
        .position(|line| line.starts_with("error"))
        .unwrap_or_else(|| lines.len().saturating_sub(SHOWN_LINES));
    let shown = lines.iter().skip(from).take(SHOWN_LINES);
    shown.map(|l| l.chars().take(SHOWN_COLUMNS).collect::<String>()).collect::<Vec<_>>().join("\n")
}

/// The last `lines` lines of a log, for a message; empty if there is no such file.
pub(crate) fn tail_of(log: &Path, lines: usize) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_dropped_and_the_first_error_leads() {
        let text = "   Compiling core v0\nwarning: w\nerror[E0308]: mismatched\n  --> a.rs:1\n";
        assert_eq!(telling_lines(text), "error[E0308]: mismatched\n  --> a.rs:1");
    }

    #[test]
    fn long_output_without_an_error_is_cut_to_its_end() {
        let text: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let shown = telling_lines(&text);
        assert_eq!(shown.lines().count(), SHOWN_LINES);
        assert!(shown.ends_with("line 99"));
    }
}
