//! Clustered tasks: who runs one, and whose row must not be missing for that.

use super::Cluster;
use super::member::Member;
use crate::node::Event;
use crate::security::Tokens;
use crate::services::{MAX_SERVICES, ServiceId};
use crate::tasks::owner;
use crate::time::Instant;
use crate::wire::{NodeId, Record, Rumor};
use heapless::Vec;

impl Cluster<'_> {
    /// The member that is to run a task, as far as this node knows; `None` if nobody carries it.
    pub(crate) fn owner(&self, task: ServiceId) -> Option<NodeId> {
        let own = Some(self.own.id).filter(|_| self.carries(task));
        owner::first(task, self.carriers(task).chain(own))
    }

    /// The other live members that carry `task`. A suspect is one: it may be busy with it.
    fn carriers(&self, task: ServiceId) -> impl Iterator<Item = NodeId> {
        let listed = self.directory.providers(task);
        listed.filter(|id| self.table.get(*id).is_some_and(|member| member.status.is_live()))
    }

    fn carries(&self, task: ServiceId) -> bool {
        offers(self.own, task)
    }

    /// Makes room in a full list for a member that this node must know: the first carrier of a task
    /// that this node carries too. Without it, this node would run the task beside it. Who makes room is
    /// one that matters to no task, of those not heard for so long that no token of theirs is fresh; if
    /// there is none, the answer is false, and the record will come again.
    pub(super) fn make_room(&mut self, now: Instant, record: &Record) -> bool {
        let first = |task: &ServiceId| {
            offers(record, *task) && owner::is_before(*task, record.id, self.owner(*task))
        };
        if !self.own_tasks().iter().any(first) {
            return false;
        }
        let owners: Vec<NodeId, MAX_SERVICES, u8> =
            self.own_tasks().iter().filter_map(|task| self.owner(*task)).collect();
        let quiet = |row: &&Member| {
            let heard = row.seen.map(|seen| now.since(seen.last));
            heard.is_none_or(|age| age > Tokens::LIFETIME) && !owners.contains(&row.id)
        };
        let rows = self.table.rows().iter().filter(quiet);
        let Some(id) = rows.min_by_key(|row| row.seen.map(|seen| seen.last)).map(Member::id) else {
            return false;
        };
        self.table.remove(|member| member.id == id);
        self.directory.forget(id);
        self.notify(now, Event::MemberForgotten(id));
        true
    }

    /// The tasks that this node carries.
    fn own_tasks(&self) -> &[ServiceId] {
        let Rumor::Alive { services, .. } = &self.own.rumor else { return &[] };
        let ids = services.as_slice();
        // They are the last ones.
        ids.get(ids.partition_point(|id| !id.is_task())..).unwrap_or_default()
    }
}

fn offers(record: &Record, task: ServiceId) -> bool {
    matches!(&record.rumor, Rumor::Alive { services, .. } if services.contains(task))
}
