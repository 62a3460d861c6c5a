//! The route table.

use super::{Body, Error, Method, Request};
use crate::node::Node;
use crate::time::Instant;
use serde::Serialize;

/// One entry of the API.
#[derive(Debug, Serialize)]
pub struct Route {
    /// With which method. A `GET` route answers `HEAD` as well.
    #[serde(serialize_with = "method_name")]
    pub method: Method,
    /// At which path.
    pub path: &'static str,
    /// Who may.
    pub policy: Policy,
    /// What it does, in a few words.
    #[serde(skip)]
    pub summary: &'static str,
    #[serde(skip)]
    pub(super) handler: Handler,
}

/// Who may use a route. There is no default: a route without a policy does not compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Everyone on the network.
    Open,
}

type Handler = fn(&mut Node<'_>, Instant, &Request<'_>) -> Result<Body, Error>;

/// All routes.
pub static ROUTES: &[Route] = &[
    Route {
        method: Method::Get,
        path: "/api/node/status",
        policy: Policy::Open,
        summary: "Resources, versions and endpoints of this node",
        handler: |_, _, _| Ok(Body::node_status()),
    },
    Route {
        method: Method::Get,
        path: "/api/cluster/members",
        policy: Policy::Open,
        summary: "The member list, as this node sees it",
        handler: |_, _, _| Ok(Body::members()),
    },
    Route {
        method: Method::Get,
        path: "/api/cluster/services",
        policy: Policy::Open,
        summary: "Who in the cluster offers which service",
        handler: |_, _, _| Ok(Body::services()),
    },
];

/// The route for a request.
pub(super) fn find(method: Method, path: &str) -> Result<&'static Route, Error> {
    let asked = if method == Method::Head { Method::Get } else { method };
    let mut at_path = ROUTES.iter().filter(|route| route.path == path).peekable();
    if at_path.peek().is_none() {
        return Err(Error::NotFound);
    }
    let found = at_path.find(|route| route.method == asked);
    found.ok_or_else(|| Error::MethodNotAllowed(allowed(path)))
}

/// The methods at `path`, as an `Allow` field has them.
fn allowed(path: &str) -> &'static str {
    // Every path has one method so far; a test holds the table to that.
    let get = ROUTES.iter().any(|route| route.path == path && route.method == Method::Get);
    if get { "GET, HEAD" } else { "" }
}

fn method_name<S: serde::Serializer>(method: &Method, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(method.name())
}

#[cfg(test)]
mod tests {
    use super::{ROUTES, allowed, find};
    use crate::api::{Error, Method};

    #[test]
    fn paths_are_found_and_others_are_not() {
        for route in ROUTES {
            assert_eq!(find(route.method, route.path).unwrap().path, route.path);
            assert!(allowed(route.path).contains(route.method.name()), "{}", route.path);
        }
        assert_eq!(find(Method::Get, "/api/node").unwrap_err(), Error::NotFound);
        assert_eq!(find(Method::Get, "/api/node/status/").unwrap_err(), Error::NotFound);
    }

    #[test]
    fn head_goes_where_get_goes() {
        assert!(find(Method::Head, "/api/node/status").is_ok());
        let error = find(Method::Post, "/api/node/status").unwrap_err();
        assert_eq!(error, Error::MethodNotAllowed("GET, HEAD"));
    }
}
