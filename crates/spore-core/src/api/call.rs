//! Answers that are not the engine's to make: those of services, at `/api/services/NAME` and below it, the
//! record of the last crash, and what is in the slots for images.

use super::{Body, Error, Method, Methods, Request, Response};
use crate::node::Node;
use crate::services::{Catalogue, Service};

/// What the path of every service begins with; its name follows, then nothing or a slash.
const PREFIX: &str = "/api/services/";

/// A request that the shell is to have answered: routed, and let through by its policy.
///
/// It holds no part of the request, so that the shell may keep it while it moves the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call(Callee);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Callee {
    /// A service of this node.
    Service {
        /// Its place in the catalogue.
        place: u8,
        /// How much of the query is the service's: credentials may follow it.
        query: u16,
    },
    Crash,
    Images,
}

/// Who is to answer a [call](Call), and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called<'a> {
    /// A service of this node.
    Service(ServiceRequest<'a>),
    /// The shell itself, with the record of the last crash as a document
    /// ([`CrashRecord::value_to_json`](crate::crash::CrashRecord::value_to_json)).
    Crash,
    /// The shell itself, with what is in the slots: `running` and `held`, each an
    /// [`ImageAbout`](super::ImageAbout) or null.
    Images,
}

/// A request as its service sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceRequest<'a> {
    /// The service's place in [`Catalogue::services`].
    pub service: usize,
    /// One of the methods that the service answers. `HEAD` has become `GET`.
    pub method: Method,
    /// What follows the service's name in the path: nothing, or it begins with a slash.
    pub path: &'a str,
    /// What follows the `?`, without any credentials; or nothing.
    pub query: &'a str,
    /// The body, without any framing.
    pub body: &'a [u8],
}

impl Call {
    /// The call for the record of the last crash, which the engine does not keep.
    pub(super) const CRASH: Self = Self(Callee::Crash);

    /// The call for what is in the slots.
    pub(super) const IMAGES: Self = Self(Callee::Images);

    /// What is called with `request`, the one that was answered with this call.
    pub fn with<'r>(self, request: &Request<'r>) -> Called<'r> {
        let (place, query) = match self.0 {
            Callee::Crash => return Called::Crash,
            Callee::Images => return Called::Images,
            Callee::Service { place, query } => (place, query),
        };
        let (_, path) = split(request.path).unwrap_or_default();
        Called::Service(ServiceRequest {
            service: usize::from(place),
            method: if request.method == Method::Head { Method::Get } else { request.method },
            path,
            query: request.query.get(..usize::from(query)).unwrap_or(request.query),
            body: request.body,
        })
    }
}

/// The name of the service that `path` leads to, and what follows it.
fn split(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix(PREFIX)?;
    Some(rest.split_at(rest.find('/').unwrap_or(rest.len())))
}

/// The service that `path` leads to, and its place; `None` if it leads elsewhere.
pub(super) fn at(
    catalogue: Catalogue,
    path: &str,
) -> Option<Result<(usize, &'static Service), Error>> {
    let (name, _) = split(path)?;
    Some(catalogue.find(name).ok_or(Error::NotFound))
}

/// The methods that `service` answers: `HEAD` wherever it answers `GET`.
pub(super) const fn methods(service: &Service) -> Methods {
    let methods = service.methods();
    if methods.contains(Method::Get) { methods.with(Method::Head) } else { methods }
}

/// Has the shell call the service. The query of `request` is without credentials.
pub(super) fn call(node: &Node<'_>, request: &Request<'_>) -> Result<Response, Error> {
    let (index, _) = at(node.catalogue, request.path).unwrap_or(Err(Error::NotFound))?;
    // A catalogue is smaller, and a query longer than that is none of the shell's.
    let place = u8::try_from(index).map_err(|_| Error::NotFound)?;
    let query = u16::try_from(request.query.len()).map_err(|_| Error::UriTooLong)?;
    Ok(Response::call(Call(Callee::Service { place, query })))
}

impl Response {
    pub(super) const fn call(call: Call) -> Self {
        Self { outcome: super::Outcome::Call(call), ..Self::error(Error::Unfinished) }
    }

    /// The call that makes the answer. The shell has it carried out, sends what comes of it, and reports its status
    /// with [`Node::handle_called`].
    pub const fn to_call(&self) -> Option<Call> {
        match self.outcome {
            super::Outcome::Call(call) => Some(call),
            _ => None,
        }
    }

    /// The head of a service's answer, whose body the shell has.
    pub const fn of_service(status: u16, content_type: &'static str) -> Self {
        Self { status, content_type, ..Self::ok(Body::END) }
    }
}
