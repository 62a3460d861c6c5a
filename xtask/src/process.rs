//! Running other programs: quiet when they work, the telling lines when they do not.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Lines of a failed program that are shown; compilers repeat themselves after that.
const SHOWN_LINES: usize = 40;
/// How often it is looked whether a program that has a limit is done.
const LOOK: Duration = Duration::from_millis(100);
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

/// Runs `command` to its end and returns its output, whatever its exit status. At `limit`, if there is one, it is killed.
///
/// # Errors
/// When the program cannot be started, or is not done in time.
pub(crate) fn output_before(command: &mut Command, limit: Option<Instant>) -> Result<Output> {
    let name = command.get_program().display().to_string();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run `{name}`"))?;
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    // Who does not read what a program says makes it wait.
    let status = thread::scope(|scope| {
        scope.spawn(|| out.as_mut().map(|out| out.read_to_end(&mut stdout)));
        scope.spawn(|| err.as_mut().map(|err| err.read_to_end(&mut stderr)));
        let Some(limit) = limit else { return Ok(child.wait()?) };
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= limit {
                child.kill().and_then(|()| child.wait()).context("cannot end it")?;
                bail!("`{name}` was not done when its time was over");
            }
            thread::sleep(LOOK);
        }
    })?;
    Ok(Output { status, stdout, stderr })
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
    fn what_takes_too_long_is_ended_and_what_does_not_is_heard() {
        let start = Instant::now();
        let mut sleep = Command::new("sleep");
        let error = output_before(sleep.arg("60"), Some(start + LOOK)).unwrap_err().to_string();
        assert!(error.contains("`sleep` was not done"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(30));
        let mut echo = Command::new("echo");
        let done = output_before(echo.arg("word"), None).unwrap();
        assert!(done.status.success());
        assert_eq!(done.stdout, b"word\n");
    }

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
