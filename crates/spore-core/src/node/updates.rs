//! What a [`Node`] does about its own image.

use super::{Event, Node};
use crate::api::{self, Body, Request, Response};
use crate::cluster::Status;
use crate::ota::{Around, Refused, Step, StepFailed, Wanted};
use crate::time::Instant;

impl Node<'_> {
    /// Whether `request` brings an image, so that its body is not to be read as others are. If so,
    /// [`handle_head`](Self::handle_head) says whether it [is taken](Response::is_upload).
    pub fn takes_upload(&self, request: &Request<'_>) -> bool {
        api::takes_upload(self, request)
    }

    /// The image that is coming: what it is taken for; `None` if none was announced.
    pub fn upload(&self) -> Option<Wanted> {
        self.updates.wanted()
    }

    /// So many bytes of the image have come in all, of `length`.
    pub fn handle_upload(&mut self, now: Instant, received: u32, length: u32) {
        if let Some(percent) = self.updates.received(received, length) {
            self.cluster.notify(now, Event::UpdateProgress(percent));
        }
    }

    /// The image with this sequence number was installed and verified in flash, and put on trial if
    /// [it is not to be held](Wanted::held); or was refused. Returns the answer to who has sent it.
    pub fn handle_installed(&mut self, now: Instant, result: Result<u32, Refused>) -> Response {
        let restarts = self.updates.end_upload(result.is_ok());
        let response = match result {
            Ok(image) => {
                self.cluster.notify(now, Event::UpdateInstalled(image));
                Response::installed(Body::installed(image, restarts))
            }
            Err(refused) => {
                self.cluster.notify(now, Event::UpdateRefused);
                Response::error(refused.into())
            }
        };
        if restarts {
            self.restart(now);
        }
        self.answers.count(response.status);
        response
    }

    /// Whether nobody but this node is there, as far as it knows.
    pub(crate) fn is_alone(&self) -> bool {
        !self.members().iter().any(|member| member.status() == Status::Active)
    }

    /// Decides about the image that runs, if it is on trial.
    pub(super) fn judge_image(&mut self, now: Instant) {
        let around = Around {
            connected: self.network.is_connected(),
            acknowledged: self.members().iter().any(|member| member.rtt().is_some()),
        };
        self.updates.advance(now, around);
    }

    /// The body has done a step with its slots, or could not.
    pub(super) fn stepped(&mut self, now: Instant, step: Step, result: Result<(), StepFailed>) {
        if let Some(outcome) = self.updates.stepped(now, step, result) {
            self.cluster.notify(now, Event::UpdateEnded(outcome));
        }
    }
}
