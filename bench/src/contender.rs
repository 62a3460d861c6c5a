//! Who is compared with whom, and at which pace.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

/// Between two probes, and between two rounds of gossip, at [`Pace::Same`]: as SPORE has it by itself.
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// How long a ping may stay unanswered then before others are asked to help.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_millis(250);
/// How long a suspect has to refute then.
pub(crate) const SUSPICION: Duration = Duration::from_secs(5);
/// How often who is alone looks for others, whatever engine it has.
pub(crate) const RETRY: Duration = Duration::from_secs(1);

/// An engine at a pace.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Contender {
    /// SPORE, with the capacities of a Linux machine, at its own pace.
    Spore,
    /// foca, as it configures itself for a LAN of so many.
    FocaOwn,
    /// foca at SPORE's pace.
    FocaSame,
}

/// Whose intervals an engine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Those that its authors gave it.
    Own,
    /// Those of SPORE.
    Same,
}

impl Contender {
    /// All, in the order of the tables.
    pub(crate) const ALL: [Self; 3] = [Self::Spore, Self::FocaSame, Self::FocaOwn];
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Spore => "SPORE",
            Self::FocaOwn => "foca, own pace",
            Self::FocaSame => "foca, same pace",
        })
    }
}

/// foca's configuration in a cluster of so many.
pub(crate) fn foca(pace: Pace, nodes: usize) -> foca::Config {
    let size = u32::try_from(nodes).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
    let own = foca::Config::new_lan(size);
    match pace {
        Pace::Own => own,
        Pace::Same => foca::Config {
            probe_period: PROBE_INTERVAL,
            probe_rtt: PROBE_TIMEOUT,
            suspect_to_down_after: SUSPICION,
            periodic_gossip: Some(foca::PeriodicParams {
                frequency: PROBE_INTERVAL,
                num_members: NonZeroUsize::MIN.saturating_add(2),
            }),
            ..own
        },
    }
}
