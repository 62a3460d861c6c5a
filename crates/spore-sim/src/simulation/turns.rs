//! When a node takes in what comes for it: datagrams, requests, and what it has begun itself, when that ends.
//!
//! It does so at once, unless something holds it: it stands still, its flash is at work for an image, or its processor is
//! slow. Then what comes waits in one inbox, and is taken in in its order. A slow processor takes its *pace* for each thing
//! and for each deadline; what comes of it is there when that has passed.

use super::{INBOX, Simulation};
use crate::body::{Body, Running};
use crate::log::Entry;
use crate::queue::{Event, Input};
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::Duration;

impl Body {
    /// Whether there is room for something that must wait. Only datagrams may be too many. The last place of a board whose flash is
    /// at work is kept for what is sent to it alone.
    fn has_room(&self, input: &Input) -> bool {
        let (Some(life), Input::Datagram { broadcast, .. }) = (&self.life, input) else {
            return true;
        };
        let is_datagram = |input: &&Input| matches!(input, Input::Datagram { .. });
        let waiting = life.inbox.iter().filter(is_datagram).count();
        match &self.slots {
            Some(slots) if life.working > 0 => waiting + usize::from(*broadcast) < slots.queue(),
            _ => waiting < INBOX,
        }
    }
}

impl Simulation {
    /// Something comes for a node in its present boot, some time.
    pub(super) fn expect(&mut self, at: Duration, node: usize, input: Input) {
        let boot = Some(self.bodies[node].boot);
        self.queue.push(at, Event::Input { node, boot, input });
    }

    /// Something comes for a node.
    pub(super) fn come(&mut self, node: usize, input: Input) {
        let body = &mut self.bodies[node];
        let deaf = body.is_deaf();
        let Some(life) = &mut body.life else { return self.hang_up([input].into()) };
        let (unheard, stall) =
            (life.radio.as_ref().is_some_and(|it| !it.carries(&self.air)), life.stall);
        match (input, stall) {
            (Input::Datagram { .. }, _) if deaf || unheard => {}
            (input @ Input::Asked { .. }, Some(_)) => self.hang_up([input].into()),
            // The processor stands still, and so does what it does with the flash.
            (input @ Input::Worked(_), Some(_)) => {
                let boot = Some(body.boot);
                life.put_off.push(Event::Input { node, boot, input });
            }
            (input @ Input::Worked(_), None) => {
                life.working = life.working.saturating_sub(1);
                life.inbox.push_front(input);
                self.go_on_from_work(node);
            }
            (input, _) if body.is_free() => {
                self.take(node, input);
                self.settle(node);
            }
            (input, _) => {
                if body.has_room(&input) {
                    self.wait(node, input);
                }
            }
        }
    }

    fn wait(&mut self, node: usize, input: Input) {
        let Some(life) = &mut self.bodies[node].life else { return };
        life.inbox.push_back(input);
        self.begin(node);
    }

    /// A slow node begins with the next thing, if there is one and nothing holds it.
    fn begin(&mut self, node: usize) {
        let body = &mut self.bodies[node];
        let Some(life) = &mut body.life else { return };
        if !life.is_held() && (life.is_due(self.now) || !life.inbox.is_empty()) {
            life.busy = true;
            let pace = body.pace.max(Duration::from_micros(1));
            self.queue.push(self.now + pace, Event::Free { node, boot: body.boot });
        }
    }

    /// A slow node has done what it was at. A deadline that has passed comes first, then what waits.
    pub(super) fn free(&mut self, node: usize, boot: u32) {
        let body = &mut self.bodies[node];
        let Some(life) = body.life.as_mut().filter(|_| body.boot == boot) else { return };
        if life.stall.is_some() {
            return life.put_off.push(Event::Free { node, boot });
        }
        life.busy = false;
        if life.is_due(self.now) {
            self.elapse(node);
        } else if let Some(input) = life.inbox.pop_front() {
            self.take(node, input);
        }
        self.settle(node);
        self.begin(node);
    }

    /// The deadline of a node may have come.
    pub(super) fn wake(&mut self, node: usize) {
        let body = &mut self.bodies[node];
        let due = |life: &&mut Running| life.wake == Some(self.now);
        let Some(life) = body.life.as_mut().filter(due) else { return };
        if life.turns.are_endless(self.now) {
            panic!("seed {}: node {node} is woken for ever at {:?}", self.scenario.seed, self.now);
        }
        if body.is_free() {
            self.time_out(node);
        } else {
            self.begin(node);
        }
    }

    /// A node that stood still goes on.
    pub(super) fn go_on(&mut self, node: usize) {
        // Whether a shell sees first that its deadline has passed or that datagrams wait is chance.
        let deadline_first = self.rng.bool();
        if !self.bodies[node].is_free() {
            return self.begin(node);
        }
        if deadline_first {
            self.time_out(node);
        }
        while let Some(input) = self.next_waiting(node) {
            self.take(node, input);
            self.settle(node);
        }
        if !deadline_first && self.bodies[node].is_free() {
            self.time_out(node);
        }
    }

    /// A node goes on whose flash has done its work.
    fn go_on_from_work(&mut self, node: usize) {
        if !self.bodies[node].is_free() {
            return self.begin(node);
        }
        // The shell takes in what waits before it has the flash go on: pieces for which there is no room must not
        // keep pings from getting in.
        let mut first = true;
        while let Some(input) = self.next_waiting(node) {
            self.take(node, input);
            let life = self.bodies[node].life.as_ref();
            if std::mem::take(&mut first) && life.is_some_and(|life| life.is_due(self.now)) {
                self.elapse(node);
            }
        }
        self.settle(node);
    }

    fn next_waiting(&mut self, node: usize) -> Option<Input> {
        let body = &mut self.bodies[node];
        if body.is_free() { body.life.as_mut()?.inbox.pop_front() } else { None }
    }

    /// A deadline of a node has passed, or it does not know whether one has.
    fn time_out(&mut self, node: usize) {
        self.elapse(node);
        self.settle(node);
    }

    fn elapse(&mut self, node: usize) {
        let Some(life) = &mut self.bodies[node].life else { return };
        let local = life.clock.local(self.now);
        life.engine.with(|node| node.handle_timeout(local));
        // One that comes too early must be asked for again.
        life.wake = None;
    }

    /// A node takes something in. What it has to give then is still to be fetched.
    fn take(&mut self, node: usize, input: Input) {
        match input {
            Input::Datagram { from, bytes, .. } => self.receive(node, from, &bytes),
            Input::Stored => self.stored(node),
            Input::Asked { from, boot } => self.asked(from, boot, node),
            Input::Fetched(answer) => self.fetched(node, answer),
            Input::Ran(index) => self.ran(node, index),
            Input::Worked(work) => self.worked(node, &work),
            Input::Radio => self.hear_radio(node),
        }
    }

    fn receive(&mut self, to: usize, from: SocketAddrV4, bytes: &Rc<[u8]>) {
        let body = &mut self.bodies[to];
        body.traffic.received += 1;
        body.traffic.received_bytes += bytes.len() as u64;
        self.log.add(self.now, &Entry::Delivered { from, to, bytes });
        self.hold_to(to, bytes);
        let Some(life) = &mut self.bodies[to].life else { return };
        life.receive(self.now, from, bytes);
    }
}
