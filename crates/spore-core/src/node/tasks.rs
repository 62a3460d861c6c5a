//! What a node does about its tasks.

use super::Node;
use crate::api::Error;
use crate::cluster::Cluster;
use crate::services::poller::Poller;
use crate::services::{Catalogue, ServiceIds};
use crate::settings::commit::Ticket;
use crate::sprockets::Sprockets;
use crate::tasks::change::TaskChange;
use crate::tasks::scheduler::{Begun, Scheduler, Task};
use crate::tasks::system::System;
use crate::tasks::{RunId, TaskRun, Tasks};
use crate::time::{Duration, Instant};
use crate::wire::NodeId;

impl Node<'_> {
    /// The tasks of this node's program.
    pub fn tasks(&self) -> Tasks {
        self.tasks.tasks()
    }

    /// The last run of the task at place `index` of [`tasks`](Self::tasks): the one under way, after
    /// [`Action::RunTask`](crate::Action::RunTask). `None` if there is no such task.
    pub fn task_run(&self, index: u8) -> Option<TaskRun> {
        let task = self.tasks().specs().get(usize::from(index))?;
        let number = self.tasks.user_state(index)?.runs();
        let own = self.own();
        Some(TaskRun {
            index,
            task,
            id: RunId { node: own.id, epoch: own.incarnation.epoch, number },
        })
    }

    /// The member that is to run a clustered task, as far as this node knows; `None` for another task,
    /// and if nobody carries it.
    pub fn task_owner(&self, index: u8) -> Option<NodeId> {
        let task = self.tasks().specs().get(usize::from(index))?;
        if task.is_clustered() { self.cluster.owner(task.id()) } else { None }
    }

    /// It is now, after [`handle_datagram`](Self::handle_datagram) or
    /// [`handle_timeout`](Self::handle_timeout): so the engine learns how long its own tasks took. A body that does
    /// not call this shows zeros.
    pub fn handle_elapsed(&mut self, now: Instant) {
        self.tasks.elapsed(now);
    }

    /// Begins a change of a task: its place in the list, and what to wait for.
    pub(crate) fn change_task(
        &mut self,
        now: Instant,
        name: &str,
        change: TaskChange,
    ) -> Result<(u8, Option<Ticket>), Error> {
        let index = self.tasks.find(name).ok_or(Error::NotFound)?;
        let begun = self.tasks.change(now, index, change)?;
        // There are fewer.
        let place = u8::try_from(index).map_err(|_| Error::NotFound)?;
        Ok(match begun {
            Begun::Done(run) => {
                if run {
                    self.run_now(now, index);
                }
                (place, None)
            }
            Begun::Pending(ticket) => (place, Some(ticket)),
        })
    }

    /// What the store of the tasks has come to.
    pub(super) fn stored_tasks(&mut self, now: Instant, success: bool) {
        let Some(ended) = self.tasks.stored(now, success) else { return };
        self.put_off_restart(now, true);
        let Some((index, run)) = ended else { return };
        self.pace_system(now);
        self.offer();
        if run {
            self.run_now(now, index);
        }
    }

    fn run_now(&mut self, now: Instant, index: usize) {
        match self.tasks.task(index) {
            Some(Task::User(_)) => self.tasks.ask(index),
            Some(Task::System(System::SendDiscovery)) => self.cluster.announce_now(now),
            Some(Task::System(System::StatusPoll)) => {
                let (directory, _) = self.cluster.directory();
                self.poller.look_now(now, directory);
            }
            Some(Task::System(_)) | None => (),
        }
    }

    /// Tells the parts of the engine the pace that was set for them.
    pub(super) fn pace_system(&mut self, now: Instant) {
        pace_system(now, &self.tasks, &mut self.cluster, self.poller);
    }

    /// Tells the others what this node offers and carries, if they do not know it.
    pub(crate) fn offer(&mut self) {
        let ids = offered(self.catalogue, &self.tasks, &self.sprockets);
        self.cluster.offer(ids);
    }

    /// A run of a task has ended.
    pub(super) fn ran(&mut self, now: Instant, index: u8) {
        if let Some(event) = self.tasks.ran(now, index) {
            self.cluster.notify(now, event);
        }
    }

    /// The task of the program that is to run now.
    pub(super) fn poll_task(&mut self, now: Instant) -> Option<u8> {
        let (cluster, own) = (&self.cluster, self.cluster.own().id);
        // A run's id holds only in a boot that is on record.
        let on_record = self.epochs.is_ready();
        self.tasks.poll(now, |spec| on_record && cluster.owner(spec.id()) == Some(own))
    }

    /// Does what is due in the cluster, and counts it.
    pub(super) fn time_out(&mut self, now: Instant) {
        let (announce, probe) = self.cluster.due();
        let (announcing, probing) = self.cluster.intervals();
        self.cluster.handle_timeout(now);
        let due = self.cluster.due();
        let (enabled, _) = self.tasks.system(System::SendDiscovery);
        let ran = [
            (System::SendDiscovery, announce, due.0, announcing, enabled),
            (System::Probe, probe, due.1, probing, true),
        ];
        for (system, before, after, interval, enabled) in ran {
            if enabled && before != after && before <= now {
                self.tasks.was_late(system, now.since(before), interval);
                self.tasks.worked(now, system);
            }
        }
    }

    /// The present interval of a system task, and when it is due next.
    pub(crate) fn system_pace(&self, system: System) -> (Option<Duration>, Option<Instant>) {
        let (announce, probe) = self.cluster.due();
        let (announcing, probing) = self.cluster.intervals();
        match system {
            System::SendDiscovery => (Some(announcing), Some(announce)),
            System::ListenDiscovery => (None, None),
            System::Probe => (Some(probing), Some(probe)),
            System::StatusPoll => (Some(self.poller.interval()), self.poller.poll_timeout()),
        }
    }
}

/// Tells the cluster's and the poller's part the pace that was set for them.
pub(super) fn pace_system(
    now: Instant,
    tasks: &Scheduler<'_>,
    cluster: &mut Cluster<'_>,
    poller: &mut Poller,
) {
    let (enabled, interval) = tasks.system(System::SendDiscovery);
    cluster.pace_announcements(now, enabled, interval);
    let (enabled, interval) = tasks.system(System::StatusPoll);
    poller.pace(enabled, interval);
}

/// The ids of all that a node offers and carries: not what is of a sprocket that was stopped. Tasks come after the
/// services, as long as there is room.
pub(super) fn offered(
    catalogue: Catalogue,
    tasks: &Scheduler<'_>,
    sprockets: &Sprockets<'_>,
) -> ServiceIds {
    let mut ids = ServiceIds::EMPTY;
    for service in catalogue.services().iter().filter(|service| !sprockets.has_stopped(service)) {
        // They are different, and there is room for as many.
        ids.insert(service.id());
    }
    for spec in tasks.carried() {
        ids.insert(spec.id());
    }
    ids
}
