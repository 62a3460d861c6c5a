//! `GET /api/cluster/members` and `GET /api/cluster/members/{id}`.

use super::body::{Full, Piece};
use super::views::MemberView;
use super::{Body, Error, Pending, Request, Response, check_parameters};
use crate::cluster::Status;
use crate::node::Node;
use crate::services::{Figures, OneAtATime};
use crate::time::Instant;
use crate::wire::NodeId;
use serde::Serialize;

/// The path of a member, as the route table has it: the name is its id.
pub(super) const PATH: &str = "/api/cluster/members/{name}";

/// What the path of every member begins with.
const PREFIX: &str = "/api/cluster/members/";

/// Answers who wants to know how a member is, which is asked now.
pub(super) fn ask(
    node: &mut Node<'_>,
    now: Instant,
    request: &Request<'_>,
) -> Result<Response, Error> {
    check_parameters(request.query, &[])?;
    let id = request.path.strip_prefix(PREFIX).and_then(|id| id.parse().ok());
    let id: NodeId = id.ok_or(Error::NotFound)?;
    if id == node.own().id {
        return Ok(Response::ok(Body::member(id)));
    }
    let member = node.members().iter().find(|member| member.id() == id).ok_or(Error::NotFound)?;
    if member.status() == Status::Active {
        node.poller.ask(now, id).map_err(|OneAtATime| Error::MemberAsked)?;
    }
    Ok(Response::pending(Pending::Member(id)))
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// Of the list.
    Open,
    /// The member whose id follows this one.
    After(Option<NodeId>),
    /// One member alone, with its figures.
    One(NodeId),
}

/// What a member says of itself.
#[derive(Serialize)]
struct FiguresView<'a> {
    uptime_ms: Option<u64>,
    free_memory: Option<u64>,
    rssi: Option<i8>,
    reset_reason: Option<&'a str>,
}

impl<'a> FiguresView<'a> {
    fn of(figures: &'a Figures) -> Self {
        let Figures { uptime_ms, free_memory, rssi, reset_reason } = figures;
        let reset_reason = reset_reason.as_deref();
        Self { uptime_ms: *uptime_ms, free_memory: *free_memory, rssi: *rssi, reset_reason }
    }

    fn of_own(node: &'a Node<'_>, now: Instant) -> Self {
        Self {
            uptime_ms: Some(now.since(node.started).as_millis()),
            free_memory: Some(node.resources.free_memory),
            rssi: node.network.status().rssi,
            reset_reason: Some(node.facts.reset_reason),
        }
    }
}

impl Piece<'_> {
    /// Writes the next piece of the list, or of a member; what follows it, `None` at the end.
    pub(super) fn members(
        &mut self,
        node: &Node<'_>,
        now: Instant,
        place: Place,
    ) -> Result<Option<Place>, Full> {
        let after = match place {
            Place::Open => {
                self.text("{\"members\":[")?;
                return Ok(Some(Place::After(None)));
            }
            Place::After(after) => after,
            Place::One(id) => return self.member(node, now, id).map(|()| None),
        };
        let follows = |id: NodeId| after.is_none_or(|after| id > after);
        let other = node.members().iter().map(|member| member.id()).find(|id| follows(*id));
        let own = Some(node.own().id).filter(|own| follows(*own));
        let Some(id) = own.into_iter().chain(other).min() else {
            self.text("]}")?;
            return Ok(None);
        };
        self.text(if after.is_none() { "" } else { "," })?;
        self.row(node, now, id)?;
        Ok(Some(Place::After(Some(id))))
    }

    /// A row of the list. One who is no member any more has none.
    fn row(&mut self, node: &Node<'_>, now: Instant, id: NodeId) -> Result<(), Full> {
        let own = node.own();
        if own.id == id {
            return self.json(&MemberView::of_own(own, node));
        }
        match node.members().iter().find(|member| member.id() == id) {
            Some(member) => self.json(&MemberView::of(member, node, now)),
            None => self.text("{}"),
        }
    }

    fn member(&mut self, node: &Node<'_>, now: Instant, id: NodeId) -> Result<(), Full> {
        self.row(node, now, id)?;
        self.reopen();
        self.text(",\"figures\":")?;
        if node.own().id == id {
            self.json(&FiguresView::of_own(node, now))?;
        } else {
            self.json(&node.poller.figures(now, id).map(FiguresView::of))?;
        }
        self.text("}")
    }
}
