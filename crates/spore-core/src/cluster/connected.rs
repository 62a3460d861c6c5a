//! What follows from being in a network again, or in another one.

use super::member::{Member, Status};
use super::{Cluster, discovery, probe};
use crate::node::Event;
use crate::time::Instant;
use crate::wire::Rumor;
use core::net::Ipv4Addr;

impl Cluster<'_> {
    /// The node is in its network, from now on under this address, after a time in which it could
    /// say and hear nothing.
    ///
    /// It begins like one that starts: it announces itself, and calls the members that it
    /// remembers. Whom it knows may have been cut off just as long, and be back a little later: so
    /// nobody is suspected any more, each of the dead is asked once, and the node judges slowly
    /// until it has reached others (its local health is at its worst). Who has met nobody yet was not cut off from anybody.
    pub(crate) fn connected(&mut self, now: Instant, here: Ipv4Addr) {
        if let Rumor::Alive { address, status_version, .. } = &mut self.own.rumor
            && *address != here
        {
            *address = here;
            *status_version = status_version.wrapping_add(1).max(1);
        }
        // What was to be said is of no use any more.
        self.queue.clear();
        *self.announcements = discovery::Announcements::new(now);
        self.peers.call_again(now);
        *self.probe = probe::Probe::new(now);
        if !self.table.rows().iter().any(|row| row.seen.is_some()) {
            return;
        }
        self.health.worsen(u8::MAX);
        let suspected = |member: &&mut Member| member.status == Status::Suspect;
        while let Some(member) = self.table.rows_mut().iter_mut().find(suspected) {
            (member.status, member.since) = (Status::Active, now);
            let id = member.id;
            self.notify(now, Event::MemberReturned(id));
        }
        self.doubt_deaths(now);
    }
}
