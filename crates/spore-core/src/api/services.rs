//! `GET /api/cluster/services`: a list of lists, made piece by piece.

use super::body::{Full, Piece};
use super::views::{OfferView, ProviderView};
use crate::node::Node;
use crate::services::ServiceId;
use crate::wire::NodeId;

/// What comes next. One service with all its providers would fit into no buffer, so the place
/// within it is part of this.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(Step);

#[derive(Clone, Copy, Debug)]
enum Step {
    Open,
    /// The service whose id follows this one.
    Service(Option<ServiceId>),
    /// The provider of the service whose id follows this one.
    Provider(ServiceId, Option<NodeId>),
}

impl Place {
    /// The beginning of the document.
    pub(super) const START: Self = Self(Step::Open);
}

impl Piece<'_> {
    /// Writes the next piece of the list of services; what follows it, `None` at the end.
    pub(super) fn services(
        &mut self,
        node: &Node<'_>,
        Place(step): Place,
    ) -> Result<Option<Place>, Full> {
        let next = match step {
            Step::Open => {
                self.text("{\"services\":[")?;
                Step::Service(None)
            }
            Step::Service(after) => {
                let Some(id) = next_service(node, after) else {
                    self.text("]}")?;
                    return Ok(None);
                };
                let directory = &node.cluster.directory;
                let name = node.catalogue.name(id).or_else(|| directory.name(id));
                self.text(if after.is_none() { "" } else { "," })?;
                self.json(&OfferView { id, name })?;
                self.open_list("providers")?;
                Step::Provider(id, None)
            }
            Step::Provider(service, after) => match next_provider(node, service, after) {
                Some((id, provider)) => {
                    self.text(if after.is_none() { "" } else { "," })?;
                    self.json(&provider)?;
                    Step::Provider(service, Some(id))
                }
                None => {
                    self.text("]}")?;
                    Step::Service(Some(service))
                }
            },
        };
        Ok(Some(Place(next)))
    }
}

/// The service with the lowest id above `after` that a live member or this node offers.
fn next_service(node: &Node<'_>, mut after: Option<ServiceId>) -> Option<ServiceId> {
    let own = node.offered();
    loop {
        let own = own.iter().copied().find(|id| after.is_none_or(|after| *id > after));
        let others = node.cluster.directory.next_service(after);
        // Tasks are no services; they follow them.
        let id = own.into_iter().chain(others).min().filter(|id| !id.is_task())?;
        if next_provider(node, id, None).is_some() {
            return Some(id);
        }
        after = Some(id);
    }
}

/// The provider with the lowest id above `after`: a live member, or this node.
fn next_provider<'n>(
    node: &'n Node<'_>,
    service: ServiceId,
    after: Option<NodeId>,
) -> Option<(NodeId, ProviderView<'n>)> {
    let mut before = after;
    let other = loop {
        let Some(id) = node.cluster.directory.next_provider(service, before) else { break None };
        match node.member(id).filter(|member| member.status().is_live()) {
            Some(member) => break Some(member),
            None => before = Some(id),
        }
    };
    let offered = node.offered().contains(&service);
    let own = Some(node.own()).filter(|own| offered && after.is_none_or(|after| own.id > after));
    match (own, other) {
        (Some(own), other) if other.is_none_or(|other| own.id < other.id()) => {
            Some((own.id, ProviderView::of_own(own)))
        }
        (_, other) => other.map(|other| (other.id(), ProviderView::of(other))),
    }
}
