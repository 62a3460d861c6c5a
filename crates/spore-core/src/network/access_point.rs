//! The access point: open while the station has no network, so that somebody can give it one.

use super::station::Station;
use super::{Around, Network, RadioCommand};
use crate::node::Event;
use crate::time::{Duration, Instant};

/// The station may be without a network for so long before the access point opens.
const OPEN_AFTER: Duration = Duration::from_secs(30);

/// After the station is connected, the access point stays for so long after its last client has
/// gone: a phone that the change of channel has thrown out comes back to see how it went…
const GRACE: Duration = Duration::from_secs(10);

/// …and for no longer than this, whoever is still on it.
const GRACE_MAX: Duration = Duration::from_secs(300);

/// The state of the access point.
#[derive(Clone, Copy, Debug)]
pub(super) struct AccessPoint {
    pub(super) open: bool,
    /// How many are on it.
    pub(super) clients: u8,
    /// If nobody is on it, it need not stay for longer than this.
    stays_until: Instant,
}

impl AccessPoint {
    pub(super) const CLOSED: Self = Self { open: false, clients: 0, stays_until: Instant::ZERO };
}

impl Network {
    pub(super) fn client_joined(&mut self, around: &mut Around<'_, '_>) {
        if self.access_point.open {
            self.access_point.clients = self.access_point.clients.saturating_add(1);
            self.put_off_attempt(around.now);
        }
    }

    pub(super) fn client_left(&mut self, around: &mut Around<'_, '_>) {
        if self.access_point.clients == 0 {
            return;
        }
        self.access_point.clients = self.access_point.clients.saturating_sub(1);
        if self.access_point.clients == 0 {
            self.access_point.stays_until = around.now + GRACE;
            self.bring_attempt_forward(around.now);
        }
    }

    /// When it is to open; `None` while there is no reason to.
    fn opening(&self) -> Option<Instant> {
        // A trial has not failed yet, and when it has, the old credentials are tried first.
        let returning = self.trial.is_under_way() && self.trial.has_previous();
        let barred = self.access_point.open || self.password.is_none();
        if barred || self.lease.is_some() || returning {
            return None;
        }
        match self.station {
            Station::Off => Some(self.since),
            _ => Some(self.since + OPEN_AFTER),
        }
    }

    /// When it is to close; `None` while there is no reason to.
    fn closing(&self) -> Option<Instant> {
        if !self.access_point.open || self.lease.is_none() {
            return None;
        }
        match self.access_point.clients {
            0 => Some(self.access_point.stays_until.max(self.since)),
            _ => Some(self.since + GRACE_MAX),
        }
    }

    pub(super) fn advance_access_point(&mut self, around: &mut Around<'_, '_>) {
        if self.opening().is_some_and(|at| at <= around.now) {
            self.access_point = AccessPoint { open: true, ..AccessPoint::CLOSED };
            self.commands.add(RadioCommand::OpenAccessPoint);
            around.notify(Event::AccessPointOpened);
            // As long as nobody is on it: who comes wants to choose from what there is.
            self.want_scan(around.now);
        } else if self.closing().is_some_and(|at| at <= around.now) {
            self.access_point = AccessPoint::CLOSED;
            self.commands.add(RadioCommand::CloseAccessPoint);
            around.notify(Event::AccessPointClosed);
        }
    }

    /// When it has something to do.
    pub(super) fn access_point_due(&self) -> Option<Instant> {
        self.opening().or_else(|| self.closing())
    }
}
