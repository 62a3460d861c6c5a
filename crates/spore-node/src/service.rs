//! What a service answers.

use spore_core::Hostname;
use spore_core::api::{Error, MIN_PIECE, Response};

/// The answer of a service. Its body is in the buffer that the service was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceReply {
    /// The status code (RFC 9110, section 15), 200 to 599. Any other is answered with 500.
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The length of the body in bytes.
    pub len: usize,
}

impl ServiceReply {
    /// The media type of JSON documents.
    pub const JSON: &'static str = "application/json";

    /// An answer whose body is `text`, written into `reply`. One that does not fit becomes
    /// [`Error::ServiceBroken`].
    pub fn new(status: u16, content_type: &'static str, text: &[u8], reply: &mut [u8]) -> Self {
        match reply.get_mut(..text.len()) {
            Some(place) => {
                place.copy_from_slice(text);
                Self { status, content_type, len: text.len() }
            }
            None => Self::error(Error::ServiceBroken, reply),
        }
    }

    /// The answer that says what is wrong, as everywhere in the API. `reply` has at least
    /// [`MIN_PIECE`] bytes.
    pub fn error(error: Error, reply: &mut [u8]) -> Self {
        debug_assert!(reply.len() >= MIN_PIECE);
        let mut response = Response::error(error);
        let len = response.body.fill_error(reply);
        Self { status: response.status, content_type: response.content_type, len }
    }

    /// The answer of [`IDENTIFY`](spore_core::services::IDENTIFY).
    pub fn identified(hostname: &Hostname, reply: &mut [u8]) -> Self {
        // A hostname has no character that JSON would escape; `core::fmt` is large on a board.
        let mut len = 0;
        for part in ["{\"hostname\":\"", hostname.as_str(), "\",\"identified\":true}"] {
            let Some(place) = reply.get_mut(len..len + part.len()) else {
                return Self::error(Error::ServiceBroken, reply);
            };
            place.copy_from_slice(part.as_bytes());
            len += part.len();
        }
        Self { status: 200, content_type: Self::JSON, len }
    }

    /// This answer, if it is as it must be in a buffer of `room` bytes.
    pub(crate) fn checked(self, room: usize) -> Option<Self> {
        Some(self).filter(|reply| (200..600).contains(&reply.status) && reply.len <= room)
    }
}
