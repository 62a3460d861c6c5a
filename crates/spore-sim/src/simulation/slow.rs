//! Nodes with slow processors: each datagram and each deadline takes its time, and meanwhile the next ones wait.

use super::{INBOX, Simulation};
use crate::queue::Event;
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::Duration;

impl Simulation {
    /// A node begins with something.
    pub(super) fn begin(&mut self, node: usize) {
        let body = &mut self.bodies[node];
        let Some(life) = body.life.as_mut().filter(|_| body.pace > Duration::ZERO) else { return };
        life.busy.get_or_insert_default();
        self.queue.push(self.now + body.pace, Event::Free { node, boot: body.boot });
    }

    /// Whether a datagram must wait since the node is at work. One for which there is no room is lost.
    pub(super) fn waits(&mut self, node: usize, from: SocketAddrV4, bytes: &Rc<[u8]>) -> bool {
        let Some(life) = &mut self.bodies[node].life else { return false };
        let Some(inbox) = &mut life.busy else { return false };
        if inbox.len() < INBOX {
            inbox.push_back((from, Rc::clone(bytes)));
        }
        true
    }

    /// A slow node has done what it was at. A deadline that has passed comes first, then what waits.
    pub(super) fn free(&mut self, node: usize, boot: u32) {
        let body = &mut self.bodies[node];
        let Some(life) = body.life.as_mut().filter(|_| body.boot == boot) else { return };
        if let Some(stall) = &life.stall {
            return self.queue.push(stall.until, Event::Free { node, boot });
        }
        let due = life.wake.is_some_and(|at| at <= self.now);
        let mut inbox = life.busy.take().unwrap_or_default();
        let next = if due { None } else { inbox.pop_front() };
        if due || next.is_some() {
            life.busy = Some(inbox);
            let pace = body.pace.max(Duration::from_micros(1));
            self.queue.push(self.now + pace, Event::Free { node, boot });
        }
        if due {
            self.time_out(node);
        } else if let Some((from, bytes)) = next {
            self.take_in(node, from, &bytes);
            self.settle(node);
        }
    }
}
