//! The cluster key and what it guards: sealing, boot epochs, replay windows, freshness.
//!
//! Every datagram is sealed with ChaCha20-Poly1305 (RFC 8439) under the cluster key. Its nonce is
//! the sender's random 48-bit id, a 24-bit boot epoch and a 24-bit counter. The epoch is made
//! durable before the first datagram of a boot, so no nonce is ever used twice ([`Nonces`]).
//!
//! A receiver keeps a window of what it has seen from each sender ([`ReplayWindow`]). It forgets those
//! when it restarts, and has none yet when the sender restarts; so then it takes nothing from a sender
//! before that one has returned a fresh [`Token`], which no recording can contain.
//!
//! Signed HTTP requests are the business of [`request`], replacing the key that of [`rotation`].

mod identity;
mod key;
mod keyring;
mod release;
mod replay;
pub mod request;
mod request_nonces;
pub mod rotation;
mod seal;
mod token;

pub(crate) use identity::Epochs;
pub use identity::{Identity, Nonces, Seed};
pub use key::{ClusterKey, InvalidKey};
pub(crate) use keyring::Keyring;
pub use release::{InvalidReleaseKey, Question, ReleaseKey, Subject, Succession, Verdict};
pub use replay::ReplayWindow;
pub use request_nonces::REMEMBERED;
pub(crate) use request_nonces::RequestNonces;
pub use seal::{Header, OVERHEAD, OpenError, Sealer, VERSION};
pub use token::{Token, Tokens};
