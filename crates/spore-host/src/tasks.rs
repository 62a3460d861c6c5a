//! Tasks of a Linux node: commands that the operator has given, run again and again.

use crate::process::{Outcome, PATIENCE, execute};
use async_io::Timer;
use futures_lite::future::or;
use log::{debug, warn};
use spore_core::tasks::{InvalidTask, InvalidTasks, TaskKind, TaskRun, TaskSpec, Tasks};
use spore_core::time::Duration;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The most bytes that a command can write; more is a failure.
const OUTPUT_MAX: usize = 4096;

/// A task that runs a command: `NAME=SECONDS:COMMAND`, or `NAME:clustered=SECONDS:COMMAND` for one that
/// one member runs for all that have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandTask {
    spec: TaskSpec,
    command: String,
}

/// Why a text is no [`CommandTask`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidCommandTask {
    /// There is no `=`, no number and `:` behind it, or nothing behind that.
    Form,
    /// What stands behind the name's `:` is not `clustered`.
    Kind(String),
    /// The name or the interval cannot be one.
    Task(InvalidTask),
}

impl fmt::Display for InvalidCommandTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => {
                f.write_str("a task is NAME=SECONDS:COMMAND or NAME:clustered=SECONDS:COMMAND")
            }
            Self::Kind(kind) => write!(f, "a task may be clustered, not {kind}"),
            Self::Task(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for InvalidCommandTask {}

impl FromStr for CommandTask {
    type Err = InvalidCommandTask;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (task, rest) = text.split_once('=').ok_or(InvalidCommandTask::Form)?;
        let parts = rest.split_once(':').filter(|(_, command)| !command.trim().is_empty());
        let (seconds, command) = parts.ok_or(InvalidCommandTask::Form)?;
        let (name, clustered) = match task.split_once(':') {
            None => (task, false),
            Some((name, "clustered")) => (name, true),
            Some((_, kind)) => return Err(InvalidCommandTask::Kind(kind.to_owned())),
        };
        let interval = interval(seconds).ok_or(InvalidCommandTask::Form)?;
        // A node's tasks live as long as the process, of which they are a handful.
        let name = Box::leak(name.to_owned().into_boxed_str());
        let kind = TaskKind::Periodic { interval };
        let spec = TaskSpec::new(name, "Runs a command of the operator", kind);
        let spec = if clustered { spec.and_then(TaskSpec::clustered) } else { spec };
        spec.map(|spec| Self { spec, command: command.to_owned() })
            .map_err(InvalidCommandTask::Task)
    }
}

/// A number of seconds, to the millisecond.
fn interval(seconds: &str) -> Option<Duration> {
    let millis = seconds.parse::<f64>().ok()? * 1000.0;
    (0.0..1e12).contains(&millis).then(|| Duration::from_millis(millis.round() as u64))
}

/// The tasks of one node.
#[derive(Clone, Debug, Default)]
pub struct CommandTasks {
    tasks: Tasks,
    commands: Arc<[CommandTask]>,
}

impl CommandTasks {
    /// These tasks. No two may have the same name.
    pub fn new(commands: Vec<CommandTask>) -> Result<Self, InvalidTasks> {
        // As with the names, there is one for each node of a process.
        let specs = commands.iter().map(|command| command.spec).collect::<Vec<_>>().leak();
        Ok(Self { tasks: Tasks::new(specs)?, commands: commands.into() })
    }

    /// What they are to the engine.
    pub fn tasks(&self) -> Tasks {
        self.tasks
    }

    /// Runs one, once. What it writes goes to the log.
    pub(crate) async fn run(&self, hostname: &str, run: &TaskRun) {
        let Some(task) = self.commands.get(usize::from(run.index)) else { return };
        let (name, id) = (task.spec.name(), run.id.to_string());
        let variables = [("SPORE_TASK", name), ("SPORE_RUN_ID", &id)];
        let over = async {
            Timer::after(PATIENCE).await;
            Outcome::TimedOut
        };
        match or(execute(&task.command, &variables, &[], OUTPUT_MAX), over).await {
            Outcome::Done(text) => {
                let text = String::from_utf8_lossy(&text);
                debug!("{hostname}: task {name}, run {id}: {}", text.trim_end());
            }
            Outcome::TimedOut => {
                let secs = PATIENCE.as_secs();
                warn!("{hostname}: task {name}, run {id}: not over within {secs} s, killed");
            }
            Outcome::TooLong => {
                warn!("{hostname}: task {name}, run {id}: wrote more than {OUTPUT_MAX} bytes");
            }
            Outcome::Failed(complaint) => {
                warn!("{hostname}: task {name}, run {id}: {complaint}");
            }
        }
    }
}

#[cfg(test)]
#[path = "tasks_tests.rs"]
mod tests;
