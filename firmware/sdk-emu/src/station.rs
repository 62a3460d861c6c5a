//! The station: how it joins a network, and how it loses it.
//!
//! A pure state machine over the [`Air`]: the time goes in, events come out. How long things take, and which reasons are
//! told, is what the SDK's documentation and its users report; none of it was measured on a chip.

use sdk_sys::user_interface as sdk;

use crate::air::{Air, Network};

/// From the wish to join until all channels were looked at.
pub const LOOK_US: u64 = 1_200_000;
/// From there until the network has let the station in.
pub const JOIN_US: u64 = 300_000;
/// From there until the station gives up on a handshake that does not end, since its password is wrong.
pub const HANDSHAKE_US: u64 = 2_000_000;
/// So long a network may be silent before it is lost.
pub const BEACONS_US: u64 = 6_000_000;
/// From a failure until the next try, if the station is to try again by itself.
pub const AGAIN_US: u64 = 1_000_000;

/// Which network to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    ssid: [u8; 32],
    password: [u8; 64],
    bssid: Option<[u8; 6]>,
    no_open: bool,
}

impl Wanted {
    /// None.
    pub const NONE: Self = Self { ssid: [0; 32], password: [0; 64], bssid: None, no_open: false };

    /// What the firmware has set.
    #[must_use]
    pub fn new(config: &sdk::StationConfig) -> Self {
        Self {
            ssid: config.ssid,
            password: config.password,
            bssid: (config.bssid_set != 0).then_some(config.bssid),
            no_open: config.open_and_wep_mode_disable != 0,
        }
    }

    /// Whether it is any.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.ssid[0] != 0
    }

    /// Its name, up to the first zero.
    #[must_use]
    pub fn ssid(&self) -> &[u8] {
        text(&self.ssid)
    }

    fn is(&self, network: &Network<'_>) -> bool {
        network.ssid.as_bytes() == self.ssid()
            && self.bssid.is_none_or(|bssid| bssid == network.bssid)
            && !(self.no_open && network.password.is_empty())
    }

    /// An open network asks nobody for a password.
    fn opens(&self, network: &Network<'_>) -> bool {
        network.password.is_empty() || network.password.as_bytes() == text(&self.password)
    }
}

/// The bytes up to the first zero.
fn text(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing is to be done.
    Idle,
    /// It is looked for the network.
    Looking { until_us: u64 },
    /// The network was found; `lets_in` says how it will end.
    Joining { until_us: u64, network: usize, channel: u8, lets_in: bool },
    /// In the network, which is heard.
    Joined { network: usize, channel: u8 },
    /// The network is heard no longer, which the station has yet to notice.
    Deaf { until_us: u64, bssid: [u8; 6] },
    /// The next try waits.
    Waiting { until_us: u64 },
}

/// What the station has to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is in the network.
    Connected {
        /// Of the access point.
        bssid: [u8; 6],
        /// Of the network.
        channel: u8,
    },
    /// It is in no network, or could not join one.
    Disconnected {
        /// Of the access point; zeros if none was found.
        bssid: [u8; 6],
        /// `REASON_…` of the SDK.
        reason: u8,
    },
}

/// The station.
#[derive(Clone, Copy, Debug)]
pub struct Station {
    state: State,
    wanted: Wanted,
    again: bool,
}

impl Station {
    /// It wants no network, and tries again by itself when there is one.
    pub const NEW: Self = Self { state: State::Idle, wanted: Wanted::NONE, again: true };

    /// Which network is to be joined from the next try on.
    pub fn set_wanted(&mut self, wanted: Wanted) {
        self.wanted = wanted;
    }

    /// The network that is to be joined.
    #[must_use]
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Whether the next try comes by itself.
    pub fn set_again(&mut self, again: bool) {
        self.again = again;
    }

    /// Begins to join; what was before ends without a word. False if no network is wanted.
    pub fn connect(&mut self, now_us: u64) -> bool {
        if !self.wanted.is_some() {
            return false;
        }
        self.state = State::Looking { until_us: now_us + LOOK_US };
        true
    }

    /// Leaves, or stops joining: then there is an event to tell.
    pub fn disconnect(&mut self, air: &Air<'_>, now_us: u64) -> Option<Event> {
        let bssid = match self.state {
            State::Idle => return None,
            State::Looking { .. } | State::Waiting { .. } => [0; 6],
            State::Joining { network, .. } | State::Joined { network, .. } => {
                air.heard(network, now_us).map_or([0; 6], |heard| heard.bssid)
            }
            State::Deaf { bssid, .. } => bssid,
        };
        self.state = State::Idle;
        Some(Event::Disconnected { bssid, reason: sdk::REASON_ASSOC_LEAVE })
    }

    /// The radio is switched off.
    pub fn stop(&mut self) {
        self.state = State::Idle;
    }

    /// Whether frames pass.
    #[must_use]
    pub fn hears(&self) -> bool {
        matches!(self.state, State::Joined { .. })
    }

    /// Whether the firmware was told that it is connected, and not yet otherwise.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self.state, State::Joined { .. } | State::Deaf { .. })
    }

    /// How strong the network is heard, in dBm, or `None` if there is none.
    #[must_use]
    pub fn rssi(&self, air: &Air<'_>, now_us: u64) -> Option<i8> {
        let State::Joined { network, .. } = self.state else { return None };
        air.heard(network, now_us).map(|heard| heard.rssi)
    }

    /// What has happened up to now; to be called until it returns `None`.
    pub fn poll(&mut self, air: &Air<'_>, now_us: u64) -> Option<Event> {
        match self.state {
            State::Idle => None,
            State::Looking { until_us } if until_us <= now_us => self.looked(air, now_us),
            State::Joining { until_us, network, channel, lets_in } if until_us <= now_us => {
                self.tried(air, now_us, network, channel, lets_in)
            }
            State::Joined { network, channel } => {
                // An access point that was away has forgotten its stations, also if it is back at once.
                let heard = air.heard(network, now_us);
                if heard.is_none_or(|heard| heard.channel != channel) {
                    let bssid =
                        heard.map_or_else(|| self.bssid_of(air, network), |heard| heard.bssid);
                    self.state = State::Deaf { until_us: now_us + BEACONS_US, bssid };
                }
                None
            }
            State::Deaf { until_us, bssid } if until_us <= now_us => {
                self.failed(now_us, bssid, sdk::REASON_BEACON_TIMEOUT)
            }
            State::Waiting { until_us } if until_us <= now_us => {
                self.state = State::Looking { until_us: now_us + LOOK_US };
                None
            }
            _ => None,
        }
    }

    fn bssid_of(&self, air: &Air<'_>, network: usize) -> [u8; 6] {
        air.heard(network, 0).map_or([0; 6], |heard| heard.bssid)
    }

    fn looked(&mut self, air: &Air<'_>, now_us: u64) -> Option<Event> {
        let heard = air.all_heard(now_us).filter(|(_, heard)| self.wanted.is(heard));
        let Some((network, heard)) = heard.max_by_key(|(_, heard)| heard.rssi) else {
            return self.failed(now_us, [0; 6], sdk::REASON_NO_AP_FOUND);
        };
        let lets_in = self.wanted.opens(&heard);
        let until_us = now_us + if lets_in { JOIN_US } else { HANDSHAKE_US };
        self.state = State::Joining { until_us, network, channel: heard.channel, lets_in };
        None
    }

    fn tried(
        &mut self,
        air: &Air<'_>,
        now_us: u64,
        network: usize,
        channel: u8,
        lets_in: bool,
    ) -> Option<Event> {
        let Some(heard) = air.heard(network, now_us).filter(|heard| heard.channel == channel)
        else {
            return self.failed(now_us, self.bssid_of(air, network), sdk::REASON_AUTH_EXPIRE);
        };
        if !lets_in {
            return self.failed(now_us, heard.bssid, sdk::REASON_4WAY_HANDSHAKE_TIMEOUT);
        }
        self.state = State::Joined { network, channel };
        Some(Event::Connected { bssid: heard.bssid, channel })
    }

    fn failed(&mut self, now_us: u64, bssid: [u8; 6], reason: u8) -> Option<Event> {
        let waiting = State::Waiting { until_us: now_us + AGAIN_US };
        self.state = if self.again { waiting } else { State::Idle };
        Some(Event::Disconnected { bssid, reason })
    }
}

#[cfg(test)]
#[path = "station_tests.rs"]
mod tests;
