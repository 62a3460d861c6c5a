//! What networks there are.

use super::station::Station;
use super::{Around, Network, RadioCommand, Ssid};
use crate::api::Error;
use crate::time::{Duration, Instant};
use heapless::VecView;

/// A scan that was not reported to have ended by then is over.
const SCAN_MAX: Duration = Duration::from_secs(15);

/// What was found is new for so long: nobody can keep the radio off its channel by asking.
const FRESH: Duration = Duration::from_secs(10);

/// A network that a scan has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub ssid: Ssid,
    /// How strong it is, in dBm.
    pub rssi: i8,
    /// Its channel, 1 to 14.
    pub channel: u8,
    /// Whether it wants a password.
    pub secure: bool,
}

/// What there is of scans.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan {
    /// One is to begin as soon as no attempt is under way.
    wanted: bool,
    last: Last,
}

/// The last scan.
#[derive(Clone, Copy, Debug)]
enum Last {
    /// There was none.
    Never,
    /// It is under way, and over by then.
    UnderWay { until: Instant },
    /// It has ended at that time.
    Ended { at: Instant },
}

impl Scan {
    pub(super) const NEVER: Self = Self { wanted: false, last: Last::Never };

    /// When the one under way ends at the latest.
    pub(super) const fn due(&self) -> Option<Instant> {
        match self.last {
            Last::UnderWay { until } => Some(until),
            Last::Never | Last::Ended { .. } => None,
        }
    }

    /// When the last one ended, if none has begun since.
    const fn ended(&self) -> Option<Instant> {
        match self.last {
            Last::Ended { at } => Some(at),
            Last::Never | Last::UnderWay { .. } => None,
        }
    }

    /// Whether one is under way or to come.
    const fn is_under_way(&self) -> bool {
        self.wanted || self.due().is_some()
    }
}

impl Network {
    /// Somebody wants to know what networks there are: begins a scan unless what is known is new.
    ///
    /// # Errors
    ///
    /// [`Error::NoRadio`] on a wired node; [`Error::AccessPointInUse`] if nothing is known, and a
    /// scan would throw out a client of the access point.
    pub(crate) fn look(&mut self, now: Instant) -> Result<(), Error> {
        if self.radio.is_none() {
            return Err(Error::NoRadio);
        }
        if self.access_point.clients == 0 {
            self.want_scan(now);
        } else if matches!(self.scan.last, Last::Never) {
            return Err(Error::AccessPointInUse);
        }
        Ok(())
    }

    pub(super) fn want_scan(&mut self, now: Instant) {
        self.scan.wanted |= match self.scan.last {
            Last::Never => true,
            Last::UnderWay { .. } => false,
            Last::Ended { at } => now.since(at) >= FRESH,
        };
    }

    /// Ends a scan that has gone on for too long.
    pub(super) fn expire_scan(&mut self, now: Instant) {
        if self.scan.due().is_some_and(|until| until <= now) {
            self.scan_ended(now);
        }
    }

    /// Begins a scan, if one is wanted and can be.
    pub(super) fn advance_scan(&mut self, around: &mut Around<'_, '_>) {
        // One that would throw out a client is not put off: its time may never come.
        self.scan.wanted &= self.access_point.clients == 0;
        let busy = matches!(self.station, Station::Connecting { .. } | Station::Changing { .. });
        if self.scan.wanted && !busy {
            self.scan.wanted = false;
            self.scan.last = Last::UnderWay { until: around.now + SCAN_MAX };
            around.seen.clear();
            self.commands.add(RadioCommand::Scan);
        }
    }

    /// Takes a network into the list: the strongest ones, each name once.
    pub(super) fn scanned(&self, list: &mut VecView<Seen>, seen: Seen) {
        if self.scan.due().is_none() {
            return;
        }
        if let Some(index) = list.iter().position(|other| other.ssid == seen.ssid) {
            if list.get(index).is_some_and(|other| other.rssi >= seen.rssi) {
                return;
            }
            list.remove(index);
        }
        let weaker = |other: &Seen| other.rssi < seen.rssi;
        let place = list.iter().position(weaker).unwrap_or(list.len());
        if list.is_full() {
            if place == list.len() {
                return;
            }
            list.pop();
        }
        // There is room.
        let _ = list.insert(place, seen);
    }

    pub(super) fn scan_ended(&mut self, now: Instant) {
        if self.scan.due().is_some() {
            self.scan.last = Last::Ended { at: now };
        }
    }

    /// Whether a scan is under way or to come, and when the last one ended, if none has begun since.
    pub(crate) const fn scan(&self) -> (bool, Option<Instant>) {
        (self.scan.is_under_way(), self.scan.ended())
    }
}
