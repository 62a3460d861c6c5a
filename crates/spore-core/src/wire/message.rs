//! Messages: announce, ping, ack, those of indirect probes, and those that bring events, plans of rollouts, and images.

use super::bytes::{Full, Reader, Writer};
use super::{EventKey, EventRecord, Malformed, NodeId, PIECES_MAX, Record, Rumor};
use crate::ota;
use crate::ota::announcement::Announcement;
use crate::security::Token;

/// What a message asks or tells, besides the records that each one carries.
///
/// Four of them are an indirect probe (SWIM, section 3.1). *Origin* got no answer from *target*,
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
    /// "This was published": events, in place of records.
    Events,
    /// "These events I have": the keys of the sender's window, in place of records. Whoever gets it
    /// sends what of its own window is not among them.
    Window {
        /// "What are yours?", if there are some here that are not there.
        asks: bool,
    },
    /// "I lack these pieces of an image": a set of them, in place of records.
    Want {
        /// The first bytes of the image's id.
        image: u32,
        /// The number of the set's first bit, the lowest one of its first byte.
        first: u16,
    },
    /// A piece of an image, in place of records.
    Piece {
        /// As in `Want`.
        image: u32,
        /// Which piece.
        number: u16,
        /// So many more are to come.
        left: u16,
    },
    /// "This is the rollout that I know of": a plan, in place of records.
    Rollout,
}

const ANNOUNCE: u8 = 1;
const PING: u8 = 2;
const ACK: u8 = 3;
const PING_REQ: u8 = 4;
const RELAY_PING: u8 = 5;
const RELAY_ACK: u8 = 6;
const INDIRECT_ACK: u8 = 7;
const EVENTS: u8 = 8;
const WINDOW: u8 = 9;
const WINDOW_ASKS: u8 = 10;
const WANT: u8 = 12;
const PIECE: u8 = 13;
const ROLLOUT: u8 = 11;

impl Kind {
    fn parse(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let kind = reader.u8()?;
        match kind {
            ANNOUNCE => return Ok(Self::Announce),
            EVENTS => return Ok(Self::Events),
            WINDOW => return Ok(Self::Window { asks: false }),
            WINDOW_ASKS => return Ok(Self::Window { asks: true }),
            WANT => return Ok(Self::Want { image: reader.u32()?, first: reader.u16()? }),
            PIECE => {
                let (image, number) = (reader.u32()?, reader.u16()?);
                return Ok(Self::Piece { image, number, left: reader.u16()? });
            }
            ROLLOUT => return Ok(Self::Rollout),
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
            Self::Events => return writer.u8(EVENTS),
            Self::Window { asks: false } => return writer.u8(WINDOW),
            Self::Window { asks: true } => return writer.u8(WINDOW_ASKS),
            Self::Want { image, first } => {
                writer.u8(WANT)?;
                writer.u32(*image)?;
                return writer.u16(*first);
            }
            Self::Piece { image, number, left } => {
                writer.u8(PIECE)?;
                writer.u32(*image)?;
                writer.u16(*number)?;
                return writer.u16(*left);
            }
            Self::Rollout => return writer.u8(ROLLOUT),
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

    /// Whether what follows the sender's own record are records of others.
    const fn has_records(&self) -> bool {
        let pieces = matches!(self, Self::Want { .. } | Self::Piece { .. });
        !(pieces || matches!(self, Self::Events | Self::Window { .. } | Self::Rollout))
    }

    /// Whether the sender of such a message may be what `rumor` says of it: alive, or gone if it
    /// announces just that, or tells its last events.
    const fn fits(&self, rumor: &Rumor) -> bool {
        match rumor {
            Rumor::Alive { .. } => true,
            Rumor::Left => matches!(self, Self::Announce | Self::Events),
            Rumor::Suspect | Rumor::Dead => false,
        }
    }
}

/// What the sender of a message knows, in a few numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Its view in 32 bits: equal digests mean equal member lists.
    pub members: u32,
    /// Its window of events in 32 bits: equal digests mean equal windows.
    pub events: u32,
    /// The highest logical time that it has heard of.
    pub clock: u32,
    /// The plan of a rollout that it has, and how it ended, in 32 bits; 0 if it has none.
    pub rollout: u32,
}

impl Head {
    fn parse(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (members, events) = (reader.u32()?, reader.u32()?);
        Ok(Self { members, events, clock: reader.u32()?, rollout: reader.u32()? })
    }

    fn emit(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u32(self.members)?;
        writer.u32(self.events)?;
        writer.u32(self.clock)?;
        writer.u32(self.rollout)
    }
}

/// A message that was checked from its first byte to its last.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// What it asks or tells.
    pub kind: Kind,
    /// What the sender knows.
    pub head: Head,
    /// What the sender says of itself: alive, or in an announcement or with events perhaps left.
    pub own: Record,
    rest: Reader<'a>,
}

impl<'a> Message<'a> {
    /// Reads the message in `bytes`, which came from `sender`.
    pub fn parse(bytes: &'a [u8], sender: NodeId) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let kind = Kind::parse(&mut reader)?;
        let head = Head::parse(&mut reader)?;
        let own = Record::parse(&mut reader)?;
        if own.id != sender || !kind.fits(&own.rumor) {
            return Err(Malformed::Sender);
        }
        let rest = reader.clone();
        match kind {
            Kind::Events => {
                while !reader.is_empty() {
                    EventRecord::parse(&mut reader)?;
                }
            }
            Kind::Window { .. } => {
                let mut keys = 0_usize;
                while !reader.is_empty() {
                    EventKey::parse(&mut reader)?;
                    keys = keys.saturating_add(1);
                }
                if !(1..=1 + crate::events::WINDOW).contains(&keys) {
                    return Err(Malformed::Window);
                }
            }
            Kind::Want { .. } | Kind::Piece { .. } => {
                let most = if let Kind::Want { .. } = kind { PIECES_MAX } else { ota::PIECE };
                if !(1..=most).contains(&reader.rest().len()) {
                    return Err(Malformed::Piece);
                }
            }
            Kind::Rollout => {
                Announcement::parse(reader.rest()).ok_or(Malformed::Rollout)?;
            }
            _ => {
                while !reader.is_empty() {
                    Record::parse(&mut reader)?;
                }
            }
        }
        Ok(Self { kind, head, own, rest })
    }

    /// What is behind the sender's own record, if the message is of such a kind.
    fn rest(&self, of_such: bool) -> Reader<'a> {
        if of_such { self.rest.clone() } else { Reader::new(&[]) }
    }

    /// What the sender says of others.
    pub fn records(&self) -> Records<'a> {
        Records(self.rest(self.kind.has_records()))
    }

    /// The set of pieces, or the piece, that it brings.
    pub fn pieces(&self) -> &'a [u8] {
        self.rest(matches!(self.kind, Kind::Want { .. } | Kind::Piece { .. })).rest()
    }

    /// The events that it brings.
    pub fn events(&self) -> Events<'a> {
        Events(self.rest(matches!(self.kind, Kind::Events)))
    }

    /// The keys that it brings: first the highest one that the sender has dropped from the ordinary
    /// part of its window, then those of the window.
    pub fn keys(&self) -> Keys<'a> {
        Keys(self.rest(matches!(self.kind, Kind::Window { .. })))
    }
}

impl Message<'_> {
    /// The rollout that it tells of.
    pub(crate) fn rollout(&self) -> Option<Announcement> {
        Announcement::parse(self.rest(matches!(self.kind, Kind::Rollout)).rest())
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

/// The events of a checked message.
#[derive(Clone, Debug)]
pub struct Events<'a>(Reader<'a>);

impl<'a> Iterator for Events<'a> {
    type Item = EventRecord<'a>;

    fn next(&mut self) -> Option<EventRecord<'a>> {
        EventRecord::parse(&mut self.0).ok()
    }
}

/// The keys of a checked message.
#[derive(Clone, Debug)]
pub struct Keys<'a>(Reader<'a>);

impl Iterator for Keys<'_> {
    type Item = EventKey;

    fn next(&mut self) -> Option<EventKey> {
        EventKey::parse(&mut self.0).ok()
    }
}

/// Builds a message: its head at once, then as many records, events or keys as fit.
#[derive(Debug)]
pub struct MessageWriter<'a>(Writer<'a>);

impl<'a> MessageWriter<'a> {
    /// Starts a message in `bytes`.
    pub fn new(bytes: &'a mut [u8], kind: Kind, head: Head, own: &Record) -> Result<Self, Full> {
        let mut writer = Writer::new(bytes);
        kind.emit(&mut writer)?;
        head.emit(&mut writer)?;
        own.emit(&mut writer)?;
        Ok(Self(writer))
    }

    /// Appends what this node says of another one, if it fits.
    pub fn push(&mut self, record: &Record) -> Result<(), Full> {
        record.emit(&mut self.0)
    }

    /// Appends an event, if it fits.
    pub fn push_event(&mut self, event: &EventRecord<'_>) -> Result<(), Full> {
        event.emit(&mut self.0)
    }

    /// Appends a key. There is room for a whole window's.
    pub fn push_key(&mut self, key: &EventKey) -> Result<(), Full> {
        key.emit(&mut self.0)
    }

    /// Appends a set of pieces, or a piece. There is room for one.
    pub fn push_pieces(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.0.put(bytes)
    }

    /// Appends a rollout. There is room for one.
    pub(crate) fn push_rollout(&mut self, rollout: &Announcement) -> Result<(), Full> {
        rollout.emit(&mut self.0)
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
