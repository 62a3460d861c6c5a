//! What there is to see of a node.

use super::{Node, Traffic};
use crate::api::Answers;
use crate::cluster::{Member, Status};
use crate::services::{Catalogue, ServiceId};
use crate::settings::Settings;
use crate::wire::{Hostname, NodeId, Record, Rumor};
use core::net::SocketAddrV4;

impl Node<'_> {
    /// Whether the node has a cluster key.
    pub fn is_claimed(&self) -> bool {
        self.keys.is_some()
    }

    /// Whether the node was claimed, and what was written then is damaged. It has no cluster key then, nor is it to be had
    /// for the asking as an unclaimed one is.
    pub fn is_claim_damaged(&self) -> bool {
        self.claim_damaged
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        self.settings.current()
    }

    /// The answers to HTTP requests so far.
    pub fn answers(&self) -> Answers {
        self.answers
    }

    /// What this node says of itself.
    pub fn own(&self) -> &Record {
        self.cluster.own()
    }

    /// This node's name: the one that was set through the API, or else the configured one.
    pub fn hostname(&self) -> Option<&Hostname> {
        match &self.own().rumor {
            Rumor::Alive { hostname, .. } => Some(hostname),
            Rumor::Suspect | Rumor::Dead | Rumor::Left => None,
        }
    }

    /// The other members, in the order of their ids.
    pub fn members(&self) -> &[Member] {
        self.cluster.members()
    }

    /// The other member with this id.
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        self.cluster.member(id)
    }

    /// The services of this node's program.
    pub fn services(&self) -> Catalogue {
        self.catalogue
    }

    /// The ids that this node tells the others: of what it offers now, and of the tasks that it carries.
    pub(crate) fn offered(&self) -> &[ServiceId] {
        match &self.own().rumor {
            Rumor::Alive { services, .. } => services.as_slice(),
            Rumor::Suspect | Rumor::Dead | Rumor::Left => &[],
        }
    }

    /// The active members that offer a service, in the order of their ids, this node last if it does: each
    /// with the address of its HTTP API. Answered from memory. Providers of another service whose
    /// name has the same id are among them.
    pub fn providers(&self, id: ServiceId) -> impl Iterator<Item = (NodeId, SocketAddrV4)> {
        let (directory, mut after) = (&self.cluster.directory, None);
        let others = core::iter::from_fn(move || {
            let next = directory.next_provider(id, after)?;
            after = Some(next);
            Some(next)
        });
        let others = others
            .filter_map(|id| self.member(id))
            .filter(|member| member.status() == Status::Active)
            .map(|member| (member.id(), member.api()));
        let offered = self.offered().contains(&id);
        others.chain(Some((self.own().id, self.cluster.own_api())).filter(|_| offered))
    }

    /// How many services of members are not known here for want of room.
    pub fn services_lost(&self) -> u32 {
        self.cluster.directory.lost()
    }

    /// What became of the datagrams so far.
    pub fn traffic(&self) -> Traffic {
        Traffic { overflowed: self.cluster.overflows(), ..self.traffic }
    }
}
