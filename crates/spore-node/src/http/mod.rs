//! The HTTP server: frames requests and bodies, and leaves every decision to the engine.
//!
//! The server knows HTTP/1.1 (RFC 9112) and nothing of SPORE: which paths exist, who may ask for
//! what and what is answered is the [`Api`]'s. What the server owns is the conduct of a
//! connection. Whoever connects gets an answer, and nobody can hold the server for longer than
//! its [`Timeouts`]:
//!
//! | the client | gets |
//! |---|---|
//! | calls a service that has not answered within [`Timeouts::response`] | 504 |
//! | calls a service with a request that leaves its answer no room in the connection's buffer | 413 |
//! | sends what is not HTTP, no or two `Host`, an ambiguous body length | 400 |
//! | starts a request and does not finish it in time | 408 |
//! | holds the shared buffer with a body longer than [`Timeouts::lease`] while another waits | 408 |
//! | announces or sends a body beyond [`BODY_MAX`], unless it is an image that is wanted | 413 |
//! | brings an image at less than 1,024 bytes a second after the first ten | 408 |
//! | sends a target beyond [`TARGET_MAX`] | 414 |
//! | sends a head beyond [`HEAD_MAX`] or more than [`HEADERS_MAX`] fields | 431 |
//! | uses a transfer coding other than `chunked`, or `CONNECT` | 501 |
//! | has not sent a whole request after [`Timeouts::grace`] when another needs its seat | 408 |
//! | connects while all seats are taken, and by none such | 503 and `Retry-After` |
//! | asks for a stream while there are as many as there may be | 503 and `Retry-After` |
//! | reads nothing of a stream for [`Timeouts::write`], or half of a piece in [`Timeouts::response`] | a reset |
//! | speaks another version than HTTP/1.0 or HTTP/1.1 | 505 |
//! | connects and sends nothing for [`Timeouts::idle`] | 408 |
//! | sends no further request for [`Timeouts::idle`] after an answer | a closed connection |
//!
//! A stack without a queue for connections (smoltcp) resets those that come while every worker is
//! busy, the refusing one included: its client must try again.
//!
//! Each of these is a JSON body like any other error of the API, and after each the connection
//! is closed: where one request ends and the next begins is no longer certain.
//!
//! Memory is the caller's: one buffer of at least [`BUFFER_LEN`] bytes for each connection that
//! is served at once. A buffer is a *seat*; a connection that finds none is refused, so there is
//! no other count that could disagree with it. A request's body stays in its connection's buffer
//! if it fits there, behind the head; then no other client can delay it. One that does not goes
//! to a buffer of [`BODY_MAX`] bytes that all connections share: who comes waits, first come first
//! served, and who holds it loses it after [`Timeouts::lease`] if somebody waits.
//!
//! Why the server is our own on `httparse`, with the figures: `docs/decisions/0002-http-server.md`.

mod call;
mod connection;
mod head;
mod multipart;
mod parts;
mod reply;
mod server;
mod shared;
mod stream;
mod upload;

use crate::ServiceReply;
use embassy_time::Duration;
use spore_core::api::{Body, Called, Request, Response};

#[doc(hidden)]
pub use parts::parse;
pub use server::Server;

/// Connections that are served at once on a board. The next is refused with 503.
pub const CONNECTIONS: usize = 3;

/// Workers that a board runs: one per connection, and one that refuses.
pub const WORKERS: usize = CONNECTIONS + 1;

/// Connections that may be streams at once on a board. The next is refused with 503.
pub const STREAMS: usize = 1;

/// Longest head (request line, fields and the empty line) in bytes. Beyond it: 431.
pub const HEAD_MAX: usize = 1024;

/// Most fields in a head. Beyond it: 431. Parsing takes 16 bytes of stack for each on a board.
pub const HEADERS_MAX: usize = 32;

/// Longest request target (path and query) in bytes. Beyond it: 414.
pub const TARGET_MAX: usize = 512;

/// Longest request body in bytes, without its chunk framing. Beyond it: 413.
pub const BODY_MAX: usize = 2048;

/// What one connection needs in memory, in bytes.
///
/// A request and what the client sent after it share the buffer with the answer, so it must hold
/// the longest head and still have room for the head of an answer and one piece of its body. A
/// longer buffer means fewer and larger pieces on the wire.
pub const BUFFER_LEN: usize = HEAD_MAX + reply::ROOM_MIN;

/// The least room for a piece of a stream, in bytes: no single piece is larger.
pub use spore_core::api::STREAM_PIECE;

/// The application behind the server: the engine, or a stand-in for it in a test.
///
/// All verbs but [`call`](Self::call) are synchronous and must return soon: they run between two
/// awaits of a worker, on the one thread that a board has.
#[allow(async_fn_in_trait, reason = "the server runs on one thread and needs no Send")]
pub trait Api {
    /// Answers a request. If the answer [is pending](Response::is_pending), nothing of it is sent
    /// before [`poll_response`](Self::poll_response) says that it is decided.
    fn handle(&self, request: &Request<'_>) -> Response;

    /// The refusal of a request with a body that is not read yet, if the request is bound to be
    /// refused whatever the body is. The connection is closed after it.
    fn handle_head(&self, request: &Request<'_>) -> Option<Response>;

    /// Whether a request brings an image. Then [`handle_head`](Self::handle_head) is asked whether that is wanted, and its answer
    /// [is an upload](Response::is_upload) if so.
    fn takes_upload(&self, request: &Request<'_>) -> bool;

    /// An image that is wanted begins to come.
    fn begin_upload(&self);

    /// A piece of it has come. False if no more of it is wanted.
    async fn feed(&self, piece: &[u8]) -> bool;

    /// It is there whole, or no more of it comes. Returns the answer.
    async fn finish_upload(&self, whole: bool) -> Response;

    /// Whether a pending answer is decided now; `response` is the answer then.
    fn poll_response(&self, response: &mut Response) -> bool;

    /// Has it answered, where the answer of [`handle`](Self::handle) is a
    /// [call](Response::to_call). The body goes to `reply`, which has at least
    /// [`MIN_PIECE`](spore_core::api::MIN_PIECE) bytes. Dropped after [`Timeouts::response`].
    async fn call(&self, called: &Called<'_>, reply: &mut [u8]) -> ServiceReply;

    /// A call was answered with this status, by the service or in its place; or an answer that was
    /// not decided in time was given up.
    fn handle_called(&self, status: u16);

    /// Writes the next piece of an answer's body to `buf`, which has at least
    /// [`MIN_PIECE`](spore_core::api::MIN_PIECE) bytes, and returns how many bytes it wrote. Zero is the end.
    fn poll_body(&self, body: &mut Body, buf: &mut [u8]) -> usize;

    /// Writes what there is now of a [stream](Response::is_stream) to `buf`, which has at least
    /// [`STREAM_PIECE`] bytes, and returns how many bytes it wrote; `None` is the end. `query` is
    /// that of the request.
    fn poll_stream(&self, query: &str, body: &mut Body, buf: &mut [u8]) -> Option<usize>;

    /// Waits until a stream that had nothing to send may have more, or is to end.
    async fn stream_changed(&self);
}

impl<A: Api + ?Sized> Api for &A {
    fn handle(&self, request: &Request<'_>) -> Response {
        (**self).handle(request)
    }

    fn handle_head(&self, request: &Request<'_>) -> Option<Response> {
        (**self).handle_head(request)
    }

    fn takes_upload(&self, request: &Request<'_>) -> bool {
        (**self).takes_upload(request)
    }

    fn begin_upload(&self) {
        (**self).begin_upload();
    }

    async fn feed(&self, piece: &[u8]) -> bool {
        (**self).feed(piece).await
    }

    async fn finish_upload(&self, whole: bool) -> Response {
        (**self).finish_upload(whole).await
    }

    fn poll_response(&self, response: &mut Response) -> bool {
        (**self).poll_response(response)
    }

    async fn call(&self, called: &Called<'_>, reply: &mut [u8]) -> ServiceReply {
        (**self).call(called, reply).await
    }

    fn handle_called(&self, status: u16) {
        (**self).handle_called(status);
    }

    fn poll_body(&self, body: &mut Body, buf: &mut [u8]) -> usize {
        (**self).poll_body(body, buf)
    }

    fn poll_stream(&self, query: &str, body: &mut Body, buf: &mut [u8]) -> Option<usize> {
        (**self).poll_stream(query, body, buf)
    }

    async fn stream_changed(&self) {
        (**self).stream_changed().await;
    }
}

/// How long the server waits, and for what.
///
/// A client that does as little as it can, at every step, keeps its seat for `idle + head`, twice
/// `body` (for the shared buffer and for the body), `write` (for `100 Continue`), twice `response`
/// (until there is an answer, and until it is sent) and `linger`, and no longer: 49 s with the values of the
/// product. When another client finds no seat, it keeps it only while it waits for the shared
/// buffer, at most one `lease` for each seat, and while it is answered, and for [`grace`](Self::grace) before and after.
/// The reader of a stream keeps its seat for as long as it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the first byte of a request. Then 408 if it would be the first one of the connection; a later
    /// one gets no answer, and is not awaited any longer either when another client needs the seat.
    pub idle: Duration,
    /// How long a client may take to send a request, or to close after the last answer, when
    /// another one needs its seat: who has taken longest goes first. Then 408, or a reset. Half as
    /// long for as long as somebody was refused within one grace.
    pub grace: Duration,
    /// From the first byte of a head to its last. Then 408.
    pub head: Duration,
    /// From the end of the head to the end of the body. Then 408.
    pub body: Duration,
    /// How long a request may hold the shared body buffer while another one waits for it. Then 408.
    pub lease: Duration,
    /// For one write without any progress. Then the connection is reset.
    pub write: Duration,
    /// From the first byte of an answer, or of a piece of a stream, to its last, and for it to be decided, or made by a service,
    /// before that. Then the connection is reset.
    pub response: Duration,
    /// For the client to read the end of an answer and close, after which the connection is reset.
    /// What it still sends is read and dropped meanwhile, since a reset would destroy the answer.
    pub linger: Duration,
    /// How long a stream may have nothing to send before something is sent nevertheless, so that a
    /// client that is gone is found out.
    pub heartbeat: Duration,
}

impl Timeouts {
    /// The values of the product.
    pub const STANDARD: Self = Self {
        idle: Duration::from_secs(2),
        grace: Duration::from_secs(1),
        head: Duration::from_secs(5),
        body: Duration::from_secs(5),
        lease: Duration::from_secs(1),
        write: Duration::from_secs(3),
        response: Duration::from_secs(15),
        linger: Duration::from_secs(2),
        heartbeat: Duration::from_secs(15),
    };
}
