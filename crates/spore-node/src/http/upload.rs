//! Requests that bring an image: the body goes to whoever installs it as it comes, and is never held.

use core::ops::Range;

use edge_nal::io::{Read, Write};
use embassy_time::{Duration, Instant};
use spore_core::api::{Error, Response};

use crate::body::Decoder;

use super::connection::{Connection, Ending, Part, Stop};
use super::head::Head;
use super::multipart::{self, BOUNDARY_MAX, Multipart};
use super::reply;
use super::{Api, BUFFER_LEN, HEAD_MAX};

/// The largest body in bytes: an image for a slot of 16 MB, and what a form has around it.
const BODY_MAX: usize = 0x110_0000;

/// How much of the body is read and handed over at once, in bytes.
const STEP: usize = 256;

/// What a head leaves of the buffer holds what is handed over of it.
const _: () = assert!(BUFFER_LEN - HEAD_MAX >= STEP + Multipart::HELD_MAX);
const _: () = assert!(BOUNDARY_MAX + 2 * STEP + Multipart::HELD_MAX <= BUFFER_LEN);

/// How long an image may take, besides a second for each [`RATE`] bytes.
const PATIENCE: Duration = Duration::from_secs(10);

/// The slowest that an image may come, in bytes a second. Then 408.
const RATE: u64 = 1024;

/// A body that has yet to come.
pub(super) struct Uploading {
    decoder: Decoder,
    /// Where the boundary is in the buffer, if the body is of several parts.
    boundary: Option<Range<usize>>,
    /// What of the body is in the buffer already.
    body: Range<usize>,
}

impl<S: Read + Write, A: Api> Connection<'_, '_, S, A> {
    /// The body of this request, which was found to bring an image that is wanted.
    pub(super) fn uploading(&mut self, head: &Head) -> Result<Uploading, Error> {
        let decoder = Decoder::new(BODY_MAX, head.framing)?;
        let boundary = multipart::boundary(head.content_type(self.buf));
        let boundary = boundary.map_err(|_| Error::BadRequest)?.map(|text| {
            let start = text.as_ptr().addr() - self.buf.as_ptr().addr();
            start..start + text.len()
        });
        Ok(Uploading { decoder, boundary, body: head.len..self.filled })
    }

    /// Hands the body over and answers. What comes of it after a refusal is dropped: most clients read no answer before they have
    /// sent all.
    pub(super) async fn upload(
        &mut self,
        uploading: &mut Uploading,
        proceed: bool,
    ) -> Result<(), Ending> {
        self.keep_alive = false;
        self.api.begin_upload();
        let handed = self.hand_over(uploading, proceed).await;
        let unwanted = matches!(handed, Ok(false));
        let mut answer = self.outcome(handed).await;
        self.filled = 0;
        self.send(&mut answer).await?;
        let until = Instant::now() + PATIENCE;
        while unwanted && !uploading.decoder.is_done() {
            let Ok(read) = self.read(0..STEP, until).await else { break };
            if uploading.decoder.decode(&mut self.buf[..read]).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// What has come of it, or why the body was refused, of which whatever installs it says less.
    // A future of its own: what lives beside the answer would make that of each connection longer.
    async fn outcome(&self, handed: Result<bool, Stop>) -> Response {
        let finished = self.api.finish_upload(matches!(handed, Ok(true))).await;
        match handed {
            Err(Stop::Refused(error)) => Response::error(error),
            _ => finished,
        }
    }

    /// Hands the body over to its end: true; or to where no more of it is wanted, or comes.
    async fn hand_over(&mut self, uploading: &mut Uploading, proceed: bool) -> Result<bool, Stop> {
        let Uploading { decoder, boundary, body } = uploading;
        let (boundary, body) = (boundary.clone(), body.clone());
        let begun = Instant::now();
        if proceed {
            self.write(Part::Fixed(reply::CONTINUE), begun + self.timeouts.write).await?;
        }
        // The boundary stays in front, and what comes goes behind it.
        let mut multipart = boundary.is_some().then(Multipart::new);
        let boundary = boundary.unwrap_or(0..0);
        let front = boundary.len();
        self.buf.copy_within(boundary, 0);
        self.buf.copy_within(body.clone(), front);
        let mut filled = front + body.len();
        let mut received = 0_u64;
        loop {
            let decoded = decoder.decode(&mut self.buf[front..filled])?;
            let mut at = front;
            while at < front + decoded.kept {
                let piece = at..(at + STEP).min(front + decoded.kept);
                at = piece.end;
                let (data, free) = self.buf.split_at_mut(filled);
                let (boundary, data) = data.split_at(front);
                let input = &data[piece.start - front..piece.end - front];
                let piece = match &mut multipart {
                    None => input,
                    Some(multipart) => {
                        let len = multipart.filter(boundary, input, free);
                        &free[..len.map_err(|_| Error::BadRequest)?]
                    }
                };
                if !self.api.feed(piece).await {
                    return Ok(false);
                }
            }
            received += u64::try_from(decoded.used).unwrap_or(0);
            if decoder.is_done() {
                return Ok(multipart.is_none_or(|multipart| multipart.is_complete()));
            }
            let deadline = begun + PATIENCE + Duration::from_secs(received / RATE);
            let step = STEP.min(decoder.certain());
            filled = front + self.read(front..front + step, deadline).await?;
        }
    }
}
