//! What users add to a node: sprockets, as far as the engine knows of them.
//!
//! A *sprocket* brings tasks, services, subscriptions and settings ([`Manifest`]); a firmware has a fixed list of them
//! ([`Roster`]). The engine keeps their settings, allows them so many events, counts what they do and tells it in
//! `GET /api/node/status`. Their code is the shell's to run.

mod manifest;
mod roster;
mod settings;
mod state;
mod value;
mod verbs;

pub use manifest::{Manifest, Setting};
pub use roster::{InvalidRoster, Roster};
pub use settings::SETTINGS_MAX;
pub use state::{Counters, EVENT_EVERY_MS, EVENTS_AT_ONCE, MAX_RESTARTS, SLOW, State};
pub(crate) use state::{SprocketStorage, Sprockets};
pub use value::Value;
pub use verbs::Refused;

#[cfg(test)]
mod tests;

/// The most sprockets that a node can have.
pub const MAX_SPROCKETS: usize = 8;

/// The most filters that all sprockets of a node can subscribe with.
pub const MAX_SUBSCRIPTIONS: usize = 16;

/// The most settings of one sprocket.
pub const MAX_SETTINGS: usize = 8;
