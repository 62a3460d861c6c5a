//! What nodes answer with, as far as the gateway reads it.

use serde::Deserialize;
use serde_json::Value;

/// `GET /api/cluster/members`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct MemberList {
    pub(crate) members: Vec<Member>,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) hostname: String,
    pub(crate) address: String,
    pub(crate) http_port: u16,
    pub(crate) status: String,
    pub(crate) last_seen_ms: Option<u64>,
    pub(crate) rtt_us: Option<u64>,
    #[serde(default, rename = "self")]
    itself: Option<bool>,
}

impl Member {
    /// Whether it counts as there.
    pub(crate) fn is_live(&self) -> bool {
        is_live(&self.status)
    }

    /// Whether it is the gateway's own node.
    pub(crate) fn is_self(&self) -> bool {
        self.itself == Some(true)
    }

    /// The member as another node lists it, whose times are of no meaning here, nor is who it is itself.
    pub(crate) fn into_another(self) -> Self {
        Self { itself: None, last_seen_ms: None, rtt_us: None, ..self }
    }

    /// Where its API is.
    pub(crate) fn api(&self) -> String {
        format!("{}:{}", self.address, self.http_port)
    }
}

fn is_live(status: &str) -> bool {
    matches!(status, "active" | "suspect")
}

/// `GET /api/cluster/services`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ServiceList {
    pub(crate) services: Vec<Service>,
}

/// A service, and who offers it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Service {
    /// Null where only its id is known.
    pub(crate) name: Option<String>,
    pub(crate) providers: Vec<Provider>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Provider {
    pub(crate) id: String,
    pub(crate) hostname: String,
    pub(crate) status: String,
}

impl Provider {
    /// Whether it counts as there, as a [`Member`] does.
    pub(crate) fn is_live(&self) -> bool {
        is_live(&self.status)
    }
}

/// `GET /api/cluster/update`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Update {
    pub(crate) rollout: Option<Rollout>,
    /// As they are, so that nobody counts twice.
    pub(crate) counts: Value,
    pub(crate) nodes: Vec<Row>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Rollout {
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) images: Vec<Image>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Image {
    pub(crate) board: String,
    pub(crate) sequence: u32,
}

/// How far a node is in a rollout.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) board: Option<String>,
    pub(crate) state: String,
    pub(crate) percent: Option<u8>,
    pub(crate) reason: Option<String>,
}

/// `GET /api/node/status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Status {
    pub(crate) id: String,
    pub(crate) board: String,
    pub(crate) version: String,
    pub(crate) reset_reason: String,
    /// In dBm; none where there is no radio.
    pub(crate) rssi: Option<i16>,
    #[serde(default)]
    pub(crate) safe_mode: bool,
    pub(crate) uptime_ms: u64,
    pub(crate) free_memory: u64,
    #[serde(default)]
    pub(crate) services: Vec<OwnService>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct OwnService {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) summary: String,
}

/// `GET /api/node/update`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct NodeUpdate {
    pub(crate) image: Option<Running>,
}

/// The image that a node runs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Running {
    pub(crate) sequence: u32,
    pub(crate) stage: String,
}
