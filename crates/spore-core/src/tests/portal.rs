//! Pages, and who comes through the access point.

use super::world::{config, facts};
use crate::api::{Asset, Assets, Entrance, Error, MIN_PIECE, Method, Methods, Request, Response};
use crate::profile::Host;
use crate::time::Instant;
use crate::{Config, Node, Seed, Storage, Stored};
use std::boxed::Box;
use std::format;
use std::vec::Vec;

const NOW: Instant = Instant::from_micros(1);
const OWN: &str = "192.168.4.1";

const EVERYWHERE: &[Asset] = &[
    Asset::new("/", "text/html", b"dashboard"),
    Asset::new("/style.css", "text/css", &[b'x'; 3 * MIN_PIECE]),
    Asset::new("/empty", "text/plain", b""),
];
const ACCESS_POINT: &[Asset] = &[Asset::new("/", "text/html", b"portal")];

fn node() -> Node<'static> {
    let assets = Assets { everywhere: EVERYWHERE, access_point: ACCESS_POINT };
    let config = Config { assets, ..config(1) };
    let storage = Box::leak(Box::new(Storage::<Host>::NEW));
    Node::new(NOW, &config, facts(), &Stored::default(), &Seed([1; 32]), storage)
}

fn over_network(method: Method, path: &str) -> Request<'_> {
    Request { host: "192.168.1.20:8080", ..Request::new(method, path) }
}

/// A request through the access point, whose client takes it for `host`.
fn through<'a>(host: &'a str, method: Method, path: &'a str) -> Request<'a> {
    Request { host, entrance: Entrance::AccessPoint(OWN), ..Request::new(method, path) }
}

/// An answer, with its body.
fn ask(node: &mut Node<'_>, request: &Request<'_>) -> (Response, Vec<u8>) {
    let mut response = node.handle_request(NOW, request);
    let (mut body, mut buf) = (Vec::new(), [0; MIN_PIECE]);
    loop {
        match node.poll_body(NOW, &mut response.body, &mut buf) {
            0 => return (response, body),
            len => body.extend_from_slice(&buf[..len]),
        }
    }
}

fn assert_refused(node: &mut Node<'_>, request: &Request<'_>, error: Error) {
    let (response, body) = ask(node, request);
    assert_eq!(response.status, error.status(), "{request:?}");
    assert_eq!(response.allow, error.allow(), "{request:?}");
    let code = format!("{{\"error\":{{\"code\":\"{}\"", error.code());
    assert!(body.starts_with(code.as_bytes()), "{request:?}: {}", body.escape_ascii());
    assert!(response.asset.is_none() && !response.to_page);
    // Who holds his body back hears it before he sends it.
    let refusal = node.handle_head(NOW, request).expect("certain without the body");
    assert_eq!(refusal.status, error.status(), "{request:?}");
}

fn assert_led_to_the_page(node: &mut Node<'_>, request: &Request<'_>) {
    let (response, body) = ask(node, request);
    assert_eq!((response.status, response.to_page), (302, true), "{request:?}");
    assert!(body.is_empty() && response.content_type.is_empty());
    assert!(node.handle_head(NOW, request).is_none());
}

#[test]
fn files_are_served_whole_at_each_address() {
    let mut node = node();
    for (asset, path) in EVERYWHERE.iter().zip(["/", "/style.css", "/empty"]) {
        for method in [Method::Get, Method::Head] {
            let (response, body) = ask(&mut node, &over_network(method, path));
            assert_eq!((response.status, response.content_type), (200, asset.content_type()));
            assert_eq!(response.asset.map(Asset::tag), Some(asset.tag()), "{path}");
            assert!(body == asset.bytes(), "{path}");
        }
    }
    let (_, body) = ask(&mut node, &through(OWN, Method::Get, "/style.css"));
    assert!(body == EVERYWHERE[1].bytes());
    let (_, body) = ask(&mut node, &through(OWN, Method::Get, "/"));
    assert_eq!(body, b"portal", "the access point's stands before the others");
}

#[test]
fn who_has_a_file_is_told_so() {
    let mut node = node();
    let tag = EVERYWHERE[0].tag();
    let request = Request { if_none_match: Some(tag), ..over_network(Method::Get, "/") };
    let (response, body) = ask(&mut node, &request);
    assert_eq!((response.status, response.asset.map(Asset::tag)), (304, Some(tag)));
    assert!(body.is_empty());
    // Through the access point it is another one.
    let request = Request { if_none_match: Some(tag), ..through(OWN, Method::Get, "/") };
    assert_eq!(ask(&mut node, &request).0.status, 200);
}

#[test]
fn files_can_only_be_read() {
    let reading = Methods::NONE.with(Method::Get).with(Method::Head);
    let mut node = node();
    for method in [Method::Post, Method::Put, Method::Patch, Method::Delete, Method::Other] {
        let error = Error::MethodNotAllowed(reading);
        assert_refused(&mut node, &over_network(method, "/"), error);
        assert_refused(&mut node, &through(OWN, method, "/style.css"), error);
    }
    let (response, _) = ask(&mut node, &over_network(Method::Get, "/style"));
    assert_eq!(response.status, 404);
}

/// What phones and PCs ask for to learn whether a network leads anywhere.
const PROBES: &[(&str, &str)] = &[
    ("connectivitycheck.gstatic.com", "/generate_204"),
    ("clients3.google.com", "/gen_204"),
    ("captive.apple.com", "/hotspot-detect.html"),
    ("www.apple.com", "/library/test/success.html"),
    ("www.msftncsi.com", "/ncsi.txt"),
    ("www.msftconnecttest.com", "/connecttest.txt"),
    ("detectportal.firefox.com", "/canonical.html"),
    ("detectportal.firefox.com", "/success.txt"),
    ("nmcheck.gnome.org", "/check_network_status.txt"),
];

#[test]
fn probes_are_led_to_the_page_through_the_access_point_only() {
    let mut node = node();
    for &(host, path) in PROBES {
        for method in [Method::Get, Method::Head] {
            // Some ask the address itself, or ask in HTTP/1.0.
            for host in [host, OWN, ""] {
                assert_led_to_the_page(&mut node, &through(host, method, path));
            }
            assert_eq!(ask(&mut node, &over_network(method, path)).0.status, 404, "{path}");
            let request = Request { host, ..over_network(method, path) };
            assert_refused(&mut node, &request, Error::Misdirected);
        }
    }
}

/// A page from elsewhere, whose name leads to the node as every name does there, must get at
/// nothing: neither may it read, nor change anything.
#[test]
fn through_the_access_point_only_the_address_is_a_name() {
    let mut node = node();
    for host in [
        "evil.example",
        "192.168.4.1.evil.example",
        "192.168.4.1:81",
        "192.168.4.10",
        "x@192.168.4.1",
        "",
    ] {
        for path in ["/", "/api/node/status", "/api/node/config", "/api/none", "/metrics"] {
            assert_led_to_the_page(&mut node, &through(host, Method::Get, path));
            for method in [Method::Post, Method::Put, Method::Patch, Method::Delete, Method::Other]
            {
                assert_refused(&mut node, &through(host, method, path), Error::Misdirected);
            }
        }
    }
    let (response, _) = ask(&mut node, &through(OWN, Method::Get, "/api/node/status"));
    assert_eq!(response.status, 200);
    // Over the network it has others.
    let (response, _) = ask(&mut node, &over_network(Method::Get, "/api/node/status"));
    assert_eq!(response.status, 200);
}

#[test]
fn programs_hear_that_something_is_not_there() {
    let mut node = node();
    let (response, _) = ask(&mut node, &through(OWN, Method::Get, "/api/none"));
    assert_eq!(response.status, 404);
    assert_refused(&mut node, &through(OWN, Method::Post, "/none"), Error::NotFound);
    assert_led_to_the_page(&mut node, &through(OWN, Method::Get, "/favicon.ico"));
}

#[test]
fn a_node_answers_to_names_that_no_stranger_can_lead_to_it() {
    let mut node = node();
    for host in [
        "",
        "192.168.1.20",
        "192.168.1.20:8080",
        "[fe80::1]:80",
        "localhost:8077",
        "node-1",
        "NODE-1.local:80",
        "node-1-a0b1c2d3e4f5.local",
    ] {
        for path in ["/", "/api/node/status"] {
            let request = Request { host, ..Request::new(Method::Get, path) };
            assert_eq!(ask(&mut node, &request).0.status, 200, "{host}{path}");
        }
    }
    for host in [
        "evil.example",
        "evil.example:80",
        "node-1.evil.example",
        "192.168.1.20.evil.example",
        "node-2.local",
        "node-10.local",
        "node-1-a0b1c2d3e4f5",
        ".local",
        "local",
        "x@1.2.3.4",
    ] {
        for path in ["/", "/api/node/status", "/none"] {
            let request = Request { host, ..Request::new(Method::Get, path) };
            assert_refused(&mut node, &request, Error::Misdirected);
        }
    }
}

#[test]
fn a_node_answers_no_page_but_its_own() {
    let mut node = node();
    for method in [Method::Get, Method::Post, Method::Put, Method::Delete, Method::Other] {
        for (host, entrance) in
            [("192.168.1.20", Entrance::Network), (OWN, Entrance::AccessPoint(OWN))]
        {
            let request = Request {
                host,
                entrance,
                foreign: true,
                ..Request::new(method, "/api/node/status")
            };
            assert_refused(&mut node, &request, Error::Misdirected);
        }
    }
}
