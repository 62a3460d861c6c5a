//! The station: attempt after attempt, until it is connected.

use super::{Around, Lease, Network, RadioCommand, Reason};
use crate::node::Event;
use crate::time::{Duration, Instant};

/// From a change of the credentials until the network is left: the answer needs it.
pub(super) const CHANGE_DELAY: Duration = Duration::from_millis(500);

/// How long an attempt may take to an association, and then to an address.
const ATTEMPT: Duration = Duration::from_secs(15);

/// The first pause between two attempts. Each next one is twice as long…
const PAUSE: Duration = Duration::from_secs(1);

/// …up to this. When a router is back, all nodes are within 30 seconds.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// …or up to this if the network is there and does not take the password: nothing but somebody's
/// doing changes that, and a router may count failures.
const PAUSE_WRONG_MAX: Duration = Duration::from_secs(60);

/// The pause while a client is on the access point: attempts take the radio to other channels,
/// which throws the client out.
const PAUSE_CLIENT: Duration = Duration::from_secs(60);

/// The pause after an address conflict (RFC 2131, section 3.1, step 5: at least ten seconds).
const PAUSE_CONFLICT: Duration = Duration::from_secs(14);

/// The state of the station.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Station {
    /// There is nothing to connect with.
    Off,
    /// The next attempt is to come.
    Waiting { until: Instant },
    /// An attempt is under way.
    Connecting { until: Instant },
    /// It has an address.
    Online,
    /// There are new credentials; what it did before goes on until then.
    Changing { until: Instant },
}

impl Station {
    /// The state as the API names it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Off => "unconfigured",
            Self::Waiting { .. } => "waiting",
            Self::Connecting { .. } => "connecting",
            Self::Online => "connected",
            Self::Changing { .. } => "changing",
        }
    }
}

impl Network {
    pub(super) fn associated(&mut self, around: &mut Around<'_, '_>) {
        if let Station::Connecting { until } = &mut self.station
            && !self.commands.concern_the_station()
        {
            *until = around.now + ATTEMPT;
        }
    }

    pub(super) fn addressed(&mut self, around: &mut Around<'_, '_>, lease: Lease) {
        let connected = self.lease.is_some();
        let awaited = matches!(self.station, Station::Connecting { .. });
        if self.commands.concern_the_station() || !(connected || awaited) {
            return;
        }
        let moved = self.lease.replace(lease).is_none_or(|old| old.address != lease.address);
        if !connected {
            self.station = Station::Online;
            (self.since, self.attempts, self.reason) = (around.now, 0, None);
            around.notify(Event::NetworkConnected);
            self.keep(around);
        }
        if moved {
            around.cluster.connected(around.now, lease.address);
        }
    }

    pub(super) fn disconnected(&mut self, around: &mut Around<'_, '_>, reason: Reason) {
        if self.commands.concern_the_station() {
            return;
        }
        match self.station {
            Station::Connecting { .. } | Station::Online => self.fail(around, reason),
            // Whatever was lost, other credentials are to be tried.
            Station::Changing { .. } => self.go_offline(around, reason),
            Station::Off | Station::Waiting { .. } => (),
        }
    }

    /// What was under way has failed.
    fn fail(&mut self, around: &mut Around<'_, '_>, reason: Reason) {
        self.go_offline(around, reason);
        self.reason = Some(reason);
        if reason == Reason::WrongPassword {
            self.trial.note_wrong();
        }
        if matches!(reason, Reason::AddressConflict | Reason::Timeout) {
            self.commands.add(RadioCommand::Disconnect);
        }
        let pause = around.jitter(self.pause(reason));
        self.station = Station::Waiting { until: around.now + pause };
    }

    /// How long to wait after a failure, on average.
    fn pause(&self, reason: Reason) -> Duration {
        let doublings = self.attempts.saturating_sub(1).min(6);
        let grown = PAUSE.times(1_u64.wrapping_shl(u32::from(doublings)));
        match reason {
            Reason::AddressConflict => PAUSE_CONFLICT,
            // A trial ends soon, and whoever set it waits for that.
            _ if self.access_point.clients > 0 && !self.trial.is_under_way() => PAUSE_CLIENT,
            Reason::WrongPassword => grown.min(PAUSE_WRONG_MAX),
            _ => grown.min(PAUSE_MAX),
        }
    }

    /// The station has no address any more.
    pub(super) fn go_offline(&mut self, around: &mut Around<'_, '_>, reason: Reason) {
        if self.lease.take().is_some() {
            (self.since, self.attempts, self.rssi) = (around.now, 0, None);
            around.notify(Event::NetworkDisconnected(reason));
        }
    }

    /// Somebody has joined the access point: it is not thrown out again at once.
    pub(super) fn put_off_attempt(&mut self, now: Instant) {
        if let Station::Waiting { until } = &mut self.station
            && !self.trial.is_under_way()
        {
            *until = (*until).max(now + PAUSE_CLIENT);
        }
    }

    /// Nobody is on the access point any more, so that attempts disturb nobody.
    pub(super) fn bring_attempt_forward(&mut self, now: Instant) {
        if let Station::Waiting { until } = &mut self.station {
            *until = (*until).min(now + PAUSE_MAX);
        }
    }

    pub(super) fn advance_station(&mut self, around: &mut Around<'_, '_>) {
        let now = around.now;
        if let Station::Changing { until } = self.station
            && until <= now
        {
            self.go_offline(around, Reason::Changed);
            self.commands.add(RadioCommand::Disconnect);
            self.trial.begin(now);
            self.attempts = 0;
            self.station = Station::Waiting { until: now };
        }
        if let Station::Connecting { until } = self.station
            && until <= now
        {
            self.fail(around, Reason::Timeout);
        }
        if self.trial.has_failed(now) {
            self.give_back(around);
        }
        if let Station::Waiting { until } = self.station
            && until <= now
            && self.scan.due().is_none()
        {
            self.attempts = self.attempts.saturating_add(1);
            self.commands.add(RadioCommand::Connect);
            self.station = Station::Connecting { until: now + ATTEMPT };
        }
    }

    /// When the station has something to do.
    pub(super) fn station_due(&self) -> Option<Instant> {
        match self.station {
            Station::Off | Station::Online => None,
            // It waits for the end of a scan, too.
            Station::Waiting { until } => Some(self.scan.due().map_or(until, |end| until.max(end))),
            Station::Connecting { until } | Station::Changing { until } => Some(until),
        }
    }
}
