//! [`Bench`]: one sprocket on a real engine, without network and clock, for tests.

use super::crew::{Caller, Crew, Handler};
use super::{Call, Method, Reply, Sprocket, Sprockets};
use crate::Named;
use core::cell::RefCell;
use core::net::Ipv4Addr;
use spore_core::api::{Assets, MIN_PIECE};
use spore_core::config::{Config, DEFAULT_PORT, Timing};
use spore_core::events::{Filter, Scope};
use spore_core::profile::Esp01;
use spore_core::sprockets::Value;
use spore_core::tasks::RunId;
use spore_core::time::{Duration, Instant};
use spore_core::wire::{EventRecord, U24};
use spore_core::{
    Action, ClusterKey, Completion, Facts, FetchFailed, Hostname, Node, Seed, Storage, Stored,
};

/// The memory that a [`Bench`] needs: that of a board, empty at first.
pub type Memory = Storage<Esp01>;

/// A sprocket on a node that is alone, in a time that passes only when it is told to. Handlers are called as
/// they are on a real node; what they panic with goes through.
///
/// ```
/// use spore_node::sprocket::{Bench, Manifest, Memory, NodeContext, Sprocket};
///
/// struct Hello;
///
/// impl Sprocket for Hello {
///     const MANIFEST: Manifest = Manifest::new("hello");
///
///     fn start(&mut self, node: &mut NodeContext<'_>) {
///         node.publish("hello/world", "I am here");
///     }
/// }
///
/// let mut memory = Memory::NEW;
/// let mut bench = Bench::new(&mut memory, Hello);
/// assert_eq!(bench.last("hello/+"), Some("I am here".into()));
/// ```
pub struct Bench<'a, S> {
    node: RefCell<Node<'a>>,
    sprocket: (S,),
    heard: u32,
    now: Instant,
    runs: u32,
    /// What the event said that was looked at last.
    payload: [u8; PAYLOAD_MAX],
}

/// The most bytes of a payload.
const PAYLOAD_MAX: usize = EventRecord::MAX_PAYLOAD;

impl<S> core::fmt::Debug for Bench<'_, S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Bench").finish_non_exhaustive()
    }
}

/// The answer to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status code.
    pub status: u16,
    body: [u8; MIN_PIECE],
    len: usize,
}

impl Answer {
    /// Its body, which is a text.
    ///
    /// # Panics
    ///
    /// If it is none.
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body[..self.len]).expect("the body is a text")
    }
}

/// The name of the node, and of its cluster key.
const NAME: &str = "bench";
const KEY: [u8; 32] = [7; 32];

impl<'a, S: Sprocket> Bench<'a, S> {
    /// `sprocket`, started, on a node called `bench` that has a cluster key.
    pub fn new(memory: &'a mut Memory, sprocket: S) -> Self {
        let roster = <(S,)>::ROSTER;
        let config = Config {
            hostname: Hostname::new(NAME).expect("letters are a name"),
            address: Ipv4Addr::LOCALHOST,
            port: DEFAULT_PORT,
            http_port: 80,
            key: Some(ClusterKey::from_bytes(KEY)),
            services: roster.catalogue(),
            assets: Assets::NONE,
            tasks: roster.tasks(),
            sprockets: roster.sprockets(),
            timing: Timing::DEFAULT,
            radio: None,
        };
        let facts = Facts {
            board: NAME,
            version: env!("CARGO_PKG_VERSION"),
            chip_id: 0,
            flash_size: 0,
            reset_reason: "test",
            crashes: 0,
            image: None,
        };
        let (now, stored) = (Instant::from_micros(1), Stored::default());
        let node = Node::new(now, &config, facts, &stored, &Seed([1; 32]), memory);
        let node = RefCell::new(node);
        let mut bench =
            Self { node, sprocket: (sprocket,), heard: 0, now, runs: 0, payload: [0; PAYLOAD_MAX] };
        bench.settle();
        bench.enter(None, &mut |sprocket, node| sprocket.start(node));
        bench
    }

    /// The sprocket, to look at what it has switched.
    pub const fn sprocket(&mut self) -> &mut S {
        &mut self.sprocket.0
    }

    /// Has its task `name` run.
    ///
    /// # Panics
    ///
    /// If it has no such task.
    pub fn run(&mut self, name: &str) {
        let mut tasks = S::MANIFEST.tasks().iter();
        let task = tasks.find(|task| task.name() == name).expect("there is such a task");
        self.runs += 1;
        let node = self.node.get_mut().own().id;
        let run = RunId { node, epoch: U24::ZERO, number: self.runs };
        self.enter(Some(run).filter(|_| task.is_clustered()), &mut |sprocket, node| {
            sprocket.run(task.name(), node);
        });
    }

    /// Calls its service at `path`, the name of one, and perhaps what is to follow it.
    ///
    /// # Panics
    ///
    /// If it has no such service, or one that does not answer `method`.
    pub fn call(&mut self, method: Method, path: &str, body: &[u8]) -> Answer {
        let (name, path) = path.split_at(path.find('/').unwrap_or(path.len()));
        let mut services = S::MANIFEST.services().iter();
        let service = services.find(|service| service.name() == name);
        let service = service.expect("there is such a service");
        assert!(service.methods().contains(method), "it does not answer {}", method.name());
        let call = Call { service: service.name(), method, path, query: "", body };
        let mut answer = Answer { status: 0, body: [0; MIN_PIECE], len: 0 };
        let mut reply = Reply::new(&mut answer.body);
        self.enter(None, &mut |sprocket, node| sprocket.call(&call, node, &mut reply));
        let reply = reply.end();
        (answer.status, answer.len) = (reply.status, reply.len);
        answer
    }

    /// Publishes an event as somebody else on the same node.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub fn publish<'v>(&mut self, topic: &str, value: impl Into<Value<'v>>) {
        let mut payload = [0; PAYLOAD_MAX];
        let len = value.into().write(&mut payload).expect("it is short enough");
        let node = self.node.get_mut();
        let published = node.publish(self.now, Scope::Local, topic, &payload[..len], false);
        published.expect("it is taken");
        self.settle();
    }

    /// What the last event said whose topic matches `filter`, if it is a small value.
    pub fn last(&mut self, filter: &str) -> Option<Value<'_>> {
        let filter = Filter::new(filter).expect("it is a filter");
        let (mut after, mut len) = (0, 0);
        while let Some(event) = self.node.get_mut().next_event(after, filter) {
            (after, len) = (event.seq, event.payload.len());
            self.payload[..len].copy_from_slice(&event.payload);
        }
        Value::parse(&self.payload[..len])
    }

    /// How many events there are whose topic matches `filter`, as long as they are not pushed out by others.
    pub fn count(&self, filter: &str) -> usize {
        let filter = Filter::new(filter).expect("it is a filter");
        let (node, mut after) = (self.node.borrow(), 0);
        let next = || {
            after = node.next_event(after, filter)?.seq;
            Some(())
        };
        core::iter::from_fn(next).count()
    }

    /// Sets its setting `name`.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub fn set<'v>(&mut self, name: &str, value: impl Into<Value<'v>>) {
        let mut body = [0; PAYLOAD_MAX];
        let object = [(name, value.into())];
        let len = Value::Object(&object).write(&mut body).expect("it is short enough");
        let node = self.node.get_mut();
        let (place, body) = (0, &body[..len]);
        let mut response = node.set_sprocket(self.now, place, body);
        self.settle();
        let node = self.node.get_mut();
        assert!(node.poll_response(self.now, &mut response), "it is decided");
        assert_eq!(response.status, 200, "{name} is not set");
    }

    /// Lets time pass.
    pub fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
        self.node.get_mut().handle_timeout(self.now);
        self.settle();
    }

    /// Does what the node asks for, and hands events over.
    fn settle(&mut self) {
        let (now, node) = (self.now, self.node.get_mut());
        while let Some(action) = node.poll_action(now) {
            match action {
                Action::Store(key) => node.handle_completion(now, Completion::Store(key, Ok(()))),
                Action::Fetch(_) => {
                    node.handle_completion(now, Completion::Fetch(Err(FetchFailed)));
                }
                _ => (),
            }
        }
        while node.poll_event().is_some() {}
        let crew = Crew::resumed(<(S,)>::ROSTER, &mut self.sprocket, self.heard);
        crew.hand_events(&self.node, &AtOnce(now));
        self.heard = crew.heard();
    }

    fn enter(&mut self, run: Option<RunId>, handler: Handler<'_>) {
        let crew = Crew::resumed(<(S,)>::ROSTER, &mut self.sprocket, self.heard);
        crew.enter(self.node.get_mut(), (0, run), &AtOnce(self.now), handler);
        self.settle();
    }
}

/// Calls handlers that take no time.
struct AtOnce(Instant);

impl Caller for AtOnce {
    fn now(&self) -> Instant {
        self.0
    }

    fn guard(&self, _: Named, handler: &mut dyn FnMut()) -> Result<(), &'static str> {
        handler();
        Ok(())
    }
}
