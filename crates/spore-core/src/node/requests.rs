//! What a node is asked over HTTP.

use super::Node;
use crate::api::{self, Body, Error, Request, Response};
use crate::node::Event;
use crate::settings::commit::Ticket;
use crate::settings::document::Wanted;
use crate::time::{Duration, Instant};

/// From the request for a restart to the restart.
const RESTART_DELAY: Duration = Duration::from_millis(500);

impl Node<'_> {
    /// An HTTP request came in. Its answer's body is read with [`poll_body`](Self::poll_body); if
    /// the answer [is pending](Response::is_pending), after [`poll_response`](Self::poll_response).
    pub fn handle_request(&mut self, now: Instant, request: &Request<'_>) -> Response {
        api::handle(self, now, request)
    }

    /// An HTTP request came in whose body the client holds back until it is asked for. Returns the
    /// refusal if the request is bound to be refused whatever the body is.
    pub fn handle_head(&mut self, now: Instant, request: &Request<'_>) -> Option<Response> {
        api::precheck(self, now, request)
    }

    /// Whether a pending answer is decided now; `response` is the answer then. Actions decide it.
    pub fn poll_response(&mut self, now: Instant, response: &mut Response) -> bool {
        api::poll(self, now, response)
    }

    /// A service has answered a [call](Response::to_call) with `status`, or the shell has in
    /// its place, or in that of an answer that was not decided in time.
    pub fn handle_called(&mut self, status: u16) {
        self.answers.count(status);
    }

    /// Writes the next piece of an answer's body into `buf`, which must hold at least
    /// [`MIN_PIECE`](api::MIN_PIECE) bytes. Returns its length; 0 at the end.
    ///
    /// Other verbs may be called between pieces: a list then shows each member as of when its
    /// piece was made.
    pub fn poll_body(&self, now: Instant, body: &mut Body, buf: &mut [u8]) -> usize {
        body.fill(self, now, buf)
    }

    /// Writes what there is now of a [stream](Response::is_stream) into `buf`, which must hold at
    /// least [`STREAM_PIECE`](api::STREAM_PIECE) bytes. Returns its length, 0 if nothing is there
    /// yet; `None` when the stream ends, because the node restarts or leaves. `query` is that of
    /// the request.
    pub fn poll_stream(&self, query: &str, body: &mut Body, buf: &mut [u8]) -> Option<usize> {
        body.fill_stream(self, query, buf)
    }

    /// Whether the node is about to restart or to leave.
    pub(crate) fn is_ending(&self) -> bool {
        self.restart.is_some() || self.cluster.is_leaving()
    }

    /// Begins a change of the settings.
    pub(crate) fn change_settings(
        &mut self,
        now: Instant,
        wanted: Wanted,
    ) -> Result<Option<Ticket>, Error> {
        self.settings.begin(now, wanted)
    }

    /// Restarts as soon as the answers that are being given had time to leave. Asking again does
    /// not put it off.
    pub(crate) fn restart(&mut self, now: Instant) {
        if self.restart.is_none() {
            self.restart = Some(now + RESTART_DELAY);
            self.cluster.notify(now, Event::RestartAsked);
        }
    }

    /// A change has ended, whose answer needs time to leave, too.
    pub(super) fn put_off_restart(&mut self, now: Instant, ended: bool) {
        if let Some(at) = self.restart.as_mut().filter(|_| ended) {
            *at = (*at).max(now + RESTART_DELAY);
        }
    }
}
