//! The HTTP API: requests in, answers out, as documents that are made piece by piece.
//!
//! The shell frames requests (RFC 9112) and knows nothing of paths; this module knows every path
//! and nothing of sockets. [`ROUTES`] is the one table that routing, policies, the list of
//! endpoints and the tests of authentication are made from. `docs/api.md` is for people.

mod asset;
mod auth;
mod body;
mod call;
mod error;
mod events;
mod images;
mod keys;
mod members;
mod method;
mod metrics;
mod network;
mod portal;
mod publication;
mod rollout;
mod routes;
mod services;
mod sprockets;
mod tasks;
mod updates;
mod views;

pub use asset::{Asset, Assets};
pub use body::{Body, MIN_PIECE, STREAM_PIECE};
pub use call::{Call, Called, ServiceRequest};
pub use error::{Error, FieldName};
pub use images::{ImageAbout, ImagePart};
pub use method::{Method, Methods};
pub use portal::Entrance;
pub use routes::{Policy, ROUTES, Route};

use portal::Target;

use crate::node::Node;
use crate::ota::plan::RolloutId;
use crate::security::Keyring;
use crate::security::request::SCHEME;
use crate::settings::commit::Ticket;
use crate::time::Instant;
use crate::wire::NodeId;

/// A request, framed by the shell.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What to do.
    pub method: Method,
    /// With what: the path, as it came, without the query.
    pub path: &'a str,
    /// What follows the `?`, or nothing.
    pub query: &'a str,
    /// The host that the client takes this for: that of the target, or else the value of the
    /// `Host` field, with the port if it came with one. Empty if there is neither.
    pub host: &'a str,
    /// Whether a browser sends it for a page that is from elsewhere: its `Origin` field (RFC 6454, section 7) names another
    /// host than the `Host` field.
    pub foreign: bool,
    /// The value of the `Authorization` field, as it came.
    pub authorization: Option<&'a str>,
    /// The value of the `If-None-Match` field, as it came; the first one, if there are several.
    pub if_none_match: Option<&'a str>,
    /// The value of the `Last-Event-ID` field, as it came.
    pub last_event_id: Option<&'a str>,
    /// Where the request came in.
    pub entrance: Entrance,
    /// The body, without any framing.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// A request over the network, without query, fields and body.
    pub const fn new(method: Method, path: &'a str) -> Self {
        Self {
            method,
            path,
            query: "",
            host: "",
            foreign: false,
            authorization: None,
            if_none_match: None,
            last_event_id: None,
            entrance: Entrance::Network,
            body: &[],
        }
    }

    /// Whether it only wants to read.
    const fn reads(&self) -> bool {
        matches!(self.method, Method::Get | Method::Head)
    }
}

/// The head of an answer, and the place to read its body from.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code (RFC 9110, section 15).
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The `Allow` field, which goes with 405.
    pub allow: Option<Methods>,
    /// The `Retry-After` field in seconds, which goes with 503.
    pub retry_after: Option<u16>,
    /// The `WWW-Authenticate` field, which goes with 401.
    pub authenticate: Option<&'static str>,
    /// Whether the `Location` field leads to the page at the [entrance](Entrance), which goes with 302.
    pub to_page: bool,
    /// The file that the answer is about, whose [tag](Asset::tag) and length its head has.
    pub asset: Option<&'static Asset>,
    /// The body, for [`Node::poll_body`].
    pub body: Body,
    outcome: Outcome,
}

/// Whether an answer is made already.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// It is.
    Known,
    /// It waits for this change.
    Pending(Pending),
    /// A service makes it, or the shell.
    Call(Call),
    /// It is, but for its body, which comes as things happen.
    Stream,
    /// It is made when the image that the request brings was installed.
    Upload,
}

/// The change that an answer waits for.
#[derive(Clone, Copy, Debug)]
enum Pending {
    /// Of the settings.
    Settings(Ticket),
    /// Of the task at this place in the list.
    Task(Ticket, u8),
    /// Of the settings of the sprocket at this place.
    Sprocket(Ticket, u8),
    /// Of this rollout, which begins or is halted.
    Rollout(RolloutId),
    /// None: it waits for what this member says.
    Member(NodeId),
    /// Of the node's keys.
    Key,
    /// None: it waits for the shell to say whether there is this part of an image.
    Image(ImagePart),
}

const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";
/// Server-sent events (WHATWG HTML, section 9.2).
const EVENT_STREAM: &str = "text/event-stream";
/// The exposition format of Prometheus.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Response {
    /// The answer that says what was wrong. Needs no node, so the shell gives it too.
    pub const fn error(error: Error) -> Self {
        Self {
            status: error.status(),
            content_type: JSON,
            allow: error.allow(),
            retry_after: error.retry_after(),
            authenticate: if error.status() == 401 { Some(SCHEME) } else { None },
            to_page: false,
            asset: None,
            body: Body::error(error),
            outcome: Outcome::Known,
        }
    }

    /// Whether what the request asks for is not decided yet: nothing may be sent of this answer
    /// before [`Node::poll_response`] says so.
    pub const fn is_pending(&self) -> bool {
        matches!(self.outcome, Outcome::Pending(_))
    }

    /// The answer whose body is a stream of events that starts with `body`. The shell
    /// sends it as it comes, and reports its status with [`Node::handle_called`] when it begins, or
    /// that of its refusal.
    pub const fn stream(body: Body) -> Self {
        Self { content_type: EVENT_STREAM, outcome: Outcome::Stream, ..Self::ok(body) }
    }

    /// Whether the body is a [stream](Self::stream).
    pub const fn is_stream(&self) -> bool {
        matches!(self.outcome, Outcome::Stream)
    }

    /// The answer to a request that brings an image, before any of that has come.
    pub const fn upload() -> Self {
        Self { outcome: Outcome::Upload, ..Self::error(Error::Unfinished) }
    }

    /// Whether the request brings an image: its body is to be installed as
    /// [`Node::upload`] says, and [`Node::handle_installed`] gives the answer.
    pub const fn is_upload(&self) -> bool {
        matches!(self.outcome, Outcome::Upload)
    }

    const fn ok(body: Body) -> Self {
        Self {
            status: 200,
            content_type: JSON,
            allow: None,
            retry_after: None,
            authenticate: None,
            to_page: false,
            asset: None,
            body,
            outcome: Outcome::Known,
        }
    }

    const fn accepted(body: Body) -> Self {
        Self { status: 202, ..Self::ok(body) }
    }

    const fn text(body: Body) -> Self {
        Self { content_type: METRICS, ..Self::ok(body) }
    }

    /// The answer to a change that is not durable yet. Sent as it stands, it says
    /// that the outcome is not known.
    const fn pending(change: Pending) -> Self {
        Self { outcome: Outcome::Pending(change), ..Self::error(Error::Unfinished) }
    }
}

impl Response {
    /// The part of an image that is asked for. Whether it is there is the shell's to see, which puts
    /// [this](Self::image) in place of the answer then; else the engine decides that it is not.
    pub const fn asks_for(&self) -> Option<ImagePart> {
        match self.outcome {
            Outcome::Pending(Pending::Image(part)) => Some(part),
            _ => None,
        }
    }

    /// The answer with this part of an image, whose [pages](Body::next_page) the shell reads.
    pub const fn image(part: ImagePart) -> Self {
        Self { content_type: BYTES, ..Self::ok(Body::image(part)) }
    }

    /// The answer to who sets the sprocket at `place`: what came of it, or that it is not known yet.
    pub(crate) fn set(place: u8, begun: Result<Option<Ticket>, Error>) -> Self {
        match begun {
            Ok(Some(ticket)) => Self::pending(Pending::Sprocket(ticket, place)),
            Ok(None) => Self::ok(Body::sprocket(place)),
            Err(error) => Self::error(error),
        }
    }
}

/// Answers, by class of status code, since the node started. Counts those that the engine has
/// made; what the shell refuses by itself is not HTTP, or too long, or too slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// 200 to 399.
    pub successful: u32,
    /// 400 to 499, but for those in the next field.
    pub client_errors: u32,
    /// Those to credentials that are missing, wrong or used, or that no key is there for.
    pub refused: u32,
    /// 500 to 599.
    pub server_errors: u32,
}

impl Answers {
    pub(crate) fn count(&mut self, status: u16) {
        let class = match status {
            400..500 => &mut self.client_errors,
            500.. => &mut self.server_errors,
            _ => &mut self.successful,
        };
        *class = class.saturating_add(1);
    }
}

/// Answers `request`.
pub(crate) fn handle(node: &mut Node<'_>, now: Instant, request: &Request<'_>) -> Response {
    let response = answer(node, now, request).unwrap_or_else(Response::error);
    note(node, now, &response);
    response
}

fn answer(node: &mut Node<'_>, now: Instant, request: &Request<'_>) -> Result<Response, Error> {
    let (route, policy) = match portal::target(node, request)? {
        Target::Route(route, policy) => (route, policy),
        Target::Asset(asset) => return Ok(Response::asset(asset, request)),
        Target::Page => return Ok(Response::TO_PAGE),
    };
    let request = match policy {
        _ if is_open(node, policy, request) => *request,
        // A route without a policy of its own leads to something that has one.
        _ => auth::authenticate(node, now, request)?,
    };
    (route.handler)(node, now, &request)
}

/// Whether the request needs no credentials.
fn is_open(node: &Node<'_>, policy: Policy, request: &Request<'_>) -> bool {
    match policy {
        Policy::Open => true,
        // Nobody can sign for it yet, and who is on the access point has the board's password.
        Policy::Provisioning => {
            let nobodys = !node.is_claimed() && !node.is_claim_damaged();
            nobodys && matches!(request.entrance, Entrance::AccessPoint(_))
        }
        Policy::Signed | Policy::Declared => false,
    }
}

/// The refusal of a request whose body has not come yet, if it is certain without it.
pub(crate) fn precheck(
    node: &mut Node<'_>,
    now: Instant,
    request: &Request<'_>,
) -> Option<Response> {
    if takes_upload(node, request) {
        // The image is signed by itself, so the request is without it.
        let response = auth::authenticate(node, now, &Request { body: &[], ..*request })
            .and_then(|request| updates::begin(node, now, &request))
            .unwrap_or_else(Response::error);
        note(node, now, &response);
        return Some(response);
    }
    let checked = portal::target(node, request).and_then(|target| match target {
        Target::Route(_, policy) if !is_open(node, policy, request) => {
            auth::precheck(node, now, request)
        }
        Target::Route(..) | Target::Asset(_) | Target::Page => Ok(()),
    });
    let response = checked.err().map(Response::error)?;
    note(node, now, &response);
    Some(response)
}

/// Whether `request` is for the route that takes images.
pub(crate) fn takes_upload(node: &Node<'_>, request: &Request<'_>) -> bool {
    let target = portal::target(node, request);
    matches!(target, Ok(Target::Route(route, _)) if updates::takes_upload(route))
}

/// Decides a pending answer, if that can be done now.
pub(crate) fn poll(node: &mut Node<'_>, now: Instant, response: &mut Response) -> bool {
    let Outcome::Pending(change) = response.outcome else { return true };
    let (outcome, body) = match change {
        Pending::Settings(ticket) => (node.settings.outcome(ticket), Body::config()),
        Pending::Task(ticket, index) => (node.tasks.outcome(ticket), Body::task(index)),
        Pending::Rollout(id) => (node.cluster.rollout.outcome(id), Body::rollout()),
        Pending::Sprocket(ticket, place) => (node.sprockets.outcome(ticket), Body::sprocket(place)),
        Pending::Member(id) => (node.poller.is_known(id).then_some(Ok(())), Body::member(id)),
        Pending::Key => {
            let stored = node.keys.as_ref().is_some_and(Keyring::is_stored);
            (stored.then_some(Ok(())), Body::key())
        }
        Pending::Image(_) => (Some(Err(Error::NotFound)), Body::END),
    };
    let Some(outcome) = outcome else { return false };
    *response = match outcome {
        Ok(()) => Response::ok(body),
        Err(error) => Response::error(error),
    };
    note(node, now, response);
    true
}

/// Counts an answer.
fn note(node: &mut Node<'_>, now: Instant, response: &Response) {
    if !matches!(response.outcome, Outcome::Known) {
        return;
    }
    if response.body.refusal().is_some_and(Error::is_of_credentials) {
        node.answers.refused = node.answers.refused.saturating_add(1);
        node.note_refusal(now);
    } else {
        node.answers.count(response.status);
    }
}

/// Whether the query has these parameters alone, each with a value. What is misspelt is no wish for all there is.
///
/// # Errors
///
/// [`Error::UnknownField`] or [`Error::InvalidField`], which name the first other one.
fn check_parameters(query: &str, known: &[&'static str]) -> Result<(), Error> {
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter
            .split_once('=')
            .map_or((parameter, None), |(name, value)| (name, Some(value)));
        let name =
            known.iter().find(|known| **known == name).ok_or_else(|| Error::unknown_field(name))?;
        value.ok_or(Error::InvalidField(name))?;
    }
    Ok(())
}

/// The value of a parameter of the query. Nothing is decoded, since no parameter takes a text.
///
/// # Errors
///
/// [`Error::InvalidField`] if it is there more than once: others may take another one of them.
fn query_parameter<'q>(query: &'q str, name: &'static str) -> Result<Option<&'q str>, Error> {
    let parameters = query.split('&').filter_map(|parameter| parameter.split_once('='));
    let mut values = parameters.filter_map(|(found, value)| (found == name).then_some(value));
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(Error::InvalidField(name)),
    }
}
