//! [`Engine`]: an engine under test. Datagrams and the time go in; datagrams, changes and a deadline come out.

mod foca;
mod spore;

pub(crate) use spore::sizes;

use crate::contender::Contender;
use spore_core::Destination;
use std::net::SocketAddrV4;
use std::time::Duration;

/// A membership engine without I/O. After each call it has nothing left to give.
pub(crate) trait Engine {
    /// A datagram came in. It may be altered in place.
    fn receive(&mut self, now: Duration, from: SocketAddrV4, bytes: &mut [u8], out: &mut Output);
    /// The deadline has come, or the node has just started.
    fn wake(&mut self, now: Duration, out: &mut Output);
    /// When to wake it.
    fn deadline(&self) -> Option<Duration>;
    /// Whom it lists as alive now, be it under suspicion, in any order: what its changes must amount to.
    fn members(&self) -> Vec<usize>;
}

/// What an engine has given.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// To be sent.
    pub(crate) datagrams: Vec<(Destination, Vec<u8>)>,
    /// In its list of members, in their order.
    pub(crate) changes: Vec<Change>,
}

/// A change in a list of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// This node is listed as alive, be it under suspicion.
    Up(usize),
    /// It is not any more.
    Down(usize),
}

/// An engine that starts now as `node`, in a cluster of about so many.
pub(crate) fn start(
    contender: Contender,
    now: Duration,
    node: usize,
    nodes: usize,
    seed: u64,
) -> Box<dyn Engine> {
    match contender {
        Contender::Spore => Box::new(spore::Spore::start(now, node, seed)),
        Contender::FocaOwn | Contender::FocaSame => {
            let config = crate::contender::foca(contender.pace(), nodes);
            Box::new(foca::Foca::start(now, node, config, seed))
        }
        Contender::Chitchat | Contender::MemberlistOwn | Contender::MemberlistSame => {
            unreachable!("{contender} has sockets of its own")
        }
    }
}
