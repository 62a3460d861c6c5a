//! Promise S1 over HTTP: no key, no change. The cases are made from the route table, so that a new
//! signed route is covered by itself.

use super::world::{act, config, configured, facts};
use crate::api::{Called, Error, MIN_PIECE, Method, Methods, Policy, ROUTES, Request, Response};
use crate::events::Filter;
use crate::network::RadioEvent;
use crate::profile::Host;
use crate::security::request::{Credentials, Mac, Nonce, Signed, SigningKey};
use crate::security::rotation::Lock;
use crate::sprockets::{Manifest, Setting};
use crate::store::MAX_VALUE;
use crate::time::{Duration, Instant};
use crate::{Action, Catalogue, ClusterKey, Key, Node, Seed, Service, Storage, Stored};
use core::cell::Cell;
use serde_json::Value;
use std::boxed::Box;
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

const START: Instant = Instant::from_micros(90_000_000);

/// A body that the route with this path would act on, if it takes one.
fn body(path: &str) -> &'static [u8] {
    match path {
        "/api/events" => br#"{"topic":"changed","payload":1}"#,
        "/api/network/wifi" => br#"{"ssid":"changed","password":"changed-too"}"#,
        "/api/tasks/send-discovery" => br#"{"enabled":false}"#,
        "/api/sprockets/lamp/config" => br#"{"bright":true}"#,
        "/api/cluster/key" => {
            let lock = Lock::enrolment(&ClusterKey::from_bytes([7; 32]));
            let sealed = crate::text::hex::<128>(&lock.seal(1, [1; 12], &[9; 32]));
            format!("{{\"sealed\":\"{sealed}\"}}").leak().as_bytes()
        }
        "/api/cluster/update" => super::rollout::document(2).leak(),
        _ => br#"{"hostname":"changed"}"#,
    }
}

const QUERY: &str = "after=0";

fn key() -> SigningKey {
    SigningKey::derive(&ClusterKey::from_bytes([7; 32]))
}

/// What the routes whose policy is declared lead to.
static SERVICES: [Service; 2] = {
    let methods = Methods::NONE.with(Method::Get).with(Method::Post);
    let services = (
        Service::new("relay", Policy::Signed, methods, ""),
        Service::new("sensor", Policy::Open, methods, ""),
    );
    let (Ok(relay), Ok(sensor)) = services else { panic!() };
    [relay, sensor]
};

static LAMP: Manifest =
    Manifest::new("lamp").has(&[Setting::flag("bright", false, "How bright it is")]);
static SPROCKETS: [&Manifest; 1] = [&LAMP];

fn offered() -> Catalogue {
    Catalogue::new(&SERVICES).unwrap()
}

/// Method and path of all that has `policy`, services and what is below them included.
fn targets(policy: Policy) -> Vec<(Method, &'static str)> {
    let mut targets = Vec::new();
    for route in ROUTES {
        match route.policy {
            Policy::Declared => {
                for service in SERVICES.iter().filter(|service| service.policy() == policy) {
                    let path = route.path.replace("{name}", service.name());
                    let below = format!("{path}/below/it");
                    for path in [path, below].map(|path| &*path.leak()) {
                        let methods = service.methods().iter();
                        targets.extend(methods.map(|method| (method, path)));
                    }
                }
            }
            // Nobody is on the access point here.
            Policy::Provisioning if policy == Policy::Signed => {
                targets.push((route.method, route.path));
            }
            of_route if of_route == policy => {
                let sprocket = route.path.starts_with("/api/sprockets/");
                let name = if sprocket { LAMP.name() } else { "send-discovery" };
                let path = route.path.replace("{name}", name);
                targets.push((route.method, &*path.leak()));
            }
            _ => (),
        }
    }
    targets
}

/// A node that has started, with nothing left to do.
fn started(n: u8) -> Node<'static> {
    let config = crate::Config {
        radio: Some(super::network::radio(Some(super::network::credentials("old")))),
        sprockets: &SPROCKETS,
        ..config(n)
    };
    let crash = super::crash::value(0x4020_1000, 5);
    let (settings, rollout) = (super::rollout::settings(), super::rollout::stored(1));
    let stored =
        Stored { crash: &crash, settings: &settings, rollout: &rollout, ..Stored::default() };
    let mut node = configured(START, n, &config, &stored);
    act(&mut node, START);
    node.handle_radio(START, RadioEvent::Address(super::network::LEASE));
    act(&mut node, START);
    node.set_services(offered());
    while node.poll_action(START).is_some() {}
    node
}

fn nonce(node: &mut Node<'_>, now: Instant) -> Nonce {
    let response = node.handle_request(now, &Request::new(Method::Get, "/api/auth/nonce"));
    let document: Value = serde_json::from_str(&read(node, now, response)).unwrap();
    document["nonce"].as_str().unwrap().parse().unwrap()
}

fn read(node: &Node<'_>, now: Instant, mut response: Response) -> String {
    let (mut body, mut buf) = (Vec::new(), [0; MIN_PIECE]);
    loop {
        match node.poll_body(now, &mut response.body, &mut buf) {
            0 => return String::from_utf8(body).unwrap(),
            len => body.extend_from_slice(&buf[..len]),
        }
    }
}

/// Everything that a request could change, as text.
fn state(node: &mut Node<'_>, now: Instant) -> String {
    let actions = [now, now + Duration::from_secs(100)].map(|at| node.poll_action(at));
    let stored = Key::ALL.map(|key| node.value(key, &mut [0; MAX_VALUE]));
    let (wifi, published) = (node.station(), node.next_event(0, Filter::new("changed").unwrap()));
    let (settings, own, members) = (node.settings(), node.own(), node.members());
    format!("{settings:?} {wifi:?} {own:?} {members:?} {actions:?} {stored:?} {published:?}")
}

/// One attempt: how it differs from what would be accepted, and what it must be refused with.
struct Attempt<'a> {
    what: String,
    request: Request<'a>,
    code: Option<&'static str>,
}

fn refuse(node: &mut Node<'_>, now: Instant, attempt: &Attempt<'_>) {
    let Attempt { what, request, code } = attempt;
    let before = state(node, now);
    let response = node.handle_request(now, request);
    let target = format!("{} {}", request.method.name(), request.path);
    assert_eq!(response.status, 401, "{target}: {what}");
    assert_eq!(response.to_call(), None, "{target}: {what}");
    assert!(response.authenticate.is_some_and(|scheme| !scheme.is_empty()), "{what}");
    let document: Value = serde_json::from_str(&read(node, now, response)).unwrap();
    if let Some(code) = code {
        assert_eq!(document["error"]["code"], *code, "{target}: {what}");
    }
    assert_eq!(state(node, now), before, "{target}: {what}");
}

fn sign<'a>(key: &SigningKey, request: &Request<'a>, nonce: Nonce) -> Mac {
    let Request { method, path, query, body, .. } = *request;
    key.sign(&Signed { method: method.name(), path, query, nonce, body })
}

fn field(nonce: Nonce, mac: Mac) -> String {
    Credentials { nonce, mac }.to_string()
}

/// Text with one bit of one of its characters flipped, where that gives text again.
fn flipped(text: &str) -> impl Iterator<Item = String> {
    (0..text.len() * 8).filter_map(|bit| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        String::from_utf8(bytes).ok()
    })
}

/// The fields that are as good as none.
fn fields(nonce: Nonce, mac: Mac) -> Vec<(String, String)> {
    let good = field(nonce, mac);
    let mut fields: Vec<_> =
        (0..good.len()).map(|len| (format!("prefix of {len}"), good[..len].into())).collect();
    let (nonce, mac) = (nonce.to_string(), mac.to_string());
    let scheme = crate::security::request::SCHEME;
    for nonce in flipped(&nonce) {
        fields.push((format!("nonce {nonce}"), format!("{scheme} nonce={nonce}, mac={mac}")));
    }
    for mac in flipped(&mac) {
        fields.push((format!("mac {mac}"), format!("{scheme} nonce={nonce}, mac={mac}")));
    }
    for longer in ["0", " x", ",", ", a=b", "\""] {
        fields.push((format!("longer by {longer}"), format!("{good}{longer}")));
    }
    fields.push(("without mac".into(), format!("{scheme} nonce={nonce}, mac=")));
    fields.push(("without nonce".into(), format!("{scheme} nonce=, mac={mac}")));
    fields.push(("another scheme".into(), format!("Bearer nonce={nonce}, mac={mac}")));
    fields
}

/// Requests that differ from the signed one in one thing each.
fn altered<'a>(request: Request<'a>) -> Vec<(&'static str, Request<'a>)> {
    let mut others = std::vec![
        ("another query", Request { query: "a=c", ..request }),
        ("no query", Request { query: "", ..request }),
        ("another body", Request { body: b"{}", ..request }),
        ("no body", Request { body: b"", ..request }),
        (
            "a prefix of the body",
            Request { body: &request.body[..request.body.len() - 1], ..request }
        ),
    ];
    for (method, path) in targets(Policy::Signed) {
        if path == request.path && method != request.method {
            others.push(("another method", Request { method, ..request }));
        }
        if path != request.path {
            others.push(("another route", Request { method, path, ..request }));
        }
    }
    if request.method == Method::Get {
        others.push(("HEAD for GET", Request { method: Method::Head, ..request }));
    }
    others
}

/// Tries all that must be refused on one route; how many attempts that were.
fn attack(node: &mut Node<'_>, other: &mut Node<'_>, method: Method, path: &'static str) -> usize {
    let now = START + Duration::from_secs(1);
    let unsigned = Request { query: QUERY, body: body(path), ..Request::new(method, path) };
    let count = Cell::new(0);
    let attempt = |node: &mut Node<'_>, at, what: &str, request: Request<'_>, code| {
        refuse(node, at, &Attempt { what: what.into(), request, code });
        count.set(count.get() + 1);
    };
    attempt(node, now, "absent", unsigned, Some("credentials_missing"));

    let fresh = nonce(node, now);
    let mac = sign(&key(), &unsigned, fresh);
    for (what, field) in fields(fresh, mac) {
        let request = Request { authorization: Some(&field), ..unsigned };
        attempt(node, now, &what, request, None);
    }
    let good = field(fresh, mac);
    let signed = Request { authorization: Some(&good), ..unsigned };
    for (what, request) in altered(signed) {
        attempt(node, now, what, request, Some("credentials_invalid"));
    }
    let foreign = SigningKey::derive(&ClusterKey::from_bytes([8; 32]));
    let foreign = field(fresh, sign(&foreign, &unsigned, fresh));
    let request = Request { authorization: Some(&foreign), ..unsigned };
    attempt(node, now, "another key", request, Some("credentials_invalid"));
    let elsewhere = nonce(other, now);
    let elsewhere = field(elsewhere, sign(&key(), &unsigned, elsewhere));
    let request = Request { authorization: Some(&elsewhere), ..unsigned };
    attempt(node, now, "another node's nonce", request, Some("nonce_stale"));
    let late = now + Duration::from_secs(60);
    attempt(node, late, "expired", signed, Some("nonce_stale"));

    let tail = format!("auth-nonce={fresh}&auth-mac={mac}");
    let in_query = format!("{QUERY}&{tail}");
    let request = Request { query: &in_query, authorization: Some(&good), ..unsigned };
    attempt(node, now, "both forms", request, Some("credentials_malformed"));
    for len in QUERY.len() + 1..in_query.len() {
        let request = Request { query: &in_query[..len], ..unsigned };
        attempt(node, now, &format!("prefix of {len} in the query"), request, None);
    }
    for tail in flipped(&tail) {
        // Whatever the flip makes of the names and digits.
        let query = format!("{QUERY}&{tail}");
        attempt(node, now, &query, Request { query: &query, ..unsigned }, None);
    }
    let behind = format!("{in_query}&b=c");
    let request = Request { query: &behind, ..unsigned };
    attempt(node, now, "not last in the query", request, Some("credentials_malformed"));
    count.get()
}

/// Sends the request that is as it must be, in one form or the other, then again.
fn accept(method: Method, path: &'static str, in_query: bool) {
    let now = START + Duration::from_secs(1);
    let mut node = started(1);
    let unsigned = Request { query: QUERY, body: body(path), ..Request::new(method, path) };
    let fresh = nonce(&mut node, now);
    let mac = sign(&key(), &unsigned, fresh);
    let (field, query) = (field(fresh, mac), format!("{QUERY}&auth-nonce={fresh}&auth-mac={mac}"));
    let request = if in_query {
        Request { query: &query, ..unsigned }
    } else {
        Request { authorization: Some(&field), ..unsigned }
    };
    let response = node.handle_request(now, &request);
    let called = response.to_call().map(|call| call.with(&request));
    let crash = called == Some(Called::Crash);
    assert_eq!(crash, path == "/api/node/crash", "{path}");
    assert_eq!(called.is_some() && !crash, path.starts_with("/api/services/"), "{path}");
    if let Some(Called::Service(called)) = called {
        assert_eq!((called.service, called.method), (0, method));
        assert_eq!((called.query, called.body), (QUERY, body(path)), "and no credentials");
        assert!(path.ends_with(&format!("/relay{}", called.path)), "{path}");
    } else {
        // A node without slots says so to who may ask, and to nobody else.
        let refused = path == "/api/node/update" && response.status == 409;
        let done = crash || refused || response.is_pending() || response.status < 300;
        assert!(done, "{path}: {}", response.status);
    }
    act(&mut node, now);
    // What was asked for is done before the recording is played.
    while node.poll_action(now + Duration::from_secs(1)).is_some() {}
    let attempt = Attempt { what: "replayed".into(), request, code: Some("nonce_stale") };
    refuse(&mut node, now, &attempt);
}

#[test]
fn no_key_no_change_on_any_signed_route() {
    let (mut routes, mut attempts) = (0, 0);
    for (method, path) in targets(Policy::Signed) {
        let (mut node, mut other) = (started(1), started(2));
        attempts += attack(&mut node, &mut other, method, path);
        for in_query in [false, true] {
            accept(method, path, in_query);
            attempts += 1;
        }
        routes += 1;
    }
    assert!(routes >= 7, "the table has signed routes, and services");
    std::println!("S1 http: {attempts} requests on {routes} signed routes: 0 accepted, 0 changes");
    std::println!("promise S1 requests={attempts} routes={routes} accepted=0");
}

/// So many used nonces that the first ones are forgotten: they stay refused.
#[test]
fn a_request_recorded_long_ago_stays_refused() {
    let mut node = started(1);
    let now = START + Duration::from_secs(1);
    let unsigned = Request::new(Method::Get, "/api/node/config");
    let mut recorded = Vec::new();
    for _ in 0..3 * crate::security::REMEMBERED {
        let fresh = nonce(&mut node, now);
        let field = field(fresh, sign(&key(), &unsigned, fresh));
        let request = Request { authorization: Some(&field), ..unsigned };
        assert_eq!(node.handle_request(now, &request).status, 200);
        recorded.push(field);
    }
    for field in &recorded {
        let request = Request { authorization: Some(field), ..unsigned };
        let what = "recorded".into();
        refuse(&mut node, now, &Attempt { what, request, code: Some("nonce_stale") });
    }
}

/// What is certain without the body is said before the client sends it, and uses up nothing.
#[test]
fn a_refusal_that_needs_no_body_comes_before_it() {
    let mut node = started(1);
    let request = Request::new(Method::Put, "/api/node/config");
    let refused = node.handle_head(START, &request).unwrap();
    assert_eq!(refused.status, 401);
    let unknown = Request::new(Method::Put, "/none");
    assert_eq!(node.handle_head(START, &unknown).unwrap().status, 404);

    let fresh = nonce(&mut node, START);
    let whole = Request { body: body(request.path), ..request };
    let field = field(fresh, sign(&key(), &whole, fresh));
    let head = Request { authorization: Some(&field), ..request };
    assert!(node.handle_head(START, &head).is_none());
    let response = node.handle_request(START, &Request { body: body(head.path), ..head });
    assert!(response.is_pending());
    assert_eq!(node.handle_head(START, &head).unwrap().status, 401, "the nonce is used");
}

/// A node without a key neither says nor hears anything on UDP, and nobody can sign for it.
#[test]
fn an_unclaimed_node_refuses_every_signed_request_and_all_datagrams() {
    let storage = Box::leak(Box::new(Storage::<Host>::NEW));
    let config = crate::Config { key: None, ..config(1) };
    let mut node = Node::new(START, &config, facts(), &Stored::default(), &Seed([1; 32]), storage);
    node.set_services(offered());
    act(&mut node, START);
    let zero = SigningKey::derive(&ClusterKey::from_bytes([0; 32]));
    let open = targets(Policy::Open).into_iter().map(|target| (target, true));
    let signed = targets(Policy::Signed).into_iter().map(|target| (target, false));
    for ((method, path), open) in open.chain(signed) {
        let unsigned = Request { body: body(path), ..Request::new(method, path) };
        let fresh = nonce(&mut node, START);
        let field = field(fresh, sign(&zero, &unsigned, fresh));
        let signed = Request { authorization: Some(&field), ..unsigned };
        for request in [unsigned, signed] {
            let before = state(&mut node, START);
            let response = node.handle_request(START, &request);
            if open {
                // It is wired, has no slots, and is alone.
                let lacks = ["/api/network/scan", "/api/node/image", "/api/cluster/members/"];
                let lacks = lacks.iter().any(|lacks| path.starts_with(lacks));
                let done = response.status == 200 || lacks && [404, 409].contains(&response.status);
                assert!(done || response.to_call().is_some(), "{path}");
                continue;
            }
            assert_eq!(response.status, Error::Unclaimed.status(), "{path}");
            assert_eq!(response.to_call(), None, "{path}");
            let text = read(&node, START, response);
            assert!(text.contains("\"unclaimed\""), "{text}");
            assert_eq!(state(&mut node, START), before);
        }
    }
    let response = node.handle_request(START, &Request::new(Method::Get, "/api/node/status"));
    let status: Value = serde_json::from_str(&read(&node, START, response)).unwrap();
    assert_eq!(status["claimed"], false);

    let mut claimed = started(2);
    let mut now = START;
    for _ in 0..100 {
        now = now + Duration::from_millis(100);
        claimed.handle_timeout(now);
        for (_, mut datagram) in super::world::sent(&mut claimed, now) {
            node.handle_datagram(now, super::world::address(2), &mut datagram);
        }
        node.handle_timeout(now);
        assert_eq!(super::world::sent(&mut node, now).len(), 0);
    }
    assert!(node.members().is_empty());
    assert!(node.traffic().unauthentic > 5, "they are counted");
    assert_eq!(node.poll_timeout(), None, "nothing is ever due");
    assert!(node.poll_action(now).is_none());
    assert!(claimed.poll_action(now).is_none_or(|action| action == Action::Store(Key::Identity)));
}
