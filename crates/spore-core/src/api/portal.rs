//! Which name a request may call the node by, and the captive portal: what is different for those who come through the
//! node's access point.
//!
//! A page that a browser has from elsewhere must not use the API as if it were its own. Either it says where it comes from, or
//! its name was led to the node's address (DNS rebinding). So the node answers no page but its own, and to names alone
//! that no stranger can lead to it: an address, its hostname, `localhost`.
//!
//! A phone that joins a network asks a server of its vendor for a page, to find out whether the
//! network leads anywhere. On the access point every name leads to the node, which sends each such
//! question on to its own page; the phone sees that, and shows it.
//!
//! Since every name leads to the node there, it answers to its address only, and changes nothing for who calls it
//! otherwise.

use super::routes::{self, Policy, Route};
use super::{Asset, Body, Error, Request, Response, views};
use crate::node::Node;

/// Where a request came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Entrance {
    /// At the node's address on the cluster's network.
    #[default]
    Network,
    /// At its address on its own access point: this one, as URLs have it, with the port unless
    /// that is 80.
    AccessPoint(&'static str),
}

/// What a request leads to.
pub(super) enum Target {
    Route(&'static Route, Policy),
    Asset(&'static Asset),
    /// The page at the access point.
    Page,
}

/// What `request` leads to.
///
/// Who comes through the access point and only wants to read is led to its page, wherever he
/// wanted to go; but programs, which ask for something below `/api/`, hear that it is not there.
pub(super) fn target(node: &Node<'_>, request: &Request<'_>) -> Result<Target, Error> {
    if request.foreign {
        return Err(Error::Misdirected);
    }
    let inside = match request.entrance {
        Entrance::Network if is_own(node, request.host) => false,
        Entrance::Network => return Err(Error::Misdirected),
        Entrance::AccessPoint(own) if request.host == own => true,
        Entrance::AccessPoint(_) if request.reads() => return Ok(Target::Page),
        Entrance::AccessPoint(_) => return Err(Error::Misdirected),
    };
    if let Some(asset) = node.assets.find(request)? {
        return Ok(Target::Asset(asset));
    }
    match routes::find(node.catalogue, request.method, request.path) {
        Ok((route, policy)) => Ok(Target::Route(route, policy)),
        Err(Error::NotFound) if inside && request.reads() && !request.path.starts_with("/api/") => {
            Ok(Target::Page)
        }
        Err(error) => Err(error),
    }
}

/// Whether no stranger can lead the name `host`, which may end with a port, to this node. Who speaks HTTP/1.0 calls it
/// nothing at all.
fn is_own(node: &Node<'_>, host: &str) -> bool {
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    // A name whose last level is a number is an address (WHATWG URL, section 3.5).
    let is_address =
        host.starts_with('[') || name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.'));
    let (hostname, ..) = views::alive(node.own());
    // Where two have this name, a gateway announces each as `hostname-id.local`.
    let local = match name.strip_suffix(".local") {
        Some(local) => local
            .split_at_checked(hostname.len())
            .filter(|(_, rest)| rest.is_empty() || rest.starts_with('-'))
            .map_or("", |(local, _)| local),
        None => name,
    };
    is_address || local.eq_ignore_ascii_case(hostname) || name.eq_ignore_ascii_case("localhost")
}

impl Response {
    /// Leads the client to the page at the access point.
    pub(super) const TO_PAGE: Self =
        Self { status: 302, content_type: "", to_page: true, ..Self::ok(Body::END) };
}
