//! Streams of the HTTP server on real sockets: a feed that grows, and clients that read it, or do not.

#[path = "http/serve.rs"]
mod serve;

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serve::{LIFETIME, serve};
use spore_core::api::{Body, Called, Error, Method, Request, Response};
use spore_node::ServiceReply;
use spore_node::http::{Api, HEAD_MAX, STREAM_PIECE, Timeouts};

/// Short enough for a test, and far enough apart to tell which one it was; long where no test waits
/// for it, since a busy machine is slow.
const TIMEOUTS: Timeouts = Timeouts {
    idle: ms(5000),
    grace: ms(300),
    head: ms(5000),
    body: ms(5000),
    lease: ms(200),
    write: ms(600),
    response: ms(1500),
    linger: ms(600),
    heartbeat: ms(700),
};

/// What a client waits for at most.
const PATIENCE: Duration = Duration::from_secs(5);

const STREAM: &[u8] = b"GET /stream HTTP/1.1\r\nHost: n\r\n\r\n";

const fn ms(milliseconds: u64) -> embassy_time::Duration {
    embassy_time::Duration::from_millis(milliseconds)
}

/// What there is to stream, the same for all readers.
#[derive(Default)]
struct Feed(Mutex<State>);

#[derive(Default)]
struct State {
    pieces: Vec<String>,
    ended: bool,
    version: u32,
    readers: Vec<Waker>,
    /// How often readers have looked.
    looks: u32,
    /// The statuses of streams that have begun, or were refused.
    called: Vec<u16>,
}

impl Feed {
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.lock().unwrap();
        change(&mut state);
        state.version += 1;
        state.readers.drain(..).for_each(Waker::wake);
    }

    fn push(&self, piece: impl Into<String>) {
        self.change(|state| state.pieces.push(piece.into()));
    }

    fn end(&self) {
        self.change(|state| state.ended = true);
    }

    fn looks(&self) -> u32 {
        self.0.lock().unwrap().looks
    }

    fn called(&self) -> Vec<u16> {
        self.0.lock().unwrap().called.clone()
    }
}

/// Serves the feed at `/stream`, from its start or from the piece that the query names, and an error
/// anywhere else. One for each worker.
struct Stub {
    feed: Arc<Feed>,
    /// The next piece to send.
    next: Cell<usize>,
    /// What the feed was at the last look: it grows in another thread.
    seen: Cell<u32>,
}

impl Api for Stub {
    fn handle(&self, request: &Request<'_>) -> Response {
        if request.path != "/stream" {
            return Response::error(Error::NotFound);
        }
        assert!(matches!(request.method, Method::Get | Method::Head));
        self.next.set(request.query.parse().unwrap_or(0));
        Response::stream(Response::error(Error::NotFound).body)
    }

    fn handle_head(&self, _: &Request<'_>) -> Option<Response> {
        None
    }

    fn takes_upload(&self, _: &Request<'_>) -> bool {
        false
    }

    fn begin_upload(&self) {
        unreachable!("the stub takes no image")
    }

    async fn feed(&self, _: &[u8]) -> bool {
        unreachable!("the stub takes no image")
    }

    async fn finish_upload(&self, _: bool) -> Response {
        unreachable!("the stub takes no image")
    }

    fn poll_response(&self, _: &mut Response) -> bool {
        true
    }

    async fn call(&self, _: &Called<'_>, _: &mut [u8]) -> ServiceReply {
        unreachable!("the stub offers no service")
    }

    fn handle_called(&self, status: u16) {
        self.feed.0.lock().unwrap().called.push(status);
    }

    fn poll_body(&self, body: &mut Body, buf: &mut [u8]) -> usize {
        body.fill_error(buf)
    }

    fn poll_stream(&self, query: &str, _: &mut Body, buf: &mut [u8]) -> Option<usize> {
        assert!(buf.len() >= STREAM_PIECE, "the promised room");
        assert!(query.is_empty() || query.bytes().all(|byte| byte.is_ascii_digit()), "{query}");
        let mut state = self.feed.0.lock().unwrap();
        state.looks += 1;
        self.seen.set(state.version);
        let Some(piece) = state.pieces.get(self.next.get()) else {
            return if state.ended { None } else { Some(0) };
        };
        buf[..piece.len()].copy_from_slice(piece.as_bytes());
        self.next.set(self.next.get() + 1);
        Some(piece.len())
    }

    async fn stream_changed(&self) {
        poll_fn(|context| {
            let mut state = self.feed.0.lock().unwrap();
            if state.version != self.seen.get() {
                return Poll::Ready(());
            }
            state.readers.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Starts a server as a board has it, three seats and four workers, of which one may be a stream.
fn start() -> (SocketAddr, Arc<Feed>) {
    start_with(TIMEOUTS)
}

/// As [`start`], with these timeouts.
fn start_with(timeouts: Timeouts) -> (SocketAddr, Arc<Feed>) {
    let feed = Arc::<Feed>::default();
    let shared = Arc::clone(&feed);
    let stub = move || Stub { feed: Arc::clone(&shared), next: Cell::new(0), seen: Cell::new(0) };
    (serve::<3, 4, _>(1, timeouts, stub), feed)
}

/// A client, and what it has received.
struct Client {
    stream: TcpStream,
    received: String,
}

impl Client {
    fn ask(address: SocketAddr, request: &[u8]) -> Self {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        stream.write_all(request).expect("sent");
        Self { stream, received: String::new() }
    }

    /// Reads on; false at the end.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(0) => return false,
            Ok(len) => self.received += std::str::from_utf8(&bytes[..len]).expect("text"),
            Err(error) if error.kind() == ErrorKind::WouldBlock => (),
            Err(error) => panic!("{error} after {:?}", self.received),
        }
        true
    }

    /// Reads until `text` has come.
    fn expect(&mut self, text: &str) {
        let start = Instant::now();
        while !self.received.contains(text) {
            assert!(start.elapsed() < PATIENCE, "no {text:?} in {:?}", self.received);
            assert!(self.read(), "the end, and no {text:?} in {:?}", self.received);
        }
    }

    /// Reads to the end, which must be an orderly one.
    fn end(mut self) -> String {
        let start = Instant::now();
        while self.read() {
            assert!(start.elapsed() < PATIENCE, "no end of {:?}", self.received);
        }
        self.received
    }
}

/// Asks for a stream until there is one; how often it was refused.
fn insist(address: SocketAddr, request: &[u8]) -> (Client, usize) {
    let start = Instant::now();
    for refused in 0.. {
        let mut client = Client::ask(address, request);
        client.expect("\r\n\r\n");
        if client.received.starts_with("HTTP/1.1 200 OK\r\n") {
            return (client, refused);
        }
        assert!(client.received.starts_with("HTTP/1.1 503 "), "{}", client.received);
        assert!(start.elapsed() < PATIENCE, "always refused");
        sleep(Duration::from_millis(20));
    }
    unreachable!()
}

#[test]
fn pieces_come_when_they_are_there() {
    // No comment comes as soon as a piece must.
    let (address, feed) = start_with(Timeouts { heartbeat: ms(20_000), ..TIMEOUTS });
    feed.push("data: 0\n\n");
    let mut client = Client::ask(address, STREAM);
    client.expect("9\r\ndata: 0\n\n\r\n");
    let (head, _) = client.received.split_once("\r\n\r\n").unwrap();
    let wanted = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\
                  Transfer-Encoding: chunked\r\nConnection: close";
    assert_eq!(head, wanted);
    for n in 1..200 {
        let piece = format!("data: {n} {}\n\n", "x".repeat(n * 5));
        feed.push(&*piece);
        client.expect(&piece);
    }
    feed.push("y".repeat(STREAM_PIECE));
    feed.end();
    assert!(client.end().ends_with("y\r\n0\r\n\r\n"));
    assert_eq!(feed.called(), [200]);
}

#[test]
fn silence_is_broken_by_comments_and_costs_nothing() {
    let (address, feed) = start();
    let start = Instant::now();
    let mut client = Client::ask(address, STREAM);
    client.expect("3\r\n:\n\n\r\n3\r\n:\n\n\r\n");
    let took = start.elapsed();
    let heartbeat = Duration::from_millis(TIMEOUTS.heartbeat.as_millis());
    assert!(took >= 2 * heartbeat, "{took:?}");
    // Two of any other time would be longer.
    assert!(took < 2 * heartbeat + Duration::from_millis(1_500), "{took:?}");
    // At its beginning, and after each heartbeat that there was until now.
    let looks = u128::from(feed.looks());
    let most = 1 + start.elapsed().as_millis() / heartbeat.as_millis();
    assert!(looks <= most, "looked {looks} times at nothing, not {most}");
    // It holds longer than any connection may that does not read.
    for _ in 0..3 {
        client.received.clear();
        client.expect(":\n\n");
    }
    feed.push("data: late\n\n");
    client.expect("data: late\n\n");
}

/// A second stream is told, everybody else is served, and the seat is kept whatever others want.
#[test]
fn one_is_a_stream_and_the_other_seats_serve() {
    let (address, feed) = start();
    let mut client = Client::ask(address, STREAM);
    client.expect("\r\n\r\n");
    for _ in 0..3 {
        let mut second = Client::ask(address, STREAM);
        second.expect("}}");
        assert!(second.received.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
        assert!(second.received.contains("\r\nRetry-After: 5\r\n"), "{}", second.received);
        assert!(second.received.contains("{\"error\":{\"code\":\"busy\","), "{}", second.received);
        // A refusal is an answer like any other: the connection is kept.
        let before = second.received.len();
        second.stream.write_all(b"GET /none HTTP/1.1\r\nHost: n\r\n\r\n").expect("sent");
        second.expect("not_found");
        assert!(second.received[before..].starts_with("HTTP/1.1 404 "), "{}", second.received);
    }
    // Slow clients on all other seats, and one more: those make room, and the stream does not.
    let slow: Vec<_> = (0..3).map(|_| Client::ask(address, b"GET /")).collect();
    sleep(Duration::from_millis(TIMEOUTS.grace.as_millis() + 100));
    let one = Client::ask(address, b"GET /none HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n");
    assert!(one.end().starts_with("HTTP/1.1 404 "));
    drop(slow);
    feed.push("data: still\n\n");
    client.expect("data: still\n\n");
    assert_eq!(feed.called(), [200, 503, 503, 503]);
}

#[test]
fn whoever_goes_makes_room_for_another() {
    let (address, feed) = start();
    feed.push("data: all\n\n");
    // Closed, half-closed, and not reading.
    let mut gone = Client::ask(address, STREAM);
    gone.expect("data: all\n\n");
    drop(gone);
    let (mut client, refused) = insist(address, STREAM);
    assert!(refused <= 20, "{refused}");
    client.expect("data: all\n\n");
    client.stream.shutdown(Shutdown::Write).expect("half-closed");
    // The end of the stream is told as such.
    assert!(client.end().ends_with("\r\n0\r\n\r\n"));
    let (mut lazy, _) = insist(address, STREAM);
    let filling = Instant::now();
    let mut sent = 0;
    // More than the socket buffers of both ends hold, at a pace that a client which reads keeps up with.
    while sent < 12_000_000 {
        (0..500).for_each(|_| feed.push("z".repeat(STREAM_PIECE)));
        sent += 500 * STREAM_PIECE;
    }
    let next =
        format!("GET /stream?{} HTTP/1.1\r\nHost: n\r\n\r\n", feed.0.lock().unwrap().pieces.len());
    // Two seconds may pass until it is given up.
    let _next = insist(address, next.as_bytes());
    assert!(filling.elapsed() < LIFETIME);
    let (mut received, start) = (0, Instant::now());
    let mut bytes = vec![0; 1 << 20];
    while let Ok(len @ 1..) = lazy.stream.read(&mut bytes) {
        received += len;
        assert!(start.elapsed() < PATIENCE);
    }
    assert!(received < sent, "{received} of {sent}");
}

#[test]
fn each_form_of_http_gets_its_own() {
    let (address, feed) = start();
    feed.push("data: 0\n\n");
    feed.push("data: 1\n\n");
    feed.end();
    // HTTP/1.0 knows no chunks.
    let old = Client::ask(address, b"GET /stream HTTP/1.0\r\n\r\n").end();
    assert!(old.ends_with("Connection: close\r\n\r\ndata: 0\n\ndata: 1\n\n"), "{old}");
    assert!(!old.contains("chunked"));
    let head = Client::ask(address, b"HEAD /stream HTTP/1.1\r\nHost: n\r\n\r\n").end();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"), "{head}");
    assert!(head.ends_with("Connection: close\r\n\r\n"), "{head}");
    // The query goes with it, from behind the longest head, with a body that nobody wants and a
    // request that nobody will answer behind that.
    let request = "GET /stream?1 HTTP/1.1\r\nHost: n\r\nContent-Length: 2000\r\nX: ";
    let fill = "x".repeat(HEAD_MAX - request.len() - 4);
    let next = "GET /none HTTP/1.1\r\nHost: n\r\n\r\n";
    let full = format!("{request}{fill}\r\n\r\n{}{next}", "b".repeat(2000));
    let stream = Client::ask(address, full.as_bytes()).end();
    assert!(stream.ends_with("\r\n\r\n9\r\ndata: 1\n\n\r\n0\r\n\r\n"), "{stream}");
}

/// What a client sends while it reads is dropped, however much it is.
#[test]
fn who_sends_into_a_stream_stops_nobody() {
    let (address, feed) = start();
    let mut client = Client::ask(address, STREAM);
    client.expect("\r\n\r\n");
    let mut writer = client.stream.try_clone().expect("a second handle");
    let done = Arc::new(AtomicBool::new(false));
    let enough = Arc::clone(&done);
    let pouring = thread::spawn(move || {
        while !enough.load(Ordering::Relaxed) {
            writer.write_all(&[b'x'; 1 << 16]).expect("dropped, and never refused");
        }
    });
    for n in 0..20 {
        let piece = format!("data: {n}.\n\n");
        feed.push(&*piece);
        client.expect(&piece);
        let none = b"GET /none HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n";
        assert!(Client::ask(address, none).end().starts_with("HTTP/1.1 404 "));
        sleep(Duration::from_millis(20));
    }
    done.store(true, Ordering::Relaxed);
    pouring.join().expect("joined");
}
