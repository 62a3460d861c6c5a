//! The radio of one node.

use crate::{Router, WEAK};
use fastrand::Rng;
use spore_core::network::{Credentials, Lease, RadioCommand, RadioEvent, Reason, Seen, Ssid};
use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Duration;

/// How long each step takes, in milliseconds, each time within these bounds.
mod span {
    use std::ops::RangeInclusive;

    /// All channels are looked at.
    pub(super) const LOOK: RangeInclusive<u64> = 1_500..=2_500;
    /// Until the network is joined.
    pub(super) const ASSOCIATE: RangeInclusive<u64> = 100..=500;
    /// Until the network is known not to take the password.
    pub(super) const HANDSHAKE: RangeInclusive<u64> = 2_000..=4_000;
    /// Until an address is given, or is known to be in use.
    pub(super) const ADDRESS: RangeInclusive<u64> = 200..=2_500;
    /// Until a network is missed that has gone away.
    pub(super) const MISS: RangeInclusive<u64> = 2_000..=6_000;
    /// A weak network is lost after so long.
    pub(super) const WEAK: RangeInclusive<u64> = 10_000..=120_000;
    /// Until a client that was thrown out is back.
    pub(super) const RETURN: RangeInclusive<u64> = 3_000..=6_000;
}

/// What comes next for the station.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It knows what is on the air.
    Looked,
    /// It is associated, or knows that the password is wrong.
    Associated,
    /// It has an address, or knows that this is in use.
    Addressed,
    /// It misses its network.
    Missed,
}

/// A radio that is modelled. Times are those of whoever drives it, counted from any origin, and must never
/// run backwards.
#[derive(Debug)]
pub struct RadioModel {
    rng: Rng,
    /// What the station tries to join, or has joined.
    credentials: Option<Credentials>,
    /// Whether it has joined, and has an address.
    up: bool,
    step: Option<(Duration, Step)>,
    /// When the scan under way ends.
    scan: Option<Duration>,
    open: bool,
    /// How many want to be on the access point.
    wanting: u8,
    /// How many are.
    clients: u8,
    /// When those who were thrown out are back.
    back: Option<Duration>,
    reports: VecDeque<RadioEvent>,
}

impl RadioModel {
    /// A radio that draws its chance from `rng`.
    pub const fn new(rng: Rng) -> Self {
        Self {
            rng,
            credentials: None,
            up: false,
            step: None,
            scan: None,
            open: false,
            wanting: 0,
            clients: 0,
            back: None,
            reports: VecDeque::new(),
        }
    }

    /// The network that it is in, as it knows.
    pub fn network(&self) -> Option<&Ssid> {
        self.credentials.as_ref().filter(|_| self.up).map(|credentials| &credentials.ssid)
    }

    /// Whether what it sends now arrives: it is in a network that is on the air.
    pub fn carries(&self, air: &[Router]) -> bool {
        self.up && self.router(air).is_some()
    }

    /// Whether its access point is open.
    pub const fn is_open(&self) -> bool {
        self.open
    }

    /// The engine has given a command; `credentials` are those to connect with.
    pub fn command(
        &mut self,
        now: Duration,
        command: RadioCommand,
        credentials: Option<&Credentials>,
    ) {
        match command {
            RadioCommand::Connect => {
                self.up = false;
                self.credentials = credentials.copied();
                self.step = Some((self.after(now, span::LOOK), Step::Looked));
                self.throw_out(now);
            }
            RadioCommand::Disconnect => {
                (self.up, self.credentials, self.step) = (false, None, None);
            }
            RadioCommand::OpenAccessPoint => {
                self.open = true;
                self.let_in(now);
            }
            RadioCommand::CloseAccessPoint => {
                (self.open, self.clients, self.back) = (false, 0, None);
            }
            RadioCommand::Scan => {
                self.scan = Some(self.after(now, span::LOOK));
                self.throw_out(now);
            }
        }
    }

    /// Somebody wants to be on the access point, as soon as and whenever it is open.
    pub fn join(&mut self, now: Duration) {
        self.wanting = self.wanting.saturating_add(1);
        self.let_in(now);
    }

    /// One of those who want to be on the access point goes.
    pub fn leave(&mut self) {
        self.wanting = self.wanting.saturating_sub(1);
        if self.clients > self.wanting {
            self.clients = self.wanting;
            self.reports.push_back(RadioEvent::ClientLeft);
        }
    }

    /// Something has changed on the air.
    pub fn air_changed(&mut self, now: Duration, air: &[Router]) {
        if !self.up {
            return;
        }
        let there = self.router(air).map(|router| router.rssi);
        self.step = match (there, self.step) {
            // It misses the network already.
            (None, Some((at, Step::Missed))) => Some((at, Step::Missed)),
            (None, _) => Some((self.after(now, span::MISS), Step::Missed)),
            (Some(rssi), _) if rssi < WEAK => Some((self.after(now, span::WEAK), Step::Missed)),
            (Some(_), _) => None,
        };
    }

    /// When there is something to report next. It may be less than it seems.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let now = (!self.reports.is_empty()).then_some(Duration::ZERO);
        [now, self.step.map(|(at, _)| at), self.scan, self.back].into_iter().flatten().min()
    }

    /// What the radio reports next, by `now`. `lease` is what a router with this pool gives the
    /// node.
    pub fn poll(
        &mut self,
        now: Duration,
        air: &[Router],
        lease: impl Fn(u8) -> Lease,
    ) -> Option<RadioEvent> {
        // Each of them ends what is due, and begins what takes time.
        if let Some((_, step)) = self.step.take_if(|(at, _)| *at <= now) {
            self.take(now, step, air, lease);
        }
        if self.scan.take_if(|at| *at <= now).is_some() {
            self.list(air);
        }
        if self.back.take_if(|at| *at <= now).is_some() && self.open {
            while self.clients < self.wanting {
                self.clients += 1;
                self.reports.push_back(RadioEvent::ClientJoined);
            }
        }
        self.reports.pop_front()
    }

    fn take(&mut self, now: Duration, step: Step, air: &[Router], lease: impl Fn(u8) -> Lease) {
        let Some(router) = self.router(air) else {
            let reason = if step == Step::Looked { Reason::NotFound } else { Reason::Lost };
            return self.end(reason);
        };
        let takes = self.credentials.is_some_and(|own| own.password == router.password);
        let weak = router.rssi < WEAK;
        let (rssi, pool, conflict) = (router.rssi, router.pool, router.conflict);
        match step {
            Step::Looked => {
                let span = if takes { span::ASSOCIATE } else { span::HANDSHAKE };
                self.step = Some((self.after(now, span), Step::Associated));
            }
            Step::Associated if !takes => self.end(Reason::WrongPassword),
            // Half of the attempts with a weak network fail, with 802.11's reason 2.
            Step::Associated if weak && self.rng.bool() => self.end(Reason::Other(2)),
            Step::Associated => {
                self.reports.push_back(RadioEvent::Associated);
                self.step = Some((self.after(now, span::ADDRESS), Step::Addressed));
            }
            Step::Addressed if conflict => self.end(Reason::AddressConflict),
            Step::Addressed => {
                self.up = true;
                self.reports.push_back(RadioEvent::Signal(rssi));
                self.reports.push_back(RadioEvent::Address(lease(pool)));
                if weak {
                    self.step = Some((self.after(now, span::WEAK), Step::Missed));
                }
            }
            Step::Missed => self.end(Reason::Lost),
        }
    }

    /// The attempt or the connection has ended.
    fn end(&mut self, reason: Reason) {
        (self.up, self.credentials, self.step) = (false, None, None);
        self.reports.push_back(RadioEvent::Disconnected(reason));
    }

    /// Reports all that is on the air.
    fn list(&mut self, air: &[Router]) {
        for router in air.iter().filter(|router| router.on) {
            self.reports.push_back(RadioEvent::Scanned(Seen {
                ssid: router.ssid,
                rssi: router.rssi.saturating_add(self.rng.i8(-3..=3)),
                channel: router.channel,
                secure: !router.password.is_open(),
            }));
        }
        self.reports.push_back(RadioEvent::ScanDone);
    }

    /// The strongest router of the network, on whichever channel.
    fn router<'a>(&self, air: &'a [Router]) -> Option<&'a Router> {
        let own = self.credentials.as_ref()?;
        let named = air.iter().filter(|router| router.on && router.ssid == own.ssid);
        named.max_by_key(|router| router.rssi)
    }

    /// The radio goes to other channels, where no client of the access point follows.
    fn throw_out(&mut self, now: Duration) {
        for _ in 0..std::mem::take(&mut self.clients) {
            self.reports.push_back(RadioEvent::ClientLeft);
        }
        self.back = None;
        self.let_in(now);
    }

    /// Whoever wants to be on the access point is, after a while.
    fn let_in(&mut self, now: Duration) {
        if self.open && self.clients < self.wanting && self.back.is_none() {
            self.back = Some(self.after(now, span::RETURN));
        }
    }

    fn after(&mut self, now: Duration, span: RangeInclusive<u64>) -> Duration {
        now + Duration::from_millis(self.rng.u64(span))
    }
}

#[cfg(test)]
#[path = "radio_tests.rs"]
mod tests;
