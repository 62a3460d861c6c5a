//! Messages of DHCP, as servers and clients read and write them: RFC 2131, section 2, and RFC 2132.

use core::net::Ipv4Addr;

/// The UDP port of servers.
pub const SERVER_PORT: u16 = 67;
/// The UDP port of clients.
pub const CLIENT_PORT: u16 = 68;

/// How a message begins that a client sends: a request (1) over Ethernet (1), whose addresses have 6 bytes.
pub const REQUEST_HEAD: [u8; 3] = [1, 1, 6];
/// What stands in the place of the first byte when a server answers.
pub const REPLY: u8 = 2;

/// Where a message has the number of its transaction, of 4 bytes.
pub const XID: usize = 4;
/// Where it has the time since the client began, of 2 bytes.
pub const SECS: usize = 8;
/// Where it has its flags, of which the first bit asks for an answer to all.
pub const FLAGS: usize = 10;
/// That bit.
pub const BROADCAST: u8 = 0x80;
/// Where it has the address that the client uses.
pub const CIADDR: usize = 12;
/// Where it has the address that the client is given.
pub const YIADDR: usize = 16;
/// Where it has the address of a relay.
pub const GIADDR: usize = 24;
/// Where it has the client's hardware address.
pub const CHADDR: usize = 28;
/// Where names of server and file begin, which nobody here uses.
pub const NAMES: usize = 44;
/// Where the options begin, with [`MAGIC`] in front.
pub const COOKIE: usize = 236;
/// The first option.
pub const OPTIONS: usize = COOKIE + MAGIC.len();
/// What stands before the options.
pub const MAGIC: [u8; 4] = [99, 130, 83, 99];

/// The least length of a message, which old servers and clients insist on (RFC 1542, section 2.1).
pub const MESSAGE_MIN: usize = 300;

/// Kinds of messages (RFC 2132, section 9.6).
pub const DISCOVER: u8 = 1;
/// A server has an address for the client.
pub const OFFER: u8 = 2;
/// The client takes it, or wants to keep what it has.
pub const REQUEST: u8 = 3;
/// The client found the address in use.
pub const DECLINE: u8 = 4;
/// The address is the client's.
pub const ACK: u8 = 5;
/// It is not.
pub const NAK: u8 = 6;
/// The client gives it back.
pub const RELEASE: u8 = 7;

/// Numbers of options (RFC 2132).
pub const SUBNET_MASK: u8 = 1;
/// Routers, the best one first.
pub const ROUTER: u8 = 3;
/// Name servers, the best one first.
pub const NAME_SERVER: u8 = 6;
/// The address that a client would like to have.
pub const REQUESTED: u8 = 50;
/// Seconds for which an address is given.
pub const LEASE_TIME: u8 = 51;
/// The kind of the message.
pub const KIND: u8 = 53;
/// The server that is meant, or that answers.
pub const SERVER: u8 = 54;
/// What a client wants to be told.
pub const WANTED: u8 = 55;
/// The last option.
pub const END: u8 = 255;
const PAD: u8 = 0;

/// What the options of a message say, as far as anybody here asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The kind of the message; 0 if it does not say.
    pub kind: u8,
    /// The server that is meant, or that answers.
    pub server: Option<Ipv4Addr>,
    /// The address that a client would like to have.
    pub requested: Option<Ipv4Addr>,
    /// The mask of the network.
    pub mask: Option<u32>,
    /// The best router.
    pub router: Option<Ipv4Addr>,
    /// Seconds for which an address is given; 0 if it does not say.
    pub seconds: u32,
}

impl Said {
    /// Reads the options of `message`; `None` if there are none, or one of them is cut.
    #[must_use]
    pub fn by(message: &[u8]) -> Option<Self> {
        let mut rest = message.get(COOKIE..)?.strip_prefix(&MAGIC)?;
        let mut said = Self::default();
        while let [code, tail @ ..] = rest {
            rest = tail;
            match *code {
                PAD => continue,
                END => break,
                _ => (),
            }
            let (&len, tail) = rest.split_first()?;
            let (value, tail) = tail.split_at_checked(usize::from(len))?;
            rest = tail;
            let word = || value.first_chunk().map(|word| u32::from_be_bytes(*word));
            let address = || word().map(Ipv4Addr::from_bits);
            match *code {
                SUBNET_MASK => said.mask = Some(word()?),
                ROUTER => said.router = address(),
                REQUESTED => said.requested = Some(address()?),
                LEASE_TIME => said.seconds = word()?,
                KIND => said.kind = *value.first()?,
                SERVER => said.server = Some(address()?),
                _ => (),
            }
        }
        Some(said)
    }
}

/// The address at a place of a message.
#[must_use]
pub fn address_at(message: &[u8], at: usize) -> Option<Ipv4Addr> {
    message.get(at..)?.first_chunk().map(|octets: &[u8; 4]| Ipv4Addr::from(*octets))
}
