//! The HTTP server on sockets made of memory: what is read and written is exact to the byte, and
//! no test waits for anything.

#[path = "http/support.rs"]
mod support;

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};

use edge_nal::io::{ErrorType, Read, Write};
use edge_nal::{Close, NoopNet, Readable, TcpAccept, TcpShutdown, TcpSplit};
use embassy_futures::join::join_array;
use futures_lite::future::{block_on, or, yield_now};
use spore_core::api::Entrance;
use spore_node::http::{BODY_MAX, BUFFER_LEN, HEAD_MAX, Server, Timeouts};
use support::{FILE, OK, Reply, Stub, cases, long_byte, replies};

/// A client that sends its pieces one after the other, then says that no more is to come, if it
/// does not stay.
#[derive(Default)]
struct Client {
    pieces: RefCell<Vec<Vec<u8>>>,
    received: RefCell<Vec<u8>>,
    accepted: Cell<bool>,
    closed: Cell<bool>,
    /// Says nothing more until the server has closed.
    stays: bool,
    /// Most bytes that one write takes; 0 for all.
    write_max: usize,
}

struct Socket<'c>(&'c Client);

impl ErrorType for Socket<'_> {
    type Error = Infallible;
}

impl Read for Socket<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Infallible> {
        assert!(!buf.is_empty(), "a read without room looks like the end");
        // Another worker may run between any two reads.
        yield_now().await;
        while self.0.stays && self.0.pieces.borrow().is_empty() && !self.0.closed.get() {
            yield_now().await;
        }
        let mut pieces = self.0.pieces.borrow_mut();
        let Some(piece) = pieces.first_mut() else { return Ok(0) };
        let length = piece.len().min(buf.len());
        buf[..length].copy_from_slice(&piece[..length]);
        piece.drain(..length);
        if piece.is_empty() {
            pieces.remove(0);
        }
        Ok(length)
    }
}

impl Write for Socket<'_> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, Infallible> {
        assert!(!self.0.closed.get(), "a write after the end");
        let max = if self.0.write_max == 0 { buf.len() } else { self.0.write_max };
        let length = buf.len().min(max);
        self.0.received.borrow_mut().extend_from_slice(&buf[..length]);
        Ok(length)
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Readable for Socket<'_> {
    async fn readable(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl TcpSplit for Socket<'_> {
    type Read<'a>
        = NoopNet
    where
        Self: 'a;
    type Write<'a>
        = NoopNet
    where
        Self: 'a;

    fn split(&mut self) -> (NoopNet, NoopNet) {
        (NoopNet, NoopNet)
    }
}

impl TcpShutdown for Socket<'_> {
    async fn close(&mut self, what: Close) -> Result<(), Infallible> {
        assert_eq!(what, Close::Write, "the client may still be sending");
        self.0.closed.set(true);
        Ok(())
    }

    async fn abort(&mut self) -> Result<(), Infallible> {
        panic!("a client that behaves is not reset");
    }
}

/// Clients that connect at once, but for the last: it does when all others have an answer.
struct Clients<'c>(&'c [Client]);

impl TcpAccept for Clients<'_> {
    type Error = Infallible;
    type Socket<'a>
        = Socket<'a>
    where
        Self: 'a;

    async fn accept(&self) -> Result<(SocketAddr, Socket<'_>), Infallible> {
        let next = self.0.iter().position(|client| !client.accepted.replace(true));
        let Some(next) = next else { pending().await };
        let answered = |client: &Client| !client.received.borrow().is_empty();
        while next + 1 == self.0.len() && !self.0[..next].iter().all(answered) {
            yield_now().await;
        }
        Ok(((Ipv4Addr::LOCALHOST, 1).into(), Socket(&self.0[next])))
    }
}

const ENTRANCE: Entrance = Entrance::AccessPoint("10.0.0.1:8080");

/// Serves `client` with a buffer of `room` bytes; what it received.
fn serve_with(client: &Client, room: usize) -> Vec<u8> {
    let mut buf = vec![0; room];
    let mut shared = [0; BODY_MAX];
    let server = Server::<1>::new([&mut buf], &mut shared, 0, Timeouts::STANDARD);
    let stub = Stub::default();
    let until_closed = async {
        while !client.closed.get() {
            yield_now().await;
        }
    };
    let serving = async {
        server.worker(&Clients(std::slice::from_ref(client)), |_| ENTRANCE, &stub).await;
    };
    block_on(or(serving, until_closed));
    client.received.take()
}

fn serve(pieces: Vec<Vec<u8>>) -> Vec<u8> {
    serve_with(&Client { pieces: pieces.into(), ..Client::default() }, BUFFER_LEN)
}

fn assert_statuses(replies: &[Reply], expected: &[u16], request: &[u8]) {
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    let start = &request[..request.len().min(300)];
    assert_eq!(statuses, expected, "{}", start.escape_ascii());
    for reply in replies.iter().filter(|reply| reply.status >= 400) {
        reply.assert_error();
    }
}

#[test]
fn every_request_gets_its_answer_however_it_is_split() {
    for (raw, expected) in cases() {
        let whole = serve(vec![raw.clone()]);
        assert_statuses(&replies(&whole, 0), &expected, &raw);
        for at in 1..raw.len().min(1_200) {
            let split = serve(vec![raw[..at].to_vec(), raw[at..].to_vec()]);
            assert_statuses(&replies(&split, 0), &expected, &raw[..at]);
        }
        let bytes = serve(raw.iter().map(|&byte| vec![byte]).collect());
        assert_statuses(&replies(&bytes, 0), &expected, &raw);
    }
}

/// Any bytes, in a form or not, however they are split.
#[test]
fn an_image_arrives_as_it_was_sent() {
    let mut image: Vec<u8> = (0..3_000_u32).map(|at| (at * at % 251) as u8).collect();
    image.extend_from_slice(b"\r\n--\r\n--b\r\n\r\n--bo\r\r\n");
    let head = |media: &str, length: usize| {
        format!("POST /image HTTP/1.1\r\nHost: n\r\n{media}Content-Length: {length}\r\n\r\n")
    };
    let form = [b"--bound\r\nA: b\r\n\r\n", &*image, b"\r\n--bound--\r\n"].concat();
    let media = "Content-Type: multipart/form-data; boundary=bound\r\n";
    for (media, body) in [("", &image), (media, &form)] {
        let raw = [head(media, body.len()).as_bytes(), body].concat();
        for step in [1, 100, 255, 256, 257, 5_000] {
            let replies = replies(&serve(raw.chunks(step).map(<[u8]>::to_vec).collect()), 0);
            assert_eq!(replies.len(), 1);
            assert_eq!((replies[0].status, replies[0].body == image), (200, true), "{step}");
        }
    }
}

#[test]
fn small_writes_lose_nothing() {
    for write_max in [1, 7] {
        let raw = b"GET /long/5000 HTTP/1.1\r\nHost: n\r\n\r\nGET /ok HTTP/1.1\r\nHost: n\r\n\r\n";
        let pieces = vec![raw.to_vec()].into();
        let client = Client { pieces, write_max, ..Client::default() };
        let replies = replies(&serve_with(&client, BUFFER_LEN), 0);
        assert_statuses(&replies, &[200, 200], raw);
        assert_eq!((replies[0].body.len(), &*replies[1].body), (5000, OK.as_bytes()));
    }
}

/// Long documents with every length around the edges of the buffer, in buffers of several sizes,
/// and with a request waiting behind that takes its part of the buffer.
#[test]
fn long_answers_are_whole() {
    let lengths = (0..40).chain(500..530).chain(1000..1050).chain(1500..1560).chain([30_000]);
    for length in lengths {
        let expected: Vec<u8> = (0..length).map(|sent| long_byte(length - sent)).collect();
        for room in [BUFFER_LEN, BUFFER_LEN + 1, 3 * BUFFER_LEN] {
            for behind in ["", "GET /ok HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n"] {
                let raw = format!("GET /long/{length} HTTP/1.1\r\nHost: n\r\n\r\n{behind}");
                let pieces = vec![raw.clone().into_bytes()].into();
                let client = Client { pieces, ..Client::default() };
                let replies = replies(&serve_with(&client, room), 0);
                assert_eq!(replies.len(), if behind.is_empty() { 1 } else { 2 });
                if length > OK.len() {
                    assert!(replies[0].body[..length - OK.len()] == expected[..length - OK.len()]);
                }
                assert_eq!(replies[0].body.len(), length);
                assert_eq!(replies[0].field("connection"), None);
            }
        }
    }
}

#[test]
fn short_answers_have_a_length_and_long_ones_chunks() {
    let of = |request: &str| replies(&serve(vec![request.into()]), 0).remove(0);
    let short = of("GET /long/900 HTTP/1.1\r\nHost: n\r\n\r\n");
    assert_eq!(short.field("content-length"), Some("900"));
    let long = of("GET /long/9000 HTTP/1.1\r\nHost: n\r\n\r\n");
    assert_eq!(long.field("transfer-encoding"), Some("chunked"));
    assert_eq!(long.field("content-length"), None);
    // HTTP/1.0 has no chunks: the end of the connection is the end of the document.
    let old = of("GET /long/9000 HTTP/1.0\r\n\r\n");
    assert_eq!((old.field("transfer-encoding"), old.field("connection")), (None, Some("close")));
    assert_eq!(old.body.len(), 9000);
}

#[test]
fn head_has_the_fields_of_get_and_no_body() {
    for (path, length) in [("/ok", Some("11")), ("/long/9000", None)] {
        let raw =
            format!("HEAD {path} HTTP/1.1\r\nHost: n\r\n\r\nGET /ok HTTP/1.1\r\nHost: n\r\n\r\n");
        let replies = replies(&serve(vec![raw.clone().into_bytes()]), 1);
        assert_statuses(&replies, &[200, 200], raw.as_bytes());
        assert_eq!(replies[0].field("content-length"), length);
        assert_eq!(replies[1].body, OK.as_bytes());
    }
    let missing = replies(&serve(vec![b"HEAD /none HTTP/1.1\r\nHost: n\r\n\r\n".to_vec()]), 1);
    assert_eq!(missing[0].status, 404);
    // Also what cannot be read has no body (RFC 9110, section 9.3.2).
    for (raw, status) in [
        ("HEAD /ok HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("HEAD /ok HTTP/2.0\r\nHost: n\r\n\r\n".into(), 505),
        (format!("HEAD /{}", "a".repeat(HEAD_MAX)), 414),
    ] {
        let answer = serve(vec![raw.into_bytes()]);
        assert!(answer.ends_with(b"\r\n\r\n"), "{}", answer.escape_ascii());
        assert_eq!(replies(&answer, 1)[0].status, status);
    }
}

/// With its length, since that is known, and with the fields that keep it from being misused.
#[test]
fn files_have_their_length_and_their_tag() {
    let ask = |method: &str| {
        let raw = format!("{method} /file HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n");
        serve(vec![raw.into_bytes()])
    };
    let whole = replies(&ask("GET"), 0).remove(0);
    let head = replies(&ask("HEAD"), 1).remove(0);
    assert_eq!(whole.fields, head.fields);
    assert_eq!(whole.body.len(), 5_000);
    for (name, value) in [
        ("content-length", "5000"),
        ("etag", FILE.tag()),
        ("cache-control", "no-cache"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "frame-ancestors 'none'"),
        ("connection", "close"),
    ] {
        assert_eq!(whole.field(name), Some(value));
    }
}

#[test]
fn who_is_sent_elsewhere_is_told_where_and_keeps_the_connection() {
    let raw = "GET /elsewhere HTTP/1.1\r\nHost: n\r\n\r\nGET /ok HTTP/1.1\r\nHost: n\r\n\r\n";
    let replies = replies(&serve(vec![raw.into()]), 0);
    assert_statuses(&replies, &[302, 200], raw.as_bytes());
    assert_eq!(replies[0].field("location"), Some("http://10.0.0.1:8080/"));
    assert_eq!(replies[0].field("content-length"), Some("0"));
    assert_eq!(replies[1].field("location"), None);
}

/// Requests with a byte exchanged, doubled or missing, from a fixed seed: there is always an
/// answer, and every answer can be read.
#[test]
fn mutated_requests_are_always_answered() {
    let mut state = 0x5EED_u32;
    let mut random = move |below: usize| {
        // xorshift32 (Marsaglia, 2003).
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as usize % below
    };
    let cases = cases();
    for _ in 0..5_000 {
        let (mut raw, _) = cases[random(cases.len())].clone();
        for _ in 0..=random(4) {
            let at = random(raw.len());
            match random(3) {
                0 => raw[at] = b"\r\n :;%\0\xFF/?#0aZ"[random(14)],
                1 => raw.insert(at, raw[at]),
                _ if raw.len() > 1 => drop(raw.remove(at)),
                _ => {}
            }
        }
        let heads = |reply: &Reply| reply.status >= 200;
        let received = serve(vec![raw.clone()]);
        assert!(!received.is_empty(), "{}", raw.escape_ascii());
        assert!(replies(&received, 0).iter().all(heads), "{}", raw.escape_ascii());
    }
}

/// Bodies of every length around what fits behind the head, with a length and in chunks, in one
/// piece and in many, with the next request right behind them.
#[test]
fn bodies_are_handed_over_whole() {
    let next = "GET /ok HTTP/1.1\r\nHost: n\r\n\r\n";
    let lengths = (0..5).chain(1_000..1_030).chain([1_500, 1_700, BODY_MAX - 1, BODY_MAX]);
    for length in lengths.chain(1_720..1_760) {
        let body: Vec<u8> = (0..length).map(long_byte).collect();
        let text = std::str::from_utf8(&body).unwrap();
        let chunks: String = body
            .chunks(97)
            .map(|chunk| format!("{:x};a\r\n{}\r\n", chunk.len(), str::from_utf8(chunk).unwrap()))
            .collect();
        let post = "POST /echo HTTP/1.1\r\nHost: n\r\n";
        let fixed = format!("{post}Content-Length: {length}\r\n\r\n{text}{next}");
        // In chunks of 97 bytes, the extensions of the longest take 44 of the 256 bytes.
        let chunked = format!("{post}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n{next}");
        let fields = "x".repeat(HEAD_MAX - post.len() - 40);
        let full = format!("{post}X: {fields}\r\nContent-Length: {length}\r\n\r\n{text}{next}");
        for raw in [fixed, chunked, full] {
            for piece in [1, 7, 333, raw.len()] {
                for room in [BUFFER_LEN, BUFFER_LEN + BODY_MAX] {
                    let pieces: Vec<_> = raw.as_bytes().chunks(piece).map(<[u8]>::to_vec).collect();
                    let client = Client { pieces: pieces.into(), ..Client::default() };
                    let replies = replies(&serve_with(&client, room), 0);
                    assert_statuses(&replies, &[200, 200], &raw.as_bytes()[..60]);
                    assert!(replies[0].body == body, "{length} in pieces of {piece}");
                }
            }
        }
    }
}

#[test]
fn a_body_is_asked_for_when_it_is_wanted_and_not_before() {
    let post =
        "POST /echo HTTP/1.1\r\nHost: n\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let answers = replies(&serve(vec![post.into(), b"hello".to_vec()]), 0);
    let statuses: Vec<u16> = answers.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [100, 200]);
    assert_eq!(answers[1].body, b"hello");
    // Who sends it at once waits for nothing.
    let answers = replies(&serve(vec![format!("{post}hello").into()]), 0);
    assert_eq!(answers.len(), 1);
    // Who is refused is not asked for a body.
    let refused = post.replace("POST", "PUT");
    let answers = replies(&serve(vec![refused.into(), b"hello".to_vec()]), 0);
    assert_statuses(&answers, &[405], b"PUT");
    assert_eq!(answers[0].field("connection"), Some("close"));
}

/// Three are answered and a fourth connects, all before any worker has its next turn.
#[test]
fn who_was_answered_just_now_makes_room_too() {
    let kept = "GET /ok HTTP/1.1\r\nHost: n\r\n\r\n";
    let last = "GET /ok HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n";
    let clients = [kept, kept, kept, last].map(|request| Client {
        pieces: vec![request.into()].into(),
        stays: true,
        ..Client::default()
    });
    let mut seats = [[0; BUFFER_LEN]; 3];
    let mut shared = [0; BODY_MAX];
    let seats = seats.each_mut().map(|seat| &mut seat[..]);
    let server = Server::<3>::new(seats, &mut shared, 0, Timeouts::STANDARD);
    let (acceptor, stubs) = (Clients(&clients), [(); 4].map(|()| Stub::default()));
    let workers = stubs.each_ref().map(|stub| server.worker(&acceptor, |_| ENTRANCE, stub));
    let serving = async {
        join_array(workers).await;
    };
    let until_closed = async {
        while !clients[3].closed.get() {
            yield_now().await;
        }
    };
    block_on(or(serving, until_closed));
    for client in &clients {
        assert_statuses(&replies(&client.received.borrow(), 0), &[200], kept.as_bytes());
    }
    let left = clients[..3].iter().filter(|client| client.closed.get()).count();
    assert_eq!(left, 1, "one makes room for one");
}
