//! A node and its radio.

use super::Node;
use crate::api::Error;
use crate::network::{Around, Credentials, Network, Password, RadioEvent, Ssid};
use crate::time::Instant;

impl Node<'_> {
    /// Lets `act` do something with the network manager and what it needs of the node.
    pub(super) fn with_network(
        &mut self,
        now: Instant,
        act: impl FnOnce(&mut Network, &mut Around<'_, '_>),
    ) {
        let Self { network, cluster, rng, seen, .. } = self;
        act(network, &mut Around { now, cluster, rng, seen });
    }

    /// The radio has done something. A node without a radio ignores it.
    pub fn handle_radio(&mut self, now: Instant, event: RadioEvent) {
        self.with_network(now, |network, around| network.handle_radio(around, event));
    }

    /// With what the radio is to [connect](crate::network::RadioCommand::Connect).
    pub fn station(&self) -> Option<&Credentials> {
        self.network.credentials()
    }

    /// Name and password of the access point that the radio is to
    /// [open](crate::network::RadioCommand::OpenAccessPoint): `SPORE-` and the last six digits of
    /// the chip's number. `None` if it has no password: then it is never opened.
    pub fn access_point(&self) -> Option<(Ssid, &Password)> {
        let password = self.network.password()?;
        Some((Ssid::of_access_point(self.facts.chip_id), password))
    }

    /// Whether the node is in its network. A wired one always is.
    pub fn is_connected(&self) -> bool {
        self.network.is_connected()
    }

    /// Whether it has a radio, and keeps no credentials.
    pub fn wants_credentials(&self) -> bool {
        self.network.status().radio.is_some() && !self.network.has_kept()
    }

    /// Begins to look for networks, unless what is known is new.
    pub(crate) fn look_for_networks(&mut self, now: Instant) -> Result<(), Error> {
        self.network.look(now)?;
        self.with_network(now, Network::advance);
        Ok(())
    }
}
