//! SPORE's HTTP server with a node behind it, on sockets made of memory: clients that are slow, damaged or many.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::convert::Infallible;
use core::future::poll_fn;
use core::net::{Ipv4Addr, SocketAddr};
use core::task::{Poll, Waker};

use edge_nal::io::{ErrorType, Read, Write};
use edge_nal::{Close, NoopNet, Readable, TcpAccept, TcpShutdown, TcpSplit};
use embassy_futures::join::join;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Instant, Timer};
use spore_core::Node;
use spore_core::api::{Body, Called, Entrance, Error, Request, Response};
use spore_node::ServiceReply;
use spore_node::http::{Api, BODY_MAX, BUFFER_LEN, Server, Timeouts};

use super::{engine, http};
use crate::tasks::Tasks;
use crate::{Inputs, Trace};

/// Seats of the server; it has one worker more, and meets more clients than that.
const SEATS: usize = 2;
const CLIENTS: usize = 7;
/// Bytes that each direction of a socket holds.
const WINDOW: usize = 200;
const LIMIT: Duration = Duration::from_secs(120);

const REQUESTS: [&[u8]; 10] = [
    b"GET /api/node/status HTTP/1.1\r\nHost: spore-1\r\nAccept: */*\r\n\r\n",
    b"GET /api/cluster/members?x=1 HTTP/1.1\r\nHost: a.b:80\r\n\r\n",
    b"HEAD /api/node/status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET /api/cluster/members HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"POST /api/node/status HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\nhello, world",
    b"PUT /api HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3000\r\n\r\n",
    b"PUT /api/node/config HTTP/1.1\r\nHost: a\r\nContent-Length: 16\r\n\r\n{\"hostname\":\"a\"}",
    b"GET /metrics HTTP/1.1\r\nHost: a\r\nAuthorization: SPORE-HMAC-SHA256 nonce=00, mac=00\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nX-Q:  z \r\n\r\n",
];

const STATUS: &[u8] = b"GET /api/node/status HTTP/1.1\r\nHost: 10.0.0.1\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n";

/// One direction of a connection.
#[derive(Default)]
struct Pipe {
    bytes: RefCell<VecDeque<u8>>,
    ended: Cell<bool>,
    /// The reader has something to look at.
    filled: Signal<NoopRawMutex, ()>,
    /// The writer has.
    drained: Signal<NoopRawMutex, ()>,
}

impl Pipe {
    async fn read(&self, buf: &mut [u8]) -> usize {
        loop {
            let len = buf.len().min(self.bytes.borrow().len());
            if len > 0 {
                buf.iter_mut()
                    .zip(self.bytes.borrow_mut().drain(..len))
                    .for_each(|(to, b)| *to = b);
                self.drained.signal(());
                return len;
            }
            if self.ended.get() {
                return 0;
            }
            self.filled.wait().await;
        }
    }

    async fn write(&self, buf: &[u8]) -> usize {
        loop {
            let len = buf.len().min(WINDOW - self.bytes.borrow().len());
            if len > 0 || self.ended.get() {
                self.bytes.borrow_mut().extend(&buf[..len]);
                self.filled.signal(());
                // What is written after the end is lost.
                return if self.ended.get() { buf.len() } else { len };
            }
            self.drained.wait().await;
        }
    }

    fn end(&self) {
        self.ended.set(true);
        self.filled.signal(());
        self.drained.signal(());
    }
}

/// A connection, as both sides see it.
#[derive(Default)]
struct Wire {
    requests: Pipe,
    answers: Pipe,
    aborted: Cell<bool>,
}

/// The server's end.
struct Socket(Rc<Wire>);

impl ErrorType for Socket {
    type Error = Infallible;
}

impl Read for Socket {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Infallible> {
        Ok(self.0.requests.read(buf).await)
    }
}

impl Write for Socket {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, Infallible> {
        Ok(self.0.answers.write(buf).await)
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Readable for Socket {
    async fn readable(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl TcpSplit for Socket {
    type Read<'a> = NoopNet;
    type Write<'a> = NoopNet;

    fn split(&mut self) -> (NoopNet, NoopNet) {
        (NoopNet, NoopNet)
    }
}

impl TcpShutdown for Socket {
    async fn close(&mut self, _: Close) -> Result<(), Infallible> {
        self.0.answers.end();
        Ok(())
    }

    async fn abort(&mut self) -> Result<(), Infallible> {
        self.0.aborted.set(true);
        self.0.requests.end();
        self.0.answers.end();
        Ok(())
    }
}

/// Clients that wait for a worker, and workers that wait for a client.
#[derive(Default)]
struct Door {
    clients: RefCell<VecDeque<Rc<Wire>>>,
    workers: RefCell<Vec<Waker>>,
}

impl Door {
    fn knock(&self, client: Rc<Wire>) {
        self.clients.borrow_mut().push_back(client);
        self.workers.borrow_mut().drain(..).for_each(Waker::wake);
    }
}

impl TcpAccept for Door {
    type Error = Infallible;
    type Socket<'a> = Socket;

    async fn accept(&self) -> Result<(SocketAddr, Socket), Infallible> {
        let client = poll_fn(|context| match self.clients.borrow_mut().pop_front() {
            Some(client) => Poll::Ready(client),
            None => {
                self.workers.borrow_mut().push(context.waker().clone());
                Poll::Pending
            }
        });
        Ok(((Ipv4Addr::LOCALHOST, 1).into(), Socket(client.await)))
    }
}

/// The engine behind the server.
struct Engine(RefCell<Node<'static>>);

fn now() -> spore_core::time::Instant {
    spore_core::time::Instant::from_micros(Instant::now().as_micros())
}

impl Api for Engine {
    fn handle(&self, request: &Request<'_>) -> Response {
        self.0.borrow_mut().handle_request(now(), request)
    }

    fn handle_head(&self, request: &Request<'_>) -> Option<Response> {
        self.0.borrow_mut().handle_head(now(), request)
    }

    fn takes_upload(&self, _: &Request<'_>) -> bool {
        false
    }

    fn begin_upload(&self) {}

    async fn feed(&self, _: &[u8]) -> bool {
        false
    }

    async fn finish_upload(&self, _: bool) -> Response {
        Response::error(spore_core::api::Error::NoSlots)
    }

    fn poll_response(&self, response: &mut Response) -> bool {
        self.0.borrow_mut().poll_response(now(), response)
    }

    async fn call(&self, called: &Called<'_>, reply: &mut [u8]) -> ServiceReply {
        match called {
            Called::Service(request) => ServiceReply::new(200, "", request.body, reply),
            Called::Crash | Called::Images => ServiceReply::error(Error::NoCrash, reply),
        }
    }

    fn handle_called(&self, status: u16) {
        self.0.borrow_mut().handle_called(status);
    }

    fn poll_body(&self, body: &mut Body, buf: &mut [u8]) -> usize {
        self.0.borrow().poll_body(now(), body, buf)
    }

    fn poll_stream(&self, _: &str, _: &mut Body, _: &mut [u8]) -> Option<usize> {
        None
    }

    async fn stream_changed(&self) {
        core::future::pending().await
    }
}

/// What a client does, drawn before the tasks run.
struct Visit {
    wire: Rc<Wire>,
    arrival: Duration,
    /// Pieces, and the pause before each.
    pieces: Vec<(Duration, Vec<u8>)>,
    /// Whether it says that no more is to come.
    ends: bool,
    /// How much it reads at once.
    step: usize,
    received: Rc<RefCell<Vec<u8>>>,
}

impl Visit {
    fn draw(inputs: &mut Inputs) -> Self {
        let mut pieces = Vec::new();
        for _ in 0..1 + inputs.below(3) {
            let mut request = if inputs.below(4) == 0 {
                http::damaged(inputs, &REQUESTS)
            } else {
                REQUESTS[inputs.index(REQUESTS.len())].to_vec()
            };
            while !request.is_empty() {
                let rest = request.split_off((1 + inputs.index(90)).min(request.len()));
                // Now and then longer than the server waits.
                let longest = if inputs.below(12) == 0 { 8_000 } else { 40 };
                pieces.push((Duration::from_millis(inputs.below(longest)), request));
                request = rest;
            }
        }
        Self {
            wire: Rc::default(),
            arrival: Duration::from_millis(inputs.below(9_000)),
            pieces,
            ends: inputs.coin(),
            step: 1 + inputs.index(100),
            received: Rc::default(),
        }
    }

    async fn pay(self, door: Rc<Door>) {
        Timer::after(self.arrival).await;
        door.knock(self.wire.clone());
        let ask = async {
            for (pause, piece) in &self.pieces {
                Timer::after(*pause).await;
                let mut rest = &piece[..];
                while !rest.is_empty() {
                    rest = &rest[self.wire.requests.write(rest).await..];
                }
            }
            if self.ends {
                self.wire.requests.end();
            }
        };
        let listen = async {
            let mut buf = vec![0; self.step];
            loop {
                let len = self.wire.answers.read(&mut buf).await;
                if len == 0 {
                    return;
                }
                self.received.borrow_mut().extend_from_slice(&buf[..len]);
            }
        };
        join(ask, listen).await;
    }
}

/// Opens a server with a node behind it.
fn open(inputs: &mut Inputs) -> (Tasks, Rc<Door>) {
    let tasks = Tasks::new();
    let engine: &'static Engine =
        Box::leak(Box::new(Engine(RefCell::new(engine::node(inputs, 1)))));
    let buffers = [(); SEATS].map(|()| &mut *Box::leak(vec![0; BUFFER_LEN].into_boxed_slice()));
    let body = Box::leak(vec![0; BODY_MAX].into_boxed_slice());
    let server: &'static Server<'static, SEATS> =
        Box::leak(Box::new(Server::new(buffers, body, 1, Timeouts::STANDARD)));
    let door = Rc::new(Door::default());
    for _ in 0..=SEATS {
        let door = door.clone();
        tasks.spawn(async move { server.worker(&*door, |_| Entrance::Network, engine).await });
    }
    (tasks, door)
}

/// So many requests of a client that closes each connection, one after the other.
pub(super) fn requests(count: u32) {
    let (tasks, door) = open(&mut Inputs::for_group("requests"));
    tasks.spawn(async move {
        let mut buf = [0; WINDOW];
        for _ in 0..count {
            let wire = Rc::<Wire>::default();
            door.knock(wire.clone());
            wire.requests.write(STATUS).await;
            wire.requests.end();
            let mut answer = Vec::new();
            loop {
                match wire.answers.read(&mut buf).await {
                    0 => break,
                    len => answer.extend_from_slice(&buf[..len]),
                }
            }
            assert!(answer.starts_with(b"HTTP/1.1 200 "), "no status was answered");
        }
    });
    tasks.run(LIMIT, &mut Trace::hashing());
}

pub(super) fn visits(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    for _ in 0..15 {
        let (tasks, door) = open(inputs);
        let mut outcomes = Vec::new();
        for _ in 0..CLIENTS {
            let visit = Visit::draw(inputs);
            outcomes.push((visit.wire.clone(), visit.received.clone()));
            tasks.spawn(visit.pay(door.clone()));
        }
        tasks.run(LIMIT, trace);
        for (wire, received) in outcomes {
            trace.text(core::str::from_utf8(&received.borrow()).unwrap_or("not UTF-8"));
            trace.word(wire.aborted.get());
            trace.word(wire.requests.bytes.borrow().len());
        }
    }
}
