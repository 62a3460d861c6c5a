//! Answers that are streams: sent piece by piece, as things happen, for as long as the client reads.
//!
//! A stream holds its seat, so there are fewer of them than seats, and other requests are served
//! beside them. Of its request only the query is kept, in front of the connection's buffer; so each piece has room
//! for [`STREAM_PIECE`] bytes.

use core::cell::Cell;
use core::ops::Range;

use edge_nal::io::{Read, Write};
use embassy_futures::select::{Either, select};
use embassy_futures::yield_now;
use embassy_time::{Instant, with_timeout};
use spore_core::api::Response;

use super::connection::{Connection, Ending, Part};
use super::reply::{self, Length};
use super::{Api, BUFFER_LEN, STREAM_PIECE, TARGET_MAX};

/// A query is part of a target.
const _: () = assert!(reply::free_piece(BUFFER_LEN - TARGET_MAX) >= STREAM_PIECE);

/// What a client is sent that has heard nothing for long: a comment, which readers of streams skip
/// (WHATWG HTML, section 9.2.5). So a connection that is dead is found out.
const HEARTBEAT: &[u8] = b":\n\n";

/// The right to be a stream, until it is dropped.
struct Licence<'s>(&'s Cell<usize>);

impl<'s> Licence<'s> {
    /// Takes one of those that are `free`.
    fn take(free: &'s Cell<usize>) -> Self {
        free.set(free.get().saturating_sub(1));
        Self(free)
    }
}

impl Drop for Licence<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// A stream that has yet to begin, at once: what it holds while it lasts would else be held twice.
pub(super) struct Streaming {
    pub(super) response: Response,
    /// Where the request's query is in the connection's buffer.
    pub(super) query: Range<usize>,
}

/// Why a stream goes on.
enum Woken {
    /// There may be more to send.
    News,
    /// Nothing was sent for long.
    Silence,
    /// The client will not read any more.
    Left,
}

impl<'c, S: Read + Write, A: Api> Connection<'c, '_, S, A> {
    /// Sends a stream to its end, or to the client's.
    pub(super) async fn stream(&mut self, streaming: &mut Streaming) -> Result<(), Ending> {
        let Streaming { response, query } = streaming;
        let _licence = Licence::take(self.place.streams);
        self.keep_alive = false;
        self.forget(query.clone());
        self.api.handle_called(response.status);
        let length = if self.http11 { Length::Chunked } else { Length::UntilClose };
        let place = reply::PIECE_START;
        let (buf, entrance) = (&mut self.buf[self.filled..], self.place.entrance);
        let head = reply::put_head(buf, place, response, entrance, length, true);
        let Some(head) = head else {
            return self.write(Part::Fixed(reply::INTERNAL), self.deadline()).await;
        };
        self.write(Part::Buffered(head), self.deadline()).await?;
        if self.head_only {
            return Ok(());
        }
        loop {
            let len = self.fill_stream(response);
            let piece = match len {
                Some(0) => match self.news().await? {
                    Woken::News => continue,
                    Woken::Silence => self.put_heartbeat(),
                    Woken::Left => 0,
                },
                Some(len) => len,
                None => 0,
            };
            // An empty piece is the end.
            let part = self.frame(length, piece, piece == 0);
            self.write(Part::Buffered(part), self.deadline()).await?;
            if piece == 0 {
                return Ok(());
            }
            yield_now().await;
        }
    }

    /// Until when what is sent now must have left.
    fn deadline(&self) -> Instant {
        Instant::now() + self.timeouts.response
    }

    /// Fills the buffer with what there is of the stream: its length, or `None` at the end.
    fn fill_stream(&mut self, response: &mut Response) -> Option<usize> {
        let (query, free) = self.buf.split_at_mut(self.filled);
        // It was a `str` when it was parsed.
        let query = str::from_utf8(query).unwrap_or_default();
        let room = reply::piece_room(free, 0).unwrap_or_default();
        self.api.poll_stream(query, &mut response.body, room)
    }

    fn put_heartbeat(&mut self) -> usize {
        let place = self.filled + reply::PIECE_START;
        self.buf[place..place + HEARTBEAT.len()].copy_from_slice(HEARTBEAT);
        HEARTBEAT.len()
    }

    /// Waits until there may be more to send. What the client sends meanwhile is dropped: there is
    /// no answer behind a stream.
    async fn news(&mut self) -> Result<Woken, Ending> {
        let read = self.socket.read(&mut self.buf[self.filled..]);
        let first = select(self.api.stream_changed(), read);
        match with_timeout(self.timeouts.heartbeat, first).await {
            Ok(Either::First(())) => Ok(Woken::News),
            Ok(Either::Second(Ok(0))) => Ok(Woken::Left),
            Ok(Either::Second(Ok(_))) => {
                // Who always has more to send must not keep the others from their turn.
                yield_now().await;
                Ok(Woken::News)
            }
            Ok(Either::Second(Err(_))) => Err(Ending::Broken),
            Err(_) => Ok(Woken::Silence),
        }
    }
}
