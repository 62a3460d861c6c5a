//! Bodies: a place in a document that is made while it is read.

use super::metrics::Metric;
use super::views::{ConfigView, NodeView, NonceView, ServiceView, TrafficView};
use super::{
    Asset, Error, ImagePart, ROUTES, events, members, network, rollout, services, sprockets, tasks,
};
use crate::node::Node;
use crate::security::request::Nonce;
use crate::sprockets::Value;
use crate::time::Instant;
use crate::wire::{NodeId, U24};
use serde::Serialize;

/// The least room for a piece of a body, in bytes: no single piece is larger.
pub const MIN_PIECE: usize = 512;

/// The least room for a piece of a stream of events, in bytes: no single event takes more.
pub const STREAM_PIECE: usize = 1024;

/// A body, and how much of it was read.
#[derive(Clone, Debug)]
pub struct Body(Place);

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum Place {
    Error(Error),
    NodeStatus(NodeStatus),
    Members(members::Place),
    Services(services::Place),
    Tasks(tasks::Place),
    Task(u8),
    Restarting,
    Update,
    Installed(u32, bool),
    Sprocket(sprockets::Place),
    Config,
    Key,
    Nonce(Nonce),
    Metrics(Metric),
    Log(Log),
    /// An event was published: its number here, and among this node's own for the cluster.
    Published(u32, Option<U24>),
    Events(events::Place),
    /// What is left of a file.
    Asset(&'static [u8]),
    Network,
    Scan(network::Place),
    Rollout(rollout::Place),
    /// A part of an image, and the page of it.
    Image(ImagePart, u16),
    End,
}

#[derive(Clone, Copy, Debug)]
enum NodeStatus {
    Node,
    Service(usize),
    Traffic,
    Sprocket(usize),
    Endpoint(usize),
}

#[derive(Clone, Copy, Debug)]
enum Log {
    /// Entries with numbers above this one, or all.
    Open(Option<u32>),
    /// The entry that follows this one, which is the first to be shown or not.
    After(u32, bool),
}

impl Body {
    /// No body, or one that was read to its end.
    pub(super) const END: Self = Self(Place::End);

    /// What was wrong, if the body says so and is not read yet.
    pub(super) const fn refusal(&self) -> Option<Error> {
        match self.0 {
            Place::Error(error) => Some(error),
            _ => None,
        }
    }

    pub(super) const fn error(error: Error) -> Self {
        Self(Place::Error(error))
    }

    pub(super) const fn node_status() -> Self {
        Self(Place::NodeStatus(NodeStatus::Node))
    }

    pub(super) const fn members() -> Self {
        Self(Place::Members(members::Place::Open))
    }

    pub(super) const fn member(id: NodeId) -> Self {
        Self(Place::Members(members::Place::One(id)))
    }

    pub(super) const fn services() -> Self {
        Self(Place::Services(services::Place::START))
    }

    pub(super) const fn tasks() -> Self {
        Self(Place::Tasks(tasks::Place::Open))
    }

    pub(super) const fn task(index: u8) -> Self {
        Self(Place::Task(index))
    }

    pub(super) const fn sprocket(place: u8) -> Self {
        Self(Place::Sprocket(sprockets::Place::start(place)))
    }

    pub(super) const fn restarting() -> Self {
        Self(Place::Restarting)
    }

    pub(super) const fn update() -> Self {
        Self(Place::Update)
    }

    /// An image was installed, and the node restarts or does not.
    pub(crate) const fn installed(image: u32, restarts: bool) -> Self {
        Self(Place::Installed(image, restarts))
    }

    pub(super) const fn config() -> Self {
        Self(Place::Config)
    }

    pub(super) const fn key() -> Self {
        Self(Place::Key)
    }

    pub(super) const fn nonce(nonce: Nonce) -> Self {
        Self(Place::Nonce(nonce))
    }

    pub(super) const fn metrics() -> Self {
        Self(Place::Metrics(Metric::FIRST))
    }

    pub(super) const fn log(after: Option<u32>) -> Self {
        Self(Place::Log(Log::Open(after)))
    }

    pub(super) const fn published(seq: u32, number: Option<U24>) -> Self {
        Self(Place::Published(seq, number))
    }

    pub(super) const fn events(place: events::Place) -> Self {
        Self(Place::Events(place))
    }

    pub(super) const fn asset(asset: &'static Asset) -> Self {
        Self(Place::Asset(asset.bytes()))
    }

    pub(super) const fn network() -> Self {
        Self(Place::Network)
    }

    pub(super) const fn of_rollout(place: rollout::Place) -> Self {
        Self(Place::Rollout(place))
    }

    pub(super) const fn image(part: ImagePart) -> Self {
        Self(Place::Image(part, 0))
    }

    /// What comes next of a body that is a part of an image, which the shell reads: its page, from the start of the part.
    pub const fn next_page(&self) -> Option<(ImagePart, u16)> {
        match self.0 {
            Place::Image(part, page) => Some((part, page)),
            _ => None,
        }
    }

    /// That page was read.
    pub const fn turn_page(&mut self) {
        if let Place::Image(_, page) = &mut self.0 {
            *page = page.saturating_add(1);
        }
    }

    pub(super) const fn scan() -> Self {
        Self(Place::Scan(network::Place::Open))
    }

    /// Reads a body that needs no node: that of [`Response::error`](super::Response::error).
    /// Returns its length, or 0 if it was read already or is another one.
    pub fn fill_error(&mut self, buf: &mut [u8]) -> usize {
        let Place::Error(error) = self.0 else { return 0 };
        let mut piece = Piece::new(buf);
        if piece.error(error).is_err() {
            return 0;
        }
        self.0 = Place::End;
        piece.len
    }

    /// Writes as many events as there are and fit; `None` if no more will come, or if the body is
    /// no stream.
    pub(crate) fn fill_stream(
        &mut self,
        node: &Node<'_>,
        query: &str,
        buf: &mut [u8],
    ) -> Option<usize> {
        match &mut self.0 {
            Place::Events(place) => events::fill(place, node, query, buf),
            _ => None,
        }
    }

    /// Writes as many pieces as fit.
    pub(crate) fn fill(&mut self, node: &Node<'_>, now: Instant, buf: &mut [u8]) -> usize {
        let mut len = 0usize;
        while let Some(rest) = buf.get_mut(len..) {
            let mut piece = Piece::new(rest);
            let next = match self.0 {
                Place::Error(error) => piece.error(error).map(|()| Place::End),
                Place::NodeStatus(place) => piece.node_status(node, now, place),
                Place::Members(place) => piece
                    .members(node, now, place)
                    .map(|next| next.map_or(Place::End, Place::Members)),
                Place::Services(place) => {
                    piece.services(node, place).map(|next| next.map_or(Place::End, Place::Services))
                }
                Place::Tasks(place) => {
                    piece.tasks(node, now, place).map(|next| next.map_or(Place::End, Place::Tasks))
                }
                Place::Task(index) => piece.task(node, now, index).map(|()| Place::End),
                Place::Sprocket(place) => piece
                    .sprocket_config(node, place)
                    .map(|next| next.map_or(Place::End, Place::Sprocket)),
                Place::Restarting => piece.text("{\"restarting\":true}").map(|()| Place::End),
                Place::Update => piece.update(node).map(|()| Place::End),
                Place::Installed(image, restarts) => {
                    piece.installed(image, restarts).map(|()| Place::End)
                }
                Place::Config => piece.json(&ConfigView::new(node)).map(|()| Place::End),
                Place::Key => piece.key(node).map(|()| Place::End),
                Place::Nonce(nonce) => piece.json(&NonceView::new(nonce)).map(|()| Place::End),
                Place::Metrics(metric) => piece
                    .metric(node, now, metric)
                    .map(|next| next.map_or(Place::End, Place::Metrics)),
                Place::Log(place) => piece.log(node, place),
                Place::Published(seq, number) => {
                    piece.published(node, seq, number).map(|()| Place::End)
                }
                Place::Asset(&[]) => Ok(Place::End),
                Place::Asset(bytes) => piece.part_of(bytes).map(Place::Asset),
                Place::Network => piece.network(node, now).map(|()| Place::End),
                Place::Scan(place) => {
                    piece.scan(node, now, place).map(|next| next.map_or(Place::End, Place::Scan))
                }
                Place::Rollout(place) => piece
                    .rollout(node, now, place)
                    .map(|next| next.map_or(Place::End, Place::Rollout)),
                // Those are a stream, and the shell's.
                Place::Events(_) | Place::Image(..) | Place::End => break,
            };
            let Ok(next) = next else { break };
            self.0 = next;
            len = len.saturating_add(piece.len);
        }
        len
    }
}

/// One piece being written; thrown away as a whole if it does not fit.
pub(super) struct Piece<'a> {
    buf: &'a mut [u8],
    len: usize,
}

/// The piece does not fit into what is left of the buffer.
pub(super) struct Full;

impl<'a> Piece<'a> {
    pub(super) const fn new(buf: &'a mut [u8]) -> Self {
        Self { buf, len: 0 }
    }

    /// How much is written.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Takes back all but the first `len` bytes.
    pub(super) fn shorten(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    pub(super) fn byte(&mut self, byte: u8) -> Result<(), Full> {
        *self.buf.get_mut(self.len).ok_or(Full)? = byte;
        self.len = self.len.saturating_add(1);
        Ok(())
    }

    /// Takes back the bracket of the object that was just written, so that it goes on.
    pub(super) fn reopen(&mut self) {
        self.len = self.len.saturating_sub(1);
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), Full> {
        let end = self.len.checked_add(text.len()).ok_or(Full)?;
        self.buf.get_mut(self.len..end).ok_or(Full)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }

    /// As much of `bytes` as fits; what is left of them.
    fn part_of<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], Full> {
        let room = self.buf.get_mut(self.len..).filter(|room| !room.is_empty()).ok_or(Full)?;
        let (part, rest) = bytes.split_at_checked(room.len()).unwrap_or((bytes, &[]));
        for (to, from) in room.iter_mut().zip(part) {
            *to = *from;
        }
        self.len = self.len.saturating_add(part.len());
        Ok(rest)
    }

    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), Full> {
        let rest = self.buf.get_mut(self.len..).ok_or(Full)?;
        let written = serde_json_core::to_slice(value, rest).map_err(|_| Full)?;
        self.len = self.len.checked_add(written).ok_or(Full)?;
        Ok(())
    }

    pub(super) fn value(&mut self, value: &Value<'_>) -> Result<(), Full> {
        let rest = self.buf.get_mut(self.len..).ok_or(Full)?;
        self.len = self.len.checked_add(value.write(rest).ok_or(Full)?).ok_or(Full)?;
        Ok(())
    }

    /// Opens a list in the object that was just written, as its last member.
    pub(super) fn open_list(&mut self, name: &str) -> Result<(), Full> {
        self.reopen();
        self.text(",\"")?;
        self.text(name)?;
        self.text("\":[")
    }

    fn error(&mut self, error: Error) -> Result<(), Full> {
        self.text("{\"error\":")?;
        self.json(&error)?;
        self.text("}")
    }

    fn node_status(
        &mut self,
        node: &Node<'_>,
        now: Instant,
        place: NodeStatus,
    ) -> Result<Place, Full> {
        let next = match place {
            NodeStatus::Node => {
                self.json(&NodeView::new(node, now))?;
                self.open_list("services")?;
                NodeStatus::Service(0)
            }
            NodeStatus::Service(index) => {
                let offered = node.offered();
                let services = node.catalogue.services().iter();
                let mut services = services.filter(|service| offered.contains(&service.id()));
                let Some(service) = services.nth(index) else {
                    self.text("]")?;
                    return Ok(Place::NodeStatus(NodeStatus::Traffic));
                };
                self.text(if index == 0 { "" } else { "," })?;
                self.json(&ServiceView::from(service))?;
                NodeStatus::Service(index.saturating_add(1))
            }
            NodeStatus::Traffic => {
                self.text(",\"datagrams\":")?;
                self.json(&TrafficView::from(node.traffic()))?;
                self.text(",\"sprockets\":[")?;
                NodeStatus::Sprocket(0)
            }
            NodeStatus::Sprocket(index) => {
                if self.sprocket(node, index)? {
                    NodeStatus::Sprocket(index.saturating_add(1))
                } else {
                    self.text("],\"endpoints\":[")?;
                    NodeStatus::Endpoint(0)
                }
            }
            NodeStatus::Endpoint(index) => {
                let Some(route) = ROUTES.get(index) else {
                    self.text("]}")?;
                    return Ok(Place::End);
                };
                self.text(if index == 0 { "" } else { "," })?;
                self.json(route)?;
                NodeStatus::Endpoint(index.saturating_add(1))
            }
        };
        Ok(Place::NodeStatus(next))
    }

    fn log(&mut self, node: &Node<'_>, place: Log) -> Result<Place, Full> {
        let (after, first) = match place {
            Log::Open(after) => {
                self.text("{\"log\":[")?;
                return Ok(Place::Log(Log::After(after.unwrap_or(0), true)));
            }
            Log::After(after, first) => (after, first),
        };
        let Some((seq, entry)) = node.cluster.events.bus.log.after(after, node.started) else {
            self.text("]}")?;
            return Ok(Place::End);
        };
        self.text(if first { "" } else { "," })?;
        self.json(&entry)?;
        Ok(Place::Log(Log::After(seq, false)))
    }
}
