//! The loops that drive the engine.

use crate::ServiceReply;
use crate::client::{self, Limits};
use crate::exchange;
use crate::feed::{Feed, Source};
use crate::http::Api;
use crate::slots::{self, Slots};
use crate::sprocket::{Call, Caller, Crew, Entered, Handler, Reply};
use crate::system::{Named, System};
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
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
use spore_core::api::{Body, Called, Error, Request, Response};
use spore_core::crash::CrashRecord;
use spore_core::network::RadioEvent;
use spore_core::ota::{Done, ImageId, Job, PIECE, Refused, Step, StepFailed};
use spore_core::security::Verdict;
use spore_core::store::MAX_VALUE;
use spore_core::tasks::{RunId, TaskRun};
use spore_core::time::Instant;
use spore_core::wire::MAX_DATAGRAM;
use spore_core::{
    Action, Completion, Config, Destination, Fetch, FetchFailed, Key, Node, Profile, Storage,
    Stored,
};
use spore_image::{HEAD, Head, SignatureError};

// A value is written where the next datagram will be.
const _: () = assert!(MAX_VALUE <= MAX_DATAGRAM);

/// Pause after a failed receive: the network is down, and time must bring it back.
const RECEIVE_PAUSE: Duration = Duration::from_millis(100);

/// Tasks that can wait for news of streams. Where there are more, each new one wakes the others in vain.
const READERS: usize = 4;

/// About so many datagrams wait on a board.
const WAITING: usize = 4;

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

    /// Installs the images that come over HTTP, one after the other.
    pub async fn install(&self) -> ! {
        loop {
            self.coming.wait().await;
            let result = self.install_one().await;
            self.feed.close();
            self.installed.signal(result);
        }
    }

    async fn install_one(&self) -> Result<u32, Refused> {
        let slots = self.system.slots().ok_or(Refused::Flash)?;
        let wanted = self.node.borrow().upload().ok_or(Refused::Incomplete)?;
        let verify = |head: &Head| self.verify(head);
        let told = |received, length| {
            self.node.borrow_mut().handle_upload(now(), received, length);
            self.changed.signal(());
        };
        let wanted = (self.system.facts().board, wanted);
        let source = Source(&self.feed);
        let received = slots::receive::<S::Layout, _>(slots, source, wanted, verify, told).await;
        let (number, image) = received?;
        // It is read back, and started, where there is the stack for that.
        let slots = self.system.slots().ok_or(Refused::Flash)?;
        let finish = || slots::finish::<S::Layout, _>(slots, image, wanted);
        self.system.complete(finish).await.unwrap_or(Err(Refused::Flash)).map(|()| number)
    }

    /// Does with the slots what the engine asks for.
    async fn step(&self, step: Step, scratch: &mut [u8]) -> Result<(), StepFailed> {
        let image = self.node.borrow().image().ok_or(StepFailed)?;
        let slots = self.system.slots().ok_or(StepFailed)?;
        if step == Step::Arm {
            return self.arm(slots, scratch).await;
        }
        let job = || slots::step::<S::Layout, _>(slots, image, step);
        self.system.complete(job).await.unwrap_or(Err(StepFailed))?;
        if step == Step::GiveUp {
            self.system.restart().await;
        }
        Ok(())
    }

    /// Puts the image of a rollout on trial.
    async fn arm(&self, slots: Slots<S::Flash>, scratch: &mut [u8]) -> Result<(), StepFailed> {
        let image = self.node.borrow().rollout_image().ok_or(StepFailed)?.digest;
        let verdict = self.judge(slots, image, scratch).await;
        let slots = self.system.slots().ok_or(StepFailed)?;
        let wanted = (self.system.facts().board, self.node.borrow().wanted_image());
        let job = || slots::arm::<S::Layout, _>(slots, image, wanted, |_| verdict);
        self.system.complete(job).await.unwrap_or(Err(StepFailed))
    }

    /// Whether the release key has signed the image that is coming, as far as its head is there, which goes through `scratch`. Apart from
    /// what needs to know: on a board each of both takes a stack of its own.
    async fn judge(
        &self,
        slots: Slots<S::Flash>,
        image: ImageId,
        scratch: &mut [u8],
    ) -> Result<(), SignatureError> {
        let room = scratch.first_chunk_mut::<HEAD>().ok_or(SignatureError::Unsigned)?;
        let read = || slots::head::<S::Layout, _>(slots, image, room);
        if self.system.complete(read).await != Some(true) {
            return Err(SignatureError::Unsigned);
        }
        let head = scratch.first_chunk().and_then(|bytes| Head::decode(bytes).ok());
        head.map_or(Err(SignatureError::Unsigned), |head| self.verify(&head))
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

    /// Does a job of the exchange of images; a piece goes through `scratch`.
    async fn exchange(&self, job: Job, scratch: &mut [u8]) -> Done {
        // While the flash works, a board hears nothing, and has room for a few datagrams. Pieces that it has no
        // use for must not take that from pings, so what waits is taken in first.
        for _ in 0..WAITING {
            yield_now().await;
        }
        let slots = self.system.slots();
        let Some(mut slots) = slots else { return job.failed() };
        let mut verdict = Err(SignatureError::Unsigned);
        if let Job::Prepare(image) = job {
            verdict = self.judge(slots, image, scratch).await;
            match self.system.slots() {
                Some(again) => slots = again,
                None => return job.failed(),
            }
        }
        let Some(buf) = scratch.first_chunk_mut::<PIECE>() else { return job.failed() };
        let (wanted, piece) = {
            let node = self.node.borrow();
            let (number, bytes) = node.piece();
            buf.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            (node.wanted_image(), (number, bytes.len()))
        };
        let wanted = (self.system.facts().board, wanted);
        let work = || exchange::work::<S::Layout, _>(slots, job, wanted, piece, buf, |_| verdict);
        let Some((done, read)) = self.system.complete(work).await else { return job.failed() };
        if let (Job::Read { piece, .. }, Some(bytes)) = (job, buf.get(..read)) {
            self.node.borrow_mut().handle_piece(piece, bytes);
        }
        done
    }

    /// Whether the release key has signed an image.
    fn verify(&self, head: &Head) -> Result<(), SignatureError> {
        let key = self.node.borrow().settings().release_key;
        let key = key.ok_or(SignatureError::Unsigned)?;
        self.system.verify_image(head, &key)
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
            key => self.node.borrow().value(key, scratch),
        };
        let value = scratch.get(..len).unwrap_or_default();
        Completion::Store(key, self.system.store(key, value).await)
    }

    /// The record of the last crash, also if it could not be stored.
    async fn crash(&self, reply: &mut [u8]) -> ServiceReply {
        let mut len = self.system.crashed(reply);
        if len == 0 {
            len = self.system.recall(Key::Crash, reply).await;
        }
        match CrashRecord::value_to_json(reply, len) {
            Some(len) => ServiceReply { status: 200, content_type: ServiceReply::JSON, len },
            None => ServiceReply::error(Error::NoCrash, reply),
        }
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

impl<S: System> Api for Shell<'_, S> {
    fn handle(&self, request: &Request<'_>) -> Response {
        let mut node = self.node.borrow_mut();
        node.handle_resources(self.system.resources());
        let response = node.handle_request(now(), request);
        self.changed.signal(());
        response
    }

    fn handle_head(&self, request: &Request<'_>) -> Option<Response> {
        let response = self.node.borrow_mut().handle_head(now(), request);
        self.changed.signal(());
        response
    }

    fn takes_upload(&self, request: &Request<'_>) -> bool {
        self.node.borrow().takes_upload(request)
    }

    fn begin_upload(&self) {
        self.feed.open();
        self.installed.reset();
        self.coming.signal(());
    }

    async fn feed(&self, piece: &[u8]) -> bool {
        self.feed.put(piece).await
    }

    async fn finish_upload(&self, whole: bool) -> Response {
        self.feed.end(whole);
        let result = self.installed.wait().await;
        // What is wrong with an image that ends too early is that it ended.
        let cut = !whole && result == Err(Refused::Length);
        let result = if cut { Err(Refused::Incomplete) } else { result };
        let response = self.node.borrow_mut().handle_installed(now(), result);
        self.changed.signal(());
        response
    }

    fn poll_response(&self, response: &mut Response) -> bool {
        let decided = self.node.borrow_mut().poll_response(now(), response);
        if decided {
            self.changed.signal(());
        }
        decided
    }

    async fn call(&self, called: &Called<'_>, reply: &mut [u8]) -> ServiceReply {
        let Called::Service(request) = called else { return self.crash(reply).await };
        let roster = self.crew.roster();
        if let Some(place) = roster.whose_service(request.service) {
            let Some(service) = roster.catalogue().services().get(request.service) else {
                return ServiceReply::error(Error::NotFound, reply);
            };
            let (call, mut answer) = (Call::new(service.name(), request), Reply::new(reply));
            let entered = self
                .enter(place, None, &mut |sprocket, node| sprocket.call(&call, node, &mut answer));
            self.changed.signal(());
            return match entered {
                Entered::Done => answer.end(),
                Entered::Failed => ServiceReply::error(Error::SprocketFailed, reply),
                Entered::Stopped => ServiceReply::error(Error::SprocketStopped, reply),
            };
        }
        // The node cannot be lent out while the service works.
        let Some(hostname) = self.node.borrow().hostname().cloned() else {
            return ServiceReply::error(Error::NotFound, reply);
        };
        self.system.call(&hostname, request, reply).await
    }

    fn handle_called(&self, status: u16) {
        self.node.borrow_mut().handle_called(status);
    }

    fn poll_body(&self, body: &mut Body, buf: &mut [u8]) -> usize {
        self.node.borrow().poll_body(now(), body, buf)
    }

    fn poll_stream(&self, query: &str, body: &mut Body, buf: &mut [u8]) -> Option<usize> {
        self.node.borrow().poll_stream(query, body, buf)
    }

    async fn stream_changed(&self) {
        let seen = self.news.get();
        poll_fn(|context| {
            if self.news.get() != seen {
                return Poll::Ready(());
            }
            self.readers.borrow_mut().register(context.waker());
            Poll::Pending
        })
        .await;
    }
}

fn now() -> Instant {
    Instant::from_micros(embassy_time::Instant::now().as_micros())
}
