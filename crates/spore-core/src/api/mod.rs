//! The HTTP API: requests in, answers out, as JSON that is made piece by piece.
//!
//! The shell frames requests (RFC 9112) and knows nothing of paths; this module knows every path
//! and nothing of sockets. [`ROUTES`] is the one table that routing, the list of endpoints and the
//! documents are made from.

mod body;
mod error;
mod routes;
mod services;
mod views;

pub use body::{Body, MIN_PIECE};
pub use error::Error;
pub use routes::{Policy, ROUTES, Route};

use crate::node::Node;
use crate::time::Instant;

/// The methods that a route can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Read, without the body.
    Head,
    /// Create, or do.
    Post,
    /// Replace.
    Put,
    /// Change in part.
    Patch,
    /// Remove.
    Delete,
    /// Any other.
    Other,
}

impl Method {
    /// The method as it stands in a request.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Other => "",
        }
    }
}

/// A request, framed by the shell.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What to do.
    pub method: Method,
    /// With what: the path, as it came, without the query.
    pub path: &'a str,
    /// What follows the `?`, or nothing.
    pub query: &'a str,
}

/// The head of an answer, and the place to read its body from.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code (RFC 9110, section 15).
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The `Allow` field, which goes with 405.
    pub allow: Option<&'static str>,
    /// The `Retry-After` field in seconds, which goes with 503.
    pub retry_after: Option<u16>,
    /// The body, for [`Node::poll_body`].
    pub body: Body,
}

const JSON: &str = "application/json";

impl Response {
    /// The answer that says what was wrong. Needs no node, so the shell gives it too.
    pub const fn error(error: Error) -> Self {
        Self {
            status: error.status(),
            content_type: JSON,
            allow: error.allow(),
            retry_after: error.retry_after(),
            body: Body::error(error),
        }
    }

    const fn ok(body: Body) -> Self {
        Self { status: 200, content_type: JSON, allow: None, retry_after: None, body }
    }
}

/// Answers `request`.
pub(crate) fn handle(node: &mut Node<'_>, now: Instant, request: &Request<'_>) -> Response {
    match routes::find(request.method, request.path) {
        Ok(route) => match (route.handler)(node, now, request) {
            Ok(body) => Response::ok(body),
            Err(error) => Response::error(error),
        },
        Err(error) => Response::error(error),
    }
}
