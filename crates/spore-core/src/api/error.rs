//! What can be wrong with a request.

use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};

/// Why a request was not carried out. Nothing was changed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// 400: the client's message is not HTTP, or contradicts itself.
    BadRequest,
    /// 404: there is no such path.
    NotFound,
    /// 405: the path is there, but not with this method. These are the methods that it has.
    MethodNotAllowed(&'static str),
    /// 408: the client took too long to send its request.
    RequestTimeout,
    /// 413: the body is larger than this node takes.
    PayloadTooLarge,
    /// 414: the request line is longer than this node takes.
    UriTooLong,
    /// 431: the head is larger than this node takes, or has more fields.
    HeadTooLarge,
    /// 501: the method, or the coding of the body, is unknown.
    NotImplemented,
    /// 503: all connections are in use.
    Busy,
    /// 505: not HTTP/1.0 or 1.1.
    VersionNotSupported,
}

impl Error {
    /// The status code (RFC 9110, section 15; RFC 6585 for 431).
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::NotFound => 404,
            Self::MethodNotAllowed(_) => 405,
            Self::RequestTimeout => 408,
            Self::PayloadTooLarge => 413,
            Self::UriTooLong => 414,
            Self::HeadTooLarge => 431,
            Self::NotImplemented => 501,
            Self::Busy => 503,
            Self::VersionNotSupported => 505,
        }
    }

    /// A word for programs. It never changes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::PayloadTooLarge => "payload_too_large",
            Self::UriTooLong => "uri_too_long",
            Self::HeadTooLarge => "head_too_large",
            Self::NotImplemented => "not_implemented",
            Self::Busy => "busy",
            Self::VersionNotSupported => "version_not_supported",
        }
    }

    /// A sentence for people.
    pub const fn message(self) -> &'static str {
        match self {
            Self::BadRequest => "the request is not valid HTTP",
            Self::NotFound => "there is nothing at this path; /api/node/status lists what there is",
            Self::MethodNotAllowed(_) => "this path has other methods; see the Allow field",
            Self::RequestTimeout => "the request did not arrive in time",
            Self::PayloadTooLarge => "the body is too large",
            Self::UriTooLong => "the request line is too long",
            Self::HeadTooLarge => "the request head is too large or has too many fields",
            Self::NotImplemented => "this method or transfer coding is not known here",
            Self::Busy => "all connections are in use; try again",
            Self::VersionNotSupported => "only HTTP/1.0 and HTTP/1.1 are spoken here",
        }
    }

    /// The `Allow` field.
    pub const fn allow(self) -> Option<&'static str> {
        match self {
            Self::MethodNotAllowed(methods) => Some(methods),
            _ => None,
        }
    }

    /// The `Retry-After` field in seconds.
    pub const fn retry_after(self) -> Option<u16> {
        match self {
            Self::Busy => Some(1),
            _ => None,
        }
    }
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Error", 2)?;
        fields.serialize_field("code", self.code())?;
        fields.serialize_field("message", self.message())?;
        fields.end()
    }
}
