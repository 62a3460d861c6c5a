//! What a [`Node`] does about its own image.

use super::{Event, Node};
use crate::api::{self, Body, Request, Response};
use crate::cluster::Status;
use crate::ota::{Around, Company, Done, ImageId, Refused, Step, StepFailed, Wanted};
use crate::store::Key;
use crate::time::Instant;

impl Node<'_> {
    /// Whether `request` brings an image, so that its body is not to be read as others are. If so,
    /// [`handle_head`](Self::handle_head) says whether it [is taken](Response::is_upload).
    pub fn takes_upload(&self, request: &Request<'_>) -> bool {
        api::takes_upload(self, request)
    }

    /// The sequence number of the image that runs; `None` on a body without slots.
    pub fn image(&self) -> Option<u32> {
        self.updates.running().map(|running| running.sequence)
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

    /// Who is there and who is away, as far as this node knows.
    pub(crate) fn company(&self) -> Company {
        Company {
            alone: !self.members().iter().any(|member| member.status() == Status::Active),
            away: self.cluster.away_for_update(),
        }
    }

    /// Writes the value of [`Key::Update`](crate::Key::Update) into `buf`. Its length.
    pub(super) fn update_value(&self, buf: &mut [u8]) -> usize {
        let len = self.updates.value(buf);
        let away =
            buf.get_mut(len..Key::Update.longest()).filter(|_| self.updates.remembers_away());
        len.saturating_add(away.map_or(0, |buf| self.cluster.write_away_for_update(buf)))
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
        match step {
            Step::Arm => self.armed_image(now, result),
            Step::Confirm | Step::GiveUp => {
                if let Some(outcome) = self.updates.stepped(now, step, result) {
                    self.cluster.notify(now, Event::UpdateEnded(outcome));
                }
                self.cluster.rollout.look_again(now);
            }
        }
    }

    /// Fetches `image` from other members, unless that is under way or done, or one [is coming](Self::upload). What comes of it is verified;
    /// it is held, and not put on trial.
    pub fn fetch_image(&mut self, now: Instant, image: ImageId) {
        if self.updates.wanted().is_none() {
            self.cluster.exchange.fetch(now, image);
        }
    }

    /// Gives `image` on to other members, if it is in one of the slots with its manifest.
    pub fn serve_image(&mut self, now: Instant, image: ImageId) {
        self.cluster.exchange.serve(now, image);
    }

    /// Whether `image` is in one of the slots, to be given on.
    pub fn has_image(&self, image: ImageId) -> bool {
        self.cluster.exchange.has(image)
    }

    /// How many pieces of the image that is fetched are still to come, of how many; `None` while none is fetched, or that is not known.
    pub fn image_progress(&self) -> Option<(u16, u16)> {
        self.cluster.exchange.progress()
    }

    /// What an image is taken for that is fetched: it is held.
    pub fn wanted_image(&self) -> Wanted {
        let (floor, quarantined) = (self.updates.floor(), self.updates.quarantined());
        Wanted { floor, quarantined, held: true }
    }

    /// The number of the piece that [`Job::Write`](crate::ota::Job::Write) is about, and its bytes.
    pub fn piece(&self) -> (u16, &[u8]) {
        self.cluster.exchange.piece()
    }

    /// The piece that [`Job::Read`](crate::ota::Job::Read) is about was read: at most [`PIECE`](crate::ota::PIECE) bytes.
    pub fn handle_piece(&mut self, number: u16, bytes: &[u8]) {
        self.cluster.exchange.handle_read(number, bytes);
    }

    /// The body has done a job of the exchange.
    pub(super) fn exchanged(&mut self, now: Instant, done: Done) {
        if let Some(fetched) = self.cluster.exchange.done(now, done) {
            self.fetched_image(now, fetched);
        }
    }
}
