//! `GET /api/tasks` and `PATCH /api/tasks/{name}`.

use super::body::{Full, Piece};
use super::{Body, Error, Pending, Request, Response};
use crate::node::Node;
use crate::settings::document::{Document, Wanted};
use crate::tasks::scheduler::Task;
use crate::time::Instant;
use crate::wire::NodeId;
use serde::Serialize;

/// The path of a task, as the route table has it.
pub(super) const PATH: &str = "/api/tasks/{name}";

/// What the path of every task begins with; its name follows.
const PREFIX: &str = "/api/tasks/";

/// The name of the task that `path` leads to; `None` if it leads elsewhere.
pub(super) fn name(path: &str) -> Option<&str> {
    path.strip_prefix(PREFIX).filter(|name| !name.is_empty() && !name.contains('/'))
}

/// Changes a task.
pub(super) fn change(
    node: &mut Node<'_>,
    now: Instant,
    request: &Request<'_>,
) -> Result<Response, Error> {
    let name = name(request.path).ok_or(Error::NotFound)?;
    let change = Wanted::parse(Document::Task, request.body)?;
    let (index, ticket) = node.change_task(now, name, change.task)?;
    Ok(match ticket {
        None => Response::ok(Body::task(index)),
        Some(ticket) => Response::pending(Pending::Task(ticket, index)),
    })
}

/// What comes next in the list.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Open,
    Task(u8),
}

/// One task, as the API shows it.
#[derive(Serialize)]
struct TaskView {
    name: &'static str,
    /// `system` or `user`.
    kind: &'static str,
    /// `periodic`, `once`, or `event` for what comes when it comes.
    schedule: &'static str,
    summary: &'static str,
    enabled: bool,
    /// Of a task that runs once, the time after which it does.
    interval_ms: Option<u64>,
    clustered: bool,
    /// Who is to run a clustered task.
    owner: Option<NodeId>,
    running: bool,
    runs: u32,
    missed: u32,
    last_us: u32,
    longest_us: u32,
    /// In milliseconds since the start of the node.
    last_started_ms: Option<u64>,
    /// From now; 0 if it is overdue.
    next_ms: Option<u64>,
}

impl Piece<'_> {
    /// Writes the next piece of the list of tasks; what follows it, `None` at the end.
    pub(super) fn tasks(
        &mut self,
        node: &Node<'_>,
        now: Instant,
        place: Place,
    ) -> Result<Option<Place>, Full> {
        let Place::Task(index) = place else {
            self.text("{\"tasks\":[")?;
            return Ok(Some(Place::Task(0)));
        };
        let Some(view) = TaskView::new(node, now, index) else {
            self.text("]}")?;
            return Ok(None);
        };
        self.text(if index == 0 { "" } else { "," })?;
        self.json(&view)?;
        Ok(Some(Place::Task(index.saturating_add(1))))
    }

    /// Writes one task. There is no piece without one.
    pub(super) fn task(&mut self, node: &Node<'_>, now: Instant, index: u8) -> Result<(), Full> {
        TaskView::new(node, now, index).map_or(Ok(()), |view| self.json(&view))
    }
}

impl TaskView {
    fn new(node: &Node<'_>, now: Instant, index: u8) -> Option<Self> {
        let place = usize::from(index);
        let (task, state) = (node.tasks.task(place)?, node.tasks.state(place)?);
        let mut view = Self {
            name: task.name(),
            kind: "system",
            schedule: "periodic",
            summary: "",
            enabled: state.is_enabled(),
            interval_ms: Some(u64::from(state.interval_ms())),
            clustered: false,
            owner: None,
            running: state.is_running(),
            runs: state.runs(),
            missed: state.missed(),
            last_us: state.last(),
            longest_us: state.longest(),
            last_started_ms: state.began().map(|began| began.since(node.started).as_millis()),
            next_ms: None,
        };
        let mut next = state.due();
        match task {
            Task::User(spec) => {
                view.kind = "user";
                view.summary = spec.summary();
                view.schedule = if spec.is_once() { "once" } else { "periodic" };
                view.clustered = spec.is_clustered();
                view.owner = if spec.is_clustered() { node.cluster.owner(spec.id()) } else { None };
            }
            Task::System(system) => {
                view.summary = system.summary();
                let (interval, due) = node.system_pace(system);
                view.schedule = if interval.is_some() { "periodic" } else { "event" };
                view.interval_ms = interval.map(|interval| interval.as_millis());
                next = due.filter(|_| state.is_enabled());
            }
        }
        view.next_ms = next.map(|due| due.since(now).as_millis());
        Some(view)
    }
}
