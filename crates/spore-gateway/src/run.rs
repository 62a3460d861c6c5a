//! The gateway with sockets, threads and a clock.

use crate::api::Api;
use crate::bridge::{Bridge, Message};
use crate::broker::{Broker, Link, Said};
use crate::feeds::{self, Input, Live};
use crate::history::History;
use crate::mdns::Announcer;
use crate::metrics;
use crate::remembered::Remembered;
use crate::scrape::{self, Page};
use crate::state::OFFLINE;
use crate::topics::{Name, Source};
use anyhow::{Context as _, Result};
use log::{info, warn};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What the operator sets.
pub struct Gateway {
    /// What the cluster is called on the broker.
    pub name: Name,
    /// Of which other clusters on the broker events are taken.
    pub sources: Vec<Source>,
    /// Where the API of the gateway's own node is: an address with a port.
    pub node: String,
    /// How nodes are asked.
    pub api: Arc<dyn Api>,
    /// Where the broker is; without one, nothing is bridged.
    pub broker: Option<Broker>,
    /// Whether Home Assistant is told what there is.
    pub home_assistant: bool,
    /// How often each member is asked what it is.
    pub interval: Duration,
    /// Which events were sent; without a file of that, those that the cluster still has are sent again after a restart.
    pub remembered: Option<Remembered>,
    /// Where it is written down what has become of the cluster.
    pub history: Option<History>,
    /// Where Prometheus asks.
    pub metrics: Option<TcpListener>,
    /// In the network of which address members are announced.
    pub announce: Option<Ipv4Addr>,
}

/// What waits to be handled.
const INPUTS: usize = 256;
/// Calls of services that wait for those before.
const CALLS: usize = 16;
/// Between two looks at the clock.
const TICK: Duration = Duration::from_millis(200);
/// Between two attempts to reach the broker, at first and at last.
const RECONNECT: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(15)];
/// Before a busy cluster is asked again.
const RETRY: Duration = Duration::from_millis(500);
/// A gateway that has met nobody for so long is alone.
const ALONE: Duration = Duration::from_secs(30);
/// How often metrics and names are brought up to date.
const SHOW: Duration = Duration::from_secs(1);
/// How long the broker may take at the end.
const GOODBYE: Duration = Duration::from_secs(2);

/// Runs the gateway on this thread until `stop` is set; then it says goodbye to the broker.
pub fn run(mut gateway: Gateway, stop: &AtomicBool) -> Result<()> {
    let sent = gateway.remembered.as_ref().map(|it| it.sent().clone()).unwrap_or_default();
    let (to, inputs) = sync_channel(INPUTS);
    let (calls, waiting) = sync_channel(CALLS);
    let live = Live::default();
    let Gateway { node, interval, .. } = &gateway;
    let (node, interval) = (node.clone(), *interval);
    let own = node.clone();
    start("watch", &gateway, &to, move |api, to| feeds::watch(api, &own, to))?;
    if gateway.broker.is_some() || gateway.history.is_some() {
        let own = node.clone();
        start("follow", &gateway, &to, move |api, to| feeds::follow(api, &own, to))?;
    }
    let members = Arc::clone(&live);
    start("ask", &gateway, &to, move |api, to| feeds::ask(api, &node, &members, interval, to))?;
    start("call", &gateway, &to, move |api, to| feeds::call(api, &waiting, to))?;
    let page = Page::default();
    if let Some(listener) = gateway.metrics.take() {
        let page = Arc::clone(&page);
        let thread = thread::Builder::new().name("metrics".to_owned());
        let serve = move || scrape::serve(listener, &page).map(drop);
        thread.spawn(serve).context("cannot start a thread")?;
    }
    let announcer =
        gateway.announce.map(|address| Announcer::new(address, &gateway.name.to_string()));
    let bridge = Bridge::new(
        gateway.name.clone(),
        std::mem::take(&mut gateway.sources),
        gateway.home_assistant,
        sent,
    );
    let mut machine = Loop {
        bridge,
        link: None,
        number: 0,
        own: None,
        reconnect: (Instant::now(), RECONNECT[0]),
        retry: Instant::now(),
        live,
        page,
        announcer: announcer.transpose()?,
        shown: Instant::now(),
        started: Instant::now(),
        to,
        calls,
        gateway,
    };
    machine.run(&inputs, stop)
}

/// Starts a thread that asks nodes.
fn start(
    name: &str,
    gateway: &Gateway,
    to: &SyncSender<Input>,
    work: impl FnOnce(&dyn Api, &SyncSender<Input>) + Send + 'static,
) -> Result<()> {
    let (api, to) = (Arc::clone(&gateway.api), to.clone());
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(move || work(&*api, &to)).context("cannot start a thread")?;
    Ok(())
}

struct Loop {
    gateway: Gateway,
    bridge: Bridge,
    link: Option<Link>,
    /// Of the last connection.
    number: u64,
    /// The id of the gateway's own node.
    own: Option<String>,
    /// When to try again, and how long to wait after that.
    reconnect: (Instant, Duration),
    /// When a busy cluster is asked again.
    retry: Instant,
    live: Live,
    page: Page,
    announcer: Option<Announcer>,
    /// When metrics and names were brought up to date.
    shown: Instant,
    started: Instant,
    to: SyncSender<Input>,
    calls: SyncSender<crate::bridge::Call>,
}

impl Loop {
    fn run(&mut self, inputs: &Receiver<Input>, stop: &AtomicBool) -> Result<()> {
        while !stop.load(Ordering::Relaxed) {
            match inputs.recv_timeout(TICK) {
                Ok(input) => self.handle(input),
                Err(RecvTimeoutError::Timeout) => (),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.connect();
            self.bridge.look(Instant::now());
            self.order();
            self.send();
            self.show();
            if let Some(remembered) = &mut self.gateway.remembered {
                remembered.keep(self.bridge.sent(), Instant::now());
            }
        }
        self.goodbye(inputs);
        if let Some(announcer) = self.announcer.take() {
            announcer.end();
        }
        if let Some(history) = self.gateway.history.take() {
            history.end();
        }
        match &mut self.gateway.remembered {
            Some(remembered) => remembered.write(self.bridge.sent()),
            None => Ok(()),
        }
    }

    fn handle(&mut self, input: Input) {
        let now = Instant::now();
        match input {
            Input::Cluster(members, services, update) => {
                let own = members.members.iter().find(|member| member.is_self());
                self.own = own.map(|own| own.id.clone()).or_else(|| self.own.take());
                self.bridge.learn(|cluster| {
                    cluster.members(members, now);
                    cluster.services(services);
                    cluster.rollout(update);
                });
                let nodes = self.bridge.cluster().nodes();
                let live = nodes
                    .filter(|(_, node)| node.member.is_live())
                    .map(|(id, node)| (id.to_owned(), (node.member.api(), node.member.rtt_us)));
                *self.live.lock().unwrap_or_else(PoisonError::into_inner) = live.collect();
            }
            Input::Witness(list) => self.bridge.learn(|cluster| cluster.witness(list, now)),
            Input::Figures(id, figures) => {
                self.bridge.learn(|cluster| cluster.figures(&id, *figures));
            }
            Input::Event(frame) => {
                if let Some(history) = &mut self.gateway.history {
                    history.event(&frame);
                }
                if self.gateway.broker.is_some() {
                    self.bridge.event(&frame, Instant::now());
                }
            }
            Input::Answer(member, service, status, body) => {
                self.bridge.answer(&member, &service, status, &body);
            }
            Input::Broker(number, said) if number == self.number => self.heard(said),
            Input::Broker(..) => (),
        }
    }

    fn heard(&mut self, said: Said) {
        match said {
            Said::Connected => {
                info!("connected to the broker");
                self.reconnect.1 = RECONNECT[0];
                let own = self.own.clone().unwrap_or_default();
                self.bridge.connected(&own, Instant::now());
                let filters = self.bridge.topics().filters();
                if let Some(Err(error)) = self.link.as_ref().map(|link| link.subscribe(&filters)) {
                    self.lost(&error.to_string());
                }
            }
            Said::Acknowledged => self.bridge.acknowledged(),
            Said::Message { topic, payload, stale } => {
                let Some(call) = self.bridge.message(&topic, &payload, stale, Instant::now())
                else {
                    return;
                };
                if let Err(TrySendError::Full(call) | TrySendError::Disconnected(call)) =
                    self.calls.try_send(call)
                {
                    let why = "too many calls wait";
                    self.bridge.answer(&call.member, &call.service, 503, why);
                }
            }
            Said::Closed(why) => self.lost(&why),
        }
    }

    fn lost(&mut self, why: &str) {
        let Some(Broker { host, port, .. }) = &self.gateway.broker else { return };
        let (_, pause) = self.reconnect;
        warn!(
            "no connection to the broker {host}:{port}: {why}; trying again in {} s",
            pause.as_secs()
        );
        self.link = None;
        self.bridge.disconnected();
        self.reconnect = (Instant::now() + pause, (pause * 2).min(RECONNECT[1]));
    }

    /// Connects to the broker, if there is no connection and it is time.
    fn connect(&mut self) {
        let (Some(broker), Some(own)) = (&self.gateway.broker, &self.own) else { return };
        if self.link.is_some() || Instant::now() < self.reconnect.0 {
            return;
        }
        self.number += 1;
        let id = format!("spore-{}-{own}", self.gateway.name);
        let will = self.bridge.topics().gateway();
        match Link::open(broker, &id, &will, (self.number, self.to.clone())) {
            Ok(link) => self.link = Some(link),
            Err(error) => self.lost(&format!("{error:#}")),
        }
    }

    /// Publishes in the cluster what came from the broker.
    fn order(&mut self) {
        while let Some(body) = self.bridge.order().filter(|_| Instant::now() >= self.retry) {
            let (api, node) = (&self.gateway.api, &self.gateway.node);
            let at_once = match api.send(node, "POST", "/api/events", body.as_bytes()) {
                Ok(answer) => self.bridge.ordered(&answer),
                Err(error) => {
                    warn!("the gateway's node does not answer: {error:#}");
                    false
                }
            };
            if !at_once {
                self.retry = Instant::now() + RETRY;
            }
        }
    }

    fn send(&mut self) {
        let Some(link) = &self.link else { return };
        let Some(message) = self.bridge.next() else { return };
        if let Err(error) = link.send(&message) {
            self.lost(&error.to_string());
        }
    }

    /// Brings metrics and names up to date.
    fn show(&mut self) {
        if self.shown.elapsed() < SHOW {
            return;
        }
        self.shown = Instant::now();
        if !self.bridge.cluster().is_settled() && self.started.elapsed() >= ALONE {
            let now = self.shown;
            self.bridge.learn(|cluster| cluster.settle(now));
        }
        if let Some(history) = &mut self.gateway.history {
            history.look(self.bridge.cluster());
        }
        let text = metrics::text(&self.bridge, self.shown);
        *self.page.lock().unwrap_or_else(PoisonError::into_inner) = text;
        if let Some(announcer) = &mut self.announcer {
            announcer.update(self.bridge.cluster());
        }
    }

    /// Tells the broker that the gateway goes.
    fn goodbye(&mut self, inputs: &Receiver<Input>) {
        let Some(link) = self.link.take().filter(|_| self.bridge.is_connected()) else { return };
        let until = Instant::now() + GOODBYE;
        if !self.bridge.speaks() {
            return end(link, inputs, until);
        }
        // What is under way comes first, so that the next acknowledgement is that of the last message.
        let topic = self.bridge.topics().gateway();
        let last = Message { topic, payload: OFFLINE.into(), retained: true };
        let mut awaited = 1 + usize::from(self.bridge.is_waiting());
        if link.send(&last).is_ok() {
            while awaited > 0 && Instant::now() < until {
                match inputs.recv_timeout(TICK) {
                    Ok(Input::Broker(number, Said::Acknowledged)) if number == self.number => {
                        self.bridge.acknowledged();
                        awaited -= 1;
                    }
                    Ok(Input::Broker(number, Said::Closed(_))) if number == self.number => return,
                    _ => (),
                }
            }
        }
        end(link, inputs, until);
    }
}

/// Closes the connection, and waits for that: the client does it on a thread of its own.
fn end(link: Link, inputs: &Receiver<Input>, until: Instant) {
    link.close();
    while Instant::now() < until {
        if let Ok(Input::Broker(_, Said::Closed(_))) = inputs.recv_timeout(TICK) {
            return;
        }
    }
}
