//! An event that travels through the cluster, and the key that orders all of them.

use super::bytes::{Full, Reader, Writer};
use super::{Malformed, NodeId, U24};
use crate::events::Topic;

/// Which event it is. All events of a cluster are ordered by their keys: those of one publisher in
/// the order in which it published them, and any other event after those that its publisher knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey {
    /// A logical time (Lamport 1978), above that of every event that the publisher knew.
    pub clock: u32,
    /// Who published it.
    pub publisher: NodeId,
    /// In which of its boots.
    pub epoch: U24,
    /// Its number in that boot, from 1.
    pub seq: U24,
}

impl EventKey {
    /// The bytes that a key takes.
    pub const LEN: usize = 4 + 6 + 3 + 3;

    /// Below the keys of all events.
    pub const LEAST: Self =
        Self { clock: 0, publisher: NodeId([0; 6]), epoch: U24::ZERO, seq: U24::ZERO };

    /// Reads a key.
    pub fn parse(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            clock: reader.u32()?,
            publisher: NodeId(reader.array()?),
            epoch: reader.u24()?,
            seq: reader.u24()?,
        })
    }

    /// Appends the key, or a part of it if it does not fit.
    pub fn emit(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u32(self.clock)?;
        writer.put(&self.publisher.0)?;
        writer.put(&self.epoch.to_be_bytes())?;
        writer.put(&self.seq.to_be_bytes())
    }

    /// 32 bits that differ from those of other keys, so that the XOR of some does not cancel out;
    /// 0 for [`LEAST`](Self::LEAST).
    pub(crate) fn hash(&self) -> u32 {
        if *self == Self::LEAST {
            return 0;
        }
        let (epoch, seq) = (self.epoch.to_be_bytes(), self.seq.to_be_bytes());
        let clock = self.clock.to_be_bytes();
        let bytes = clock.iter().chain(&self.publisher.0).chain(&epoch).chain(&seq);
        super::types::mixed_fnv(bytes)
    }
}

/// An event in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRecord<'a> {
    /// Which it is.
    pub key: EventKey,
    /// Whether it keeps its place until there is a newer one of its topic.
    pub retained: bool,
    /// What it is about. Not one of the system's own.
    pub topic: Topic<'a>,
    /// What it says: at most [`MAX_PAYLOAD`](Self::MAX_PAYLOAD) bytes, whatever they are.
    pub payload: &'a [u8],
}

const RETAINED: u8 = 1;

impl<'a> EventRecord<'a> {
    /// The most bytes of a payload.
    pub const MAX_PAYLOAD: usize = 256;

    /// The most bytes of an event in a message.
    pub const MAX: usize = EventKey::LEN + 1 + 1 + Topic::MAX + 2 + Self::MAX_PAYLOAD;

    /// Reads one event.
    pub fn parse(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let key = EventKey::parse(reader)?;
        let flags = reader.u8()?;
        let len = usize::from(reader.u8()?);
        let topic = str::from_utf8(reader.slice(len)?).map_err(|_| Malformed::Event)?;
        let topic = Topic::new(topic).map_err(|_| Malformed::Event)?;
        let len = usize::from(reader.u16()?);
        let payload = reader.slice(len)?;
        let known = flags & !RETAINED == 0 && key.seq != U24::ZERO;
        if !known || !topic.is_for_cluster() || len > Self::MAX_PAYLOAD {
            return Err(Malformed::Event);
        }
        Ok(Self { key, retained: flags & RETAINED != 0, topic, payload })
    }

    /// Appends the event, or nothing at all if it does not fit.
    pub fn emit(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        let start = writer.len();
        self.emit_fields(writer).inspect_err(|_| writer.truncate(start))
    }

    fn emit_fields(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        self.key.emit(writer)?;
        writer.u8(if self.retained { RETAINED } else { 0 })?;
        let topic = self.topic.as_str().as_bytes();
        writer.u8(u8::try_from(topic.len()).map_err(|_| Full)?)?;
        writer.put(topic)?;
        writer.u16(u16::try_from(self.payload.len()).map_err(|_| Full)?)?;
        writer.put(self.payload)
    }
}
