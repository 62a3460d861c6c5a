//! The boot arguments (QEMU's `-append`): what a board is told from outside when it starts.
//!
//! `id=7 ip=10.0.1.27/24 key=<64 hex digits> seed=<64 hex digits> hostname=attic port=4210
//! http=80`: words in any order, separated by spaces. They are read strictly, since a board that
//! starts with half of what it was told is hard to find among thirty-two.

use core::fmt;
use core::net::Ipv4Addr;

use spore_core::config::DEFAULT_PORT;
use spore_core::{ClusterKey, Hostname};

const HTTP_PORT_DEFAULT: u16 = 80;

/// What the board was told. `Debug` is left out: it would print the key.
#[derive(Clone, PartialEq, Eq)]
pub struct BootArgs {
    /// `id`, 1 to 65535, one per machine on the network: the MAC address comes from it.
    pub id: u16,
    /// `ip`: the board's address, that of a host within its network.
    pub address: Ipv4Addr,
    /// `ip`: bits of the network, 1 to 30.
    pub prefix_len: u8,
    /// `key`: the cluster key; if not given, the board is unclaimed.
    pub key: Option<ClusterKey>,
    /// `seed`: random bytes from the launcher, other ones for each start.
    pub seed: [u8; 32],
    /// `port`: UDP port of the cluster, 4210 if not given.
    pub port: u16,
    /// `http`: TCP port of the API, 80 if not given.
    pub http_port: u16,
    /// `hostname`: the node's name, `emulated-<id>` if not given.
    pub hostname: Hostname,
}

/// Why the boot arguments cannot be used: the fault is with who started the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootArgsError<'a> {
    /// A word without `=`.
    NotAPair(&'a str),
    /// A name that nobody knows.
    Unknown(&'a str),
    /// A name for the second time.
    Twice(&'a str),
    /// A name that must be there is missing.
    Missing(&'static str),
    /// The value of this name is not as it must be.
    Invalid {
        /// The name.
        name: &'static str,
        /// What the value must be.
        expected: &'static str,
    },
}

impl fmt::Display for BootArgsError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAPair(word) => {
                write!(f, "boot argument '{word}' is not of the form name=value")
            }
            Self::Unknown(name) => write!(
                f,
                "boot argument '{name}' is unknown; known are id, ip, key, seed, port, http, hostname"
            ),
            Self::Twice(name) => write!(f, "boot argument '{name}' is given twice"),
            Self::Missing(name) => write!(f, "boot argument '{name}' is missing"),
            Self::Invalid { name, expected } => {
                write!(f, "boot argument '{name}' must be {expected}")
            }
        }
    }
}

/// The values as they were given.
#[derive(Default)]
struct Words<'a> {
    id: Option<&'a str>,
    ip: Option<&'a str>,
    key: Option<&'a str>,
    seed: Option<&'a str>,
    port: Option<&'a str>,
    http: Option<&'a str>,
    hostname: Option<&'a str>,
}

impl<'a> Words<'a> {
    fn split(line: &'a str) -> Result<Self, BootArgsError<'a>> {
        let mut words = Self::default();
        for word in line.split(' ').filter(|word| !word.is_empty()) {
            let (name, value) = word.split_once('=').ok_or(BootArgsError::NotAPair(word))?;
            let place = match name {
                "id" => &mut words.id,
                "ip" => &mut words.ip,
                "key" => &mut words.key,
                "seed" => &mut words.seed,
                "port" => &mut words.port,
                "http" => &mut words.http,
                "hostname" => &mut words.hostname,
                _ => return Err(BootArgsError::Unknown(name)),
            };
            if place.replace(value).is_some() {
                return Err(BootArgsError::Twice(name));
            }
        }
        Ok(words)
    }
}

impl BootArgs {
    /// Reads the boot arguments.
    ///
    /// # Errors
    /// The first thing that is not as it must be. Values are not repeated in errors, since one
    /// of them is the key.
    pub fn parse(line: &str) -> Result<Self, BootArgsError<'_>> {
        let words = Words::split(line)?;
        let id = number("id", required("id", words.id)?)?;
        let (address, prefix_len) = network(required("ip", words.ip)?)?;
        Ok(Self {
            id,
            address,
            prefix_len,
            key: words.key.map(|text| hex("key", text).map(ClusterKey::from_bytes)).transpose()?,
            seed: hex("seed", required("seed", words.seed)?)?,
            port: words.port.map_or(Ok(DEFAULT_PORT), |text| number("port", text))?,
            http_port: words.http.map_or(Ok(HTTP_PORT_DEFAULT), |text| number("http", text))?,
            hostname: words.hostname.map_or_else(|| default_hostname(id), hostname)?,
        })
    }

    /// The board's MAC address: locally administered, `02:53:50:00:` and the id.
    #[must_use]
    pub const fn mac_address(&self) -> [u8; 6] {
        let [high, low] = self.id.to_be_bytes();
        [0x02, b'S', b'P', 0, high, low]
    }
}

fn required<'a>(
    name: &'static str,
    value: Option<&'a str>,
) -> Result<&'a str, BootArgsError<'static>> {
    value.ok_or(BootArgsError::Missing(name))
}

/// A decimal number from 1 to 65535, without sign.
fn number(name: &'static str, text: &str) -> Result<u16, BootArgsError<'static>> {
    let error = BootArgsError::Invalid { name, expected: "a number from 1 to 65535" };
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(error);
    }
    text.parse().ok().filter(|&number| number != 0).ok_or(error)
}

fn network(text: &str) -> Result<(Ipv4Addr, u8), BootArgsError<'static>> {
    let error = BootArgsError::Invalid {
        name: "ip",
        expected: "an IPv4 address and the bits of its network, such as 10.0.1.21/24",
    };
    let (address, bits) = text.split_once('/').ok_or(error)?;
    let address: Ipv4Addr = address.parse().map_err(|_| error)?;
    let bits = number("ip", bits).map_err(|_| error)?;
    let bits = u8::try_from(bits).ok().filter(|bits| (1..=30).contains(bits)).ok_or(error)?;
    let host_mask = u32::MAX >> bits;
    let host = address.to_bits() & host_mask;
    if host == 0 || host == host_mask || address.is_multicast() || address.is_loopback() {
        return Err(BootArgsError::Invalid {
            name: "ip",
            expected: "the address of a host, not of a network, a group or everyone",
        });
    }
    Ok((address, bits))
}

fn hex(name: &'static str, text: &str) -> Result<[u8; 32], BootArgsError<'static>> {
    let error = BootArgsError::Invalid { name, expected: "64 hexadecimal digits" };
    let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| error)?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for &digit in pair {
            let value = char::from(digit).to_digit(16).ok_or(error)?;
            *byte = *byte << 4 | value as u8;
        }
    }
    Ok(bytes)
}

fn hostname(text: &str) -> Result<Hostname, BootArgsError<'static>> {
    Hostname::new(text).map_err(|_| BootArgsError::Invalid {
        name: "hostname",
        expected: "1 to 32 letters, digits and inner hyphens",
    })
}

/// `emulated-<id>`.
fn default_hostname(id: u16) -> Result<Hostname, BootArgsError<'static>> {
    use fmt::Write as _;
    let mut name = heapless::String::<16>::new();
    // Fifteen bytes at most.
    let _ = write!(name, "emulated-{id}");
    hostname(&name)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::format;
    use std::string::ToString;

    use super::*;

    const KEY: &str = "00112233445566778899aabbccddeeffFFEEDDCCBBAA99887766554433221100";

    fn parse(rest: &str) -> Result<BootArgs, std::string::String> {
        BootArgs::parse(&format!("key={KEY} seed={KEY} {rest}")).map_err(|error| error.to_string())
    }

    fn error(rest: &str) -> std::string::String {
        parse(rest).err().expect("must be refused")
    }

    #[test]
    fn reads_everything() {
        let args = parse("id=258 ip=10.0.1.21/24  port=1 http=65535 hostname=the-attic-2 ");
        let args = args.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(args.id, 258);
        assert_eq!((args.address, args.prefix_len), (Ipv4Addr::new(10, 0, 1, 21), 24));
        let key = args.key.as_ref().map(|key| key.as_bytes()[..3].to_vec());
        assert_eq!(key, Some([0x00, 0x11, 0x22].to_vec()));
        assert_eq!(args.seed[16..18], [0xFF, 0xEE]);
        assert_eq!((args.port, args.http_port), (1, 65535));
        assert_eq!(args.hostname.as_str(), "the-attic-2");
        assert_eq!(args.mac_address(), [0x02, b'S', b'P', 0, 1, 2]);
    }

    #[test]
    fn fills_in_defaults() {
        let args = parse("id=65535 ip=192.168.4.2/30").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((args.port, args.http_port), (4210, 80));
        assert_eq!(args.hostname.as_str(), "emulated-65535");
        let line = format!("id=1 ip=10.0.0.1/8 seed={KEY}");
        let unclaimed = BootArgs::parse(&line);
        assert!(unclaimed.is_ok_and(|args| args.key.is_none()));
    }

    #[test]
    fn refuses_what_is_not_understood() {
        assert!(error("id=1 ip=10.0.0.1/8 quick").contains("'quick' is not of the form"));
        assert!(error("id=1 ip=10.0.0.1/8 ID=2").contains("'ID' is unknown"));
        assert!(error("id=1 ip=10.0.0.1/8 id=1").contains("'id' is given twice"));
        assert!(error("ip=10.0.0.1/8").contains("'id' is missing"));
        assert!(error("id=1").contains("'ip' is missing"));
        let seed = BootArgs::parse("id=1 ip=10.0.0.1/8").err();
        assert_eq!(seed, Some(BootArgsError::Missing("seed")));
    }

    #[test]
    fn refuses_values_out_of_range() {
        for id in ["", "0", "65536", "-1", "+1", "1x", "4294967297"] {
            assert!(error(&format!("id={id} ip=10.0.0.1/8")).contains("from 1 to 65535"), "{id}");
        }
        for ip in ["10.0.0.1", "10.0.0.1/0", "10.0.0.1/31", "10.0.0.256/8", "10.0.0/8", "::1/64"] {
            assert!(error(&format!("id=1 ip={ip}")).contains("such as"), "{ip}");
        }
        for ip in ["10.0.1.0/24", "10.0.1.255/24", "224.0.0.1/8", "127.0.0.1/8"] {
            assert!(error(&format!("id=1 ip={ip}")).contains("of a host"), "{ip}");
        }
        let long = "a".repeat(33);
        for name in ["", "-a", "a-", "a_b", "ä", long.as_str()] {
            let words = format!("id=1 ip=10.0.0.1/8 hostname={name}");
            assert!(error(&words).contains("inner hyphens"), "{name}");
        }
        for key in [&KEY[1..], &format!("{KEY}0"), &KEY.replace('f', "g"), ""] {
            let line = format!("id=1 ip=10.0.0.1/8 seed={KEY} key={key}");
            let error = BootArgs::parse(&line).err().expect("must be refused").to_string();
            assert_eq!(error, "boot argument 'key' must be 64 hexadecimal digits");
        }
    }
}
