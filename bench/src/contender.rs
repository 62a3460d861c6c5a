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
    /// chitchat, whose own pace is one round of gossip a second, too.
    Chitchat,
    /// memberlist, as it configures itself for a LAN.
    MemberlistOwn,
    /// memberlist at SPORE's pace.
    MemberlistSame,
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
    /// All, in the order of the tables: those that do no I/O, then those that have sockets of their own.
    pub(crate) const ALL: [Self; 6] = [
        Self::Spore,
        Self::FocaSame,
        Self::FocaOwn,
        Self::Chitchat,
        Self::MemberlistSame,
        Self::MemberlistOwn,
    ];

    /// Whether it can be driven in virtual time.
    pub(crate) fn is_sans_io(self) -> bool {
        matches!(self, Self::Spore | Self::FocaOwn | Self::FocaSame)
    }

    /// Whose intervals it has.
    pub(crate) fn pace(self) -> Pace {
        match self {
            Self::FocaSame | Self::MemberlistSame => Pace::Same,
            Self::Spore | Self::FocaOwn | Self::Chitchat | Self::MemberlistOwn => Pace::Own,
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Spore => "SPORE",
            Self::FocaOwn => "foca, own pace",
            Self::FocaSame => "foca, same pace",
            Self::Chitchat => "chitchat",
            Self::MemberlistOwn => "memberlist, own pace",
            Self::MemberlistSame => "memberlist, same pace",
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

/// memberlist's configuration in a cluster of so many.
pub(crate) fn memberlist(pace: Pace, nodes: usize) -> memberlist::Options {
    let own = memberlist::Options::lan();
    match pace {
        Pace::Own => own,
        Pace::Same => own
            .with_probe_interval(PROBE_INTERVAL)
            .with_probe_timeout(PROBE_TIMEOUT)
            .with_gossip_interval(PROBE_INTERVAL)
            .with_suspicion_mult(suspicion_mult(nodes)),
    }
}

/// With which multiplier memberlist leaves a suspect about [`SUSPICION`] once others have confirmed it.
fn suspicion_mult(nodes: usize) -> usize {
    let scale = (nodes.max(1) as f64).log10().max(1.0);
    let intervals = SUSPICION.as_secs_f64() / PROBE_INTERVAL.as_secs_f64();
    (1..10_u8)
        .min_by_key(|mult| ((f64::from(*mult) * scale - intervals).abs() * 1000.0) as u64)
        .map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_suspect_of_memberlist_has_about_five_seconds_at_the_same_pace() {
        // 5, 4.5, 4 and 5 s: it takes whole multiples.
        let mults = [8, 32, 100, 300].map(super::suspicion_mult);
        assert_eq!(mults, [5, 3, 2, 2]);
    }
}
