//! [`Node`]: the engine behind its verbs.

mod crash;
mod events;
mod radio;
mod requests;
mod rollout;
mod tasks;
mod types;
mod updates;
mod view;

use crate::api::{Answers, Assets};
use crate::cluster::{Cluster, Refused};
use crate::config::{Config, Facts};
use crate::crash::SAFE_AFTER;
use crate::network::{Around, Network, Seen};
use crate::ota::Updates;
use crate::profile::{List as _, Profile, Storage};
use crate::security::{
    Epochs, Identity, Keyring, OpenError, Question, RequestNonces, Sealer, Seed, Subject,
};
use crate::services::Catalogue;
use crate::services::poller::Poller;
use crate::settings::change::{Keeper, Step};
use crate::settings::{Claim, Settings};
use crate::sprockets::Sprockets;
use crate::store::{Key, Stored};
use crate::tasks::scheduler::Scheduler;
use crate::tasks::system::System;
use crate::time::{Instant, earliest};
use crate::wire::Message;
use core::net::SocketAddrV4;
use crash::Crashes;
use events::Refusals;
use heapless::VecView;

pub use types::{
    Action, Completion, Destination, Event, Resources, StoreFailed, Traffic, Transmit,
};

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
    pub(crate) poller: &'a mut Poller,
    /// Whose the node is was lost.
    claim_damaged: bool,
    /// `None` while the node is unclaimed, or its claim is damaged.
    pub(crate) keys: Option<Keyring>,
    pub(crate) request_nonces: &'a mut RequestNonces,
    pub(crate) settings: &'a mut Keeper,
    pub(crate) network: &'a mut Network,
    /// What networks a scan has found, strongest first.
    pub(crate) seen: &'a mut VecView<Seen>,
    pub(crate) tasks: Scheduler<'a>,
    pub(crate) answers: Answers,
    pub(crate) sprockets: Sprockets<'a>,
    pub(crate) crashes: Crashes,
    pub(crate) updates: Updates,
    restart: Option<Instant>,
    refusals: Refusals,
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
        let claim = Claim::restore(stored);
        let keys = claim.as_ref().and_then(|claim| Keyring::new(claim, config.key.as_ref()));
        let tasks = Scheduler::new(now, config.tasks, stored.tasks, &mut storage.tasks);
        let storages = (&mut storage.cluster, &mut storage.events);
        let peers = stored.peers;
        let mut cluster = Cluster::new(now, config, identity, tokens, rng.fork(), peers, storages);
        cluster.restore_rollout(now, stored);
        let settings = storage.settings.put(|| Keeper::new(Settings::restore(stored)));
        if let Some(hostname) = &settings.current().hostname {
            cluster.set_hostname(hostname);
        }
        let poller = storage.poller.put(|| Poller::new(now, rng.fork()));
        let network = storage
            .network
            .put(|| Network::new(now, (config.radio.as_ref(), claim.as_ref()), stored.network));
        let seen = storage.networks.view();
        seen.clear();
        network.start(&mut Around { now, cluster: &mut cluster, rng: &mut rng, seen });
        let sprockets = Sprockets::new(config.sprockets, stored.sprockets, &mut storage.sprockets);
        cluster.offer(tasks::offered(config.services, &tasks, &sprockets));
        tasks::pace_system(now, &tasks, &mut cluster, poller);
        let mut node = Self {
            facts,
            resources: Resources::default(),
            started: now,
            cluster,
            catalogue: config.services,
            assets: config.assets,
            poller,
            claim_damaged: claim.is_none(),
            keys,
            request_nonces: storage.request_nonces.put(|| RequestNonces::new(seed)),
            settings,
            network,
            seen,
            tasks,
            answers: Answers::default(),
            sprockets,
            crashes: Crashes::new(stored, facts.crashes >= SAFE_AFTER),
            updates: Updates::new(now, facts.image, stored.update),
            restart: None,
            refusals: Refusals::default(),
            epochs,
            rng,
            traffic: Traffic::default(),
        };
        let own = node.own_update();
        node.cluster.start_rollout(now, &own);
        if node.is_safe() {
            node.enter_safe_mode(now);
        }
        node
    }

    /// A UDP datagram came in. It is opened in place. A node that leaves takes in no more.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddrV4, datagram: &mut [u8]) {
        let traffic = &mut self.traffic;
        let Some(keys) = &mut self.keys else {
            traffic.unauthentic = traffic.unauthentic.saturating_add(1);
            return;
        };
        let is_away = self.cluster.is_leaving() || !self.network.is_connected();
        if !self.epochs.is_ready() || is_away {
            return;
        }
        let opened = keys.open(now, datagram);
        if keys.take_switched() {
            self.cluster.doubt_ends();
        }
        let outcome = match opened {
            Err(OpenError::Truncated | OpenError::Version | OpenError::Unauthentic) => {
                &mut traffic.unauthentic
            }
            Ok((true, header, _)) => {
                self.cluster.tell_of_key(now, header.sender, from);
                &mut traffic.unverified
            }
            Ok((false, header, message)) => match Message::parse(message, header.sender) {
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
                    self.cluster.rollout.reconsider(now);
                }
            }
            Completion::Store(Key::Sprockets, result) => {
                let ended = self.sprockets.stored(now, result.is_ok());
                self.put_off_restart(now, ended.is_some());
            }
            Completion::Verify(Subject::Plan, verdict) => {
                self.cluster.rollout.verified(now, verdict);
            }
            Completion::Verify(Subject::Successor, verdict) => {
                let ended = self.settings.verified(now, verdict);
                self.put_off_restart(now, ended.is_some());
            }
            Completion::Store(Key::Peers, result) => self.cluster.stored_peers(now, result.is_ok()),
            Completion::Store(Key::Network, result) => self.network.stored(now, result.is_ok()),
            Completion::Store(Key::Tasks, result) => self.stored_tasks(now, result.is_ok()),
            Completion::Store(Key::Crash, result) => self.crashes.stored(now, result.is_ok()),
            Completion::Store(Key::Update, result) => self.updates.stored(now, result.is_ok()),
            Completion::Store(Key::Rollout, result) => self.stored_rollout(now, result.is_ok()),
            Completion::Store(Key::Claim, result) => {
                if let Some(keys) = &mut self.keys {
                    keys.stored(now, result.is_ok());
                    self.put_off_restart(now, true);
                }
            }
            Completion::Ran(index) => self.ran(now, index),
            Completion::Update(step, result) => self.stepped(now, step, result),
            Completion::Exchange(done) => self.exchanged(now, done),
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
        self.cluster.set_services(tasks::offered(catalogue, &self.tasks, &self.sprockets));
    }

    /// Writes the bytes that `key` is to have into `buf`, which must hold
    /// [`MAX_VALUE`](crate::store::MAX_VALUE) bytes. Returns how many there are: none of
    /// [`Key::Crash`], of which the body has them.
    pub fn value(&self, key: Key, buf: &mut [u8]) -> usize {
        match key {
            Key::Identity => self.epochs.to_store().map_or(0, |identity| identity.encode(buf)),
            Key::Peers => self.cluster.peers_value(buf),
            Key::Network => self.network.value(buf),
            Key::Sprockets => self.sprockets.value(buf),
            Key::Settings => self.settings.to_store().map_or(0, |settings| settings.encode(buf)),
            Key::Tasks => self.tasks.encode(buf),
            Key::Update => self.update_value(buf),
            Key::Rollout => self.cluster.rollout.value(buf),
            Key::Claim => self.revise(buf, 0),
            Key::Crash => 0,
        }
    }

    /// Rewrites the value of [`Key::Claim`], the first `len` bytes of `buf`, into what it is to be; `buf` must hold
    /// [`MAX_VALUE`](crate::store::MAX_VALUE) bytes. Returns its length. Of a claim the engine remembers the keys alone, so the body MUST bring
    /// what is stored, unless it knows that no claim ever was.
    pub fn revise(&self, buf: &mut [u8], len: usize) -> usize {
        let mut claim = buf.get(..len).and_then(Claim::decode).unwrap_or_default();
        if let Some(keys) = &self.keys {
            keys.revise(&mut claim);
        }
        claim.encode(buf)
    }

    /// What [`Action::Verify`] is about; `None` if nothing is asked about this.
    pub fn question(&self, subject: Subject) -> Option<Question<'_>> {
        match subject {
            Subject::Successor => self.settings.to_verify().map(Question::Successor),
            Subject::Plan => {
                let key = self.settings.current().release_key?;
                self.cluster.rollout.to_verify().map(|plan| Question::Plan(key, plan))
            }
        }
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
        self.judge_image(now);
        self.follow_rollout(now);
        if self.is_talking() {
            self.time_out(now);
            self.notice(now);
        }
    }

    /// Lets the poller see what has changed, and others hear what is to be told.
    fn notice(&mut self, now: Instant) {
        self.tell_of_crash(now);
        self.judge_image(now);
        self.follow_rollout(now);
        let (directory, members) = self.cluster.directory();
        self.poller.notice(now, directory, members);
    }

    /// Whether it has a key to talk with, nonces, and a network.
    fn is_talking(&self) -> bool {
        self.keys.is_some() && self.epochs.is_ready() && self.network.is_connected()
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
        let (crashes, updates) = (self.crashes.poll_timeout(), self.updates.poll_timeout());
        let rollout = self.cluster.rollout.poll_timeout().filter(|_| !self.cluster.is_leaving());
        let keys = self.keys.as_ref().and_then(Keyring::poll_timeout);
        earliest(&[
            cluster, epochs, poller, restart, settings, network, tasks, sprockets, crashes,
            updates, rollout, keys,
        ])
    }

    /// Writes the next datagram that is due into `buf`, which should hold
    /// [`MAX_DATAGRAM`](crate::wire::MAX_DATAGRAM) bytes.
    pub fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        if !self.is_talking() {
            return None;
        }
        let sealer = self.keys.as_ref()?.sealer();
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
                Step::Verify => Action::Verify(Subject::Successor),
                Step::Store => Action::Store(Key::Settings),
            });
        }
        if self.keys.as_mut().is_some_and(|keys| keys.poll_store(now)) {
            return Some(Action::Store(Key::Claim));
        }
        if self.tasks.poll_store(now) {
            return Some(Action::Store(Key::Tasks));
        }
        if self.sprockets.poll_store(now) {
            return Some(Action::Store(Key::Sprockets));
        }
        if self.updates.poll_store(now) {
            return Some(Action::Store(Key::Update));
        }
        if let Some(step) = self.updates.poll_step(now) {
            return Some(Action::Update(step));
        }
        if let Some(action) = self.poll_rollout(now) {
            return Some(action);
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
        if self.crashes.poll_store(now) {
            return Some(Action::Store(Key::Crash));
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
        if let Some(job) = self.cluster.exchange.poll_job(now) {
            return Some(Action::Exchange(job));
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
        let rollout = self.cluster.rollout.is_changing();
        let settings = self.settings.is_changing() || self.sprockets.is_changing();
        let keys = self.keys.as_ref().is_some_and(|keys| !keys.is_stored());
        settings || self.tasks.is_changing() || rollout || keys
    }

    /// Uses up all nonces of the present epoch but `left`.
    #[cfg(test)]
    pub(crate) fn spend_nonces(&mut self, left: u32) {
        self.epochs.spend(left);
    }
}
