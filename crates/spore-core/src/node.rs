//! [`Node`]: the engine behind its verbs.

mod events;
mod tasks;
mod types;

use crate::api::{self, Answers, Assets, Body, Error, Request, Response};
use crate::cluster::{Cluster, Member, Refused, Status};
use crate::config::{Config, Facts};
use crate::network::{Around, Credentials, Network, Password, RadioEvent, Ssid};
use crate::profile::{List as _, Profile, Storage};
use crate::security::request::SigningKey;
use crate::security::{Epochs, Identity, OpenError, RequestNonces, Sealer, Seed, Succession};
use crate::services::poller::Poller;
use crate::services::{Catalogue, ServiceId};
use crate::settings::Settings;
use crate::settings::change::{Keeper, Step};
use crate::settings::commit::Ticket;
use crate::settings::document::Wanted;
use crate::sprockets::Sprockets;
use crate::store::{Key, Stored};
use crate::tasks::scheduler::Scheduler;
use crate::tasks::system::System;
use crate::time::{Duration, Instant};
use crate::wire::{Hostname, Message, NodeId, Record, Rumor};
use core::net::SocketAddrV4;
use events::Refusals;

pub use types::{
    Action, Completion, Destination, Event, Resources, StoreFailed, Traffic, Transmit,
};

/// From the request for a restart to the restart.
const RESTART_DELAY: Duration = Duration::from_millis(500);

/// A node of the cluster.
///
/// After any `handle_*` verb call the `poll_*` verbs until each returns `None`:
/// [`poll_action`](Self::poll_action), [`poll_transmit`](Self::poll_transmit) and
/// [`poll_event`](Self::poll_event); then wait for input, no longer than until
/// [`poll_timeout`](Self::poll_timeout), which any verb may have changed.
#[derive(Debug)]
pub struct Node<'a> {
    pub(crate) facts: Facts,
    pub(crate) resources: Resources,
    pub(crate) started: Instant,
    pub(crate) cluster: Cluster<'a>,
    pub(crate) catalogue: Catalogue,
    pub(crate) assets: Assets,
    poller: Poller,
    /// The key for signed requests; `None` while the node is unclaimed.
    pub(crate) signing: Option<SigningKey>,
    pub(crate) request_nonces: RequestNonces,
    pub(crate) settings: Keeper,
    pub(crate) network: Network<'a>,
    pub(crate) tasks: Scheduler<'a>,
    pub(crate) answers: Answers,
    pub(crate) sprockets: Sprockets<'a>,
    restart: Option<Instant>,
    refusals: Refusals,
    /// `None` while the node is unclaimed.
    sealer: Option<Sealer>,
    epochs: Epochs,
    rng: fastrand::Rng,
    traffic: Traffic,
}

impl<'a> Node<'a> {
    /// A node that starts now.
    ///
    /// `stored` is what was stored last; values that are none count as damaged. `seed` must be new at each
    /// start. `storage` is emptied.
    pub fn new<P: Profile>(
        now: Instant,
        config: &Config,
        facts: Facts,
        stored: &Stored<'_>,
        seed: &Seed,
        storage: &'a mut Storage<P>,
    ) -> Self {
        let (tokens, mut rng) = seed.split();
        let (epochs, identity) = Epochs::new(Identity::decode(stored.identity), &mut rng);
        let settings = Settings::restore(stored);
        let Storage { cluster, events, networks, tasks, sprockets } = storage;
        let tasks = Scheduler::new(now, config.tasks, stored.tasks, tasks);
        let mut cluster = Cluster::new(
            now,
            config,
            identity,
            tokens,
            rng.fork(),
            stored.peers,
            (cluster, events),
        );
        if let Some(hostname) = &settings.hostname {
            cluster.set_hostname(hostname);
        }
        let mut network = Network::new(now, config.radio.as_ref(), stored.network, networks.view());
        let mut poller = Poller::new(now, rng.fork());
        network.start(&mut Around { now, cluster: &mut cluster, rng: &mut rng });
        cluster.offer(tasks::offered(config.services, &tasks));
        tasks::pace_system(now, &tasks, &mut cluster, &mut poller);
        // Made where the caller wants it: a node is large, and a board's stack is not.
        Self {
            facts,
            resources: Resources::default(),
            started: now,
            cluster,
            catalogue: config.services,
            assets: config.assets,
            poller,
            signing: config.key.as_ref().map(SigningKey::derive),
            request_nonces: RequestNonces::new(seed),
            settings: Keeper::new(settings),
            network,
            tasks,
            answers: Answers::default(),
            sprockets: Sprockets::new(config.sprockets, stored.sprockets, sprockets),
            restart: None,
            refusals: Refusals::default(),
            sealer: config.key.as_ref().map(Sealer::new),
            epochs,
            rng,
            traffic: Traffic::default(),
        }
    }

    /// Lets `act` do something with the network manager and what it needs of the node.
    fn with_network(
        &mut self,
        now: Instant,
        act: impl FnOnce(&mut Network<'a>, &mut Around<'_, 'a>),
    ) {
        let Self { network, cluster, rng, .. } = self;
        act(network, &mut Around { now, cluster, rng });
    }

    /// A UDP datagram came in. It is opened in place. A node that leaves takes in no more.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddrV4, datagram: &mut [u8]) {
        let traffic = &mut self.traffic;
        let Some(sealer) = &self.sealer else {
            traffic.unauthentic = traffic.unauthentic.saturating_add(1);
            return;
        };
        let is_away = self.cluster.is_leaving() || !self.network.is_connected();
        if !self.epochs.is_ready() || is_away {
            return;
        }
        let outcome = match sealer.open(datagram) {
            Err(OpenError::Truncated | OpenError::Version | OpenError::Unauthentic) => {
                &mut traffic.unauthentic
            }
            Ok((header, message)) => match Message::parse(message, header.sender) {
                Err(_) => &mut traffic.malformed,
                Ok(message) => match self.cluster.handle_message(now, &header, from, &message) {
                    Ok(()) => {
                        self.tasks.worked(now, System::ListenDiscovery);
                        &mut traffic.accepted
                    }
                    Err(Refused::Own) => {
                        if self.epochs.is_anothers(&header) {
                            self.epochs.renew(now, &mut self.rng);
                        }
                        return;
                    }
                    Err(Refused::Replayed) => &mut traffic.replayed,
                    Err(Refused::Unverified) => &mut traffic.unverified,
                },
            },
        };
        *outcome = outcome.saturating_add(1);
        if self.cluster.take_doubled() {
            self.epochs.renew(now, &mut self.rng);
        }
        self.notice(now);
    }

    /// An HTTP request came in. Its answer's body is read with [`poll_body`](Self::poll_body); if
    /// the answer [is pending](Response::is_pending), after [`poll_response`](Self::poll_response).
    pub fn handle_request(&mut self, now: Instant, request: &Request<'_>) -> Response {
        api::handle(self, now, request)
    }

    /// An HTTP request came in whose body the client holds back until it is asked for. Returns the
    /// refusal if the request is bound to be refused whatever the body is.
    pub fn handle_head(&mut self, now: Instant, request: &Request<'_>) -> Option<Response> {
        api::precheck(self, now, request)
    }

    /// Whether a pending answer is decided now; `response` is the answer then. Actions decide it.
    pub fn poll_response(&mut self, now: Instant, response: &mut Response) -> bool {
        api::poll(self, now, response)
    }

    /// A service has answered a [call](Response::service_call) with `status`, or the shell has in
    /// its place, or in that of an answer that was not decided in time.
    pub fn handle_called(&mut self, status: u16) {
        self.answers.count(status);
    }

    /// Writes the next piece of an answer's body into `buf`, which must hold at least
    /// [`MIN_PIECE`](api::MIN_PIECE) bytes. Returns its length; 0 at the end.
    ///
    /// Other verbs may be called between pieces: a list then shows each member as of when its
    /// piece was made.
    pub fn poll_body(&self, now: Instant, body: &mut Body, buf: &mut [u8]) -> usize {
        body.fill(self, now, buf)
    }

    /// Writes what there is now of a [stream](Response::is_stream) into `buf`, which must hold at
    /// least [`STREAM_PIECE`](api::STREAM_PIECE) bytes. Returns its length, 0 if nothing is there
    /// yet; `None` when the stream ends, because the node restarts or leaves. `query` is that of
    /// the request.
    pub fn poll_stream(&self, query: &str, body: &mut Body, buf: &mut [u8]) -> Option<usize> {
        body.fill_stream(self, query, buf)
    }

    /// Whether the node is about to restart or to leave.
    pub(crate) fn is_ending(&self) -> bool {
        self.restart.is_some() || self.cluster.is_leaving()
    }

    /// An action has ended.
    pub fn handle_completion(&mut self, now: Instant, completion: Completion) {
        match completion {
            Completion::Store(Key::Identity, result) => {
                if let Some(identity) = self.epochs.stored(now, result.is_ok()) {
                    self.tasks.settle(now);
                    self.cluster.set_identity(now, identity);
                }
            }
            Completion::Store(Key::Settings, result) => {
                let ended = self.settings.stored(now, result.is_ok());
                self.put_off_restart(now, ended.is_some());
                if let Some(Ok(())) = ended {
                    if let Some(hostname) = &self.settings.current().hostname {
                        self.cluster.set_hostname(hostname);
                    }
                    self.cluster.notify(now, Event::SettingsChanged);
                }
            }
            Completion::Store(Key::Sprockets, result) => {
                let ended = self.sprockets.stored(now, result.is_ok());
                self.put_off_restart(now, ended.is_some());
            }
            Completion::Verify(verdict) => {
                let ended = self.settings.verified(now, verdict);
                self.put_off_restart(now, ended.is_some());
            }
            Completion::Store(Key::Peers, result) => self.cluster.stored_peers(now, result.is_ok()),
            Completion::Store(Key::Network, result) => self.network.stored(now, result.is_ok()),
            Completion::Store(Key::Tasks, result) => self.stored_tasks(now, result.is_ok()),
            Completion::Ran(index) => self.ran(now, index),
            Completion::Fetch(result) => {
                self.tasks.finished(now, System::StatusPoll);
                let (directory, members) = self.cluster.directory();
                self.poller.finish(now, result, directory, members);
            }
        }
    }

    /// A piece of the status has come that [`Action::Fetch`] asked for. False if it makes no sense,
    /// or if none was asked for: then no more is wanted, and the fetch should end.
    pub fn handle_fetched(&mut self, piece: &[u8]) -> bool {
        self.poller.read(piece)
    }

    /// Offers these services from now on, in place of others. The other members are told.
    pub fn set_services(&mut self, catalogue: Catalogue) {
        self.catalogue = catalogue;
        self.cluster.set_services(tasks::offered(catalogue, &self.tasks));
    }

    /// Writes the bytes that `key` is to have into `buf`, which must hold
    /// [`MAX_VALUE`](crate::store::MAX_VALUE) bytes. Returns how many there are.
    pub fn value(&self, key: Key, buf: &mut [u8]) -> usize {
        match key {
            Key::Identity => self.epochs.to_store().map_or(0, |identity| identity.encode(buf)),
            Key::Peers => self.cluster.peers_value(buf),
            Key::Network => self.network.value(buf),
            Key::Sprockets => self.sprockets.value(buf),
            Key::Settings => self.settings.to_store().map_or(0, |settings| settings.encode(buf)),
            Key::Tasks => self.tasks.encode(buf),
        }
    }

    /// What [`Action::Verify`] is about.
    pub fn succession(&self) -> Option<Succession> {
        self.settings.to_verify()
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
    /// the chip's number.
    pub fn access_point(&self) -> (Ssid, &Password) {
        (Ssid::of_access_point(self.facts.chip_id), self.network.password())
    }

    /// Whether the node is in its network. A wired one always is.
    pub fn is_connected(&self) -> bool {
        self.network.is_connected()
    }

    /// Begins to look for networks, unless what is known is new.
    pub(crate) fn look_for_networks(&mut self, now: Instant) -> Result<(), Error> {
        self.network.look(now)?;
        self.with_network(now, Network::advance);
        Ok(())
    }

    /// The shell has measured its body.
    pub fn handle_resources(&mut self, resources: Resources) {
        self.resources = resources;
    }

    /// The node is to leave the cluster: it tells the others, so that they do not take it for dead,
    /// and is silent from then on, within half a second if the `poll_*` verbs are called in time.
    /// [`has_left`](Self::has_left) tells when. There is no way back but a new start.
    pub fn leave(&mut self, now: Instant) {
        self.cluster.leave(now);
    }

    /// Whether the node has left: all that was to be said of it was handed out by
    /// [`poll_transmit`](Self::poll_transmit), so that the shell may end.
    pub fn has_left(&self) -> bool {
        let silent = self.cluster.is_leaving() && !self.is_talking();
        silent || self.cluster.has_left()
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come. Harmless at any other time.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.with_network(now, Network::advance);
        if self.is_talking() {
            self.time_out(now);
            self.notice(now);
        }
    }

    /// Lets the poller see what has changed.
    fn notice(&mut self, now: Instant) {
        let (directory, members) = self.cluster.directory();
        self.poller.notice(now, directory, members);
    }

    /// Whether it has a key to talk with, nonces, and a network.
    fn is_talking(&self) -> bool {
        self.sealer.is_some() && self.epochs.is_ready() && self.network.is_connected()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) and the `poll_*` verbs next, if
    /// nothing else happens.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let cluster = self.is_talking().then(|| self.cluster.poll_timeout()).flatten();
        let asks = !self.cluster.is_leaving() && self.network.is_connected();
        let poller = self.poller.poll_timeout().filter(|_| asks);
        // A change that is under way ends with an action of its own.
        let restart = self.restart.filter(|_| !self.is_changing());
        let settings = self.settings.poll_timeout();
        let (epochs, network) = (self.epochs.poll_timeout(), self.network.poll_timeout());
        let tasks = self.tasks.poll_timeout().filter(|_| !self.cluster.is_leaving());
        let sprockets = self.sprockets.poll_timeout();
        [cluster, epochs, poller, restart, settings, network, tasks, sprockets]
            .into_iter()
            .flatten()
            .min()
    }

    /// Writes the next datagram that is due into `buf`, which should hold
    /// [`MAX_DATAGRAM`](crate::wire::MAX_DATAGRAM) bytes.
    pub fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        if !self.is_talking() {
            return None;
        }
        let sealer = self.sealer.as_ref()?;
        let buf = buf.get_mut(..crate::wire::MAX_DATAGRAM.min(buf.len()))?;
        let (destination, len) = self.cluster.poll_message(now, Sealer::message(buf))?;
        let header = self.epochs.take(&mut self.rng)?;
        let len = sealer.seal(&header, buf, len)?;
        self.traffic.sent = self.traffic.sent.saturating_add(1);
        Some(Transmit { destination, len })
    }

    /// The next thing for the shell to do.
    pub fn poll_action(&mut self, now: Instant) -> Option<Action> {
        if self.epochs.poll_store(now) {
            return Some(Action::Store(Key::Identity));
        }
        if let Some(step) = self.settings.poll_step(now) {
            return Some(match step {
                Step::Verify => Action::Verify,
                Step::Store => Action::Store(Key::Settings),
            });
        }
        if self.tasks.poll_store(now) {
            return Some(Action::Store(Key::Tasks));
        }
        if self.sprockets.poll_store(now) {
            return Some(Action::Store(Key::Sprockets));
        }
        let changing = self.is_changing();
        if self.restart.take_if(|at| now >= *at && !changing).is_some() {
            return Some(Action::Restart);
        }
        if self.cluster.poll_store_peers(now) {
            return Some(Action::Store(Key::Peers));
        }
        if self.network.poll_store(now) {
            return Some(Action::Store(Key::Network));
        }
        if let Some(command) = self.network.poll_command() {
            return Some(Action::Radio(command));
        }
        if self.cluster.is_leaving() {
            return None;
        }
        if let Some(index) = self.poll_task(now) {
            return Some(Action::RunTask(index));
        }
        if !self.network.is_connected() {
            return None;
        }
        let (directory, members) = self.cluster.directory();
        let fetch = self.poller.poll(now, directory, members)?;
        self.tasks.started(now, System::StatusPoll);
        Some(Action::Fetch(fetch))
    }

    /// Whether something that is set through the API is being made durable.
    fn is_changing(&self) -> bool {
        self.settings.is_changing() || self.tasks.is_changing() || self.sprockets.is_changing()
    }

    /// Whether the node has a cluster key.
    pub fn is_claimed(&self) -> bool {
        self.sealer.is_some()
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        self.settings.current()
    }

    /// The answers to HTTP requests so far.
    pub fn answers(&self) -> Answers {
        self.answers
    }

    /// Begins a change of the settings.
    pub(crate) fn change_settings(
        &mut self,
        now: Instant,
        wanted: Wanted,
    ) -> Result<Option<Ticket>, Error> {
        self.settings.begin(now, wanted)
    }

    /// Restarts as soon as the answers that are being given had time to leave. Asking again does
    /// not put it off.
    pub(crate) fn restart(&mut self, now: Instant) {
        if self.restart.is_none() {
            self.restart = Some(now + RESTART_DELAY);
            self.cluster.notify(now, Event::RestartAsked);
        }
    }

    /// A change has ended, whose answer needs time to leave, too.
    fn put_off_restart(&mut self, now: Instant, ended: bool) {
        if let Some(at) = self.restart.as_mut().filter(|_| ended) {
            *at = (*at).max(now + RESTART_DELAY);
        }
    }

    /// What this node says of itself.
    pub fn own(&self) -> &Record {
        self.cluster.own()
    }

    /// This node's name: the one that was set through the API, or else the configured one.
    pub fn hostname(&self) -> Option<&Hostname> {
        match &self.own().rumor {
            Rumor::Alive { hostname, .. } => Some(hostname),
            Rumor::Suspect | Rumor::Dead | Rumor::Left => None,
        }
    }

    /// The other members, in the order of their ids.
    pub fn members(&self) -> &[Member] {
        self.cluster.members()
    }

    /// The other member with this id.
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        self.cluster.member(id)
    }

    /// What this node offers.
    pub fn services(&self) -> Catalogue {
        self.catalogue
    }

    /// The active members that offer a service, in the order of their ids, this node last if it does: each
    /// with the address of its HTTP API. Answered from memory. Providers of another service whose
    /// name has the same id are among them.
    pub fn providers(&self, id: ServiceId) -> impl Iterator<Item = (NodeId, SocketAddrV4)> {
        let (directory, mut after) = (&self.cluster.directory, None);
        let others = core::iter::from_fn(move || {
            let next = directory.next_provider(id, after)?;
            after = Some(next);
            Some(next)
        });
        let others = others
            .filter_map(|id| self.member(id))
            .filter(|member| member.status() == Status::Active)
            .map(|member| (member.id(), member.api()));
        let offered = self.catalogue.name(id).is_some();
        others.chain(Some((self.own().id, self.cluster.own_api())).filter(|_| offered))
    }

    /// How many services of members are not known here for want of room.
    pub fn services_lost(&self) -> u32 {
        self.cluster.directory.lost()
    }

    /// Uses up all nonces of the present epoch but `left`.
    #[cfg(test)]
    pub(crate) fn spend_nonces(&mut self, left: u32) {
        self.epochs.spend(left);
    }

    /// What became of the datagrams so far.
    pub fn traffic(&self) -> Traffic {
        Traffic { overflowed: self.cluster.overflows(), ..self.traffic }
    }
}
