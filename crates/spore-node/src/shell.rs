//! The loops that drive the engine.

mod api;
mod updates;

use crate::client::{self, Limits};
use crate::feed::Feed;
use crate::sprocket::{Caller, Crew, Entered, Handler};
use crate::system::{Named, System};
use core::cell::{Cell, RefCell};
use core::net::{SocketAddr, SocketAddrV4};
use core::task::Poll;
use edge_nal::{Readable, TcpConnect, UdpReceive, UdpSend};
use embassy_futures::poll_once;
use embassy_futures::select::{Either, select};
use embassy_futures::yield_now;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_sync::waitqueue::MultiWakerRegistration;
use embassy_time::{Duration, Timer};
use spore_core::improv::Improv;
use spore_core::network::RadioEvent;
use spore_core::node::StoreFailed;
use spore_core::ota::Refused;
use spore_core::security::Verdict;
use spore_core::store::MAX_VALUE;
use spore_core::tasks::{RunId, TaskRun};
use spore_core::time::Instant;
use spore_core::wire::MAX_DATAGRAM;
use spore_core::{
    Action, Completion, Config, Destination, Fetch, FetchFailed, Key, Node, Profile, Storage,
    Stored,
};

// A value is written where the next datagram will be.
const _: () = assert!(MAX_VALUE <= MAX_DATAGRAM);

/// Pause after a failed receive: the network is down, and time must bring it back.
const RECEIVE_PAUSE: Duration = Duration::from_millis(100);

/// Tasks that can wait for news of streams. Where there are more, each new one wakes the others in vain.
const READERS: usize = 4;

/// What is fetched of other members.
const STATUS: &str = "/api/node/status";

/// A node and the body that it runs in.
pub struct Shell<'a, S> {
    node: RefCell<Node<'a>>,
    system: S,
    crew: Crew<'a>,
    /// Raised whenever the engine took something in, so that [`drive`](Shell::drive) looks what it
    /// wants now.
    changed: Signal<NoopRawMutex, ()>,
    /// What [`fetch`](Shell::fetch) is to fetch. The engine asks for one at a time.
    wanted: Signal<NoopRawMutex, Fetch>,
    /// The tasks that are to be run by [`run_tasks`](Shell::run_tasks), a bit each.
    tasks: Cell<u16>,
    /// Raised when there is one more.
    tasked: Signal<NoopRawMutex, ()>,
    /// The image that comes over HTTP, from the connection to [`install`](Shell::install); raised when one begins, and when it
    /// is installed or refused, and what came of it.
    feed: Feed,
    coming: Signal<NoopRawMutex, ()>,
    installed: Signal<NoopRawMutex, Result<u32, Refused>>,
    /// Raised when the node has left the cluster.
    left: Signal<NoopRawMutex, ()>,
    /// The last event that streams were told of, how often they were told, and who waits for that.
    told: Cell<u32>,
    news: Cell<u32>,
    readers: RefCell<MultiWakerRegistration<READERS>>,
}

impl<'a, S: System> Shell<'a, S> {
    /// A node that starts now, with what the body has kept of its earlier lives, and with the sprockets of `crew`,
    /// whose roster is what `config` says of services, tasks and sprockets.
    pub fn new<P: Profile>(
        config: &Config,
        stored: &Stored<'_>,
        system: S,
        storage: &'a mut Storage<P>,
        crew: Crew<'a>,
    ) -> Self {
        let (facts, seed) = (system.facts(), system.seed());
        Self {
            node: RefCell::new(Node::new(now(), config, facts, stored, &seed, storage)),
            system,
            crew,
            changed: Signal::new(),
            wanted: Signal::new(),
            tasks: Cell::new(0),
            tasked: Signal::new(),
            feed: Feed::new(),
            coming: Signal::new(),
            installed: Signal::new(),
            left: Signal::new(),
            told: Cell::new(0),
            news: Cell::new(0),
            readers: RefCell::new(MultiWakerRegistration::new()),
        }
    }

    /// Looks at the node. No verb may be called through it: it is only lent.
    pub fn with_node<R>(&self, look: impl FnOnce(&Node<'a>) -> R) -> R {
        look(&self.node.borrow())
    }

    /// Takes datagrams from `socket`, one at a time in `buf`, which should hold
    /// [`MAX_DATAGRAM`](spore_core::wire::MAX_DATAGRAM) bytes; longer ones are cut and so refused.
    pub async fn listen(&self, mut socket: impl UdpReceive, buf: &mut [u8]) -> ! {
        loop {
            match socket.receive(buf).await {
                Ok((len, from)) => self.take(from, buf.get_mut(..len)),
                Err(_) => Timer::after(RECEIVE_PAUSE).await,
            }
            // A socket that is never empty must not keep the others from their turn.
            yield_now().await;
        }
    }

    /// Hands a datagram to the engine.
    fn take(&self, from: SocketAddr, datagram: Option<&mut [u8]>) {
        // The protocol is for IPv4.
        if let SocketAddr::V4(from) = from {
            self.node.borrow_mut().handle_datagram(now(), from, datagram.unwrap_or_default());
            self.node.borrow_mut().handle_elapsed(now());
            self.changed.signal(());
        }
    }

    /// Fetches the status of other members where the engine wants to know it: one at a time, each
    /// over a connection of its own, within [`Limits::STANDARD`]. `buf` holds at least
    /// [`client::BUFFER_LEN`] bytes.
    pub async fn fetch(&self, connector: impl TcpConnect, buf: &mut [u8]) -> ! {
        loop {
            let Fetch { address, .. } = self.wanted.wait().await;
            let take = |piece: &[u8]| self.node.borrow_mut().handle_fetched(piece);
            let limits = &Limits::STANDARD;
            let fetched = client::get(&connector, address, STATUS, limits, buf, take).await;
            let completion = Completion::Fetch(fetched.map_err(|_| FetchFailed));
            self.node.borrow_mut().handle_completion(now(), completion);
            self.changed.signal(());
        }
    }

    /// Runs the tasks of the program when the engine wants it, one after the other. With several of these
    /// at once, as many tasks run at the same time.
    pub async fn run_tasks(&self) -> ! {
        loop {
            let Some(index) = self.take_task() else {
                self.tasked.wait().await;
                continue;
            };
            let run = self.node.borrow().task_run(index);
            if let Some(run) = run {
                self.system.run_task(&run).await;
            }
            self.node.borrow_mut().handle_completion(now(), Completion::Ran(index));
            self.changed.signal(());
            // Tasks that are always due must not keep the others from their turn.
            yield_now().await;
        }
    }

    /// The first task that is to be run.
    fn take_task(&self) -> Option<u8> {
        let tasks = self.tasks.get();
        let rest = tasks & tasks.wrapping_sub(1);
        self.tasks.set(rest);
        if rest != 0 {
            self.tasked.signal(());
        }
        u8::try_from(tasks.trailing_zeros()).ok().filter(|_| tasks != 0)
    }

    /// Sends what the engine wants to send, does what it asks for, and wakes it at its deadlines.
    /// Datagrams are made in `buf`, which must hold
    /// [`MAX_DATAGRAM`](spore_core::wire::MAX_DATAGRAM) bytes; `broadcast` is where all nodes hear.
    pub async fn drive(
        &self,
        mut socket: impl UdpSend,
        broadcast: SocketAddrV4,
        buf: &mut [u8],
    ) -> ! {
        self.start_sprockets();
        loop {
            self.go_round(&mut socket, broadcast, buf).await;
            self.rest().await;
        }
    }

    /// [`drive`](Self::drive) and [`listen`](Self::listen) in one, with one buffer, for a body that is short of memory. What comes
    /// while it sends or acts waits in the socket, or is lost there.
    pub async fn converse(
        &self,
        (mut receiver, mut sender): (impl UdpReceive + Readable, impl UdpSend),
        broadcast: SocketAddrV4,
        buf: &mut [u8],
    ) -> ! {
        self.start_sprockets();
        loop {
            self.go_round(&mut sender, broadcast, buf).await;
            if matches!(select(self.rest(), receiver.readable()).await, Either::First(())) {
                continue;
            }
            if !self.take_ready(&mut receiver, buf) {
                Timer::after(RECEIVE_PAUSE).await;
            }
            // A socket that is never empty must not keep the others from their turn.
            yield_now().await;
        }
    }

    /// Takes a datagram if there is one: what has come may be nothing for the receiver, and others need the buffer. False if
    /// the network is down.
    fn take_ready(&self, receiver: &mut impl UdpReceive, buf: &mut [u8]) -> bool {
        match poll_once(receiver.receive(buf)) {
            Poll::Ready(Ok((len, from))) => self.take(from, buf.get_mut(..len)),
            Poll::Ready(Err(_)) => return false,
            Poll::Pending => (),
        }
        true
    }

    /// Does what the engine wants to be done and sent now.
    async fn go_round(&self, socket: &mut impl UdpSend, broadcast: SocketAddrV4, buf: &mut [u8]) {
        self.node.borrow_mut().handle_timeout(now());
        self.node.borrow_mut().handle_elapsed(now());
        self.act(buf).await;
        self.report();
        if !self.crew.is_deaf() {
            self.crew.hand_events(&self.node, self);
        }
        self.transmit(socket, broadcast, buf).await;
        let last = self.node.borrow().last_event();
        if self.told.replace(last) != last {
            self.wake_readers();
        }
        if self.node.borrow().has_left() {
            self.left.signal(());
        }
    }

    /// The body's radio has done something.
    pub fn handle_radio(&self, event: RadioEvent) {
        self.node.borrow_mut().handle_radio(now(), event);
        self.changed.signal(());
    }

    /// Takes credentials from whoever is at the node's serial line, as long as it has none that it would lose
    /// ([`Improv`]). What has come is asked from `read` often enough for a line of 115,200 bits per second that keeps 128 bytes.
    pub async fn improvise(&self, mut read: impl FnMut() -> Option<u8>, mut put: impl FnMut(u8)) {
        let mut improv = Improv::NEW;
        loop {
            let wanted = self.with_node(Node::wants_credentials);
            let mut told = false;
            while let Some(byte) = read() {
                improv.handle_byte(&mut self.node.borrow_mut(), now(), byte, &mut put);
                told = true;
            }
            if told {
                self.changed.signal(());
            }
            improv.handle_timeout(&self.node.borrow(), &mut put);
            if !wanted {
                return;
            }
            Timer::after_millis(10).await;
        }
    }

    /// Leaves the cluster, while [`drive`](Shell::drive) runs; see [`Node::leave`]. Afterwards the
    /// node is silent, and only a new start brings it back.
    pub async fn leave(&self) {
        self.node.borrow_mut().leave(now());
        self.changed.signal(());
        self.wake_readers();
        self.left.wait().await;
    }

    async fn act(&self, scratch: &mut [u8]) {
        loop {
            // The borrow must end before the await.
            let action = self.node.borrow_mut().poll_action(now());
            let completion = match action {
                None => break,
                Some(Action::Store(key)) => self.store(key, scratch).await,
                Some(Action::Fetch(fetch)) => {
                    // It takes seconds, in which everything else must go on.
                    self.wanted.signal(fetch);
                    continue;
                }
                Some(Action::RunTask(index)) if self.run_sprocket(index) => Completion::Ran(index),
                Some(Action::RunTask(index)) => {
                    self.tasks.set(self.tasks.get() | 1 << index);
                    self.tasked.signal(());
                    continue;
                }
                Some(Action::Verify(subject)) => {
                    let node = self.node.borrow();
                    let verdict = node.question(subject).map(|asked| self.system.verify(&asked));
                    Completion::Verify(subject, verdict.unwrap_or(Verdict::Unsigned))
                }
                Some(Action::Radio(command)) => {
                    self.system.radio(command, &self.node.borrow());
                    continue;
                }
                Some(Action::Update(step)) => {
                    Completion::Update(step, self.step(step, scratch).await)
                }
                Some(Action::Exchange(job)) => {
                    Completion::Exchange(self.exchange(job, scratch).await)
                }
                Some(Action::Restart) => self.system.restart().await,
            };
            self.node.borrow_mut().handle_completion(now(), completion);
        }
    }

    /// Starts all sprockets but those that the engine leaves out.
    fn start_sprockets(&self) {
        for (place, sprocket) in self.crew.roster().sprockets().iter().enumerate() {
            let restarts = self.system.restarts(Named { place, name: sprocket.name() });
            self.node.borrow_mut().blame_sprocket(place, restarts);
            self.enter(place, None, &mut |sprocket, node| sprocket.start(node));
        }
    }

    /// Runs a task of a sprocket; false if it is the body's.
    fn run_sprocket(&self, index: u8) -> bool {
        let Some(place) = self.crew.roster().whose_task(index.into()) else { return false };
        let run = self.node.borrow().task_run(index);
        if let Some(TaskRun { task, id, .. }) = run {
            let id = Some(id).filter(|_| task.is_clustered());
            self.enter(place, id, &mut |sprocket, node| sprocket.run(task.name(), node));
        }
        true
    }

    /// Has the sprocket at `place` do something, if it is running.
    fn enter(&self, place: usize, run: Option<RunId>, handler: Handler<'_>) -> Entered {
        self.crew.enter(&mut self.node.borrow_mut(), (place, run), self, handler)
    }

    /// Has the body keep a value, which is written to `scratch`.
    async fn store(&self, key: Key, scratch: &mut [u8]) -> Completion {
        let len = match key {
            Key::Crash => self.system.crashed(scratch),
            Key::Claim => {
                // Of what cannot be read now, the rest would be lost.
                let Some(len) = self.system.recall(key, scratch).await else {
                    return Completion::Store(key, Err(StoreFailed));
                };
                self.node.borrow().revise(scratch, len)
            }
            key => self.node.borrow().value(key, scratch),
        };
        let value = scratch.get(..len).unwrap_or_default();
        Completion::Store(key, self.system.store(key, value).await)
    }

    async fn transmit(&self, socket: &mut impl UdpSend, broadcast: SocketAddrV4, buf: &mut [u8]) {
        loop {
            let transmit = self.node.borrow_mut().poll_transmit(now(), buf);
            let Some(transmit) = transmit else { break };
            let to = match transmit.destination {
                Destination::Unicast(to) => to,
                Destination::Broadcast => broadcast,
            };
            if let Some(datagram) = buf.get(..transmit.len) {
                // A datagram that cannot be sent is lost, as others are on the air.
                let _ = socket.send(SocketAddr::V4(to), datagram).await;
            }
        }
    }

    fn report(&self) {
        loop {
            let event = self.node.borrow_mut().poll_event();
            let Some(event) = event else { break };
            self.system.report(event, &self.node.borrow());
        }
    }

    /// Lets streams look what there is.
    fn wake_readers(&self) {
        self.news.set(self.news.get().wrapping_add(1));
        self.readers.borrow_mut().wake();
    }

    /// Waits until the engine has something to do.
    async fn rest(&self) {
        let deadline = self.node.borrow().poll_timeout();
        match deadline {
            Some(at) => {
                let at = embassy_time::Instant::from_micros(at.as_micros());
                select(self.changed.wait(), Timer::at(at)).await;
            }
            None => self.changed.wait().await,
        }
    }
}

impl<S: System> Caller for Shell<'_, S> {
    fn now(&self) -> Instant {
        now()
    }

    fn guard(&self, sprocket: Named, handler: &mut dyn FnMut()) -> Result<(), &'static str> {
        self.system.guard(sprocket, handler)
    }
}

fn now() -> Instant {
    Instant::from_micros(embassy_time::Instant::now().as_micros())
}
