//! Calls of services: a request is kept while a service works on it, and the answer is its own.

use core::ops::Range;

use edge_nal::io::{Read, Write};
use embassy_time::{Instant, with_deadline};
use spore_core::api::{Call, Error, Response};

use super::Api;
use super::connection::{Connection, Ending, Part, ReadBody, Stop};
use super::head::Head;
use super::reply::{self, Length};
use crate::ServiceReply;

/// A request that waits for a service, all of it in the connection's buffer.
pub(super) struct Calling {
    call: Call,
    head: Head,
    body: Range<usize>,
    /// What came behind the request.
    rest: Range<usize>,
}

impl<S: Read + Write, A: Api> Connection<'_, '_, S, A> {
    /// Brings together in this connection's buffer what a service is to see: it may take long, for
    /// which the shared one cannot be kept. There must be room for an answer behind it.
    pub(super) fn gather(
        &mut self,
        call: Call,
        head: Head,
        body: &ReadBody<'_, '_>,
    ) -> Result<Calling, Stop> {
        let rest = body.end..self.filled;
        let start = if body.shared.is_some() { self.filled } else { head.len };
        let place = start..start + body.len;
        if let Some(claim) = &body.shared {
            let room = self.buf.get_mut(place.clone()).ok_or(Error::PayloadTooLarge)?;
            claim.with(body.len, |bytes| room.copy_from_slice(bytes))?;
            self.filled = place.end;
        }
        match reply::piece_room(&mut self.buf[self.filled..], 0) {
            Some(_) => Ok(Calling { call, head, body: place, rest }),
            None => Err(Stop::Refused(Error::PayloadTooLarge)),
        }
    }

    /// Has a service answer, behind the request in the buffer, and sends what it says.
    pub(super) async fn call(&mut self, calling: &Calling) -> Result<(), Ending> {
        let answered = {
            let Calling { call, head, body, .. } = calling;
            let (request, free) = self.buf.split_at_mut(self.filled);
            let body = &request[body.clone()];
            let called = call.with(&head.request(request, body, self.place.entrance));
            let room = reply::piece_room(free, 0).unwrap_or_default();
            let until = Instant::now() + self.timeouts.response;
            let answered = with_deadline(until, self.api.call(&called, room)).await;
            let checked = answered.map(|answer| answer.checked(room.len()));
            match checked {
                Ok(Some(answer)) => answer,
                Ok(None) => ServiceReply::error(Error::ServiceBroken, room),
                Err(_) => ServiceReply::error(Error::ServiceTimeout, room),
            }
        };
        self.api.handle_called(answered.status);
        let sent = self.send_reply(answered).await;
        self.forget(calling.rest.clone());
        sent
    }

    /// Sends the answer of a service, which stands where the first piece of a body does.
    async fn send_reply(&mut self, answered: ServiceReply) -> Result<(), Ending> {
        let until = Instant::now() + self.timeouts.response;
        let part = self.put_reply(answered);
        self.write(part, until).await
    }

    /// Puts the head of a service's answer in front of it: all that is to be written.
    fn put_reply(&mut self, answered: ServiceReply) -> Part {
        let ServiceReply { status, content_type, len } = answered;
        let bodiless = reply::is_bodiless(status);
        let length = if bodiless { Length::None } else { Length::Known(len) };
        let mut part = self.frame(length, len, true);
        let response = Response::of_service(status, content_type);
        let (buf, close) = (&mut self.buf[self.filled..], !self.keep_alive);
        let entrance = self.place.entrance;
        let Some(head) = reply::put_head(buf, part.start, &response, entrance, length, close)
        else {
            self.keep_alive = false;
            return Part::Fixed(reply::INTERNAL);
        };
        part.start = head.start;
        Part::Buffered(if self.head_only || bodiless { head } else { part })
    }
}
