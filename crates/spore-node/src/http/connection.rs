//! One connection: requests in, answers out, until either side has had enough.

use core::cell::Cell;
use core::ops::Range;

use edge_nal::io::{Read, Write};
use embassy_futures::select::{Either, select};
use embassy_futures::yield_now;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Instant, Timer, with_deadline};
use spore_core::api::{Body, Entrance, Error, Method, Response};

use crate::body::{Decoder, Framing};

use super::call::Calling;
use super::head::{self, Head};
use super::reply::{self, Length};
use super::shared::{Claim, Lost, SharedBuffer};
use super::stream::Streaming;
use super::upload::Uploading;
use super::{Api, BODY_MAX, HEAD_MAX, Timeouts};

/// How much of a body is read at once, in bytes.
const BODY_STEP: usize = 512;

/// What is read behind a body is the next head, and an answer needs its room behind that.
const _: () = assert!(BODY_STEP <= HEAD_MAX && BODY_STEP <= reply::ROOM_MIN);

/// Between two looks whether a pending answer is decided.
const LOOK: Duration = Duration::from_millis(10);

/// How a connection ended, which decides how it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The last answer is on its way: let the client read it, then close.
    Finished,
    /// Nothing is owed to the client: it was idle, has closed, or has lost its seat and was told.
    Idle,
    /// The client is gone or takes no more bytes: reset.
    Broken,
}

/// How a connection is asked to make room for another.
pub(super) struct Seat {
    /// From when on it has to; [`NEVER`] while it is at work.
    due: Cell<Instant>,
    leave: Signal<NoopRawMutex, ()>,
    /// All answers are sent; the client has yet to close.
    pub(super) closing: Cell<bool>,
    /// Since when the connection waits for the shared body buffer.
    pub(super) asked: Cell<Option<Instant>>,
}

/// The seat that a connection has, and what it shares with the others.
pub(super) struct Place<'s, 'b> {
    pub(super) seats: &'s [Seat],
    pub(super) number: usize,
    pub(super) bodies: &'s SharedBuffer<'b>,
    /// Where the connection came in.
    pub(super) entrance: Entrance,
    /// How many more streams there may be.
    pub(super) streams: &'s Cell<usize>,
}

/// When a connection that is at work has to give up its seat.
const NEVER: Instant = Instant::MAX;

impl Seat {
    pub(super) const fn new() -> Self {
        Self {
            due: Cell::new(NEVER),
            leave: Signal::new(),
            closing: Cell::new(false),
            asked: Cell::new(None),
        }
    }

    /// The connection is asked to leave from `due` on, and not before.
    pub(super) fn set_due(&self, due: Instant) {
        self.leave.reset();
        self.due.set(due);
    }

    /// Since when the connection could have been asked to leave; `None` if that is after `now`.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        Some(self.due.get()).filter(|due| *due <= now)
    }

    /// Asks the connection to leave.
    pub(super) fn ask_to_leave(&self) {
        self.due.set(NEVER);
        self.leave.signal(());
    }

    /// Waits until the connection is asked to leave.
    pub(super) async fn asked_to_leave(&self) {
        self.leave.wait().await;
    }
}

/// What ends the reading of a request.
pub(super) enum Stop {
    /// The client is to be told, after which the connection ends.
    Refused(Error),
    /// Another one needs the seat, and the request has been on its way, or awaited, for long.
    Displaced,
    /// There is nobody to tell.
    Ended(Ending),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<Lost> for Stop {
    fn from(Lost: Lost) -> Self {
        Self::Refused(Error::RequestTimeout)
    }
}

impl From<Ending> for Stop {
    fn from(ending: Ending) -> Self {
        Self::Ended(ending)
    }
}

/// A request's body, without its framing.
pub(super) struct ReadBody<'s, 'b> {
    pub(super) len: usize,
    /// The shared buffer, if the body is there, and not behind its head.
    pub(super) shared: Option<Claim<'s, 'b>>,
    /// Where the request ends in the connection's buffer.
    pub(super) end: usize,
}

/// A request, and what is to become of it.
enum Turn {
    /// The answer is known, or is being decided. The request is not needed any more.
    Answer(Response),
    /// A service is to answer, or the shell.
    Call(Calling),
    /// The answer goes on for as long as there is something to tell.
    Stream(Streaming),
    /// The body is an image; whether the client waits to be told that it may send it.
    Upload(Uploading, bool),
}

/// The state of a connection that is being served.
///
/// The buffer holds, from its start, `filled` bytes that the client sent and that are not dealt
/// with; what is behind them is free. A head stays where it is until its request is answered.
pub(super) struct Connection<'c, 'b, S, A> {
    pub(super) socket: &'c mut S,
    pub(super) buf: &'c mut [u8],
    pub(super) filled: usize,
    /// The answer goes without its body: the request was a HEAD.
    pub(super) head_only: bool,
    /// The client knows chunks.
    pub(super) http11: bool,
    /// Another request may follow the answer.
    pub(super) keep_alive: bool,
    pub(super) place: Place<'c, 'b>,
    pub(super) api: &'c A,
    pub(super) timeouts: &'c Timeouts,
}

impl<'c, 'b, S: Read + Write, A: Api> Connection<'c, 'b, S, A> {
    pub(super) fn new(
        socket: &'c mut S,
        buf: &'c mut [u8],
        place: Place<'c, 'b>,
        api: &'c A,
        timeouts: &'c Timeouts,
    ) -> Self {
        Self {
            socket,
            buf,
            filled: 0,
            head_only: false,
            http11: true,
            keep_alive: false,
            place,
            api,
            timeouts,
        }
    }

    /// Serves requests until the connection is to be closed, and says how.
    pub(super) async fn serve(&mut self) -> Ending {
        loop {
            // What is known of a request before its head is read.
            let kept = core::mem::replace(&mut self.keep_alive, false);
            (self.head_only, self.http11) = (false, true);
            let sent = match self.request(kept).await {
                Ok(Turn::Answer(mut response)) => self.answer(&mut response).await,
                Ok(Turn::Call(calling)) => self.call(&calling).await,
                Ok(Turn::Stream(mut streaming)) => self.stream(&mut streaming).await,
                Ok(Turn::Upload(mut uploading, proceed)) => {
                    self.upload(&mut uploading, proceed).await
                }
                Err(Stop::Refused(error)) => {
                    self.keep_alive = false;
                    self.filled = 0;
                    self.seat().set_due(NEVER);
                    self.send(&mut Response::error(error)).await
                }
                Err(Stop::Displaced) => {
                    self.filled = 0;
                    let told = self.send(&mut Response::error(Error::RequestTimeout)).await;
                    return told.err().unwrap_or(Ending::Idle);
                }
                Err(Stop::Ended(ending)) => return ending,
            };
            if let Err(ending) = sent {
                return ending;
            }
            if !self.keep_alive {
                return Ending::Finished;
            }
        }
    }

    /// Reads a request with its body and has it answered.
    async fn request(&mut self, kept: bool) -> Result<Turn, Stop> {
        let head = self.read_head(kept).await?;
        self.head_only = head.method == Method::Head;
        self.http11 = head.http11;
        if self.api.takes_upload(&head.request(self.buf, &[], self.place.entrance)) {
            return self.begin_upload(&head);
        }
        let mut decoder = Decoder::new(BODY_MAX, head.framing)?;
        if !decoder.is_done()
            && let Some(refusal) =
                self.api.handle_head(&head.request(self.buf, &[], self.place.entrance))
        {
            // The body may come nevertheless, and nobody is to wait for it.
            self.seat().set_due(NEVER);
            self.filled = 0;
            return Ok(Turn::Answer(refusal));
        }
        if head.expects_continue && head.len == self.filled && !decoder.is_done() {
            let until = Instant::now() + self.timeouts.write;
            self.write(Part::Fixed(reply::CONTINUE), until).await?;
        }
        let body = self.read_body(&head, &mut decoder).await?;
        self.seat().set_due(NEVER);
        let handle =
            |bytes: &[u8]| self.api.handle(&head.request(self.buf, bytes, self.place.entrance));
        let mut response = match &body.shared {
            None => handle(&self.buf[head.len..head.len + body.len]),
            Some(claim) => claim.with(body.len, handle)?,
        };
        self.keep_alive = head.keep_alive;
        if let Some(call) = response.to_call() {
            return self.gather(call, head, &body).map(Turn::Call);
        }
        if response.is_stream() {
            if self.place.streams.get() > 0 {
                return Ok(Turn::Stream(Streaming { response, query: head.query() }));
            }
            response = Response::error(Error::StreamsBusy);
            self.api.handle_called(response.status);
        }
        // Head and body are not needed any more; what came after the request is the next one.
        self.forget(body.end..self.filled);
        Ok(Turn::Answer(response))
    }

    /// Asks whether the image that a request brings is wanted.
    fn begin_upload(&mut self, head: &Head) -> Result<Turn, Stop> {
        self.seat().set_due(NEVER);
        let uploading = self.uploading(head)?;
        let asked = self.api.handle_head(&head.request(self.buf, &[], self.place.entrance));
        match asked {
            Some(response) if !response.is_upload() => {
                self.filled = 0;
                Ok(Turn::Answer(response))
            }
            _ => Ok(Turn::Upload(uploading, head.expects_continue && head.len == self.filled)),
        }
    }

    fn seat(&self) -> &'c Seat {
        &self.place.seats[self.place.number]
    }

    /// Keeps only the `rest` of what the buffer holds.
    pub(super) fn forget(&mut self, rest: Range<usize>) {
        self.filled = rest.len();
        self.buf.copy_within(rest, 0);
    }

    /// Sends an answer when it is decided.
    async fn answer(&mut self, response: &mut Response) -> Result<(), Ending> {
        self.decide(response).await;
        self.send(response).await
    }

    /// Waits until a pending answer is decided.
    async fn decide(&self, response: &mut Response) {
        let until = Instant::now() + self.timeouts.response;
        while response.is_pending() && !self.api.poll_response(response) {
            if Instant::now() >= until {
                *response = Response::error(Error::Unfinished);
                return self.api.handle_called(response.status);
            }
            Timer::after(LOOK).await;
        }
    }

    async fn read_head(&mut self, kept: bool) -> Result<Head, Stop> {
        // A client that has only just connected is about to ask something. One whose connection
        // was kept knows that it may be closed, and asks again (RFC 9112, section 9.3.1).
        let soon = Instant::now() + self.timeouts.grace;
        let waits = self.filled == 0;
        self.seat().set_due(if kept && waits { Instant::MIN } else { soon });
        if kept {
            // Requests that all are there already must not keep the rest of the node waiting. The seat can be given up
            // meanwhile: several may be answered before it is looked who else has come.
            yield_now().await;
        }
        if waits {
            self.wait(kept).await?;
        }
        if kept && waits {
            self.seat().set_due(Instant::now() + self.timeouts.grace);
        }
        let deadline = Instant::now() + self.timeouts.head;
        loop {
            // What is refused before it is read must not get a body either (RFC 9110, 9.3.2).
            self.head_only = self.buf[..self.filled].starts_with(b"HEAD ");
            if let Some(head) = head::parse(&self.buf[..self.filled])? {
                return Ok(head);
            }
            self.filled += self.read(self.filled..HEAD_MAX, deadline).await?;
        }
    }

    /// Reads more of a request. Silence and a half-closed connection are told to the client; of a
    /// broken one it has heard.
    pub(super) async fn read(
        &mut self,
        place: Range<usize>,
        deadline: Instant,
    ) -> Result<usize, Stop> {
        let leave = self.seat().asked_to_leave();
        let read = select(self.socket.read(&mut self.buf[place]), leave);
        match with_deadline(deadline, read).await {
            Ok(Either::First(Ok(0))) => Err(Stop::Refused(Error::BadRequest)),
            Ok(Either::First(Ok(read))) => Ok(read),
            Ok(Either::First(Err(_))) => Err(Stop::Ended(Ending::Broken)),
            Ok(Either::Second(())) => Err(Stop::Displaced),
            Err(_) => Err(Stop::Refused(Error::RequestTimeout)),
        }
    }

    /// Waits for the first bytes of a request. A client that has asked nothing yet is told that it is too late; one whose
    /// connection was `kept` may be sending its next request just now, and would take that for its answer.
    async fn wait(&mut self, kept: bool) -> Result<(), Stop> {
        let leave = self.seat().asked_to_leave();
        let read = self.socket.read(&mut self.buf[..HEAD_MAX]);
        let first = select(read, leave);
        let result = with_deadline(Instant::now() + self.timeouts.idle, first).await;
        match result {
            Ok(Either::First(Ok(0))) => Err(Stop::Ended(Ending::Idle)),
            Ok(Either::Second(())) | Err(_) if kept => Err(Stop::Ended(Ending::Idle)),
            Ok(Either::Second(())) => Err(Stop::Displaced),
            Err(_) => Err(Stop::Refused(Error::RequestTimeout)),
            Ok(Either::First(Ok(read))) => {
                self.filled = read;
                Ok(())
            }
            Ok(Either::First(Err(_))) => Err(Stop::Ended(Ending::Broken)),
        }
    }

    /// Reads a body to its end: behind its head if it fits there for certain, else into the buffer
    /// that all connections share.
    async fn read_body(
        &mut self,
        head: &Head,
        decoder: &mut Decoder,
    ) -> Result<ReadBody<'c, 'b>, Stop> {
        let longest = match head.framing {
            Framing::Length(length) => length,
            // One byte more, so that there is always room to read in.
            Framing::Chunked | Framing::UntilClose => BODY_MAX + 1,
        };
        let shared =
            if longest <= self.buf.len() - head.len { None } else { Some(self.claim().await?) };
        let deadline = Instant::now() + self.timeouts.body;
        let (mut start, mut len) = (head.len, 0);
        loop {
            let decoded = decoder.decode(&mut self.buf[start..self.filled])?;
            let end = start + decoded.used;
            match &shared {
                None => start += decoded.kept,
                Some(claim) => claim.put(len, &self.buf[start..start + decoded.kept])?,
            }
            len += decoded.kept;
            if decoder.is_done() {
                return Ok(ReadBody { len, shared, end });
            }
            let step = BODY_STEP.min(decoder.certain()).min(self.buf.len() - start);
            self.filled = start + self.read(start..start + step, deadline).await?;
        }
    }

    /// Waits for the shared buffer.
    async fn claim(&self) -> Result<Claim<'c, 'b>, Stop> {
        let Place { seats, number, bodies, .. } = self.place;
        let turn = bodies.claim(seats, number, self.timeouts.lease);
        // Those before it in the queue keep it waiting, not its client.
        self.seat().set_due(NEVER);
        let claim = with_deadline(Instant::now() + self.timeouts.body, turn).await;
        self.seat().set_due(Instant::now() + self.timeouts.grace);
        claim.map_err(|_| Stop::Refused(Error::Busy))
    }

    /// Sends an answer, as one write if its body fits the buffer.
    pub(super) async fn send(&mut self, response: &mut Response) -> Result<(), Ending> {
        // Behind a head's worth of bytes there is room for a piece, so that each round sends one.
        debug_assert!(self.filled <= HEAD_MAX);
        let until = Instant::now() + self.timeouts.response;
        let (mut len, mut last) = self.fill(&mut response.body);
        let length = if reply::is_bodiless(response.status) {
            Length::None
        } else if let Some(asset) = response.asset {
            Length::Known(asset.bytes().len())
        } else if last {
            Length::Known(len)
        } else if self.http11 {
            Length::Chunked
        } else {
            self.keep_alive = false;
            Length::UntilClose
        };
        let mut part = self.frame(length, len, last);
        let (entrance, close) = (self.place.entrance, !self.keep_alive);
        let buf = &mut self.buf[self.filled..];
        let Some(head) = reply::put_head(buf, part.start, response, entrance, length, close) else {
            self.keep_alive = false;
            return self.write(Part::Fixed(reply::INTERNAL), until).await;
        };
        part.start = head.start;
        if self.head_only || length == Length::None {
            return self.write(Part::Buffered(head), until).await;
        }
        loop {
            self.write(Part::Buffered(part), until).await?;
            if last {
                return Ok(());
            }
            yield_now().await;
            (len, last) = self.fill(&mut response.body);
            part = self.frame(length, len, last);
        }
    }

    /// Fills the buffer with the body's next bytes: how many, and whether the body ends there.
    fn fill(&mut self, body: &mut Body) -> (usize, bool) {
        let mut len = 0;
        while let Some(room) = reply::piece_room(&mut self.buf[self.filled..], len) {
            match self.api.poll_body(body, room) {
                0 => return (len, true),
                more => len += more,
            }
        }
        (len, false)
    }

    pub(super) fn frame(&mut self, length: Length, len: usize, last: bool) -> Range<usize> {
        if length == Length::Chunked {
            reply::put_chunk(&mut self.buf[self.filled..], len, last)
        } else {
            reply::PIECE_START..reply::PIECE_START + len
        }
    }

    pub(super) async fn write(&mut self, part: Part, until: Instant) -> Result<(), Ending> {
        let mut bytes = match part {
            Part::Buffered(place) => &self.buf[self.filled..][place],
            Part::Fixed(bytes) => bytes,
        };
        while !bytes.is_empty() {
            let deadline = until.min(Instant::now() + self.timeouts.write);
            match with_deadline(deadline, self.socket.write(bytes)).await {
                Ok(Ok(written @ 1..)) => bytes = bytes.get(written..).unwrap_or_default(),
                _ => return Err(Ending::Broken),
            }
        }
        Ok(())
    }
}

/// What is to be written.
pub(super) enum Part {
    /// A place in the free part of the buffer.
    Buffered(Range<usize>),
    Fixed(&'static [u8]),
}
