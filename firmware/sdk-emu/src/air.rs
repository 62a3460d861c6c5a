//! The air around the machine: which networks are there, and when. Read from the machine's argument `air=`.
//!
//! `home:secret1234:6;down@30;up@45:11;attic::1:-80` is a network *home* with its password on channel 6, which goes
//! away after 30 seconds and is back on channel 11 after 45, and an open network *attic* on channel 1, which is heard
//! at -80 dBm (-55 if nothing is said). Seconds count from when the machine was switched on, over resets. The words
//! `down` and `up` are about the network in front of them. Names and passwords have no space and none of `:;@`.

use core::fmt;

/// The most networks that there are.
pub const NETWORKS: usize = 4;
/// The most times that networks come and go.
pub const CHANGES: usize = 12;

/// How strong a network is heard if nothing is said, in dBm.
const RSSI: i8 = -55;
const SECOND_US: u64 = 1_000_000;

/// A network as it is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network<'a> {
    /// Its name, 1 to 32 bytes.
    pub ssid: &'a str,
    /// Its password, 8 to 63 bytes, or empty if it is open.
    pub password: &'a str,
    /// 1 to 14.
    pub channel: u8,
    /// dBm, -100 to -1.
    pub rssi: i8,
    /// The address of its access point.
    pub bssid: [u8; 6],
}

/// A network goes away, or comes back.
#[derive(Clone, Copy)]
struct Change {
    network: usize,
    at_us: u64,
    /// The channel from then on; `None`: it is away.
    channel: Option<u8>,
}

/// All networks, at all times.
#[derive(Clone)]
pub struct Air<'a> {
    networks: [Option<Network<'a>>; NETWORKS],
    changes: [Option<Change>; CHANGES],
}

/// Why the text is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AirError<'a> {
    /// The word.
    pub word: &'a str,
    /// What it must be like.
    pub expected: &'static str,
}

impl fmt::Display for AirError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' in air= must be {}", self.word, self.expected)
    }
}

impl<'a> Air<'a> {
    /// Nothing is heard.
    pub const SILENT: Self = Self { networks: [None; NETWORKS], changes: [None; CHANGES] };

    /// Reads the text.
    ///
    /// # Errors
    /// The first word that is not as it must be.
    pub fn parse(text: &'a str) -> Result<Self, AirError<'a>> {
        let mut air = Self::SILENT;
        let (mut networks, mut changes) = (0, 0);
        for word in text.split(';').filter(|word| !word.is_empty()) {
            let error = |expected| AirError { word, expected };
            if let Some((what, when)) = word.split_once('@') {
                let network = air.networks[..networks].last().copied().flatten();
                let network = network.ok_or(error("behind a network"))?;
                let change = change(what, when, networks - 1, network.channel).map_err(error)?;
                let mut earlier = air.changes.iter().flatten().rev();
                let last = earlier.find(|other| other.network == change.network);
                if last.is_some_and(|last| last.at_us >= change.at_us) {
                    return Err(error("later than what is in front of it"));
                }
                *air.changes.get_mut(changes).ok_or(error("one of at most 12 changes"))? =
                    Some(change);
                changes += 1;
            } else {
                let network = network(word, networks).map_err(error)?;
                *air.networks.get_mut(networks).ok_or(error("one of at most 4 networks"))? =
                    Some(network);
                networks += 1;
            }
        }
        Ok(air)
    }

    /// What of the network of this number is heard at a time, in microseconds.
    #[must_use]
    pub fn heard(&self, number: usize, now_us: u64) -> Option<Network<'a>> {
        let network = (*self.networks.get(number)?)?;
        let mut latest = self.changes.iter().flatten().rev();
        let mine = latest.find(|change| change.network == number && change.at_us <= now_us);
        mine.map_or(Some(network.channel), |change| change.channel)
            .map(|channel| Network { channel, ..network })
    }

    /// All networks that are heard at a time, with their numbers.
    pub fn all_heard(&self, now_us: u64) -> impl Iterator<Item = (usize, Network<'a>)> {
        (0..NETWORKS).filter_map(move |number| Some((number, self.heard(number, now_us)?)))
    }
}

/// `NAME:PASSWORD:CHANNEL` or `NAME:PASSWORD:CHANNEL:RSSI`.
fn network(word: &str, number: usize) -> Result<Network<'_>, &'static str> {
    const SHAPE: &str = "NAME:PASSWORD:CHANNEL or NAME:PASSWORD:CHANNEL:RSSI";
    let mut parts = word.split(':');
    let (Some(ssid), Some(password), Some(channel_text)) =
        (parts.next(), parts.next(), parts.next())
    else {
        return Err(SHAPE);
    };
    let rssi = match parts.next() {
        None => RSSI,
        Some(text) => {
            let rssi = text.parse().ok().filter(|rssi| (-100..=-1).contains(rssi));
            rssi.ok_or("heard at -100 to -1 dBm")?
        }
    };
    if parts.next().is_some() {
        return Err(SHAPE);
    }
    if !(1..=32).contains(&ssid.len()) {
        return Err("a network with a name of 1 to 32 bytes");
    }
    if !password.is_empty() && !(8..=63).contains(&password.len()) {
        return Err("a network with a password of 8 to 63 bytes, or none");
    }
    // Locally administered, and of no machine.
    let bssid = [0x02, b'A', b'P', 0, 0, u8::try_from(number).unwrap_or(u8::MAX)];
    Ok(Network { ssid, password, channel: channel(channel_text)?, rssi, bssid })
}

/// `down@SECONDS`, `up@SECONDS` or `up@SECONDS:CHANNEL`.
fn change(what: &str, when: &str, network: usize, usual: u8) -> Result<Change, &'static str> {
    let (seconds, place) = match when.split_once(':') {
        Some((seconds, place)) => (seconds, Some(place)),
        None => (when, None),
    };
    let channel = match (what, place) {
        ("down", None) => None,
        ("up", None) => Some(usual),
        ("up", Some(place)) => Some(channel(place)?),
        _ => return Err("down@SECONDS, up@SECONDS or up@SECONDS:CHANNEL"),
    };
    let seconds: u32 = digits(seconds).ok_or("at a whole number of seconds")?;
    Ok(Change { network, at_us: u64::from(seconds) * SECOND_US, channel })
}

fn channel(text: &str) -> Result<u8, &'static str> {
    digits(text).filter(|channel| (1..=14).contains(channel)).ok_or("on a channel from 1 to 14")
}

/// A number without sign.
fn digits<T: core::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    fn channels(air: &Air<'_>, seconds: u64) -> [Option<u8>; 2] {
        [0, 1].map(|number| air.heard(number, seconds * SECOND_US).map(|heard| heard.channel))
    }

    #[test]
    fn networks_come_and_go() {
        let text = "home:secret1234:6;down@30;up@45:11;attic::1:-80;down@40;up@50";
        let air = Air::parse(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(channels(&air, 0), [Some(6), Some(1)]);
        assert_eq!(channels(&air, 30), [None, Some(1)]);
        assert_eq!(channels(&air, 44), [None, None]);
        assert_eq!(channels(&air, 45), [Some(11), None]);
        assert_eq!(channels(&air, 50), [Some(11), Some(1)]);
        let home = air.heard(0, 0);
        assert_eq!(
            home.map(|home| (home.ssid, home.password, home.rssi)),
            Some(("home", "secret1234", -55))
        );
        assert_eq!(air.heard(1, 0).map(|attic| (attic.password, attic.rssi)), Some(("", -80)));
        assert_eq!(air.all_heard(30 * SECOND_US).count(), 1);
        assert_ne!(home.map(|home| home.bssid), air.heard(1, 0).map(|attic| attic.bssid));
    }

    #[test]
    fn nothing_said_is_silence() {
        let air = Air::parse("").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(air.all_heard(0).count(), 0);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, expected) in [
            ("home", "NAME:PASSWORD:CHANNEL"),
            ("home:secret1234:6:-50:1", "NAME:PASSWORD:CHANNEL"),
            (":secret1234:6", "1 to 32"),
            ("home:short:6", "8 to 63"),
            ("home:secret1234:0", "1 to 14"),
            ("home:secret1234:15", "1 to 14"),
            ("home:secret1234:+6", "1 to 14"),
            ("home:secret1234:6:5", "-100 to -1"),
            ("down@1", "behind a network"),
            ("home::6;down@x", "whole number"),
            ("home::6;down@1:6", "down@SECONDS"),
            ("home::6;gone@1", "down@SECONDS"),
            ("home::6;down@5;up@5", "later"),
            ("a::1;b::1;c::1;d::1;e::1", "at most 4"),
        ] {
            let error = Air::parse(text).err().unwrap_or_else(|| panic!("{text} was accepted"));
            assert!(error.to_string().contains(expected), "{text}: {error}");
        }
    }
}
