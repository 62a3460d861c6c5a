//! Messages: announce, ping, ack, and those of indirect probes.

use super::bytes::{Full, Reader, Writer};
use super::{Malformed, NodeId, Record, Rumor};
use crate::security::Token;

/// What a message asks or tells, besides the records that each one carries.
///
/// The last four are an indirect probe (SWIM, section 3.1). *Origin* got no answer from *target*,
/// so it asks *relay* to try. The token is the origin's, made for the relay, and travels round
/// through all four: so it alone proves to the origin that the target has spoken since, and relay
/// and target remember nothing.
///
/// ```text
///   origin ──PingReq──▶ relay ──RelayPing──▶ target
///   origin ◀─Ack─────── relay
///   origin ◀─IndirectAck─ relay ◀─RelayAck── target
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// "Here I am", broadcast; or "I go", to everyone and to some. Whoever does not know the
    /// sender answers with a ping, unless it goes.
    Announce,
    /// "Are you there?" The token comes back in the ack.
    Ping(Token),
    /// "I am", with the token of the ping: the proof that this message is fresh.
    Ack(Token),
    /// "Ask that one whether it is there", to a relay, which first of all answers with an ack.
    PingReq {
        /// The sender's, made for the relay.
        token: Token,
        /// Whom to ask.
        target: NodeId,
    },
    /// "Are you there? That one wants to know", from a relay.
    RelayPing {
        /// That of the request.
        token: Token,
        /// Who wants to know.
        origin: NodeId,
    },
    /// "I am; tell that one", to a relay.
    RelayAck {
        /// That of the request.
        token: Token,
        /// Who wants to know.
        origin: NodeId,
    },
    /// "That one is there", from the relay.
    IndirectAck {
        /// That of the request.
        token: Token,
        /// Who is there.
        target: NodeId,
    },
}

const ANNOUNCE: u8 = 1;
const PING: u8 = 2;
const ACK: u8 = 3;
const PING_REQ: u8 = 4;
const RELAY_PING: u8 = 5;
const RELAY_ACK: u8 = 6;
const INDIRECT_ACK: u8 = 7;

impl Kind {
    fn parse(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let kind = reader.u8()?;
        match kind {
            ANNOUNCE => return Ok(Self::Announce),
            PING..=INDIRECT_ACK => (),
            _ => return Err(Malformed::Kind),
        }
        let token = Token::from_bytes(reader.array()?);
        let mut id = || reader.array().map(NodeId);
        match kind {
            PING => Ok(Self::Ping(token)),
            ACK => Ok(Self::Ack(token)),
            PING_REQ => Ok(Self::PingReq { token, target: id()? }),
            RELAY_PING => Ok(Self::RelayPing { token, origin: id()? }),
            RELAY_ACK => Ok(Self::RelayAck { token, origin: id()? }),
            _ => Ok(Self::IndirectAck { token, target: id()? }),
        }
    }

    fn emit(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        let (kind, token, id) = match self {
            Self::Announce => return writer.u8(ANNOUNCE),
            Self::Ping(token) => (PING, token, None),
            Self::Ack(token) => (ACK, token, None),
            Self::PingReq { token, target } => (PING_REQ, token, Some(target)),
            Self::RelayPing { token, origin } => (RELAY_PING, token, Some(origin)),
            Self::RelayAck { token, origin } => (RELAY_ACK, token, Some(origin)),
            Self::IndirectAck { token, target } => (INDIRECT_ACK, token, Some(target)),
        };
        writer.u8(kind)?;
        writer.put(&token.to_bytes())?;
        id.map_or(Ok(()), |NodeId(id)| writer.put(id))
    }

    /// Whether the sender of such a message may be what `rumor` says of it: alive, or gone if it
    /// announces just that.
    const fn fits(&self, rumor: &Rumor) -> bool {
        match rumor {
            Rumor::Alive { .. } => true,
            Rumor::Left => matches!(self, Self::Announce),
            Rumor::Suspect | Rumor::Dead => false,
        }
    }
}

/// A message that was checked from its first byte to its last.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// What it asks or tells.
    pub kind: Kind,
    /// The sender's view in 32 bits: equal digests mean equal member lists.
    pub digest: u32,
    /// What the sender says of itself: alive, or in an announcement perhaps left.
    pub own: Record,
    gossip: Reader<'a>,
}

impl<'a> Message<'a> {
    /// Reads the message in `bytes`, which came from `sender`.
    pub fn parse(bytes: &'a [u8], sender: NodeId) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let kind = Kind::parse(&mut reader)?;
        let digest = reader.u32()?;
        let own = Record::parse(&mut reader)?;
        if own.id != sender || !kind.fits(&own.rumor) {
            return Err(Malformed::Sender);
        }
        let gossip = reader.clone();
        while !reader.is_empty() {
            Record::parse(&mut reader)?;
        }
        Ok(Self { kind, digest, own, gossip })
    }

    /// What the sender says of others.
    pub fn records(&self) -> Records<'a> {
        Records(self.gossip.clone())
    }
}

/// The records of a checked message.
#[derive(Clone, Debug)]
pub struct Records<'a>(Reader<'a>);

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        // At the end, parsing an empty rest fails, which ends the iteration.
        Record::parse(&mut self.0).ok()
    }
}

/// Builds a message: its head at once, then as many records as fit.
#[derive(Debug)]
pub struct MessageWriter<'a>(Writer<'a>);

impl<'a> MessageWriter<'a> {
    /// Starts a message in `bytes`.
    pub fn new(bytes: &'a mut [u8], kind: Kind, digest: u32, own: &Record) -> Result<Self, Full> {
        let mut writer = Writer::new(bytes);
        kind.emit(&mut writer)?;
        writer.u32(digest)?;
        own.emit(&mut writer)?;
        Ok(Self(writer))
    }

    /// Appends what this node says of another one, if it fits.
    pub fn push(&mut self, record: &Record) -> Result<(), Full> {
        record.emit(&mut self.0)
    }

    /// Whether the shortest record fits that there can be.
    pub const fn has_room(&self) -> bool {
        self.0.room() >= Record::MIN
    }

    /// The length of the message.
    pub const fn finish(self) -> usize {
        self.0.len()
    }
}
