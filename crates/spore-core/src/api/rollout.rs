//! `GET`, `POST` and `DELETE /api/cluster/update`: the rollout of images through the cluster.

use super::body::{Full, Piece};
use super::{Body, Error, Pending, Request, Response};
use crate::cluster::{Member, Status};
use crate::node::Node;
use crate::ota::plan::{Plan, RolloutId, SignedPlan};
use crate::ota::state::{State, UpdateState};
use crate::text::hex;
use crate::time::Instant;
use crate::wire::{NodeId, Rumor};
use serde::Serialize;

/// The path of the rollout.
pub(super) const PATH: &str = "/api/cluster/update";

/// Begins a rollout.
pub(super) fn begin(
    node: &mut Node<'_>,
    now: Instant,
    request: &Request<'_>,
) -> Result<Response, Error> {
    // Its bytes as they are: a document in JSON would take more of a board's stack than there is.
    let signed = SignedPlan::decode(request.body).map_err(|_| Error::InvalidField("plan"))?;
    let id = node.begin_rollout(now, signed)?;
    Ok(Response::pending(Pending::Rollout(id)))
}

/// Halts the rollout.
pub(super) fn halt(node: &mut Node<'_>, now: Instant) -> Result<Response, Error> {
    let id = node.cluster.rollout.halt(now)?;
    Ok(Response::pending(Pending::Rollout(id)))
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Open,
    Image(u8),
    Canary(u8),
    Counts,
    /// The node whose id follows this one.
    Node(Option<NodeId>),
}

/// The plan, without the lists of images and canaries that end it.
#[derive(Serialize)]
struct PlanView<'a> {
    id: RolloutIdView,
    /// `running`, `halted` or `expired`.
    state: &'static str,
    age_min: u16,
    expiry_h: u16,
    gate_s: u16,
    max_failures: u8,
    catches_up: bool,
    waves: &'a [u8],
}

struct RolloutIdView(RolloutId);

impl Serialize for RolloutIdView {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_text())
    }
}

/// The image for one kind of board.
#[derive(Serialize)]
struct ImageView<'a> {
    board: &'a str,
    sequence: u32,
    digest: &'a str,
}

/// How far the nodes are, in numbers. Each node is counted once, so that the sum is that of the nodes; whoever shows
/// numbers shows these.
#[derive(Default, Serialize)]
struct Counts {
    /// They run the image, which is confirmed, and say so as members.
    updated: u16,
    /// They are yet to be updated, or are on trial.
    pending: u16,
    /// They could not install the image.
    failed: u16,
    /// They have tried it, and run the old one again.
    rolled_back: u16,
    /// They are dead, or have left.
    absent: u16,
    /// They take no part, or the rollout is over.
    out: u16,
}

/// One node.
#[derive(Serialize)]
struct NodeView<'a> {
    id: NodeId,
    hostname: &'a str,
    status: &'static str,
    board: Option<&'a str>,
    /// 0 for a canary; null without a rollout.
    wave: Option<u8>,
    state: &'static str,
    /// Of the image that it fetches.
    percent: Option<u8>,
    /// Why it has failed.
    reason: Option<&'static str>,
}

/// How far a node is with the rollout of this tag; `None` if it has not heard of it, or is away. Who has not heard of one that is `old`
/// takes no part, and is not waited for.
fn standing(status: Status, update: UpdateState, (tag, old): (u16, bool)) -> Option<State> {
    match update.state() {
        // It never takes part.
        State::Out if update.tag() == 0 => Some(State::Out).filter(|_| status.is_live()),
        state @ State::Failed(_) if update.tag() == tag => Some(state),
        state if update.tag() == tag => Some(state).filter(|_| status.is_live()),
        _ => Some(State::Out).filter(|_| status.is_live() && old),
    }
}

impl Counts {
    fn of(node: &Node<'_>, rollout: (u16, bool)) -> Self {
        let mut counts = Self::default();
        let others = node.members().iter().map(|member| (member.status(), member.update()));
        for (status, update) in others.chain([(Status::Active, own(node).1)]) {
            let count = match standing(status, update, rollout) {
                Some(State::Updated) => &mut counts.updated,
                Some(State::Fetching(_) | State::Ready | State::OnTrial) => &mut counts.pending,
                Some(State::Failed(reason)) if reason.is_of_trial() => &mut counts.rolled_back,
                Some(State::Failed(_)) => &mut counts.failed,
                Some(State::Out | State::Idle) => &mut counts.out,
                None if status.is_live() => &mut counts.pending,
                None => &mut counts.absent,
            };
            *count = count.saturating_add(1);
        }
        counts
    }
}

/// What this node says of itself: its name, and how far it is.
fn own<'a>(node: &'a Node<'_>) -> (&'a str, UpdateState) {
    match &node.own().rumor {
        Rumor::Alive { hostname, update, .. } => (hostname.as_str(), *update),
        Rumor::Suspect | Rumor::Dead | Rumor::Left => ("", UpdateState::NONE),
    }
}

impl<'a> NodeView<'a> {
    fn new(
        id: NodeId,
        (plan, old): (Option<&Plan>, bool),
        status: Status,
        update: UpdateState,
    ) -> Self {
        let tag = plan.map_or(0, |plan| plan.id.tag());
        let standing = standing(status, update, (tag, old));
        let (percent, reason) = match standing {
            Some(State::Fetching(quarters)) => (Some(quarters.saturating_mul(25)), None),
            Some(State::Failed(reason)) => (None, Some(reason.name())),
            _ => (None, None),
        };
        let unknown = if status.is_live() { "unheard" } else { "away" };
        Self {
            id,
            hostname: "",
            status: status.name(),
            board: None,
            wave: plan.map(|plan| plan.wave(id)),
            state: standing.map_or(unknown, State::name),
            percent,
            reason,
        }
    }

    fn of(member: &'a Member, node: &'a Node<'_>, plan: (Option<&Plan>, bool)) -> Self {
        let build = node.cluster.directory.build(member.id());
        Self {
            hostname: member.hostname().as_str(),
            board: build.map(crate::services::Build::board),
            ..Self::new(member.id(), plan, member.status(), member.update())
        }
    }

    fn of_own(node: &'a Node<'_>, plan: (Option<&Plan>, bool)) -> Self {
        let (hostname, update) = own(node);
        let board = Some(node.facts.board);
        Self { hostname, board, ..Self::new(node.own().id, plan, Status::Active, update) }
    }
}

impl Piece<'_> {
    /// Writes the next piece of the state of the rollout; what follows it, `None` at the end.
    pub(super) fn rollout(
        &mut self,
        node: &Node<'_>,
        now: Instant,
        place: Place,
    ) -> Result<Option<Place>, Full> {
        let told = node.rollout();
        let plan = told.map(|told| &told.signed.plan);
        let old = node.cluster.rollout.is_old(now);
        let next = match (place, plan) {
            (Place::Open, None) => {
                self.text("{\"rollout\":null,")?;
                Place::Counts
            }
            (Place::Open, Some(plan)) => {
                self.text("{\"rollout\":")?;
                self.json(&PlanView {
                    id: RolloutIdView(plan.id),
                    state: told.map_or("", |told| told.ended.name()),
                    age_min: node.cluster.rollout.announcement(now).map_or(0, |told| told.age),
                    expiry_h: plan.expiry,
                    gate_s: plan.gate,
                    max_failures: plan.max_failures,
                    catches_up: plan.catches_up,
                    waves: &plan.waves,
                })?;
                self.open_list("images")?;
                Place::Image(0)
            }
            (Place::Image(index), _) => {
                let images = plan.map_or(&[][..], |plan| &plan.images);
                let Some(image) = images.get(usize::from(index)) else {
                    self.text("],\"canaries\":[")?;
                    return Ok(Some(Place::Canary(0)));
                };
                self.text(if index == 0 { "" } else { "," })?;
                let digest = hex::<32>(&image.digest);
                let (board, sequence) = (image.board(), image.sequence);
                self.json(&ImageView { board, sequence, digest: &digest })?;
                Place::Image(index.saturating_add(1))
            }
            (Place::Canary(index), _) => {
                let canaries = plan.map_or(&[][..], |plan| &plan.canaries);
                let Some(canary) = canaries.get(usize::from(index)) else {
                    self.text("]},")?;
                    return Ok(Some(Place::Counts));
                };
                self.text(if index == 0 { "" } else { "," })?;
                self.json(canary)?;
                Place::Canary(index.saturating_add(1))
            }
            (Place::Counts, _) => {
                self.text("\"counts\":")?;
                self.json(&Counts::of(node, (plan.map_or(0, |plan| plan.id.tag()), old)))?;
                self.text(",\"nodes\":[")?;
                Place::Node(None)
            }
            (Place::Node(after), _) => {
                let follows = |id: &NodeId| after.is_none_or(|after| *id > after);
                let other = node.members().iter().find(|member| follows(&member.id()));
                let own = Some(node.own().id).filter(follows);
                let first = other.filter(|other| own.is_none_or(|own| other.id() < own));
                let view = match (first, own) {
                    (Some(other), _) => NodeView::of(other, node, (plan, old)),
                    (None, Some(_)) => NodeView::of_own(node, (plan, old)),
                    (None, None) => {
                        self.text("]}")?;
                        return Ok(None);
                    }
                };
                self.text(if after.is_none() { "" } else { "," })?;
                self.json(&view)?;
                Place::Node(Some(view.id))
            }
        };
        Ok(Some(next))
    }
}

impl Body {
    /// The state of the rollout.
    pub(super) const fn rollout() -> Self {
        Self::of_rollout(Place::Open)
    }
}
