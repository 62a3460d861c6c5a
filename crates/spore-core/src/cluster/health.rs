//! How well this node itself is doing: Lifeguard's local health.
//!
//! Most false alarms are not the suspect's fault but the accuser's, who was held up or is cut off
//! himself (Dadgar, Phillips, Currey: "Lifeguard: Local Health Awareness for More Accurate Failure
//! Detection", arXiv 1707.00788). So each node keeps a score of what speaks against itself:
//!
//! | what | points |
//! |---|---|
//! | a probe was answered, whichever way | -1 |
//! | there was nobody to probe | -1 |
//! | a probe was not answered | +1 |
//! | …and none of the relays that were asked answered either | +1 |
//! | it had to refute that it is suspect or dead | +1 |
//! | it was held up for a probe interval or more | +1 |
//!
//! and with a worse score it probes more slowly, waits longer for answers, and is slower to
//! declare others dead.
//!
//! *Taken from the paper*: the local health multiplier (its section IV-A) with its limit of 8 and its
//! scaling of probe interval and timeout; and the buddy system (IV-C): who pings a member that it
//! suspects says so in that ping. A relay acks a request at once, which tells what the paper's
//! *nack* tells: that this node reaches others and hears them.
//!
//! *Added*: a node that is alone gets well again, a point a probe interval; being held up counts, since the engine is told the time and so notices it. The score
//! prolongs suspicions too, by one plain probe interval a point. That is less than in proportion, so that of two
//! members one in good health declares the other dead within 15 s; at the worst score it takes about 35 s.
//!
//! *Not taken*: suspicion timeouts that shrink with each independent confirmation (IV-B). They need to know who suspects,
//! which a record does not say; and with relays a false suspicion is rare.

use crate::config::Timing;
use crate::time::Duration;

/// The local health score, 0 (good) to 8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Health(u8);

impl Health {
    /// The paper's S.
    const WORST: u8 = 8;

    /// Whether nothing speaks against this node.
    #[cfg(test)]
    pub(crate) fn is_good(self) -> bool {
        self.0 == 0
    }

    /// Something speaks for this node.
    pub(super) const fn improve(&mut self) {
        self.0 = self.0.saturating_sub(1);
    }

    /// Something speaks against this node, with so many points.
    pub(super) fn worsen(&mut self, points: u8) {
        self.0 = self.0.saturating_add(points).min(Self::WORST);
    }

    /// The pace at this health: probe interval and timeout are up to nine times as long.
    pub(super) fn pace(self, timing: &Timing) -> Timing {
        let factor = u64::from(self.0).saturating_add(1);
        Timing {
            probe_interval: timing.probe_interval.times(factor),
            probe_timeout: timing.probe_timeout.times(factor),
            suspicion: self.patience(timing),
            ..*timing
        }
    }

    /// How long a suspect has to refute, as far as this node declares it dead.
    fn patience(self, timing: &Timing) -> Duration {
        timing.suspicion + timing.probe_interval.times(u64::from(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::Health;
    use crate::config::Timing;
    use crate::time::Duration;

    #[test]
    fn the_score_stays_within_its_bounds_and_sets_the_pace() {
        let mut health = Health::default();
        assert_eq!(health.pace(&Timing::DEFAULT), Timing::DEFAULT);
        health.improve();
        assert_eq!(health, Health::default());
        for _ in 0..200 {
            health.worsen(2);
        }
        let pace = health.pace(&Timing::DEFAULT);
        assert_eq!(pace.probe_interval, Duration::from_secs(9));
        assert_eq!(pace.probe_timeout, Duration::from_millis(9 * 250));
        assert_eq!(pace.suspicion, Duration::from_secs(5 + 8));
        for _ in 0..8 {
            health.improve();
        }
        assert_eq!(health, Health::default());
    }
}
