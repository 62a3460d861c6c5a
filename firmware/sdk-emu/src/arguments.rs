//! The machine's arguments (QEMU's `-append`): `id=7 seed=<64 hex digits> air=home:secret1234:6 clock=4290000000 poke=…`.
//!
//! They tell what a chip and its surroundings are, not what the firmware is to do: that is in its flash.

use core::fmt;
use core::str::FromStr;

use crate::air::{Air, AirError};
use crate::pokes::Pokes;

/// What the machine is.
#[derive(Clone)]
pub struct Arguments<'a> {
    /// `id`, 1 to 65535, one per machine on the network: the chip's MAC address comes from it.
    pub id: u16,
    /// `seed`: random bytes, other ones for each machine.
    pub seed: [u8; 32],
    /// `air`: the networks around it; none if not given.
    pub air: Air<'a>,
    /// `clock`: what `system_get_time` says at a start, in microseconds, below 2³²; 0 if not given. It wraps every 71 minutes.
    pub clock: u32,
    /// `poke`: what breaks in its program; nothing if not given.
    pub pokes: Pokes<'a>,
}

/// Why the arguments cannot be used: the fault is with who started the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentsError<'a> {
    /// A word that is none of `id=`, `seed=`, `air=`, `clock=`, `poke=`, or is there twice.
    Unknown(&'a str),
    /// `id` or `seed` is missing or not as it must be.
    Invalid {
        /// Which one.
        name: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// `air` is not understood.
    Air(AirError<'a>),
}

impl fmt::Display for ArgumentsError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(word) => {
                write!(
                    f,
                    "'{word}' is none of id=, seed=, air=, clock= and poke=, each of them once"
                )
            }
            Self::Invalid { name, expected } => write!(f, "{name}= must be {expected}"),
            Self::Air(error) => write!(f, "{error}"),
        }
    }
}

impl<'a> Arguments<'a> {
    /// Reads the arguments.
    ///
    /// # Errors
    /// The first thing that is not as it must be.
    pub fn parse(line: &'a str) -> Result<Self, ArgumentsError<'a>> {
        let (mut id, mut seed, mut air, mut clock, mut pokes) = (None, None, None, None, None);
        for word in line.split(' ').filter(|word| !word.is_empty()) {
            let place = match word.split_once('=') {
                Some(("id", value)) => id.replace(value),
                Some(("seed", value)) => seed.replace(value),
                Some(("air", value)) => air.replace(value),
                Some(("clock", value)) => clock.replace(value),
                Some(("poke", value)) => pokes.replace(value),
                _ => Some(word),
            };
            if place.is_some() {
                return Err(ArgumentsError::Unknown(word));
            }
        }
        let invalid = |name, expected| ArgumentsError::Invalid { name, expected };
        Ok(Self {
            id: id
                .and_then(number)
                .filter(|id| *id != 0)
                .ok_or(invalid("id", "a number from 1 to 65535"))?,
            seed: seed.and_then(hex).ok_or(invalid("seed", "64 hexadecimal digits"))?,
            air: air.map_or(Ok(Air::SILENT), Air::parse).map_err(ArgumentsError::Air)?,
            clock: clock
                .map_or(Some(0), number)
                .ok_or(invalid("clock", "a number of microseconds below 2^32"))?,
            pokes: pokes
                .map_or(Some(Pokes::NONE), Pokes::parse)
                .ok_or(invalid("poke", "SECONDS:ADDRESS:BYTES, the last two hexadecimal"))?,
        })
    }

    /// The station's MAC address: locally administered, `02:53:50:00:` and the id.
    #[must_use]
    pub const fn station_mac(&self) -> [u8; 6] {
        let [high, low] = self.id.to_be_bytes();
        [0x02, b'S', b'P', 0, high, low]
    }

    /// The access point's MAC address: another bit of the first byte is set.
    #[must_use]
    pub const fn softap_mac(&self) -> [u8; 6] {
        let [first, rest @ ..] = self.station_mac();
        let [b, c, d, e, f] = rest;
        [first | 0x04, b, c, d, e, f]
    }
}

fn number<N: FromStr>(text: &str) -> Option<N> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

fn hex(text: &str) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 32];
    for (byte, [high, low]) in bytes.iter_mut().zip(digits.as_chunks().0) {
        let value = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(value(*high)? << 4 | value(*low)?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::format;
    use std::string::{String, ToString};

    use super::*;

    const SEED: &str = "00112233445566778899aabbccddeeffFFEEDDCCBBAA99887766554433221100";

    fn error(line: &str) -> String {
        Arguments::parse(line).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn all_of_them_are_read() {
        let line = format!("id=258 seed={SEED} air=home:secret1234:6;down@3 clock=4294967295");
        let arguments = Arguments::parse(&line).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            (arguments.id, arguments.seed[15..18].to_vec(), arguments.clock),
            (258, [0xFF, 0xFF, 0xEE].to_vec(), u32::MAX)
        );
        assert_eq!(arguments.station_mac(), [2, b'S', b'P', 0, 1, 2]);
        assert_ne!(arguments.softap_mac(), arguments.station_mac());
        assert!(arguments.air.heard(0, 0).is_some());
    }

    #[test]
    fn what_is_not_as_it_must_be_is_named() {
        assert!(error("").contains("id= must be"));
        assert!(error("id=1").contains("seed= must be"));
        for id in ["0", "65536", "-1", "+1", "x", ""] {
            assert!(error(&format!("id={id} seed={SEED}")).contains("1 to 65535"), "{id}");
        }
        for seed in [&SEED[1..], &SEED.replace('f', "g"), ""] {
            assert!(error(&format!("id=1 seed={seed}")).contains("64 hexadecimal"), "{seed}");
        }
        assert!(error(&format!("id=1 id=1 seed={SEED}")).contains("'id=1'"));
        assert!(error(&format!("id=1 seed={SEED} ip=10.0.0.1")).contains("'ip=10.0.0.1'"));
        assert!(error(&format!("id=1 seed={SEED} poke=3:0:0")).contains("poke= must be"));
        for clock in ["4294967296", "-1", "", "1s"] {
            assert!(error(&format!("id=1 seed={SEED} clock={clock}")).contains("below 2^32"));
        }
        assert!(error(&format!("id=1 seed={SEED} air=home")).contains("'home' in air="));
    }
}
