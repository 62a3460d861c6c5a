//! The tasks of the engine itself.
//!
//! They are on the list so that one can see what a node is busy with, and two of them can be slowed
//! down or stopped. Each part of the engine paces its own; the figures come from there.
//!
//! | name | what it counts as a run | may be changed |
//! |---|---|---|
//! | `send-discovery` | an announcement by broadcast | yes, 1 s to 1 h |
//! | `listen-discovery` | a datagram that was taken in | no |
//! | `probe` | a step of the failure detector | no |
//! | `status-poll` | the fetch of a member's status | yes, 1 s to 1 h |
//!
//! `probe` and `listen-discovery` are what makes the node a member: without them it would be dead to
//! the others. A node that sends no announcements is found by those that send theirs, and its own
//! deaths still heal.

/// A task of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    SendDiscovery,
    ListenDiscovery,
    Probe,
    StatusPoll,
}

/// The bounds of the intervals that can be set, in milliseconds.
const INTERVAL_MIN_MS: u32 = 1_000;
const INTERVAL_MAX_MS: u32 = 3_600_000;

impl System {
    /// All of them, in the order of the list.
    pub(crate) const ALL: [Self; 4] =
        [Self::SendDiscovery, Self::ListenDiscovery, Self::Probe, Self::StatusPoll];

    /// Its place in the list.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::SendDiscovery => 0,
            Self::ListenDiscovery => 1,
            Self::Probe => 2,
            Self::StatusPoll => 3,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::SendDiscovery => "send-discovery",
            Self::ListenDiscovery => "listen-discovery",
            Self::Probe => "probe",
            Self::StatusPoll => "status-poll",
        }
    }

    pub(crate) const fn summary(self) -> &'static str {
        match self {
            Self::SendDiscovery => "Announces this node by broadcast",
            Self::ListenDiscovery => "Takes in what other members send",
            Self::Probe => "Pings members, to notice who is gone",
            Self::StatusPoll => "Fetches the status of members where it has changed",
        }
    }

    /// Whether it can be neither stopped, run nor paced by hand.
    pub(crate) const fn is_protected(self) -> bool {
        matches!(self, Self::ListenDiscovery | Self::Probe)
    }

    /// Whether its interval may be so many milliseconds.
    pub(crate) const fn takes_interval(interval_ms: u32) -> bool {
        interval_ms >= INTERVAL_MIN_MS && interval_ms <= INTERVAL_MAX_MS
    }
}
