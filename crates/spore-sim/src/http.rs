//! HTTP in the simulated world: requests from outside, and the nodes' fetches of each other.
//!
//! A fetch is not simulated segment by segment. It is four *legs*: the connection is made there
//! and back, the request goes there, the answer comes back. A leg that the network loses is repeated after
//! one second and then after two (RFC 6298 has the first and doubles it); if the third try is lost too, the fetch has failed. So one-way partitions
//! and heavy loss break fetches, and latency adds up as it does. An answer counts as one leg, however long it is.

use crate::body::Body;
use crate::log::Entry;
use crate::network::Passage;
use crate::queue::{Event, Input};
use crate::simulation::Simulation;
use spore_core::api::{Called, Error, MIN_PIECE, Method, Request, Response};
use spore_core::services::IDENTIFY;
use spore_core::time::Instant;
use spore_core::{Completion, Fetch, FetchFailed, Node};
use std::collections::VecDeque;
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::Duration;

/// The pauses before the further tries of a leg.
const RETRANSMISSIONS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// When a client without an answer gives up.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A client's buffer.
const PIECE: usize = 512;

const STATUS: Request<'static> = Request::new(Method::Get, "/api/node/status");

impl Simulation {
    /// Asks a node's HTTP API: status code and body. `None` if it does not run or is stalled.
    /// A slow node takes its time for it, in which the world goes on. Panics if there is no such node.
    pub fn get(&mut self, node: usize, path: &str) -> Option<(u16, String)> {
        self.request(node, &Request::new(Method::Get, path))
    }

    /// As [`get`](Self::get), for any request.
    pub fn request(&mut self, node: usize, request: &Request<'_>) -> Option<(u16, String)> {
        let Body { boot, pace, .. } = self.bodies[node];
        if !pace.is_zero() {
            self.run_for(pace);
        }
        let mut response = self.ask(node, boot, |node, now| node.handle_request(now, request))?;
        // What must be durable first takes the time that it takes.
        let limit = self.now + TIMEOUT;
        while response.is_pending() && self.step(limit) {
            self.ask(node, boot, |node, now| node.poll_response(now, &mut response))?;
        }
        if let Some(call) = response.to_call() {
            let (status, body) =
                self.ask(node, boot, |node, _| serve(node, &call.with(request)))?;
            self.log.add(self.now, &Entry::Answered { node, status, body: body.as_bytes() });
            return Some((status, body));
        }
        let (status, body) = self.ask(node, boot, |node, now| read(node, now, response))?;
        self.log.add(self.now, &Entry::Answered { node, status, body: &body });
        Some((status, String::from_utf8_lossy(&body).into_owned()))
    }

    /// Lets `verb` do something with a node that runs, in this boot of it, and is not stalled.
    fn ask<R>(
        &mut self,
        node: usize,
        boot: u32,
        verb: impl FnOnce(&mut Node<'_>, Instant) -> R,
    ) -> Option<R> {
        let body = &mut self.bodies[node];
        let life = body.life.as_mut().filter(|life| life.stall.is_none() && body.boot == boot)?;
        let now = life.clock.local(self.now);
        let answer = life.engine.with(|node| verb(node, now));
        self.settle(node);
        Some(answer)
    }

    /// `node` wants the status of another one.
    pub(crate) fn fetch(&mut self, node: usize, fetch: &Fetch) {
        let body = &mut self.bodies[node];
        body.traffic.fetches += 1;
        let boot = body.boot;
        let address = SocketAddrV4::new(*fetch.address.ip(), self.scenario.port);
        let to = self.node_at(address);
        let fails = self.rng.f64() < self.scenario.fetch_failure;
        let fails = fails && !to.is_some_and(|to| self.network.is_healed(node, to));
        let way = to.filter(|_| !fails).and_then(|to| {
            let there = self.leg(node, to)? + self.leg(to, node)? + self.leg(node, to)?;
            Some((to, there))
        });
        let (after, event) = match way {
            Some((to, there)) => {
                let input = Input::Asked { from: node, boot };
                (there, Event::Input { node: to, boot: None, input })
            }
            None => (TIMEOUT, fetched(node, boot, None)),
        };
        self.queue.push(self.now + after, event);
    }

    /// Nobody answers these requests any more.
    pub(crate) fn hang_up(&mut self, inputs: VecDeque<Input>) {
        for input in inputs {
            if let Input::Asked { from, boot } = input {
                self.queue.push(self.now + TIMEOUT, fetched(from, boot, None));
            }
        }
    }

    /// `to` answers the request of `from`.
    pub(crate) fn asked(&mut self, from: usize, boot: u32, to: usize) {
        let body = &mut self.bodies[to];
        let Some(life) = &mut body.life else { return };
        let now = life.clock.local(self.now);
        let (status, answer) = life.engine.with(|node| answer(node, now, &STATUS));
        body.traffic.served += 1;
        body.traffic.served_bytes += answer.len() as u64;
        self.log.add(self.now, &Entry::Asked { from, to });
        self.log.add(self.now, &Entry::Answered { node: to, status, body: &answer });
        let (after, answer) = match self.leg(to, from) {
            Some(back) => (back, Some(Rc::from(answer))),
            None => (TIMEOUT, None),
        };
        self.queue.push(self.now + after, fetched(from, boot, answer));
    }

    /// The fetch of `node` is over.
    pub(crate) fn fetched(&mut self, node: usize, answer: Option<Rc<[u8]>>) {
        let Some(life) = &mut self.bodies[node].life else { return };
        let local = life.clock.local(self.now);
        life.engine.with(|node| {
            let taken = answer
                .is_some_and(|bytes| bytes.chunks(PIECE).all(|piece| node.handle_fetched(piece)));
            let result = if taken { Ok(()) } else { Err(FetchFailed) };
            node.handle_completion(local, Completion::Fetch(result));
        });
    }

    /// How long it takes until something that is repeated if it is lost gets through.
    fn leg(&mut self, from: usize, to: usize) -> Option<Duration> {
        if self.scenario.wifi.is_some() && !self.are_in_reach(from, to) {
            return None;
        }
        let (passage, nothing) = (Passage { from, to, broadcast: false }, Rc::from([]));
        let mut waited = Duration::ZERO;
        let mut pauses = RETRANSMISSIONS.into_iter();
        loop {
            self.network.carry(&passage, &nothing, &mut self.flights);
            if let Some(delay) = self.flights.drain(..).map(|flight| flight.delay).min() {
                return Some(waited + delay);
            }
            waited += pauses.next()?;
        }
    }
}

fn fetched(node: usize, boot: u32, answer: Option<Rc<[u8]>>) -> Event {
    Event::Input { node, boot: Some(boot), input: Input::Fetched(answer) }
}

/// What a simulated service answers: `identify` as everywhere, any other what it was sent. No node here has crashed, or shows its images.
fn serve(node: &mut Node<'_>, called: &Called<'_>) -> (u16, String) {
    let request = match called {
        Called::Service(request) => request,
        Called::Crash | Called::Images => {
            let status = Error::NoCrash.status();
            node.handle_called(status);
            return (status, String::new());
        }
    };
    node.handle_called(200);
    let service = node.services().services().get(request.service);
    let hostname = node.hostname().filter(|_| service == Some(&IDENTIFY));
    let body = match hostname {
        Some(hostname) => format!("{{\"hostname\":\"{hostname}\",\"identified\":true}}"),
        None => String::from_utf8_lossy(request.body).into_owned(),
    };
    (200, body)
}

/// What a node answers, read through the smallest buffer.
fn answer(node: &mut Node<'_>, now: Instant, request: &Request<'_>) -> (u16, Vec<u8>) {
    let response = node.handle_request(now, request);
    read(node, now, response)
}

fn read(node: &Node<'_>, now: Instant, mut response: Response) -> (u16, Vec<u8>) {
    let (mut body, mut piece) = (Vec::new(), [0; MIN_PIECE]);
    loop {
        match node.poll_body(now, &mut response.body, &mut piece) {
            0 => return (response.status, body),
            len => body.extend_from_slice(&piece[..len]),
        }
    }
}
