//! The nodes' radios, where they have some, and the routers on the air.

use super::Simulation;
use crate::body::Body;
use crate::queue::Input;
use spore_core::network::{Credentials, Lease, RadioCommand};
use spore_radio::Router;
use std::net::{Ipv4Addr, SocketAddrV4};

/// What a router with this pool gives node number `index`.
fn lease(index: usize, port: u16, pool: u8) -> Lease {
    let [a, _, c, d] = Body::address(index, port).ip().octets();
    let gateway = Some(Ipv4Addr::new(a, pool, 255, 254));
    Lease { address: Ipv4Addr::new(a, pool, c, d), prefix_len: 16, gateway }
}

impl Simulation {
    /// The engine of a node has given its radio a command.
    pub(super) fn command_radio(
        &mut self,
        node: usize,
        command: RadioCommand,
        credentials: Option<&Credentials>,
    ) {
        let radio = self.bodies[node].life.as_mut().and_then(|life| life.radio.as_mut());
        if let Some(radio) = radio {
            radio.command(self.now, command, credentials);
            self.expect_radio(node);
        }
    }

    /// Comes back when the radio has something to report.
    fn expect_radio(&mut self, node: usize) {
        let Some(life) = &self.bodies[node].life else { return };
        if let Some(at) = life.radio.as_ref().and_then(|radio| radio.poll_timeout()) {
            self.expect(at.max(self.now), node, Input::Radio);
        }
    }

    /// The radio of a node may have something to report.
    pub(super) fn hear_radio(&mut self, node: usize) {
        let port = self.scenario.port;
        let body = &mut self.bodies[node];
        let Some(life) = &mut body.life else { return };
        let Some(radio) = &mut life.radio else { return };
        let due = radio.poll_timeout().is_some_and(|at| at <= self.now);
        let report = radio.poll(self.now, &self.air, |pool| lease(node, port, pool));
        if let Some(report) = report {
            if let spore_core::network::RadioEvent::Address(lease) = report {
                body.address = SocketAddrV4::new(lease.address, port);
            }
            let local = life.clock.local(self.now);
            life.engine.with(|node| node.handle_radio(local, report));
        }
        // What it did may have taken the place of what was expected.
        if due {
            self.expect_radio(node);
        }
    }

    /// These routers are on the air from now on, and no others.
    pub(super) fn set_air(&mut self, air: Vec<Router>) {
        self.air = air;
        for node in 0..self.bodies.len() {
            let radio = self.bodies[node].life.as_mut().and_then(|life| life.radio.as_mut());
            if let Some(radio) = radio {
                radio.air_changed(self.now, &self.air);
                self.expect_radio(node);
            }
        }
    }

    /// Somebody wants to be on the access point of a node from now on, or does not any more.
    pub(super) fn set_client(&mut self, node: usize, joins: bool) {
        let radio = self.bodies[node].life.as_mut().and_then(|life| life.radio.as_mut());
        let Some(radio) = radio else { return };
        if joins {
            radio.join(self.now);
        } else {
            radio.leave();
        }
        self.expect_radio(node);
    }

    /// Whether two nodes are in the same network, as far as they need to be in one.
    pub(crate) fn are_in_reach(&self, from: usize, to: usize) -> bool {
        let network = |node: usize| match &self.bodies[node].life {
            None => None,
            Some(life) => match &life.radio {
                None => Some(None),
                Some(radio) => radio.carries(&self.air).then(|| radio.network()),
            },
        };
        network(from).is_some_and(|there| network(to) == Some(there))
    }

    /// The number of the node that has `address` now.
    pub(crate) fn node_at(&self, address: SocketAddrV4) -> Option<usize> {
        let [a, _, c, d] = address.ip().octets();
        let first = SocketAddrV4::new(Ipv4Addr::new(a, 0, c, d), address.port());
        let index = Body::index(first, self.scenario.port, self.bodies.len())?;
        (self.bodies[index].address == address).then_some(index)
    }
}
