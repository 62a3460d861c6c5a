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
use crate::time::{Duration, Instant};
use crate::wire::{NodeId, Reader, U24, Writer};

/// The name of a value that a node remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// Who the node is, and the number of its last boot: 10 bytes.
    Identity,
    /// Some members to try at the next start: up to 81 bytes, an id and an address each. Losing it
    /// costs time at a start where broadcasts are lost.
    Peers,
    /// What was set through the API: at most [`MAX_VALUE`] bytes, see
    /// [`Settings`](crate::settings::Settings).
    Settings,
    /// The credentials of the WiFi, and those that return if a change fails: at most 196 bytes, see
    /// [`network`](crate::network).
    Network,
    /// What was changed of tasks through the API: at most 217 bytes, see
    /// [`Saved`](crate::tasks::Saved).
    Tasks,
    /// What was set of sprockets: at most 129 bytes, see [`sprockets`](crate::sprockets).
    Sprockets,
    /// What was written when the node was claimed at the desk, with the keys that it has by now: at most 253 bytes, see
    /// [`Claim`](crate::settings::Claim). See [`Node::revise`](crate::Node::revise) for how it is stored.
    Claim,
    /// What of updates is remembered, and who is away: at most 208 bytes, see [`ota`](crate::ota).
    Update,
    /// The plan of a rollout, and what became of it: at most 223 bytes, see `docs/protocol.md`.
    Rollout,
    /// The last crash: at most 210 bytes, see [`CrashRecord`](crate::crash::CrashRecord). Its bytes are the body's.
    Crash,
}

impl Key {
    /// All keys.
    pub const ALL: [Self; 10] = [
        Self::Identity,
        Self::Settings,
        Self::Peers,
        Self::Tasks,
        Self::Network,
        Self::Sprockets,
        Self::Claim,
        Self::Update,
        Self::Rollout,
        Self::Crash,
    ];

    /// The key as a number, which never changes.
    pub const fn number(self) -> u8 {
        match self {
            Self::Identity => 1,
            Self::Peers => 3,
            Self::Settings => 2,
            Self::Network => 5,
            Self::Tasks => 4,
            Self::Sprockets => 6,
            Self::Claim => 7,
            Self::Update => 8,
            Self::Rollout => 9,
            Self::Crash => 0,
        }
    }

    /// The most bytes of its value.
    pub const fn longest(self) -> usize {
        match self {
            Self::Identity => 10,
            Self::Peers => 81,
            Self::Settings => MAX_VALUE,
            Self::Network => 196,
            Self::Tasks => 217,
            Self::Sprockets => 129,
            Self::Claim => 253,
            Self::Update => 208,
            Self::Rollout => 223,
            Self::Crash => 210,
        }
    }

    /// The key as a word, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Peers => "peers",
            Self::Settings => "settings",
            Self::Network => "network",
            Self::Tasks => "tasks",
            Self::Sprockets => "settings of sprockets",
            Self::Claim => "claim",
            Self::Update => "update",
            Self::Rollout => "rollout",
            Self::Crash => "crash record",
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
    /// The value of [`Key::Peers`].
    pub peers: &'a [u8],
    /// The value of [`Key::Settings`].
    pub settings: &'a [u8],
    /// Whether the settings that were stored last are damaged, so that these are earlier ones or
    /// none. Then no release key is believed or taken; see [`Settings`](crate::settings::Settings).
    pub settings_damaged: bool,
    /// The value of [`Key::Network`].
    pub network: &'a [u8],
    /// The value of [`Key::Tasks`].
    pub tasks: &'a [u8],
    /// The value of [`Key::Sprockets`].
    pub sprockets: &'a [u8],
    /// The value of [`Key::Claim`].
    pub claim: &'a [u8],
    /// Whether there was a claim that is damaged; see [`Claim::restore`](crate::settings::Claim::restore).
    pub claim_damaged: bool,
    /// The value of [`Key::Update`].
    pub update: &'a [u8],
    /// The value of [`Key::Rollout`].
    pub rollout: &'a [u8],
    /// The value of [`Key::Crash`]: the last crash that was stored.
    pub crash: &'a [u8],
    /// The record of the crash that this start follows, which nobody has stored yet; empty if there was none. The
    /// body keeps it for [`Action::Store`](crate::Action::Store).
    pub crashed: &'a [u8],
}

impl<'a> Stored<'a> {
    /// Sets the value of `key`.
    pub const fn set(&mut self, key: Key, value: &'a [u8]) {
        match key {
            Key::Identity => self.identity = value,
            Key::Peers => self.peers = value,
            Key::Settings => self.settings = value,
            Key::Network => self.network = value,
            Key::Tasks => self.tasks = value,
            Key::Sprockets => self.sprockets = value,
            Key::Claim => self.claim = value,
            Key::Update => self.update = value,
            Key::Rollout => self.rollout = value,
            Key::Crash => self.crash = value,
        }
    }

    /// What was stored last under `key` is damaged: its value is an earlier one, or none. A body
    /// that can tell must say so at each start until the key was stored anew.
    pub const fn doubt(&mut self, key: Key) {
        match key {
            Key::Settings => self.settings_damaged = true,
            Key::Claim => self.claim_damaged = true,
            // A body gives no earlier identity; earlier peers and credentials are only tried, and what
            // was set of tasks and sprockets earlier is as good as none. An earlier crash is one, too. An earlier floor is
            // lower than the image that runs, or by one image too low; an earlier plan is
            // replaced by what others have.
            Key::Identity
            | Key::Peers
            | Key::Network
            | Key::Tasks
            | Key::Sprockets
            | Key::Update
            | Key::Rollout
            | Key::Crash => (),
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

/// The storing of one value: whether it is to be stored, is being stored, or could not be.
///
/// ```text
///   Idle ──want──▶ Wanted ──poll──▶ UnderWay ──finish(true)───▶ Idle, or Wanted if it has changed
///                    ▲                  └──────finish(false)──▶ Failed, until it is time again
///                    └──────────────────────────────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Storing {
    /// What is stored is what should be.
    #[default]
    Idle,
    /// The body is to store the present value.
    Wanted,
    /// The body was asked to.
    UnderWay {
        /// Whether the value has changed since, so that it must be stored once more.
        changed: bool,
    },
    /// The body could not, or it is too early.
    Failed {
        /// When it is asked again.
        again: Instant,
    },
}

impl Storing {
    /// The value has changed, and is to be stored as it is now. After a failure it is tried at
    /// once.
    pub(crate) const fn want(&mut self) {
        *self = match self {
            Self::UnderWay { .. } => Self::UnderWay { changed: true },
            Self::Idle | Self::Wanted | Self::Failed { .. } => Self::Wanted,
        };
    }

    /// What is wanted is not to be asked for before `at`.
    pub(crate) const fn postpone(&mut self, at: Instant) {
        if matches!(self, Self::Wanted | Self::Failed { .. }) {
            *self = Self::Failed { again: at };
        }
    }

    /// Whether the body is to store the value now. It is asked once, and again after a failure.
    pub(crate) fn poll(&mut self, now: Instant) -> bool {
        let due = match self {
            Self::Wanted => true,
            Self::Failed { again } => now >= *again,
            Self::Idle | Self::UnderWay { .. } => false,
        };
        if due {
            *self = Self::UnderWay { changed: false };
        }
        due
    }

    /// The body has tried; after a failure it is asked again in `retry`. True if what is stored now
    /// is the value as it was when the body was asked, which may have changed since. A report that
    /// was not waited for changes nothing.
    pub(crate) fn finish(&mut self, now: Instant, success: bool, retry: Duration) -> bool {
        let Self::UnderWay { changed } = *self else { return false };
        *self = match (success, changed) {
            (true, false) => Self::Idle,
            (true, true) => Self::Wanted,
            (false, _) => Self::Failed { again: now + retry },
        };
        success
    }

    /// When a failed attempt is to be repeated.
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Failed { again } => Some(*again),
            Self::Idle | Self::Wanted | Self::UnderWay { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Identity, Instant, MAX_VALUE, NodeId, Storing, U24};

    const RETRY: Duration = Duration::from_secs(5);

    #[test]
    fn a_value_is_asked_for_once_and_again_after_a_failure() {
        let mut now = Instant::ZERO;
        let mut storing = Storing::default();
        assert!(!storing.poll(now));
        assert!(!storing.finish(now, true, RETRY), "nobody asked");
        storing.want();
        assert!(storing.poll(now) && !storing.poll(now));
        assert!(!storing.finish(now, false, RETRY));
        assert_eq!(storing.poll_timeout(), Some(now + RETRY));
        assert!(!storing.poll(now));
        now = now + RETRY;
        assert!(storing.poll(now));
        assert!(storing.finish(now, true, RETRY));
        assert_eq!(storing, Storing::Idle);
    }

    #[test]
    fn a_value_that_changes_while_it_is_stored_is_stored_again() {
        let now = Instant::ZERO;
        let mut storing = Storing::Wanted;
        assert!(storing.poll(now));
        storing.want();
        assert!(!storing.poll(now), "one at a time");
        assert!(storing.finish(now, true, RETRY));
        assert!(storing.poll(now));
        storing.want();
        assert!(!storing.finish(now, false, RETRY));
        storing.want();
        assert!(storing.poll(now), "a new value need not wait for the failed one's time");
    }

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
