//! `GET /metrics`: figures as Prometheus reads them (text exposition format 0.0.4).

use super::body::{Full, Piece};
use crate::cluster::Status;
use crate::node::{Node, Traffic};
use crate::sprockets::State;
use crate::tasks::TaskState;
use crate::time::Instant;

/// A family of figures; each is one piece of the document.
#[derive(Clone, Copy, Debug)]
pub(super) enum Metric {
    Build,
    Uptime,
    FreeMemory,
    Claimed,
    Settings,
    Members,
    Datagrams,
    Requests,
    /// The runs of the task at this place in the list.
    TaskRuns(u8),
    /// Its missed due times.
    TasksMissed(u8),
    /// Whether the sprocket at this place runs.
    Sprockets(u8),
}

impl Metric {
    pub(super) const FIRST: Self = Self::Build;

    const fn next(self) -> Option<Self> {
        match self {
            Self::Build => Some(Self::Uptime),
            Self::Uptime => Some(Self::FreeMemory),
            Self::FreeMemory => Some(Self::Claimed),
            Self::Claimed => Some(Self::Settings),
            Self::Settings => Some(Self::Members),
            Self::Members => Some(Self::Datagrams),
            Self::Datagrams => Some(Self::Requests),
            Self::Requests => Some(Self::TaskRuns(0)),
            Self::TaskRuns(_) => Some(Self::TasksMissed(0)),
            Self::TasksMissed(_) => Some(Self::Sprockets(0)),
            Self::Sprockets(_) => None,
        }
    }
}

impl Piece<'_> {
    /// Writes one family, and says which comes after it.
    pub(super) fn metric(
        &mut self,
        node: &Node<'_>,
        now: Instant,
        metric: Metric,
    ) -> Result<Option<Metric>, Full> {
        match metric {
            Metric::Build => {
                self.family("spore_build_info", "gauge", "The program that runs.")?;
                // Neither text has a character that would have to be escaped.
                self.text("spore_build_info{version=\"")?;
                self.text(node.facts.version)?;
                self.text("\",board=\"")?;
                self.text(node.facts.board)?;
                self.text("\"} 1\n")?;
            }
            Metric::Uptime => {
                let uptime = now.since(node.started).as_secs();
                self.single("spore_uptime_seconds", "gauge", "Time since the start.", uptime)?;
            }
            Metric::FreeMemory => {
                let free = node.resources.free_memory;
                self.single("spore_free_memory_bytes", "gauge", "Memory that is left.", free)?;
            }
            Metric::Claimed => {
                let claimed = u64::from(node.is_claimed());
                let help = "1 if the node has a cluster key.";
                self.single("spore_claimed", "gauge", help, claimed)?;
            }
            Metric::Settings => {
                let version = u64::from(node.settings.current().version);
                let help = "How often the settings were changed.";
                self.single("spore_settings_version", "gauge", help, version)?;
            }
            Metric::Members => self.members_by_status(node)?,
            Metric::Datagrams => self.datagrams(node.traffic())?,
            Metric::Requests => self.requests(node)?,
            Metric::TaskRuns(index) => {
                let (name, help) = ("spore_task_runs_total", "Runs of tasks.");
                if self.of_task(node, index, name, help, TaskState::runs)? {
                    return Ok(Some(Metric::TaskRuns(index.saturating_add(1))));
                }
            }
            Metric::TasksMissed(index) => {
                let (name, help) = ("spore_task_missed_total", "Due times of tasks missed.");
                if self.of_task(node, index, name, help, TaskState::missed)? {
                    return Ok(Some(Metric::TasksMissed(index.saturating_add(1))));
                }
            }
            Metric::Sprockets(index) => {
                if self.sprocket_runs(node, index)? {
                    return Ok(Some(Metric::Sprockets(index.saturating_add(1))));
                }
            }
        }
        Ok(metric.next())
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) -> Result<(), Full> {
        for text in ["# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n"] {
            self.text(text)?;
        }
        Ok(())
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: u64) -> Result<(), Full> {
        self.family(name, kind, help)?;
        self.text(name)?;
        self.text(" ")?;
        self.json(&value)?;
        self.text("\n")
    }

    /// `name{label="of"} value`
    fn sample(&mut self, name: &str, label: &str, of: &str, value: u64) -> Result<(), Full> {
        for text in [name, "{", label, "=\"", of, "\"} "] {
            self.text(text)?;
        }
        self.json(&value)?;
        self.text("\n")
    }

    fn members_by_status(&mut self, node: &Node<'_>) -> Result<(), Full> {
        let name = "spore_members";
        self.family(name, "gauge", "Members by status, this node included.")?;
        for status in [Status::Active, Status::Suspect, Status::Dead, Status::Left] {
            let others = node.members().iter().filter(|member| member.status() == status).count();
            let own = u64::from(status == Status::Active);
            let count = u64::try_from(others).unwrap_or(u64::MAX).saturating_add(own);
            self.sample(name, "status", status.name(), count)?;
        }
        Ok(())
    }

    fn datagrams(&mut self, traffic: Traffic) -> Result<(), Full> {
        let name = "spore_datagrams_total";
        self.family(name, "counter", "Datagrams by what became of them.")?;
        let Traffic { sent, accepted, unauthentic, malformed, replayed, unverified, overflowed } =
            traffic;
        for (outcome, count) in [
            ("sent", sent),
            ("accepted", accepted),
            ("unauthentic", unauthentic),
            ("malformed", malformed),
            ("replayed", replayed),
            ("unverified", unverified),
            ("overflowed", overflowed),
        ] {
            self.sample(name, "outcome", outcome, u64::from(count))?;
        }
        Ok(())
    }

    /// A figure of one task, in a piece of its own. False if there is no such task.
    fn of_task(
        &mut self,
        node: &Node<'_>,
        index: u8,
        name: &str,
        help: &str,
        figure: fn(&TaskState) -> u32,
    ) -> Result<bool, Full> {
        let place = usize::from(index);
        let (Some(task), Some(state)) = (node.tasks.task(place), node.tasks.state(place)) else {
            return Ok(false);
        };
        if index == 0 {
            self.family(name, "counter", help)?;
        }
        self.sample(name, "task", task.name(), u64::from(figure(state)))?;
        Ok(true)
    }

    /// Whether one sprocket runs. False if there is no such sprocket.
    fn sprocket_runs(&mut self, node: &Node<'_>, index: u8) -> Result<bool, Full> {
        let Some((manifest, state, _)) = node.sprockets.get(usize::from(index)) else {
            return Ok(false);
        };
        let name = "spore_sprocket_running";
        if index == 0 {
            self.family(name, "gauge", "1 if the sprocket runs, 0 if it was stopped.")?;
        }
        self.sample(name, "sprocket", manifest.name(), u64::from(state == State::Running))?;
        Ok(true)
    }

    fn requests(&mut self, node: &Node<'_>) -> Result<(), Full> {
        let name = "spore_http_requests_total";
        self.family(name, "counter", "HTTP requests by how they were answered.")?;
        let answers = node.answers;
        for (outcome, count) in [
            ("successful", answers.successful),
            ("client_error", answers.client_errors),
            ("refused", answers.refused),
            ("server_error", answers.server_errors),
        ] {
            self.sample(name, "outcome", outcome, u64::from(count))?;
        }
        Ok(())
    }
}
