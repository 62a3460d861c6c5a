//! Updates of this node over HTTP.

use super::body::{Full, Piece};
use super::{Body, Error, Method, Request, Response, Route, check_parameters, query_parameter};
use crate::node::{Event, Node};
use crate::ota::{Outcome as Ended, Refused};
use crate::time::Instant;
use serde::Serialize;

/// The path of a node's own update.
pub(super) const PATH: &str = "/api/node/update";

/// Whether a route takes images.
pub(super) fn takes_upload(route: &Route) -> bool {
    route.method == Method::Post && route.path == PATH
}

/// Answers who brings an image, before any of it has come.
pub(super) fn begin(
    node: &mut Node<'_>,
    now: Instant,
    request: &Request<'_>,
) -> Result<Response, Error> {
    if node.updates.running().is_none() {
        return Err(Error::NoSlots);
    }
    check_parameters(request.query, &["start"])?;
    let held = match query_parameter(request.query, "start")? {
        None | Some("yes") => false,
        Some("no") => true,
        Some(_) => return Err(Error::InvalidField("start")),
    };
    if node.is_ending() {
        return Err(Error::NotReady);
    }
    if node.settings.current().release_key.is_none() {
        return Err(Error::NoReleaseKey);
    }
    if node.cluster.rollout.needs_slot() || node.cluster.exchange.needs_slot() {
        return Err(Error::SlotInUse);
    }
    node.updates.begin_upload(held, node.company())?;
    node.cluster.notify(now, Event::UpdateStarted);
    Ok(Response::upload())
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unconfirmed => Self::NotConfirmed,
            Refused::Incomplete => Self::RequestTimeout,
            refused => Self::Image(refused),
        }
    }
}

impl Refused {
    /// The status code of the answer.
    pub(super) const fn status(self) -> u16 {
        match self {
            Self::Malformed | Self::Length => 400,
            Self::Incomplete => 408,
            Self::Older | Self::Quarantined | Self::Unconfirmed => 409,
            Self::TooLarge => 413,
            Self::Board | Self::Unsigned | Self::Altered => 422,
            Self::Flash => 500,
        }
    }

    /// A word for programs. It never changes.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "image_malformed",
            Self::Board => "image_of_another_board",
            Self::Older => "image_not_newer",
            Self::Quarantined => "image_quarantined",
            Self::TooLarge => "image_too_large",
            Self::Unsigned => "image_unsigned",
            Self::Length => "image_length",
            Self::Altered => "image_altered",
            Self::Unconfirmed => "not_confirmed",
            Self::Flash => "flash_failed",
            Self::Incomplete => "request_timeout",
        }
    }

    /// A sentence for people.
    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::Malformed => "this is no image",
            Self::Board => "the image is for another board",
            Self::Older => {
                "the image is not newer than the one that is there; sign it with a higher number"
            }
            Self::Quarantined => {
                "the image was tried before and rolled back; sign it with a higher number"
            }
            Self::TooLarge => "the image is larger than a slot of this node",
            Self::Unsigned => "the image is not signed with this node's release key",
            Self::Length => "the image is not as long as it says",
            Self::Altered => "the image is not what was signed",
            Self::Unconfirmed => "the image that runs is not confirmed yet",
            Self::Flash => "the slot does not hold what was written",
            Self::Incomplete => "the image did not come in time",
        }
    }
}

/// `GET /api/node/update`.
#[derive(Serialize)]
struct UpdateView {
    image: Option<ImageView>,
    floor: u32,
    quarantined: Option<u32>,
    upload: Option<UploadView>,
    last: Option<EndedView>,
}

/// The image that runs.
#[derive(Serialize)]
struct ImageView {
    sequence: u32,
    stage: &'static str,
}

/// The image that is coming.
#[derive(Serialize)]
struct UploadView {
    received: u32,
    length: u32,
}

/// What became of the last update.
#[derive(Serialize)]
struct EndedView {
    image: u32,
    result: &'static str,
    reason: Option<&'static str>,
}

impl From<Ended> for EndedView {
    fn from(Ended { image, failure }: Ended) -> Self {
        let result = if failure.is_none() { "confirmed" } else { "rolled_back" };
        Self { image, result, reason: failure.map(|failure| failure.name()) }
    }
}

/// What was installed, and what happens next.
#[derive(Serialize)]
struct InstalledView {
    installed: u32,
    restarting: bool,
}

impl Response {
    /// The answer to who has brought an image.
    pub(crate) const fn installed(body: Body) -> Self {
        Self::ok(body)
    }
}

impl Piece<'_> {
    pub(super) fn update(&mut self, node: &Node<'_>) -> Result<(), Full> {
        let updates = &node.updates;
        let image = updates
            .running()
            .map(|running| ImageView { sequence: running.sequence, stage: running.stage.name() });
        let upload = updates
            .progress()
            .map(|progress| UploadView { received: progress.received, length: progress.length });
        self.json(&UpdateView {
            image,
            floor: updates.floor(),
            quarantined: updates.quarantined(),
            upload,
            last: updates.outcome().map(EndedView::from),
        })
    }

    pub(super) fn installed(&mut self, installed: u32, restarting: bool) -> Result<(), Full> {
        self.json(&InstalledView { installed, restarting })
    }
}
