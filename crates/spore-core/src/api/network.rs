//! `GET /api/network/status`, `GET /api/network/scan`, `PUT /api/network/wifi`.

use super::body::{Full, Piece};
use super::views::Address;
use super::{Body, Error, Request, Response};
use crate::network::{Credentials, Radio, Reason, Seen, Status};
use crate::node::Node;
use crate::settings::document::{Document, Wanted};
use crate::time::Instant;
use serde::Serialize;

/// What the node's network is, and how it goes. Passwords are never shown.
#[derive(Serialize)]
pub(super) struct NetworkView<'a> {
    /// The kind of radio; null on a wired node.
    radio: Option<&'static str>,
    state: &'static str,
    /// What it is connected with, or tries to.
    ssid: Option<&'a str>,
    /// In dBm; null if it is not known.
    rssi: Option<i8>,
    address: Option<Address>,
    prefix_len: Option<u8>,
    gateway: Option<Address>,
    /// For how long it is connected, or is not.
    since_ms: u64,
    /// Since it was last connected.
    attempts: u16,
    /// Why the last attempt failed, or the connection was lost.
    reason: Option<&'static str>,
    /// Whether the credentials are kept, on trial, or those from before, which have returned.
    credentials: Option<&'static str>,
    /// Null on a wired node, and on one that has no password for it.
    access_point: Option<AccessPointView<'a>>,
}

#[derive(Serialize)]
struct AccessPointView<'a> {
    open: bool,
    ssid: &'a str,
    clients: u8,
}

/// The part of a scan before the list of networks.
#[derive(Serialize)]
struct ScanView {
    /// Whether one is under way or to come.
    scanning: bool,
    /// For how long the list has been whole; null before the first scan and during one.
    age_ms: Option<u64>,
}

#[derive(Serialize)]
struct SeenView<'a> {
    ssid: &'a str,
    rssi: i8,
    channel: u8,
    secure: bool,
}

/// What comes next of a scan.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// What is before the list.
    Open,
    /// The network with this number.
    Network(usize),
}

impl Piece<'_> {
    /// Writes what the node's network is.
    pub(super) fn network(&mut self, node: &Node<'_>, now: Instant) -> Result<(), Full> {
        let own = node.access_point();
        let Status { radio, state, lease, since, attempts, reason, rssi, fate, open, clients } =
            node.network.status();
        let access_point = radio.and(own.as_ref());
        let access_point =
            access_point.map(|(ssid, _)| AccessPointView { open, ssid: ssid.as_str(), clients });
        self.json(&NetworkView {
            radio: radio.map(Radio::name),
            state,
            ssid: node.station().map(|credentials| credentials.ssid.as_str()),
            rssi,
            address: lease.map(|lease| Address(lease.address)),
            prefix_len: lease.map(|lease| lease.prefix_len),
            gateway: lease.and_then(|lease| lease.gateway).map(Address),
            since_ms: now.since(since).as_millis(),
            attempts,
            reason: reason.map(Reason::name),
            credentials: fate,
            access_point,
        })
    }

    /// Writes the next piece of a scan; what follows it, `None` at the end.
    pub(super) fn scan(
        &mut self,
        node: &Node<'_>,
        now: Instant,
        place: Place,
    ) -> Result<Option<Place>, Full> {
        let index = match place {
            Place::Open => {
                let (scanning, ended) = node.network.scan();
                let age_ms = ended.map(|ended| now.since(ended).as_millis());
                self.json(&ScanView { scanning, age_ms })?;
                self.open_list("networks")?;
                return Ok(Some(Place::Network(0)));
            }
            Place::Network(index) => index,
        };
        let Some(Seen { ssid, rssi, channel, secure }) = node.seen.get(index) else {
            self.text("]}")?;
            return Ok(None);
        };
        self.text(if index == 0 { "" } else { "," })?;
        let (ssid, rssi, channel, secure) = (ssid.as_str(), *rssi, *channel, *secure);
        self.json(&SeenView { ssid, rssi, channel, secure })?;
        Ok(Some(Place::Network(index.saturating_add(1))))
    }
}

/// Begins a scan, unless what is known is new, and shows what is known.
pub(super) fn scan(node: &mut Node<'_>, now: Instant) -> Result<Response, Error> {
    node.look_for_networks(now)?;
    Ok(Response::ok(Body::scan()))
}

/// Puts credentials on trial.
pub(super) fn change(
    node: &mut Node<'_>,
    now: Instant,
    request: &Request<'_>,
) -> Result<Response, Error> {
    let Wanted { ssid, password, .. } = Wanted::parse(Document::Wifi, request.body)?;
    let ssid = ssid.ok_or(Error::InvalidField("ssid"))?;
    let password = password.ok_or(Error::InvalidField("password"))?;
    node.network.change(now, Credentials { ssid, password })?;
    Ok(Response::accepted(Body::network()))
}
