//! What a task is, as its program declares it.

use super::USER_TASKS_MAX;
use super::system::System;
#[cfg(doc)]
use crate::services::Service;
use crate::services::{self, ServiceId, fnv};
use crate::time::Duration;
use core::fmt;

/// When a task is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// Again and again.
    Periodic {
        /// From one due time to the next: [`TaskSpec::INTERVAL_MIN`] to [`TaskSpec::INTERVAL_MAX`].
        interval: Duration,
    },
    /// Once after each start of the node, or after the task was enabled.
    OneShot {
        /// After so long; within the same bounds.
        after: Duration,
    },
}

/// A task of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TaskSpec {
    name: &'static str,
    summary: &'static str,
    interval_ms: u32,
    once: bool,
    enabled: bool,
    clustered: bool,
}

/// Why something cannot be a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidTask {
    /// The name has another length than 1 to [`Service::NAME_MAX`], a character other than `a` to
    /// `z`, `0` to `9` and `-`, or does not begin with a letter.
    Name,
    /// The summary is longer than [`Service::SUMMARY_MAX`] bytes, or has a character other than
    /// printable ASCII without `"` and `\`.
    Summary,
    /// The interval is out of bounds, or is not a whole number of milliseconds.
    Interval,
    /// A task that runs once cannot be clustered: when its owner dies, nobody knows whether it ran.
    ClusteredOnce,
}

impl fmt::Display for InvalidTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => {
                "a task's name has 1 to 24 characters of a-z, 0-9 and '-', the first a letter"
            }
            Self::Summary => {
                "a task's summary has at most 64 printable ASCII characters but no \" and \\"
            }
            Self::Interval => "a task's interval is 10 ms to 7 days, in whole milliseconds",
            Self::ClusteredOnce => "a task that runs once cannot be clustered",
        })
    }
}

impl core::error::Error for InvalidTask {}

impl TaskSpec {
    /// The shortest interval.
    pub const INTERVAL_MIN: Duration = Duration::from_millis(10);
    /// The longest interval: 7 days.
    pub const INTERVAL_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

    /// The task `name`, enabled, and run by each node that has it.
    ///
    /// # Errors
    ///
    /// If the name, the summary or the interval is not as it must be. Names follow the rules of
    /// [services](Service::new).
    pub const fn new(
        name: &'static str,
        summary: &'static str,
        kind: TaskKind,
    ) -> Result<Self, InvalidTask> {
        if !services::is_name(name) {
            return Err(InvalidTask::Name);
        }
        if !services::is_summary(summary) {
            return Err(InvalidTask::Summary);
        }
        let (span, once) = match kind {
            TaskKind::Periodic { interval } => (interval, false),
            TaskKind::OneShot { after } => (after, true),
        };
        match millis(span) {
            Some(interval_ms) => {
                Ok(Self { name, summary, interval_ms, once, enabled: true, clustered: false })
            }
            None => Err(InvalidTask::Interval),
        }
    }

    /// The task, disabled until it is enabled through the API.
    #[must_use]
    pub const fn disabled(self) -> Self {
        Self { enabled: false, ..self }
    }

    /// The task, run by one member of all that have it.
    ///
    /// # Errors
    ///
    /// If it runs once.
    pub const fn clustered(self) -> Result<Self, InvalidTask> {
        if self.once {
            return Err(InvalidTask::ClusteredOnce);
        }
        Ok(Self { clustered: true, ..self })
    }

    /// Whether an interval may be so many milliseconds.
    pub(crate) const fn takes_interval(interval_ms: u32) -> bool {
        millis(Duration::from_millis(u64_of(interval_ms))).is_some()
    }

    /// What stands for it between members, if it is clustered.
    pub const fn id(&self) -> ServiceId {
        ServiceId::of_task(self.name)
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What it does, in a few words.
    pub const fn summary(&self) -> &'static str {
        self.summary
    }

    /// Its interval, or the time after which it runs once, in milliseconds.
    pub const fn interval_ms(&self) -> u32 {
        self.interval_ms
    }

    /// Whether it runs once.
    pub const fn is_once(&self) -> bool {
        self.once
    }

    /// Whether it is enabled unless it is disabled through the API.
    pub const fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Whether one member runs it for all.
    pub const fn is_clustered(&self) -> bool {
        self.clustered
    }
}

/// `span` in milliseconds, if a task can have it.
const fn millis(span: Duration) -> Option<u32> {
    let (micros, millis) = (span.as_micros(), span.as_millis());
    let min = TaskSpec::INTERVAL_MIN.as_millis();
    let max = TaskSpec::INTERVAL_MAX.as_millis();
    if micros != Duration::from_millis(millis).as_micros() || millis < min || millis > max {
        return None;
    }
    match millis.to_be_bytes() {
        [0, 0, 0, 0, a, b, c, d] => Some(u32::from_be_bytes([a, b, c, d])),
        _ => None,
    }
}

/// Widens, where a trait cannot be called.
const fn u64_of(value: u32) -> u64 {
    let [a, b, c, d] = value.to_be_bytes();
    u64::from_be_bytes([0, 0, 0, 0, a, b, c, d])
}

/// All tasks of a program: at most [`USER_TASKS_MAX`], with different names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tasks(&'static [TaskSpec]);

/// Why a node cannot have these tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidTasks {
    /// There are more than [`USER_TASKS_MAX`].
    TooMany,
    /// Two have the same name, one is called as one of the [system's](super::system), or different
    /// names have the same id; this is one of them.
    SameName(&'static str),
}

impl fmt::Display for InvalidTasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => write!(f, "a node has at most {USER_TASKS_MAX} tasks of its own"),
            Self::SameName(name) => {
                write!(f, "two tasks are called {name}, or have the same id as it; rename one")
            }
        }
    }
}

impl core::error::Error for InvalidTasks {}

impl Tasks {
    /// No tasks.
    pub const EMPTY: Self = Self(&[]);

    /// `specs`, if one node can have them all.
    pub const fn new(specs: &'static [TaskSpec]) -> Result<Self, InvalidTasks> {
        match check(specs) {
            Ok(()) => Ok(Self(specs)),
            Err(error) => Err(error),
        }
    }

    /// Tasks that were [checked](check).
    pub(crate) const fn of_checked(specs: &'static [TaskSpec]) -> Self {
        Self(specs)
    }

    /// The tasks, in the order in which they were given.
    pub const fn specs(&self) -> &'static [TaskSpec] {
        self.0
    }

    /// Whether the clustered ones find room for their ids beside so many services.
    pub fn fit_beside(&self, services: usize) -> bool {
        let clustered = self.0.iter().filter(|spec| spec.clustered).count();
        clustered.saturating_add(services) <= services::MAX_SERVICES
    }
}

/// Whether one node can have all these tasks.
pub(crate) const fn check(specs: &[TaskSpec]) -> Result<(), InvalidTasks> {
    if specs.len() > USER_TASKS_MAX {
        return Err(InvalidTasks::TooMany);
    }
    let mut rest = specs;
    while let [spec, tail @ ..] = rest {
        // The highest bit tells tasks from services, so ids have the other 31.
        let id = fnv(spec.name) << 1;
        let mut system = System::ALL.as_slice();
        while let [own, more @ ..] = system {
            if id == fnv(own.name()) << 1 {
                return Err(InvalidTasks::SameName(spec.name));
            }
            system = more;
        }
        let mut others = tail;
        while let [other, more @ ..] = others {
            if id == fnv(other.name) << 1 {
                return Err(InvalidTasks::SameName(spec.name));
            }
            others = more;
        }
        rest = tail;
    }
    Ok(())
}
