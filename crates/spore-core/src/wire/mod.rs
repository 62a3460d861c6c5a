//! The bytes of a datagram, inside its seal. `docs/protocol.md` has them as tables.
//!
//! # Contract
//!
//! Nothing here panics, whatever the bytes are: there is no indexing and no `as` cast, and the
//! lints of the crate keep it so. [`Message::parse`] reads a whole message once and refuses all of it if
//! any part is malformed; after that [`Message::records`], [`Message::events`], [`Message::keys`] and
//! [`Message::pieces`] cannot fail. [`Writer`] refuses what
//! does not fit and leaves no half-written field behind.

mod bytes;
mod event;
mod message;
mod record;
mod types;

pub use bytes::{Full, Reader, Writer};
pub use event::{EventKey, EventRecord};
pub use message::{Events, Head, Keys, Kind, Message, MessageWriter, Records};
pub use record::{Record, Rumor};
pub use types::{Hostname, Incarnation, InvalidHostname, InvalidNodeId, NodeId, U24};
pub(crate) use types::{mixed_fnv, parse_hex, parse_lower_hex, well_mixed_fnv};

/// The most bytes of a datagram, seal included. Fits the smallest IPv4 path (RFC 791: 576 bytes).
pub const MAX_DATAGRAM: usize = 512;

/// The most bytes of a set of pieces in a message: all pieces of an image for an ESP-01.
pub const PIECES_MAX: usize = 240;

/// Why bytes from the network were not understood. Nothing was changed by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// They end within a field.
    Truncated,
    /// The kind of message is unknown.
    Kind,
    /// The first record is not the sender's own, or is neither alive nor, in an announcement or with
    /// events, left.
    Sender,
    /// A record has an unknown status.
    Status,
    /// A hostname has a length or a character that is not allowed.
    Hostname,
    /// A record has too many services, or they are not in ascending order.
    Services,
    /// An event has a topic, a length, a number or a flag that is not allowed.
    Event,
    /// The keys of a window are none, or too many.
    Window,
    /// A set of pieces, or a piece, is empty or too long.
    Piece,
    /// How far a member is with a rollout is told with a code that is not known.
    Update,
    /// What is told of a rollout is no plan.
    Rollout,
}

impl core::fmt::Display for Malformed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the message ends within a field",
            Self::Kind => "the kind of the message is unknown",
            Self::Sender => "the first record is not the sender's own",
            Self::Status => "the status of a record is unknown",
            Self::Hostname => "a hostname is not allowed",
            Self::Services => "the services of a record are too many, or not in order",
            Self::Event => "an event is not as it must be",
            Self::Window => "the keys of a window are none, or too many",
            Self::Piece => "a piece, or a set of them, is empty or too long",
            Self::Update => "the state of an update is unknown",
            Self::Rollout => "the plan of a rollout is not as it must be",
        })
    }
}

impl core::error::Error for Malformed {}
