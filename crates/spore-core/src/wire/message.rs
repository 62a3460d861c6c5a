//! Messages: announce, ping and ack.

use super::bytes::{Full, Reader, Writer};
use super::{Malformed, NodeId, Record, Rumor};
use crate::security::Token;

/// What a message asks or tells, besides the records that each one carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// "Here I am", broadcast. Whoever does not know the sender answers with a ping.
    Announce,
    /// "Are you there?" The token comes back in the ack.
    Ping(Token),
    /// "I am", with the token of the ping: the proof that this message is fresh.
    Ack(Token),
}

const ANNOUNCE: u8 = 1;
const PING: u8 = 2;
const ACK: u8 = 3;

impl Kind {
    fn parse(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        match reader.u8()? {
            ANNOUNCE => Ok(Self::Announce),
            PING => Ok(Self::Ping(Token::from_bytes(reader.array()?))),
            ACK => Ok(Self::Ack(Token::from_bytes(reader.array()?))),
            _ => Err(Malformed::Kind),
        }
    }

    fn emit(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        match self {
            Self::Announce => writer.u8(ANNOUNCE),
            Self::Ping(token) => writer.u8(PING).and_then(|()| writer.put(&token.to_bytes())),
            Self::Ack(token) => writer.u8(ACK).and_then(|()| writer.put(&token.to_bytes())),
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
    /// What the sender says of itself; always alive.
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
        if own.id != sender || !matches!(own.rumor, Rumor::Alive { .. }) {
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

    /// Whether every record fits that a member can have.
    pub const fn has_room(&self) -> bool {
        self.0.room() >= Record::MAX
    }

    /// The length of the message.
    pub const fn finish(self) -> usize {
        self.0.len()
    }
}
