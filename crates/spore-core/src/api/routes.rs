//! The route table.

use super::{
    Body, Call, Error, Method, Methods, Pending, Request, Response, call, check_parameters, events,
    images, keys, members, network, query_parameter, rollout, sprockets, tasks, updates,
};
use crate::node::Node;
use crate::services::Catalogue;
use crate::settings::document::{Document, Wanted};
use crate::time::Instant;
use serde::Serialize;

/// One entry of the API.
#[derive(Debug, Serialize)]
pub struct Route {
    /// With which method. A `GET` route answers `HEAD` as well; [`Method::Other`] stands for those
    /// that each service declares.
    #[serde(serialize_with = "serialize_method")]
    pub method: Method,
    /// At which path. `{name}` stands for the name of a task or of a sprocket, or for that of a service and what is
    /// below it.
    pub path: &'static str,
    /// Who may.
    pub policy: Policy,
    /// What it does, in a few words; empty on a board.
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
    /// Who signs the request; and, while the node is unclaimed, who is on its access point. No
    /// service can declare this.
    Provisioning,
    /// As each service declares it. No service can declare this.
    Declared,
}

impl Policy {
    /// The policy as the API names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Signed => "signed",
            Self::Provisioning => "provisioning",
            Self::Declared => "declared",
        }
    }
}

type Handler = fn(&mut Node<'_>, Instant, &Request<'_>) -> Result<Response, Error>;

/// What is for the OpenAPI document only, which boards do not make: they have no room for it.
const fn for_people(text: &'static str) -> &'static str {
    if cfg!(target_os = "none") { "" } else { text }
}

/// All routes.
pub static ROUTES: &[Route] = &[
    Route {
        method: Method::Get,
        path: "/api/node/status",
        policy: Policy::Open,
        summary: for_people("Resources, versions and endpoints of this node"),
        handler: |_, _, _| Ok(Response::ok(Body::node_status())),
    },
    Route {
        method: Method::Post,
        path: "/api/node/restart",
        policy: Policy::Signed,
        summary: for_people("Restarts the node, half a second after the answer"),
        handler: |node, now, _| {
            node.restart(now);
            Ok(Response::accepted(Body::restarting()))
        },
    },
    Route {
        method: Method::Get,
        path: "/api/node/config",
        policy: Policy::Signed,
        summary: for_people("The settings, without secrets"),
        handler: |_, _, _| Ok(Response::ok(Body::config())),
    },
    Route {
        method: Method::Put,
        path: "/api/node/config",
        policy: Policy::Signed,
        summary: for_people("Changes settings; answered when the change is durable"),
        handler: |node, now, request| {
            let ticket =
                node.change_settings(now, Wanted::parse(Document::Config, request.body)?)?;
            Ok(ticket.map_or(Response::ok(Body::config()), |ticket| {
                Response::pending(Pending::Settings(ticket))
            }))
        },
    },
    Route {
        method: Method::Get,
        path: "/api/node/log",
        policy: Policy::Open,
        summary: for_people("What has happened lately; ?after=SEQ leaves out what is known"),
        handler: |_, _, request| {
            check_parameters(request.query, &["after"])?;
            let after = match query_parameter(request.query, "after")? {
                Some(number) => Some(number.parse().map_err(|_| Error::InvalidField("after"))?),
                None => None,
            };
            Ok(Response::ok(Body::log(after)))
        },
    },
    Route {
        method: Method::Get,
        path: "/api/node/crash",
        policy: Policy::Signed,
        summary: for_people("The last crash of this node: cause, place, stack"),
        handler: |node, _, _| {
            if node.crashes.known { Ok(Response::call(Call::CRASH)) } else { Err(Error::NoCrash) }
        },
    },
    Route {
        method: Method::Get,
        path: updates::PATH,
        policy: Policy::Open,
        summary: for_people("The image that runs, and what became of the last update"),
        handler: |_, _, _| Ok(Response::ok(Body::update())),
    },
    Route {
        method: Method::Post,
        path: updates::PATH,
        policy: Policy::Signed,
        summary: for_people(
            "Installs an image and starts it on trial; ?start=no holds it for others",
        ),
        handler: updates::begin,
    },
    Route {
        method: Method::Get,
        path: "/api/node/image",
        policy: Policy::Open,
        summary: for_people("The images in the slots of this node"),
        handler: |node, _, request| {
            images::has_slots(node)?;
            check_parameters(request.query, &[])?;
            Ok(Response::call(Call::IMAGES))
        },
    },
    Route {
        method: Method::Get,
        path: "/api/node/image/manifest",
        policy: Policy::Open,
        summary: for_people(
            "The manifest of an image, as it was signed; ?slot=held of the one that does not run",
        ),
        handler: |node, _, request| images::manifest(node, request),
    },
    Route {
        method: Method::Get,
        path: "/api/node/image/chunks/{name}",
        policy: Policy::Open,
        summary: for_people(
            "A chunk of an image, as it was signed, from 0; ?slot=held of the one that does not run",
        ),
        handler: |node, _, request| images::chunk(node, request),
    },
    Route {
        method: Method::Post,
        path: "/api/events",
        policy: Policy::Signed,
        summary: for_people("Publishes an event, in the cluster or on this node"),
        handler: events::publish,
    },
    Route {
        method: Method::Get,
        path: "/api/events",
        policy: Policy::Signed,
        summary: for_people("What is delivered here, as a stream; ?topic=FILTER selects"),
        handler: |node, _, request| events::stream(node, request),
    },
    Route {
        method: Method::Get,
        path: "/api/cluster/members",
        policy: Policy::Open,
        summary: for_people("The member list, as this node sees it"),
        handler: |_, _, _| Ok(Response::ok(Body::members())),
    },
    Route {
        method: Method::Get,
        path: members::PATH,
        policy: Policy::Open,
        summary: for_people("A member, with what it says of itself when it is asked now"),
        handler: members::ask,
    },
    Route {
        method: Method::Get,
        path: rollout::PATH,
        policy: Policy::Open,
        summary: for_people("The rollout of images through the cluster, and how far each node is"),
        handler: |_, _, _| Ok(Response::ok(Body::rollout())),
    },
    Route {
        method: Method::Post,
        path: rollout::PATH,
        policy: Policy::Signed,
        summary: for_people("Begins a rollout; answered when its plan was verified and is durable"),
        handler: rollout::begin,
    },
    Route {
        method: Method::Delete,
        path: rollout::PATH,
        policy: Policy::Signed,
        summary: for_people("Halts the rollout on all nodes, for good"),
        handler: |node, now, _| rollout::halt(node, now),
    },
    Route {
        method: Method::Get,
        path: "/api/cluster/key",
        policy: Policy::Signed,
        summary: for_people("How far this node is with the replacing of the cluster key"),
        handler: |_, _, _| Ok(Response::ok(Body::key())),
    },
    Route {
        method: Method::Put,
        path: "/api/cluster/key",
        policy: Policy::Signed,
        summary: for_people(
            "Takes a secret or the next key, sealed for this node; answered when it is durable",
        ),
        handler: |node, _, request| keys::take(node, request),
    },
    Route {
        method: Method::Get,
        path: "/api/network/status",
        policy: Policy::Open,
        summary: for_people("The WiFi: state, name, address, access point"),
        handler: |_, _, _| Ok(Response::ok(Body::network())),
    },
    Route {
        method: Method::Get,
        path: "/api/network/scan",
        policy: Policy::Open,
        summary: for_people(
            "The networks that are heard; begins a scan if the last one is not new",
        ),
        handler: |node, now, _| network::scan(node, now),
    },
    Route {
        method: Method::Put,
        path: "/api/network/wifi",
        policy: Policy::Provisioning,
        summary: for_people(
            "Tries other credentials, and keeps them only if they lead to an address",
        ),
        handler: network::change,
    },
    Route {
        method: Method::Get,
        path: "/api/auth/nonce",
        policy: Policy::Open,
        summary: for_people("A nonce for one signed request"),
        handler: |node, now, _| Ok(Response::ok(Body::nonce(node.request_nonces.make(now)))),
    },
    Route {
        method: Method::Get,
        path: "/metrics",
        policy: Policy::Open,
        summary: for_people("Figures of this node, as Prometheus text"),
        handler: |_, _, _| Ok(Response::text(Body::metrics())),
    },
    Route {
        method: Method::Get,
        path: "/api/cluster/services",
        policy: Policy::Open,
        summary: for_people("Who in the cluster offers which service"),
        handler: |_, _, _| Ok(Response::ok(Body::services())),
    },
    Route {
        method: Method::Get,
        path: "/api/tasks",
        policy: Policy::Open,
        summary: for_people("What this node does by itself, and how that goes"),
        handler: |_, _, _| Ok(Response::ok(Body::tasks())),
    },
    Route {
        method: Method::Patch,
        path: tasks::PATH,
        policy: Policy::Signed,
        summary: for_people("Pauses, resumes, paces or runs a task; answered when that is durable"),
        handler: tasks::change,
    },
    Route {
        method: Method::Get,
        path: "/api/sprockets/{name}/config",
        policy: Policy::Signed,
        summary: for_people("What can be set of a sprocket, and what is set"),
        handler: |node, _, request| sprockets::config(node, request),
    },
    Route {
        method: Method::Put,
        path: "/api/sprockets/{name}/config",
        policy: Policy::Signed,
        summary: for_people("Sets a sprocket; answered when the change is durable"),
        handler: sprockets::set,
    },
    Route {
        method: Method::Other,
        path: "/api/services/{name}",
        policy: Policy::Declared,
        summary: for_people("Calls a service of this node; paths below it are the service's own"),
        handler: |node, _, request| call::call(node, request),
    },
];

/// The route for a request, and who may.
pub(super) fn find(
    catalogue: Catalogue,
    method: Method,
    path: &str,
) -> Result<(&'static Route, Policy), Error> {
    if let Some(service) = call::at(catalogue, path) {
        let (_, service) = service?;
        let methods = call::methods(service);
        if !methods.contains(method) {
            return Err(Error::MethodNotAllowed(methods));
        }
        let route = ROUTES.iter().find(|route| route.policy == Policy::Declared);
        return route.map(|route| (route, service.policy())).ok_or(Error::NotFound);
    }
    let asked = if method == Method::Head { Method::Get } else { method };
    let found = ROUTES.iter().find(|route| is_at(path, route.path) && route.method == asked);
    found.map(|route| (route, route.policy)).ok_or_else(|| match allowed(path) {
        Methods::NONE => Error::NotFound,
        methods => Error::MethodNotAllowed(methods),
    })
}

/// Whether a route's path leads to `path`: `{name}` stands for one level, whatever it is.
fn is_at(path: &str, route: &str) -> bool {
    // Not split at the whole of it: the library's search for a text takes a kilobyte of a board's flash.
    let parts = route.split_once('{');
    let parts = parts.and_then(|(before, rest)| Some((before, rest.strip_prefix("name}")?)));
    let Some((before, after)) = parts else { return path == route };
    let name = path.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    name.is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

/// The methods at `path`.
fn allowed(path: &str) -> Methods {
    let at_path = ROUTES.iter().filter(|route| is_at(path, route.path));
    at_path.fold(Methods::NONE, |methods, route| {
        let methods = methods.with(route.method);
        if route.method == Method::Get { methods.with(Method::Head) } else { methods }
    })
}

impl Route {
    /// Its method as the API names it: `ANY` where each service declares its own.
    pub const fn method_name(&self) -> &'static str {
        method_name(self.method)
    }
}

const fn method_name(method: Method) -> &'static str {
    match method {
        Method::Other => "ANY",
        method => method.name(),
    }
}

fn serialize_method<S: serde::Serializer>(method: &Method, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(method_name(*method))
}

#[cfg(test)]
mod tests {
    use super::{Policy, ROUTES, Route, allowed};
    use crate::api::{Error, Method, Methods};
    use crate::services::{Catalogue, Service};

    fn find(method: Method, path: &str) -> Result<&'static Route, Error> {
        super::find(Catalogue::EMPTY, method, path).map(|(route, _)| route)
    }

    #[test]
    fn paths_are_found_and_others_are_not() {
        let fixed = |route: &&Route| route.policy != Policy::Declared;
        assert_eq!(ROUTES.iter().filter(fixed).count() + 1, ROUTES.len());
        for (index, route) in ROUTES.iter().enumerate().filter(|(_, route)| fixed(route)) {
            let found = find(route.method, route.path).unwrap();
            assert!(core::ptr::eq(found, &raw const ROUTES[index]), "{} is twice", route.path);
            assert!(allowed(route.path).contains(route.method), "{}", route.path);
        }
        assert_eq!(find(Method::Get, "/api/node").unwrap_err(), Error::NotFound);
        assert_eq!(find(Method::Get, "/api/node/status/").unwrap_err(), Error::NotFound);
    }

    #[test]
    fn services_have_the_methods_and_the_policy_that_they_declare() {
        static OFFERED: &[Service] = &[
            match Service::new("a", Policy::Open, Methods::NONE.with(Method::Get), "") {
                Ok(service) => service,
                Err(_) => panic!(),
            },
            match Service::new("b", Policy::Signed, Methods::NONE.with(Method::Post), "") {
                Ok(service) => service,
                Err(_) => panic!(),
            },
        ];
        let catalogue = Catalogue::new(OFFERED).unwrap();
        let find =
            |method, path: &str| super::find(catalogue, method, path).map(|(_, policy)| policy);
        for below in ["", "/", "/x/y", "//"] {
            let [a, b] = ["a", "b"].map(|name| std::format!("/api/services/{name}{below}"));
            assert_eq!(find(Method::Get, &a), Ok(Policy::Open), "{a}");
            assert_eq!(find(Method::Head, &a), Ok(Policy::Open), "{a}");
            assert_eq!(find(Method::Post, &b), Ok(Policy::Signed), "{b}");
            for (method, path, methods) in [
                (Method::Post, &a, Methods::NONE.with(Method::Get).with(Method::Head)),
                (Method::Get, &b, Methods::NONE.with(Method::Post)),
                (Method::Head, &b, Methods::NONE.with(Method::Post)),
                (Method::Other, &b, Methods::NONE.with(Method::Post)),
            ] {
                assert_eq!(find(method, path), Err(Error::MethodNotAllowed(methods)), "{path}");
            }
        }
        for path in ["", "/", "/c", "/ab", "/%61", "/A", "/{name}", "//a", "a"] {
            let path = std::format!("/api/services{path}");
            assert_eq!(find(Method::Get, &path), Err(Error::NotFound), "{path}");
        }
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
