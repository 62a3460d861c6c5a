//! What the board tells on the serial line and over HTTP.

use spore_core::api::{Error, ServiceRequest};
use spore_core::services::IDENTIFY;
use spore_core::{Event, Hostname, Node, NodeId};
use spore_node::{Named, ServiceReply};

use crate::log::log_line;
use crate::sprockets::ROSTER;

/// Answers a call of one of the services that every node offers.
pub(super) fn answer(
    hostname: &Hostname,
    request: &ServiceRequest<'_>,
    reply: &mut [u8],
) -> ServiceReply {
    match ROSTER.catalogue().services().get(request.service) {
        Some(service) if *service == IDENTIFY => {
            log_line!("IDENTIFY ", hostname.as_str());
            ServiceReply::identified(hostname, reply)
        }
        _ => ServiceReply::error(Error::NotFound, reply),
    }
}

/// How often in a row the board was reset because of `sprocket`.
pub(super) fn restarts(restarts: &[u8], sprocket: Named) -> u8 {
    let restarts = restarts.get(sprocket.place).copied().unwrap_or(0);
    if restarts != 0 {
        log_line!("SPROCKET ", sprocket.name, " restarts ", restarts);
    }
    restarts
}

/// Writes what has happened to the log.
pub(super) fn report(event: Event, node: &Node<'_>) {
    let (what, id) = match event {
        Event::MemberJoined(id) => ("joined", id),
        Event::MemberSuspected(id) => ("is suspected", id),
        Event::MemberReturned(id) => ("is back", id),
        Event::MemberDied(id) => ("is dead", id),
        Event::MemberLeft(id) => ("has left", id),
        Event::MemberForgotten(id) => ("is forgotten", id),
        _ => {
            return log_line!("NODE ", event.topic());
        }
    };
    log_line!("MEMBER ", name(node, &id), " ", what);
}

/// The host name of a member, or nothing for one that is not listed any more.
fn name<'n>(node: &'n Node<'_>, id: &NodeId) -> &'n str {
    node.members()
        .iter()
        .find(|member| member.id() == *id)
        .map_or("", |member| member.hostname().as_str())
}
