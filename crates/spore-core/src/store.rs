//! What a node remembers over restarts: a few values, each under a key.
//!
//! The engine says when a value is to be stored ([`Action::Store`](crate::Action::Store)) and
//! makes its bytes ([`Node::value`](crate::Node::value)); the body keeps them, in flash or in a
//! file, and brings them back at the next start ([`Stored`]). What was stored must be there whole
//! or not at all: the body checks that, the engine does not.
//!
//! The first byte of each value is the version of its format. A value of an unknown version, from
//! a newer program, counts as none.

use crate::security::Identity;
use crate::wire::{NodeId, Reader, U24, Writer};

/// The name of a value that a node remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// Who the node is, and the number of its last boot: 10 bytes.
    Identity,
}

impl Key {
    /// All keys.
    pub const ALL: [Self; 1] = [Self::Identity];

    /// The key as a number, which never changes.
    pub const fn number(self) -> u8 {
        match self {
            Self::Identity => 1,
        }
    }

    /// The key as a word, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
        }
    }
}

/// The most bytes of a value.
pub const MAX_VALUE: usize = 256;

/// What was stored before this start. An empty value counts as none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stored<'a> {
    /// The value of [`Key::Identity`].
    pub identity: &'a [u8],
}

impl<'a> Stored<'a> {
    /// Sets the value of `key`.
    pub const fn set(&mut self, key: Key, value: &'a [u8]) {
        match key {
            Key::Identity => self.identity = value,
        }
    }
}

impl Identity {
    const VERSION: u8 = 1;

    /// The value that [`Key::Identity`] had, if it is one.
    pub fn decode(value: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(value);
        let version = reader.u8().ok()?;
        let id = NodeId(reader.array().ok()?);
        let epoch = U24::from_be_bytes(reader.array().ok()?);
        (version == Self::VERSION && reader.is_empty()).then_some(Self { id, epoch })
    }

    /// Writes the value for [`Key::Identity`] into `buf`. Returns its length, or 0 if there is no
    /// room.
    pub fn encode(&self, buf: &mut [u8]) -> usize {
        let mut writer = Writer::new(buf);
        let written = writer
            .u8(Self::VERSION)
            .and_then(|()| writer.put(&self.id.0))
            .and_then(|()| writer.put(&self.epoch.to_be_bytes()));
        if written.is_ok() { writer.len() } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::{Identity, MAX_VALUE, NodeId, U24};

    #[test]
    fn an_identity_is_read_back_and_nothing_else_is_taken_for_one() {
        let identity =
            Identity { id: NodeId([1, 2, 3, 4, 5, 6]), epoch: U24::new(70_000).unwrap() };
        let mut value = [0; MAX_VALUE];
        let len = identity.encode(&mut value);
        assert_eq!(Identity::decode(&value[..len]), Some(identity));
        assert_eq!(Identity::decode(&value[..len + 1]), None);
        for cut in 0..len {
            assert_eq!(Identity::decode(&value[..cut]), None);
            assert_eq!(identity.encode(&mut [0; 10][..cut]), 0);
        }
        value[0] = 2;
        assert_eq!(Identity::decode(&value[..len]), None, "of a later format");
    }
}
