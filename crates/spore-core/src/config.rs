//! What an operator sets, and what the hardware is.

use crate::api::Assets;
use crate::network::RadioConfig;
use crate::ota::Running;
use crate::security::ClusterKey;
use crate::services::Catalogue;
use crate::sprockets::Manifest;
use crate::tasks::Tasks;
use crate::time::Duration;
use crate::wire::Hostname;
use core::net::Ipv4Addr;

/// The UDP port of the cluster, unless the operator chose another one.
pub const DEFAULT_PORT: u16 = 4210;

/// The settings of one node.
///
/// Costs 320 bytes of RAM, key and passwords included.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name that people know the node by: 1 to 32 letters, digits and hyphens (RFC 1123).
    /// One that was set through the API, and is stored, holds instead.
    /// It need not be unique; members are told apart by their ids.
    pub hostname: Hostname,
    /// This node's address on the cluster's network, told to the others. With a radio it is that
    /// of the network which the node is in.
    pub address: Ipv4Addr,
    /// The cluster's UDP port, the same on all members. Default [`DEFAULT_PORT`].
    pub port: u16,
    /// The TCP port of this node's HTTP API, told to the others.
    pub http_port: u16,
    /// The key that all members share, unless the node's [`Claim`](crate::settings::Claim) has one. Who
    /// does not have it can neither read nor alter. Without one the node is *unclaimed*: it says and hears nothing on UDP, so it has no members, and
    /// refuses every signed request.
    pub key: Option<ClusterKey>,
    /// What this node offers to others at `/api/services/NAME`.
    pub services: Catalogue,
    /// The files that this node serves besides its API, such as a page.
    pub assets: Assets,
    /// What its program does by itself.
    pub tasks: Tasks,
    /// The sprockets whose settings and states this node keeps: those of its
    /// [`Roster`](crate::sprockets::Roster).
    pub sprockets: &'static [&'static Manifest],
    /// The pace of the membership protocol, the same on all members.
    pub timing: Timing,
    /// The node's radio; `None` if it is wired.
    pub radio: Option<RadioConfig>,
}

/// The pace of discovery and failure detection. Each span is taken for at least 1 ms.
///
/// The defaults are chosen for one shared radio channel with half of all broadcasts lost. A death
/// is known to all after about `probe_interval` (someone probes the dead node) + `probe_interval` (no
/// answer) + `suspicion` + the few intervals that the news takes to spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between two announcements while no member is known. Default 1 s. Shorter finds a cluster
    /// sooner after a lossy start and costs one broadcast each.
    pub announce_alone: Duration,
    /// Between two announcements of a node in a cluster of up to eight; larger clusters stretch it
    /// in proportion, so that all together broadcast at most about once a second. Default 8 s.
    /// Announcements heal a split cluster; much longer delays that.
    pub announce: Duration,
    /// Between two probes, each of another member (SWIM's protocol period). Default 1 s. Traffic
    /// is inversely proportional to it.
    pub probe_interval: Duration,
    /// How long one ping may stay unanswered before it is repeated, within the probe interval.
    /// Default 250 ms; must exceed the round-trip time. At `probe_interval` or above there is no
    /// repetition, and loss alone makes suspects.
    pub probe_timeout: Duration,
    /// How long a suspect has to refute before it is declared dead. Default 5 s. At zero any lost
    /// probe kills; long delays the news of real deaths.
    pub suspicion: Duration,
    /// How long a dead member stays listed if its row is not needed. Default 24 h.
    pub forget: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Timing {
    /// This pace with no span below 1 ms, at which a node would do nothing else.
    pub(crate) fn clamped(self) -> Self {
        let at_least = |span: Duration| span.max(Duration::from_millis(1));
        Self {
            announce_alone: at_least(self.announce_alone),
            announce: at_least(self.announce),
            probe_interval: at_least(self.probe_interval),
            probe_timeout: at_least(self.probe_timeout),
            suspicion: at_least(self.suspicion),
            forget: at_least(self.forget),
        }
    }

    /// The default pace.
    pub const DEFAULT: Self = Self {
        announce_alone: Duration::from_secs(1),
        announce: Duration::from_secs(8),
        probe_interval: Duration::from_secs(1),
        probe_timeout: Duration::from_millis(250),
        suspicion: Duration::from_secs(5),
        forget: Duration::from_secs(24 * 3600),
    };
}

/// What does not change while a node runs. Each text has at most 32 bytes, so that a piece of the
/// status fits into [`MIN_PIECE`](crate::api::MIN_PIECE).
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The board that images are made for, or the body: `esp-01`, `emulated`, `host` or `sim`.
    pub board: &'static str,
    /// The version of the program.
    pub version: &'static str,
    /// The chip's own number; on a body without one, a number derived from its address.
    pub chip_id: u32,
    /// Flash size in bytes; 0 on a body without flash.
    pub flash_size: u32,
    /// Why the node last started, in the body's own words (`power-on`, `panic`, …).
    pub reset_reason: &'static str,
    /// How many crashes in a row it starts after, as [`crash::in_a_row`](crate::crash::in_a_row) counts them; 0 if it was no
    /// crash. From [`SAFE_AFTER`](crate::crash::SAFE_AFTER) on it starts in safe mode.
    pub crashes: u8,
    /// The image that runs; `None` on a body without slots, which takes no updates.
    pub image: Option<Running>,
}
