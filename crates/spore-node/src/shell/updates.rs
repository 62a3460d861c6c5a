//! What the shell does with the slots for images: it installs what comes over HTTP, and does what the engine asks for.

use super::{Shell, now};
use crate::exchange;
use crate::feed::Source;
use crate::slots::{self, Slots};
use crate::system::System;
use embassy_futures::yield_now;
use spore_core::ota::{Done, ImageId, Job, PIECE, Refused, Step, StepFailed};
use spore_image::{HEAD, Head, SignatureError};

/// About so many datagrams wait on a board.
const WAITING: usize = 4;

impl<S: System> Shell<'_, S> {
    /// Installs the images that come over HTTP, one after the other.
    pub async fn install(&self) -> ! {
        loop {
            self.coming.wait().await;
            let result = self.system.hold(|| self.install_one()).await;
            let result = result.unwrap_or(Err(Refused::Flash));
            self.feed.close();
            self.installed.signal(result);
        }
    }

    async fn install_one(&self) -> Result<u32, Refused> {
        let slots = self.system.slots().ok_or(Refused::Flash)?;
        let wanted = self.node.borrow().upload().ok_or(Refused::Incomplete)?;
        let verify = |head: &Head| self.verify(head);
        let told = |received, length| {
            self.node.borrow_mut().handle_upload(now(), received, length);
            self.changed.signal(());
        };
        let wanted = (self.system.facts().board, wanted);
        let source = Source(&self.feed);
        let received = slots::receive::<S::Layout, _>(slots, source, wanted, verify, told).await;
        let (number, image) = received?;
        // It is read back, and started, where there is the stack for that.
        let slots = self.system.slots().ok_or(Refused::Flash)?;
        let finish = || slots::finish::<S::Layout, _>(slots, image, wanted);
        self.system.complete(finish).await.unwrap_or(Err(Refused::Flash)).map(|()| number)
    }

    /// Does with the slots what the engine asks for.
    pub(super) async fn step(&self, step: Step, scratch: &mut [u8]) -> Result<(), StepFailed> {
        let image = self.node.borrow().image().ok_or(StepFailed)?;
        let slots = self.system.slots().ok_or(StepFailed)?;
        if step == Step::Arm {
            return self.arm(slots, scratch).await;
        }
        let job = || slots::step::<S::Layout, _>(slots, image, step);
        self.system.complete(job).await.unwrap_or(Err(StepFailed))?;
        if step == Step::GiveUp {
            self.system.restart().await;
        }
        Ok(())
    }

    /// Puts the image of a rollout on trial.
    async fn arm(&self, slots: Slots<S::Flash>, scratch: &mut [u8]) -> Result<(), StepFailed> {
        let image = self.node.borrow().rollout_image().ok_or(StepFailed)?.digest;
        let verdict = self.judge(slots, image, scratch).await;
        let slots = self.system.slots().ok_or(StepFailed)?;
        let wanted = (self.system.facts().board, self.node.borrow().wanted_image());
        let job = || slots::arm::<S::Layout, _>(slots, image, wanted, |_| verdict);
        self.system.complete(job).await.unwrap_or(Err(StepFailed))
    }

    /// Whether the release key has signed the image that is coming, as far as its head is there, which goes through `scratch`. Apart from
    /// what needs to know: on a board each of both takes a stack of its own.
    async fn judge(
        &self,
        slots: Slots<S::Flash>,
        image: ImageId,
        scratch: &mut [u8],
    ) -> Result<(), SignatureError> {
        let room = scratch.first_chunk_mut::<HEAD>().ok_or(SignatureError::Unsigned)?;
        let read = || slots::head::<S::Layout, _>(slots, image, room);
        if self.system.complete(read).await != Some(true) {
            return Err(SignatureError::Unsigned);
        }
        let head = scratch.first_chunk().and_then(|bytes| Head::decode(bytes).ok());
        head.map_or(Err(SignatureError::Unsigned), |head| self.verify(&head))
    }

    /// Does a job of the exchange of images; a piece goes through `scratch`.
    pub(super) async fn exchange(&self, job: Job, scratch: &mut [u8]) -> Done {
        // While the flash works, a board hears nothing, and has room for a few datagrams. Pieces that it has no
        // use for must not take that from pings, so what waits is taken in first.
        for _ in 0..WAITING {
            yield_now().await;
        }
        let slots = self.system.slots();
        let Some(mut slots) = slots else { return job.failed() };
        let mut verdict = Err(SignatureError::Unsigned);
        if let Job::Prepare(image) = job {
            verdict = self.judge(slots, image, scratch).await;
            match self.system.slots() {
                Some(again) => slots = again,
                None => return job.failed(),
            }
        }
        let Some(buf) = scratch.first_chunk_mut::<PIECE>() else { return job.failed() };
        let (wanted, piece) = {
            let node = self.node.borrow();
            let (number, bytes) = node.piece();
            buf.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            (node.wanted_image(), (number, bytes.len()))
        };
        let wanted = (self.system.facts().board, wanted);
        let work = || exchange::work::<S::Layout, _>(slots, job, wanted, piece, buf, |_| verdict);
        let Some((done, read)) = self.system.complete(work).await else { return job.failed() };
        if let (Job::Read { piece, .. }, Some(bytes)) = (job, buf.get(..read)) {
            self.node.borrow_mut().handle_piece(piece, bytes);
        }
        done
    }

    /// Whether the release key has signed an image.
    fn verify(&self, head: &Head) -> Result<(), SignatureError> {
        let key = self.node.borrow().settings().release_key;
        let key = key.ok_or(SignatureError::Unsigned)?;
        self.system.verify_image(head, &key)
    }
}
