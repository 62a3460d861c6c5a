//! One row of the member list.

use crate::config::Timing;
use crate::ota::state::UpdateState;
use crate::security::{ReplayWindow, Tokens};
use crate::services::Directory;
use crate::time::{Duration, Instant};
use crate::wire::{Hostname, Incarnation, NodeId, Record, Rumor, U24, mixed_fnv};
use core::net::{Ipv4Addr, SocketAddrV4};

/// What is known of a member's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It answers, or someone says so.
    Active,
    /// It did not answer someone; it has a while to refute.
    Suspect,
    /// It did not refute.
    Dead,
    /// It said that it goes.
    Left,
}

impl Status {
    /// The status as the API names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspect => "suspect",
            Self::Dead => "dead",
            Self::Left => "left",
        }
    }

    /// Whether the member counts as there: active or suspect.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Active | Self::Suspect)
    }
}

/// A member of the cluster other than this node, as this node sees it.
#[derive(Clone, Debug)]
pub struct Member {
    pub(super) id: NodeId,
    pub(super) status: Status,
    pub(super) hostname: Hostname,
    pub(super) address: Ipv4Addr,
    pub(super) http_port: u16,
    pub(super) status_version: u16,
    pub(super) update: UpdateState,
    pub(super) incarnation: Incarnation,
    /// When the status last changed.
    pub(super) since: Instant,
    /// When the last fresh datagram came from it; `None` if it is known by hearsay alone.
    pub(super) seen: Option<Seen>,
    /// The round-trip time of the last answered ping in microseconds, 0 if there was none.
    pub(super) rtt: u32,
    /// How often the news of it is still to be passed on.
    pub(super) news: u8,
    /// Whether it was probed in the current round; of a dead member, whether its death is out of
    /// doubt.
    pub(super) probed: bool,
    /// A datagram of a newer epoch came, which may be a recording: it has to prove anew to be fresh.
    pub(super) doubted: bool,
}

/// What is known of a sender that has proved to be fresh.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) last: Instant,
    pub(super) window: ReplayWindow,
}

impl Member {
    /// How often the news of it is still to be passed on.
    #[cfg(test)]
    pub(crate) const fn news(&self) -> u8 {
        self.news
    }

    /// The row of a member of whom `record` is the first news; `None` unless it is alive.
    pub(super) fn new(record: &Record, now: Instant) -> Option<Self> {
        let Rumor::Alive { address, http_port, status_version, update, hostname, .. } =
            &record.rumor
        else {
            return None;
        };
        Some(Self {
            id: record.id,
            status: Status::Active,
            hostname: hostname.clone(),
            address: *address,
            http_port: *http_port,
            status_version: *status_version,
            update: *update,
            incarnation: record.incarnation,
            since: now,
            seen: None,
            rtt: 0,
            news: 0,
            probed: false,
            doubted: false,
        })
    }

    /// Its id.
    pub const fn id(&self) -> NodeId {
        self.id
    }

    /// Its name.
    pub const fn hostname(&self) -> &Hostname {
        &self.hostname
    }

    /// Its address.
    pub const fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The TCP port of its HTTP API.
    pub const fn http_port(&self) -> u16 {
        self.http_port
    }

    /// Where its HTTP API is.
    pub const fn api(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address, self.http_port)
    }

    /// Its status.
    pub const fn status(&self) -> Status {
        self.status
    }

    /// Changes whenever the stable part of its `/api/node/status` does.
    pub const fn status_version(&self) -> u16 {
        self.status_version
    }

    /// How far it is with a rollout.
    pub const fn update(&self) -> UpdateState {
        self.update
    }

    /// Since when it has its status.
    pub const fn since(&self) -> Instant {
        self.since
    }

    /// The incarnation that its status is of.
    pub const fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Whether it has proved to be fresh in that boot. What it says is believed from then on.
    pub fn has_proved(&self, epoch: U24) -> bool {
        let window = self.seen.as_ref().map(|seen| &seen.window);
        window.is_some_and(|window| !window.is_before(epoch) && !window.is_after(epoch))
    }

    /// When this node last heard it; `None` if it knows it by hearsay alone.
    pub fn last_seen(&self) -> Option<Instant> {
        self.seen.map(|seen| seen.last)
    }

    /// The last measured round-trip time.
    pub fn rtt(&self) -> Option<Duration> {
        (self.rtt != 0).then_some(Duration::from_micros(u64::from(self.rtt)))
    }

    /// Its id, and where it listens.
    pub(super) const fn contact(&self, port: u16) -> (NodeId, SocketAddrV4) {
        (self.id, SocketAddrV4::new(self.address, port))
    }

    /// What this node says of it to others, its services included; and that so many events of its
    /// boot are known.
    pub(crate) fn record(&self, directory: &Directory<'_>, published: U24) -> Record {
        let rumor = match self.status {
            Status::Active => Rumor::Alive {
                address: self.address,
                http_port: self.http_port,
                status_version: self.status_version,
                update: self.update,
                hostname: self.hostname.clone(),
                services: directory.services(self.id),
            },
            Status::Suspect => Rumor::Suspect,
            Status::Dead => Rumor::Dead,
            Status::Left => Rumor::Left,
        };
        Record { id: self.id, incarnation: self.incarnation, published, rumor }
    }

    /// When time alone changes its status: a suspect dies, a dead one is forgotten. A suspect that
    /// is heard is not dead, even if it does not answer: it may be this node that is not heard.
    pub(super) fn expiry(&self, timing: &Timing) -> Option<Instant> {
        match self.status {
            Status::Active => None,
            Status::Suspect => {
                let heard = self.seen.map_or(self.since, |seen| seen.last.max(self.since));
                Some(heard + timing.suspicion)
            }
            Status::Dead | Status::Left => Some(self.since + timing.forget),
        }
    }

    /// Whether its row may be given to another: it is gone, and every token that it may hold is
    /// stale, so that no recording can bring it back.
    pub(super) fn is_expendable(&self, now: Instant) -> bool {
        let quiet = self.seen.is_none_or(|seen| now.since(seen.last) > Tokens::LIFETIME);
        !self.status.is_live() && quiet
    }
}

impl Record {
    /// 32 bits that differ from those of other live members and incarnations.
    pub(super) fn digest(&self) -> u32 {
        let version = match &self.rumor {
            Rumor::Alive { status_version, .. } => *status_version,
            _ => 0,
        };
        digest(self.id, self.incarnation, version)
    }
}

impl Member {
    /// As [`Record::digest`]; 0 unless the member is live.
    pub(super) fn digest(&self) -> u32 {
        if self.status.is_live() { self.hash() } else { 0 }
    }

    /// As [`Record::digest`], also of one who is gone.
    pub(super) fn hash(&self) -> u32 {
        digest(self.id, self.incarnation, self.status_version)
    }
}

fn digest(id: NodeId, incarnation: Incarnation, status_version: u16) -> u32 {
    let epoch = incarnation.epoch.to_be_bytes();
    let refutation = incarnation.refutation.to_be_bytes();
    let bytes = id.0.iter().chain(&epoch).chain(&refutation);
    mixed_fnv(bytes.chain(&status_version.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::Member;

    #[test]
    fn a_member_takes_at_most_96_bytes() {
        assert!(size_of::<Member>() <= 96, "{}", size_of::<Member>());
    }
}
