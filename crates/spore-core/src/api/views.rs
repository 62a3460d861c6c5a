//! What the API shows, as types that serialise to JSON.

use super::Policy;
use crate::cluster::{Member, Status};
use crate::node::{Node, Traffic};
use crate::security::request::Nonce;
use crate::security::{ReleaseKey, RequestNonces};
use crate::services::{Build, Service, ServiceId};
use crate::text::dotted;
use crate::time::Instant;
use crate::wire::{NodeId, Record, Rumor};
use core::net::Ipv4Addr;
use serde::Serialize;

/// `GET /api/node/status`, without the list of endpoints that ends it.
#[derive(Serialize)]
pub(super) struct NodeView<'a> {
    id: NodeId,
    hostname: &'a str,
    address: Address,
    http_port: u16,
    board: &'a str,
    version: &'a str,
    chip_id: u32,
    reset_reason: &'a str,
    /// How strong it hears its access point, in dBm; null without one.
    rssi: Option<i8>,
    /// Whether nothing of what its program adds was started: it has crashed too often in a row.
    safe_mode: bool,
    uptime_ms: u64,
    free_memory: u64,
    flash_size: u32,
    /// The sequence number of the image that runs; null on a body without slots.
    image: Option<u32>,
    status_version: u16,
    /// Whether the node has a cluster key.
    claimed: bool,
    /// Whether it had one at its start before, or another claim, and that is damaged.
    claim_damaged: bool,
}

/// `GET /api/node/config`.
#[derive(Serialize)]
pub(super) struct ConfigView<'a> {
    version: u32,
    hostname: &'a str,
    release_key: Option<ReleaseKeyView>,
    claimed: bool,
    damaged: bool,
}

struct ReleaseKeyView(ReleaseKey);

impl Serialize for ReleaseKeyView {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_hex())
    }
}

impl<'a> ConfigView<'a> {
    pub(super) fn new(node: &'a Node<'_>) -> Self {
        let settings = node.settings.current();
        let (hostname, ..) = alive(node.own());
        Self {
            version: settings.version,
            hostname,
            release_key: settings.release_key.map(ReleaseKeyView),
            claimed: node.is_claimed(),
            damaged: settings.damaged,
        }
    }
}

/// `GET /api/auth/nonce`.
#[derive(Serialize)]
pub(super) struct NonceView {
    nonce: NonceText,
    expires_ms: u64,
}

struct NonceText(Nonce);

impl Serialize for NonceText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_hex())
    }
}

impl NonceView {
    pub(super) const fn new(nonce: Nonce) -> Self {
        Self { nonce: NonceText(nonce), expires_ms: RequestNonces::LIFETIME.as_millis() }
    }
}

/// The last part of the status: datagrams by what became of them.
#[derive(Serialize)]
pub(super) struct TrafficView {
    sent: u32,
    accepted: u32,
    unauthentic: u32,
    malformed: u32,
    replayed: u32,
    unverified: u32,
    overflowed: u32,
}

/// One member of `GET /api/cluster/members`.
#[derive(Serialize)]
pub(super) struct MemberView<'a> {
    id: NodeId,
    hostname: &'a str,
    address: Address,
    http_port: u16,
    status: &'static str,
    status_version: u16,
    /// The kind of body and the version of the program; null until they were fetched.
    board: Option<&'a str>,
    version: Option<&'a str>,
    /// Milliseconds since a datagram last came from it; null if it is known by hearsay alone.
    last_seen_ms: Option<u64>,
    /// The last round-trip time in microseconds; null before the first, and for the node itself.
    rtt_us: Option<u64>,
    /// Whether this is the node that was asked.
    #[serde(rename = "self")]
    own: bool,
}

/// A service of this node, as its status lists it.
#[derive(Serialize)]
pub(super) struct ServiceView {
    name: &'static str,
    policy: Policy,
    summary: &'static str,
}

/// A service of the cluster, without the list of its providers that ends it.
#[derive(Serialize)]
pub(super) struct OfferView<'a> {
    pub(super) id: ServiceId,
    /// Null until it was fetched.
    pub(super) name: Option<&'a str>,
}

/// A provider of a service.
#[derive(Serialize)]
pub(super) struct ProviderView<'a> {
    id: NodeId,
    hostname: &'a str,
    address: Address,
    http_port: u16,
    status: &'static str,
}

pub(super) struct Address(pub(super) Ipv4Addr);

impl Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&dotted(self.0))
    }
}

/// The parts of a record that is alive; this node's own always is.
pub(super) fn alive(own: &Record) -> (&str, Ipv4Addr, u16, u16) {
    match &own.rumor {
        Rumor::Alive { address, http_port, status_version, hostname, .. } => {
            (hostname.as_str(), *address, *http_port, *status_version)
        }
        Rumor::Suspect | Rumor::Dead | Rumor::Left => ("", Ipv4Addr::UNSPECIFIED, 0, 0),
    }
}

impl<'a> NodeView<'a> {
    pub(super) fn new(node: &'a Node<'_>, now: Instant) -> Self {
        let own = node.own();
        let (hostname, address, http_port, status_version) = alive(own);
        Self {
            id: own.id,
            hostname,
            address: Address(address),
            http_port,
            board: node.facts.board,
            version: node.facts.version,
            chip_id: node.facts.chip_id,
            reset_reason: node.facts.reset_reason,
            rssi: node.network.status().rssi,
            safe_mode: node.is_safe(),
            uptime_ms: now.since(node.started).as_millis(),
            free_memory: node.resources.free_memory,
            flash_size: node.facts.flash_size,
            image: node.updates.running().map(|running| running.sequence),
            status_version,
            claimed: node.is_claimed(),
            claim_damaged: node.is_claim_damaged(),
        }
    }
}

impl From<Traffic> for TrafficView {
    fn from(traffic: Traffic) -> Self {
        let Traffic { sent, accepted, unauthentic, malformed, replayed, unverified, overflowed } =
            traffic;
        Self { sent, accepted, unauthentic, malformed, replayed, unverified, overflowed }
    }
}

impl<'a> MemberView<'a> {
    /// A member as this node sees it.
    pub(super) fn of(member: &'a Member, node: &'a Node<'_>, now: Instant) -> Self {
        let build = node.cluster.directory.build(member.id());
        Self {
            id: member.id(),
            hostname: member.hostname().as_str(),
            address: Address(member.address()),
            http_port: member.http_port(),
            status: member.status().name(),
            status_version: member.status_version(),
            board: build.map(Build::board),
            version: build.map(Build::version),
            last_seen_ms: member.last_seen().map(|seen| now.since(seen).as_millis()),
            rtt_us: member.rtt().map(|rtt| rtt.as_micros()),
            own: false,
        }
    }

    /// This node as a member.
    pub(super) fn of_own(own: &'a Record, node: &'a Node<'_>) -> Self {
        let (hostname, address, http_port, status_version) = alive(own);
        Self {
            id: own.id,
            hostname,
            address: Address(address),
            http_port,
            status: Status::Active.name(),
            status_version,
            board: Some(node.facts.board),
            version: Some(node.facts.version),
            last_seen_ms: Some(0),
            rtt_us: None,
            own: true,
        }
    }
}

impl From<&Service> for ServiceView {
    fn from(service: &Service) -> Self {
        let (name, policy, summary) = (service.name(), service.policy(), service.summary());
        Self { name, policy, summary }
    }
}

impl<'a> ProviderView<'a> {
    /// A member as a provider.
    pub(super) fn of(member: &'a Member) -> Self {
        Self {
            id: member.id(),
            hostname: member.hostname().as_str(),
            address: Address(member.address()),
            http_port: member.http_port(),
            status: member.status().name(),
        }
    }

    /// This node as a provider.
    pub(super) fn of_own(own: &'a Record) -> Self {
        let (hostname, address, http_port, _) = alive(own);
        let status = Status::Active.name();
        Self { id: own.id, hostname, address: Address(address), http_port, status }
    }
}
