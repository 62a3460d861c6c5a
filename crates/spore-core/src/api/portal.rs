//! The captive portal: what is different for those who come through the node's access point.
//!
//! A phone that joins a network asks a server of its vendor for a page, to find out whether the
//! network leads anywhere. On the access point every name leads to the node, which sends each such
//! question on to its own page; the phone sees that, and shows it.
//!
//! Since every name leads to the node, any page that a browser there has from elsewhere could use
//! the API as if it were its own (DNS rebinding). So the node answers to its address only, in whose
//! name no other page can speak, and changes nothing for who calls it otherwise.

use super::routes::{self, Policy, Route};
use super::{Asset, Body, Error, Request, Response};
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
    let inside = match request.entrance {
        Entrance::Network => false,
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

impl Response {
    /// Leads the client to the page at the access point.
    pub(super) const TO_PAGE: Self =
        Self { status: 302, content_type: "", to_page: true, ..Self::ok(Body::END) };
}
