//! What nodes answer with, as far as this command reads it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// One member, as `GET /api/cluster/members` has it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) hostname: String,
    pub(crate) address: String,
    pub(crate) http_port: u16,
    pub(crate) status: String,
    pub(crate) status_version: u16,
    pub(crate) last_seen_ms: Option<u64>,
    pub(crate) rtt_us: Option<u64>,
    /// What it is made of, and which firmware it runs, where the node that is asked keeps that.
    pub(crate) board: Option<String>,
    pub(crate) version: Option<String>,
    /// Whether this is the node that was asked; the others need not say that they are not.
    #[serde(default, rename = "self")]
    itself: Option<bool>,
}

impl Member {
    /// Where its API is.
    pub(crate) fn api(&self) -> String {
        format!("{}:{}", self.address, self.http_port)
    }

    /// Whether it counts as there.
    pub(crate) fn is_live(&self) -> bool {
        is_live(&self.status)
    }

    /// Whether it is the node that was asked.
    pub(crate) fn is_self(&self) -> bool {
        self.itself == Some(true)
    }
}

fn is_live(status: &str) -> bool {
    matches!(status, "active" | "suspect")
}

/// `GET /api/cluster/members`.
#[derive(Debug, Deserialize)]
pub(crate) struct MemberList {
    pub(crate) members: Vec<Member>,
}

impl MemberList {
    /// Where the APIs of the active members are.
    pub(crate) fn active_apis(&self) -> BTreeSet<String> {
        let active = self.members.iter().filter(|member| member.status == "active");
        active.map(Member::api).collect()
    }
}

/// One entry of `GET /api/cluster/services`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Service {
    /// Eight hexadecimal digits: what members tell each other in place of the name.
    pub(crate) id: String,
    /// Null where the node that was asked knows only the id.
    pub(crate) name: Option<String>,
    pub(crate) providers: Vec<Provider>,
}

/// A member that offers a service.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Provider {
    pub(crate) id: String,
    pub(crate) hostname: String,
    pub(crate) address: String,
    pub(crate) http_port: u16,
    pub(crate) status: String,
}

impl Provider {
    /// Where its API is.
    pub(crate) fn api(&self) -> String {
        format!("{}:{}", self.address, self.http_port)
    }

    /// Whether it counts as there.
    pub(crate) fn is_live(&self) -> bool {
        is_live(&self.status)
    }
}

/// `GET /api/cluster/services`.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct ServiceList {
    pub(crate) services: Vec<Service>,
}

/// `GET /api/node/status`.
#[derive(Debug, Deserialize)]
pub(crate) struct NodeStatus {
    pub(crate) id: String,
    pub(crate) hostname: String,
    pub(crate) address: String,
    pub(crate) http_port: u16,
    pub(crate) board: String,
    pub(crate) version: String,
    pub(crate) chip_id: u32,
    pub(crate) reset_reason: String,
    pub(crate) rssi: Option<i8>,
    #[serde(default)]
    pub(crate) safe_mode: bool,
    pub(crate) uptime_ms: u64,
    pub(crate) free_memory: u64,
    pub(crate) flash_size: u32,
    /// Whether it has a cluster key.
    pub(crate) claimed: Option<bool>,
    /// Whether its claim is damaged.
    #[serde(default)]
    pub(crate) claim_damaged: bool,
    #[serde(default)]
    pub(crate) services: Vec<OwnService>,
    #[serde(default)]
    pub(crate) sprockets: Vec<OwnSprocket>,
    pub(crate) endpoints: Vec<Endpoint>,
    #[serde(default)]
    pub(crate) datagrams: Datagrams,
}

/// How many datagrams a node has taken, and dropped since they were of another key or none of the protocol's.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct Datagrams {
    pub(crate) accepted: u32,
    pub(crate) unauthentic: u32,
    pub(crate) malformed: u32,
}

/// A service that a node offers itself.
#[derive(Debug, Deserialize)]
pub(crate) struct OwnService {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) policy: String,
    #[serde(default)]
    pub(crate) summary: String,
}

/// A sprocket of a node, and how it is.
#[derive(Debug, Deserialize)]
pub(crate) struct OwnSprocket {
    pub(crate) name: String,
    pub(crate) state: String,
    /// What it said when it panicked.
    pub(crate) message: Option<String>,
}

/// One route of a node.
#[derive(Debug, Deserialize)]
pub(crate) struct Endpoint {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) policy: String,
}
