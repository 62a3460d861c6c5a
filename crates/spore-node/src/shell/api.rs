//! The shell as the application behind its HTTP server.

use super::{Shell, now};
use crate::ServiceReply;
use crate::http::Api;
use crate::images;
use crate::sprocket::{Call, Entered, Reply};
use crate::system::System;
use core::future::poll_fn;
use core::task::Poll;
use embassy_futures::block_on;
use spore_core::Key;
use spore_core::api::{Body, Called, Error, ImagePart, Request, Response};
use spore_core::crash::CrashRecord;
use spore_core::ota::{PIECE, Refused};

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
        if let Some(part) = response.asks_for()
            && self.read_page(part, 0, &mut [0; PIECE]) > 0
        {
            *response = Response::image(part);
            self.handle_called(response.status);
            return true;
        }
        let decided = self.node.borrow_mut().poll_response(now(), response);
        if decided {
            self.changed.signal(());
        }
        decided
    }

    async fn call(&self, called: &Called<'_>, reply: &mut [u8]) -> ServiceReply {
        let request = match called {
            Called::Service(request) => request,
            Called::Crash => return self.crash(reply).await,
            Called::Images => return self.images(reply).await,
        };
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
        let Some((part, page)) = body.next_page() else {
            return self.node.borrow().poll_body(now(), body, buf);
        };
        body.turn_page();
        self.read_page(part, page, buf)
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

impl<S: System> Shell<'_, S> {
    /// The record of the last crash, also if it could not be stored.
    async fn crash(&self, reply: &mut [u8]) -> ServiceReply {
        let mut len = self.system.crashed(reply);
        if len == 0 {
            len = self.system.recall(Key::Crash, reply).await.unwrap_or(0);
        }
        match CrashRecord::value_to_json(reply, len) {
            Some(len) => ServiceReply { status: 200, content_type: ServiceReply::JSON, len },
            None => ServiceReply::error(Error::NoCrash, reply),
        }
    }

    /// What is in the slots.
    async fn images(&self, reply: &mut [u8]) -> ServiceReply {
        let Some(slots) = self.system.slots() else {
            return ServiceReply::error(Error::NoSlots, reply);
        };
        let job = || images::about::<S::Layout, _>(slots, reply);
        let len = self.system.complete(job).await.unwrap_or(0);
        ServiceReply { status: 200, content_type: ServiceReply::JSON, len }
    }

    /// Reads a page of a part of an image to the start of `buf`; its length, 0 behind the last one, and if there is no such part.
    // Apart, so that a board's stack holds nothing of it while a request is answered.
    #[inline(never)]
    fn read_page(&self, part: ImagePart, page: u16, buf: &mut [u8]) -> usize {
        let (Some(slots), Some(room)) = (self.system.slots(), buf.first_chunk_mut::<PIECE>())
        else {
            return 0;
        };
        let job = || images::read::<S::Layout, _>(slots, (part, page), room);
        block_on(self.system.complete(job)).unwrap_or(0)
    }
}
