//! The scheduler: which task is to run now, and what came of it.

use super::change::{STRANGERS_MAX, Saved, TaskChange};
use super::state::TaskState;
use super::system::System;
use super::{SETTLING, TASKS_MAX, TaskSpec, Tasks};
use crate::api::Error;
use crate::node::Event;
use crate::place::Place;
use crate::services::fnv;
use crate::settings::commit::{Commit, Ticket};
use crate::time::{Duration, Instant, earliest};
use crate::wire::{Full, Writer};
use heapless::{Vec, VecView};

/// Between two events about overruns.
const OVERRUNS_PAUSE: Duration = Duration::from_secs(10);

/// The memory of a scheduler.
pub(crate) struct TaskStorage {
    states: Vec<TaskState, TASKS_MAX>,
    strangers: Vec<Saved, STRANGERS_MAX>,
    commit: Place<Commit>,
}

impl TaskStorage {
    pub(crate) const NEW: Self =
        Self { states: Vec::new(), strangers: Vec::new(), commit: Place::Empty };
}

/// All tasks of a node.
#[derive(Debug)]
pub(crate) struct Scheduler<'a> {
    tasks: Tasks,
    /// First the system's, then the program's.
    states: &'a mut VecView<TaskState>,
    /// What is remembered of tasks that the program does not have.
    strangers: &'a mut VecView<Saved>,
    commit: &'a mut Commit,
    wish: Option<Wish>,
    /// The system tasks that ran within the last verb, a bit each.
    worked: u8,
    /// Since when the node could have heard of others.
    settling: Instant,
    /// When an overrun was last told of.
    overrun: Option<Instant>,
}

/// A change of a task that is not durable yet.
#[derive(Clone, Copy, Debug)]
struct Wish {
    /// Its place in the list.
    index: usize,
    enabled: bool,
    interval_ms: u32,
    run: bool,
}

/// One task of the list.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Task {
    System(System),
    User(&'static TaskSpec),
}

impl Task {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::System(system) => system.name(),
            Self::User(spec) => spec.name(),
        }
    }

    /// Whether it is enabled, and its interval in milliseconds, if nobody has changed it.
    const fn defaults(self) -> (bool, u32) {
        match self {
            Self::System(_) => (true, 0),
            Self::User(spec) => (spec.is_enabled(), spec.interval_ms()),
        }
    }

    const fn takes_interval(self, interval_ms: u32) -> bool {
        match self {
            Self::System(_) => System::takes_interval(interval_ms),
            Self::User(_) => TaskSpec::takes_interval(interval_ms),
        }
    }
}

/// What became of a change that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// Nothing is to be stored. If true, the task is to run now.
    Done(bool),
    /// It is in force when it is stored.
    Pending(Ticket),
}

impl<'a> Scheduler<'a> {
    /// The tasks of a node that starts now, with what was `stored` of them.
    pub(crate) fn new(
        now: Instant,
        tasks: Tasks,
        stored: &[u8],
        storage: &'a mut TaskStorage,
    ) -> Self {
        let TaskStorage { states, strangers, commit } = storage;
        let (states, strangers) = (states.as_mut_view(), strangers.as_mut_view());
        states.clear();
        strangers.clear();
        for _ in System::ALL {
            // There is room for all.
            let _ = states.push(TaskState::new(now, true, 0));
        }
        for spec in tasks.specs() {
            let mut state = TaskState::new(now, spec.is_enabled(), spec.interval_ms());
            state.arm(now);
            let _ = states.push(state);
        }
        let mut this = Self {
            tasks,
            states,
            strangers,
            commit: commit.put(Commit::new),
            wish: None,
            worked: 0,
            settling: now,
            overrun: None,
        };
        Saved::decode(stored, |saved| this.remember(now, saved));
        this
    }

    /// Puts in force what was stored of a task.
    fn remember(&mut self, now: Instant, saved: Saved) {
        let known = (0..self.len()).find_map(|index| {
            self.task(index).filter(|task| fnv(task.name()) == saved.name).map(|task| (index, task))
        });
        let Some((index, task)) = known else {
            // Those for which there is no room are forgotten with the next change.
            let _ = self.strangers.push(saved);
            return;
        };
        let (enabled, interval_ms) = task.defaults();
        let enabled = saved.enabled.unwrap_or(enabled);
        let interval_ms =
            if task.takes_interval(saved.interval_ms) { saved.interval_ms } else { interval_ms };
        self.configure(now, index, enabled, interval_ms);
    }

    fn configure(&mut self, now: Instant, index: usize, enabled: bool, interval_ms: u32) {
        let system = index < System::ALL.len();
        match self.states.get_mut(index) {
            Some(state) if system => state.set_system(enabled, interval_ms),
            Some(state) => state.configure(now, enabled, interval_ms),
            None => (),
        }
    }

    /// The program's tasks.
    pub(crate) const fn tasks(&self) -> Tasks {
        self.tasks
    }

    /// How many tasks there are.
    pub(crate) fn len(&self) -> usize {
        self.states.len()
    }

    /// The task at this place in the list.
    pub(crate) fn task(&self, index: usize) -> Option<Task> {
        match System::ALL.get(index) {
            Some(system) => Some(Task::System(*system)),
            None => {
                let index = index.checked_sub(System::ALL.len())?;
                self.tasks.specs().get(index).map(Task::User)
            }
        }
    }

    /// The state of the task at this place in the list.
    pub(crate) fn state(&self, index: usize) -> Option<&TaskState> {
        self.states.get(index)
    }

    /// The state of a task of the program.
    pub(crate) fn user_state(&self, index: u8) -> Option<&TaskState> {
        self.states.get(place(index))
    }

    /// The place in the list of the task that is called `name`.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        (0..self.len()).find(|index| self.task(*index).is_some_and(|task| task.name() == name))
    }

    /// Whether a system task is enabled, and the interval that was set for it.
    pub(crate) fn system(&self, system: System) -> (bool, Option<Duration>) {
        let Some(state) = self.states.get(system.index()) else { return (true, None) };
        let set = Some(state.interval_ms()).filter(|millis| *millis != 0);
        (state.is_enabled(), set.map(|millis| Duration::from_millis(u64::from(millis))))
    }

    /// The clustered tasks that this node is ready to run.
    pub(crate) fn carried(&self) -> impl Iterator<Item = &'static TaskSpec> {
        let user = self.states.get(System::ALL.len()..).unwrap_or_default();
        self.tasks
            .specs()
            .iter()
            .zip(user)
            .filter(|(spec, state)| {
                spec.is_clustered() && state.is_enabled() && !state.is_stopped()
            })
            .map(|(spec, _)| spec)
    }

    /// Runs no clustered task for a while.
    pub(crate) const fn settle(&mut self, now: Instant) {
        self.settling = now;
    }

    /// The task of the program that is to run now, if one is: one that was asked for, or the one that
    /// has been due longest, so that none starves. `owns` tells whether this node is to run a clustered one.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        owns: impl Fn(&'static TaskSpec) -> bool,
    ) -> Option<u8> {
        let settled = now.since(self.settling) >= SETTLING;
        let user = self.states.get_mut(System::ALL.len()..).unwrap_or_default();
        for (index, state) in (0u8..).zip(user.iter_mut()) {
            if state.take_asked() {
                state.begin(now);
                return Some(index);
            }
        }
        // Each due time that is not run here is over then, so this ends.
        loop {
            let due = |state: &TaskState| state.wake().filter(|due| *due <= now);
            let waiting = user.iter().enumerate();
            let (index, _) = waiting
                .filter_map(|(index, state)| Some((index, due(state)?)))
                .min_by_key(|(_, due)| *due)?;
            let (spec, state) = (self.tasks.specs().get(index)?, user.get_mut(index)?);
            let missed = state.take_due(now, spec.is_once())?;
            if spec.is_clustered() && !(settled && owns(spec)) {
                continue;
            }
            state.miss(missed);
            state.begin(now);
            return u8::try_from(index).ok();
        }
    }

    /// When to call [`poll`](Self::poll) next, if nothing else happens.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let user = self.states.get(System::ALL.len()..).unwrap_or_default();
        let due = user.iter().filter_map(TaskState::wake).min();
        earliest(&[due, self.commit.poll_timeout()])
    }

    /// A run of a task of the program has ended. Returns the event that tells if it took too long.
    pub(crate) fn ran(&mut self, now: Instant, index: u8) -> Option<Event> {
        let spec = self.tasks.specs().get(usize::from(index))?;
        let state = self.states.get_mut(place(index))?;
        let micros = state.end(now)?;
        if spec.is_once() {
            return None;
        }
        state.catch_up(now);
        let rested = self.overrun.is_none_or(|told| now.since(told) >= OVERRUNS_PAUSE);
        if !state.is_overrun(micros) || !rested {
            return None;
        }
        self.overrun = Some(now);
        Some(Event::TaskOverrun { task: spec, micros })
    }

    /// A system task has run within the verb under way.
    pub(crate) fn worked(&mut self, now: Instant, system: System) {
        if let Some(state) = self.states.get_mut(system.index()) {
            state.count(now);
            self.worked |= 1 << system.index();
        }
    }

    /// A system task was due at `due`, and is looked at now: counts what was missed since.
    pub(crate) fn was_late(&mut self, system: System, late: Duration, interval: Duration) {
        if late < interval {
            return;
        }
        let missed = late.as_micros().checked_div(interval.as_micros()).unwrap_or(0);
        if let Some(state) = self.states.get_mut(system.index()) {
            state.miss(u32::try_from(missed).unwrap_or(u32::MAX));
        }
    }

    /// The last verb has ended now.
    pub(crate) fn elapsed(&mut self, now: Instant) {
        let worked = core::mem::take(&mut self.worked);
        if worked == 0 {
            return;
        }
        for system in System::ALL {
            if worked & 1 << system.index() != 0
                && let Some(state) = self.states.get_mut(system.index())
            {
                state.took(now);
            }
        }
    }

    /// A run of a system task that takes longer than one verb has ended.
    pub(crate) fn finished(&mut self, now: Instant, system: System) {
        if let Some(state) = self.states.get_mut(system.index()) {
            state.end(now);
        }
    }

    /// A run of a system task begins that takes longer than one verb.
    pub(crate) fn started(&mut self, now: Instant, system: System) {
        if let Some(state) = self.states.get_mut(system.index()) {
            state.begin(now);
        }
    }

    /// Begins a change of the task at this place in the list.
    ///
    /// # Errors
    ///
    /// [`Error::TaskProtected`] for a system task that cannot be changed, [`Error::InvalidField`] for
    /// an interval out of its bounds, [`Error::TaskUnderWay`] if it is to run and does so already,
    /// [`Error::ChangeUnderWay`] if something else is being changed.
    pub(crate) fn change(
        &mut self,
        now: Instant,
        index: usize,
        change: TaskChange,
    ) -> Result<Begun, Error> {
        let task = self.task(index).ok_or(Error::NotFound)?;
        let state = self.states.get(index).ok_or(Error::NotFound)?;
        if change != TaskChange::default()
            && matches!(task, Task::System(system) if system.is_protected())
        {
            return Err(Error::TaskProtected);
        }
        let (_, default) = task.defaults();
        let interval_ms = match change.interval_ms {
            None => state.interval_ms(),
            Some(None) => default,
            Some(Some(millis)) if task.takes_interval(millis) => millis,
            Some(Some(_)) => return Err(Error::InvalidField("interval_ms")),
        };
        let run = change.run == Some(true);
        if run && state.is_under_way() {
            return Err(Error::TaskUnderWay);
        }
        let enabled = change.enabled.unwrap_or(state.is_enabled());
        if enabled == state.is_enabled() && interval_ms == state.interval_ms() {
            return Ok(Begun::Done(run));
        }
        if self.commit.is_busy(now) {
            return Err(Error::ChangeUnderWay);
        }
        self.wish = Some(Wish { index, enabled, interval_ms, run });
        Ok(Begun::Pending(self.commit.begin(false)))
    }

    /// Runs the task of the program that is called `name` no more.
    pub(crate) fn stop(&mut self, name: &str) {
        let index = self.find(name).filter(|index| *index >= System::ALL.len());
        if let Some(state) = index.and_then(|index| self.states.get_mut(index)) {
            state.stop();
        }
    }

    /// Runs none of the program's tasks any more.
    pub(crate) fn stop_all(&mut self) {
        let user = self.states.get_mut(System::ALL.len()..).unwrap_or_default();
        user.iter_mut().for_each(TaskState::stop);
    }

    /// Has a task of the program run as soon as it can.
    pub(crate) fn ask(&mut self, index: usize) {
        if let Some(state) = self.states.get_mut(index) {
            state.ask();
        }
    }

    /// Whether a change is under way.
    pub(crate) const fn is_changing(&self) -> bool {
        self.commit.is_changing()
    }

    /// Whether the body is to store the tasks now.
    pub(crate) fn poll_store(&mut self, now: Instant) -> bool {
        self.commit.poll_store(now)
    }

    /// The store was tried. Returns how the change ended, if one waited for that, and the place of
    /// the task, with whether it is to run now, if it is in force.
    pub(crate) fn stored(&mut self, now: Instant, success: bool) -> Option<Option<(usize, bool)>> {
        let ended = self.commit.stored(now, success)?;
        let wish = self.wish.take().filter(|_| ended.is_ok());
        Some(wish.map(|Wish { index, enabled, interval_ms, run }| {
            self.configure(now, index, enabled, interval_ms);
            (index, run)
        }))
    }

    /// Fetches the outcome of a change: `None` while it is under way.
    pub(crate) fn outcome(&mut self, ticket: Ticket) -> Option<Result<(), Error>> {
        self.commit.outcome(ticket)
    }

    /// Writes the value to store into `buf`. Returns its length, or 0 if there is no room.
    pub(crate) fn encode(&self, buf: &mut [u8]) -> usize {
        let mut writer = Writer::new(buf);
        if self.write(&mut writer).is_ok() { writer.len() } else { 0 }
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        Saved::begin(writer)?;
        let wish = self.wish.as_ref().filter(|_| self.commit.is_storing());
        for (index, state) in self.states.iter().enumerate() {
            let Some(task) = self.task(index) else { continue };
            let (enabled, interval_ms) = match wish {
                Some(wish) if wish.index == index => (wish.enabled, wish.interval_ms),
                _ => (state.is_enabled(), state.interval_ms()),
            };
            let defaults = task.defaults();
            let saved = Saved {
                name: fnv(task.name()),
                enabled: Some(enabled).filter(|enabled| *enabled != defaults.0),
                interval_ms: if interval_ms == defaults.1 { 0 } else { interval_ms },
            };
            if !saved.is_plain() {
                saved.emit(writer)?;
            }
        }
        self.strangers.iter().try_for_each(|saved| saved.emit(writer))
    }
}

/// The place in the list of a task of the program.
fn place(index: u8) -> usize {
    usize::from(index).saturating_add(System::ALL.len())
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;
