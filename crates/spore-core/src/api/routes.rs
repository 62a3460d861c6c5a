//! The route table.

use super::{Body, Error, Method, Methods, Request, Response, query_parameter};
use crate::node::Node;
use crate::settings::document::Wanted;
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
    /// Who signs the request with the cluster key; see [`request`](crate::security::request).
    Signed,
}

impl Policy {
    /// The policy as the API names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Signed => "signed",
        }
    }
}

type Handler = fn(&mut Node<'_>, Instant, &Request<'_>) -> Result<Response, Error>;

/// All routes.
pub static ROUTES: &[Route] = &[
    Route {
        method: Method::Get,
        path: "/api/node/status",
        policy: Policy::Open,
        summary: "Resources, versions and endpoints of this node",
        handler: |_, _, _| Ok(Response::ok(Body::node_status())),
    },
    Route {
        method: Method::Post,
        path: "/api/node/restart",
        policy: Policy::Signed,
        summary: "Restarts the node, half a second after the answer",
        handler: |node, now, _| {
            node.restart(now);
            Ok(Response::accepted(Body::restarting()))
        },
    },
    Route {
        method: Method::Get,
        path: "/api/node/config",
        policy: Policy::Signed,
        summary: "The settings, without secrets",
        handler: |_, _, _| Ok(Response::ok(Body::config())),
    },
    Route {
        method: Method::Put,
        path: "/api/node/config",
        policy: Policy::Signed,
        summary: "Changes settings; answered when the change is durable",
        handler: |node, now, request| {
            let ticket = node.change_settings(now, Wanted::parse(request.body)?)?;
            Ok(ticket.map_or(Response::ok(Body::config()), Response::pending))
        },
    },
    Route {
        method: Method::Get,
        path: "/api/node/log",
        policy: Policy::Open,
        summary: "What has happened lately; ?after=SEQ leaves out what is known",
        handler: |_, _, request| {
            let after = match query_parameter(request.query, "after") {
                Some(number) => Some(number.parse().map_err(|_| Error::InvalidField("after"))?),
                None => None,
            };
            Ok(Response::ok(Body::log(after)))
        },
    },
    Route {
        method: Method::Get,
        path: "/api/cluster/members",
        policy: Policy::Open,
        summary: "The member list, as this node sees it",
        handler: |_, _, _| Ok(Response::ok(Body::members())),
    },
    Route {
        method: Method::Get,
        path: "/api/auth/nonce",
        policy: Policy::Open,
        summary: "A nonce for one signed request",
        handler: |node, now, _| Ok(Response::ok(Body::nonce(node.request_nonces.make(now)))),
    },
    Route {
        method: Method::Get,
        path: "/metrics",
        policy: Policy::Open,
        summary: "Figures of this node, as Prometheus text",
        handler: |_, _, _| Ok(Response::text(Body::metrics())),
    },
    Route {
        method: Method::Get,
        path: "/api/cluster/services",
        policy: Policy::Open,
        summary: "Who in the cluster offers which service",
        handler: |_, _, _| Ok(Response::ok(Body::services())),
    },
];

/// The route for a request.
pub(super) fn find(method: Method, path: &str) -> Result<&'static Route, Error> {
    let asked = if method == Method::Head { Method::Get } else { method };
    let found = ROUTES.iter().find(|route| route.path == path && route.method == asked);
    found.ok_or_else(|| match allowed(path) {
        Methods::NONE => Error::NotFound,
        methods => Error::MethodNotAllowed(methods),
    })
}

/// The methods at `path`.
fn allowed(path: &str) -> Methods {
    let at_path = ROUTES.iter().filter(|route| route.path == path);
    at_path.fold(Methods::NONE, |methods, route| {
        let methods = methods.with(route.method);
        if route.method == Method::Get { methods.with(Method::Head) } else { methods }
    })
}

fn method_name<S: serde::Serializer>(method: &Method, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(method.name())
}

#[cfg(test)]
mod tests {
    use super::{ROUTES, allowed, find};
    use crate::api::{Error, Method, Methods};

    #[test]
    fn paths_are_found_and_others_are_not() {
        for (index, route) in ROUTES.iter().enumerate() {
            let found = find(route.method, route.path).unwrap();
            assert!(core::ptr::eq(found, &raw const ROUTES[index]), "{} is twice", route.path);
            assert!(allowed(route.path).contains(route.method), "{}", route.path);
        }
        assert_eq!(find(Method::Get, "/api/node").unwrap_err(), Error::NotFound);
        assert_eq!(find(Method::Get, "/api/node/status/").unwrap_err(), Error::NotFound);
    }

    #[test]
    fn head_goes_where_get_goes() {
        assert!(find(Method::Head, "/api/node/status").is_ok());
        let get = Methods::NONE.with(Method::Get).with(Method::Head);
        let error = find(Method::Post, "/api/node/status").unwrap_err();
        assert_eq!(error, Error::MethodNotAllowed(get));
        let error = find(Method::Delete, "/api/node/config").unwrap_err();
        assert_eq!(error, Error::MethodNotAllowed(get.with(Method::Put)));
        let error = find(Method::Head, "/api/node/restart").unwrap_err();
        assert_eq!(error, Error::MethodNotAllowed(Methods::NONE.with(Method::Post)));
    }
}
