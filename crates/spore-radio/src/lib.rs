//! A model of a WiFi radio, and of the routers around it, for bodies that have no radio: the
//! simulator and Linux.
//!
//! Like the engine it does no I/O and reads no clock: commands and the time go in, and what the
//! radio reports comes out when its time has come. What it does is what the SDK of an ESP8266
//! does, as far as the engine can tell: an attempt looks on all channels, associates, is given an
//! address or refused, each after a while that differs from time to time; a network that goes away is
//! missed some seconds later; and while it looks for a network, clients of the access point are
//! thrown out and come back. How long each step takes on a real board has not been measured.

mod radio;

pub use radio::RadioModel;

use spore_core::network::{InvalidPassword, InvalidSsid, Password, Ssid};
use std::fmt;
use std::str::FromStr;

/// Weaker than this, in dBm, a network is lost from time to time, and attempts fail.
pub const WEAK: i8 = -85;

/// A router, or another access point, that can be on the air.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Router {
    /// The name of its network. Several may have the same one.
    pub ssid: Ssid,
    /// Its password.
    pub password: Password,
    /// Its channel, 1 to 14.
    pub channel: u8,
    /// How strong it is heard, in dBm.
    pub rssi: i8,
    /// Whether it is on the air.
    pub on: bool,
    /// Whether the addresses that it gives out are in use already.
    pub conflict: bool,
    /// Which addresses it gives out: each node's differs between two of these.
    pub pool: u8,
}

impl Router {
    /// A router on channel 6 with a good signal.
    pub const fn new(ssid: Ssid, password: Password) -> Self {
        Self { ssid, password, channel: 6, rssi: -60, on: true, conflict: false, pool: 0 }
    }
}

/// The text does not name a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidRouter {
    /// There is no `:` behind the name.
    Form,
    /// The name is none.
    Ssid(InvalidSsid),
    /// The password is none.
    Password(InvalidPassword),
}

impl fmt::Display for InvalidRouter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("a network is NAME:PASSWORD, or NAME: if it is open"),
            Self::Ssid(error) => error.fmt(f),
            Self::Password(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for InvalidRouter {}

impl FromStr for Router {
    type Err = InvalidRouter;

    /// Reads `NAME:PASSWORD`. A password may hold a colon, a name may not.
    fn from_str(text: &str) -> Result<Self, InvalidRouter> {
        let (ssid, password) = text.split_once(':').ok_or(InvalidRouter::Form)?;
        let ssid = ssid.parse().map_err(InvalidRouter::Ssid)?;
        let password = password.parse().map_err(InvalidRouter::Password)?;
        Ok(Self::new(ssid, password))
    }
}

#[cfg(test)]
mod tests {
    use super::{InvalidRouter, Router};

    #[test]
    fn networks_are_read_from_a_line() {
        let home: Router = "home:a password: secret".parse().unwrap();
        assert_eq!(home.ssid.as_str(), "home");
        assert_eq!(home.password.as_str(), "a password: secret");
        assert!("guest:".parse::<Router>().unwrap().password.is_open());
        assert_eq!("home".parse::<Router>(), Err(InvalidRouter::Form));
        assert!(matches!(":12345678".parse::<Router>(), Err(InvalidRouter::Ssid(_))));
        assert!(matches!("home:short".parse::<Router>(), Err(InvalidRouter::Password(_))));
    }
}
