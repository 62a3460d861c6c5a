//! Images in the body's slots: installing one that comes, and what the engine asks for.

use core::cell::Cell;

use embassy_futures::yield_now;
use embedded_io_async::Read;
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use spore_boot::layout::{Esp, Layout};
use spore_boot::map::Slot;
#[cfg(doc)]
use spore_core::ota::Job;
use spore_core::ota::{ImageId, Refused, Running, Stage, Step, StepFailed, Wanted};
use spore_image::pieces;
use spore_image::trial::{self, Found};
use spore_image::{HEAD, Head, Refusal, SignatureError, Target};

use crate::feed::Source;

/// The slots of a body.
#[derive(Clone, Debug)]
pub struct Slots<F> {
    /// The one that runs.
    pub runs: Slot,
    /// The flash that they are in, with the selector.
    pub flash: F,
}

impl<F> Slots<F> {
    /// The slot that runs, and the flash as all that is done here uses it: it is compiled once.
    pub(crate) fn gentle(self) -> (Slot, Gentle<F>) {
        (self.runs, Gentle { flash: self.flash, operations: 0 })
    }
}

/// The flash of a body that has no slots.
#[derive(Clone, Copy, Debug)]
pub enum NoFlash {}

impl ErrorType for NoFlash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for NoFlash {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, _: u32, _: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        match *self {}
    }

    fn capacity(&self) -> usize {
        match *self {}
    }
}

impl NorFlash for NoFlash {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = 1;

    async fn erase(&mut self, _: u32, _: u32) -> Result<(), NorFlashErrorKind> {
        match *self {}
    }

    async fn write(&mut self, _: u32, _: &[u8]) -> Result<(), NorFlashErrorKind> {
        match *self {}
    }
}

/// The layout of a body that has no slots: any.
pub type NoLayout = Esp;

/// What the engine is to know of the image that runs; `None` if that cannot be told, so that no updates are taken.
pub async fn running<L: Layout, F: NorFlash>(slots: Slots<F>) -> Option<Running> {
    let (runs, mut flash) = slots.gentle();
    let sequence = trial::sequence::<L, _>(&mut flash, runs).await.ok()?;
    let stage = match trial::find::<L, _>(&mut flash, runs).await.ok()? {
        Found::Confirmed => Stage::Confirmed,
        Found::Trial => Stage::Trial,
        Found::Fallback { tried } => Stage::Fallback { tried },
    };
    Some(Running { sequence, stage })
}

/// Does what the engine asks for; `image` is the one that runs.
pub async fn step<L: Layout, F: NorFlash>(
    slots: Slots<F>,
    image: u32,
    step: Step,
) -> Result<(), StepFailed> {
    let (runs, mut flash) = slots.gentle();
    let done = match step {
        Step::Confirm => trial::confirm::<L, _>(&mut flash, runs, image).await,
        Step::GiveUp => trial::give_up::<L, _>(&mut flash, runs).await,
        // That needs more than the selector.
        Step::Arm => return Err(StepFailed),
    };
    done.map_err(|_| StepFailed)
}

/// [`Step::Arm`].
pub async fn arm<L: Layout, F: NorFlash>(
    slots: Slots<F>,
    image: ImageId,
    wanted: (&str, Wanted),
    verify: impl FnOnce(&Head) -> Result<(), SignatureError>,
) -> Result<(), StepFailed> {
    let (runs, mut flash) = slots.gentle();
    let target = target(runs.other(), wanted);
    let held = pieces::offered::<L, _>(&mut flash, target.slot, &image).await;
    if !matches!(held, Ok(Some(_))) {
        return Err(StepFailed);
    }
    let started = spore_image::start::<L, _>(&mut flash, &target, verify).await;
    started.map(|_| ()).map_err(|_| StepFailed)
}

/// Takes the image that comes from `source`, and returns its number and which it is. `told` hears how many bytes have come, and of how many.
pub(crate) async fn receive<L: Layout, F: NorFlash>(
    slots: Slots<F>,
    source: Source<'_>,
    wanted: (&str, Wanted),
    verify: impl FnOnce(&Head) -> Result<(), SignatureError>,
    told: impl Fn(u32, u32),
) -> Result<(u32, ImageId), Refused> {
    let (runs, mut flash) = slots.gentle();
    let target = target(runs.other(), wanted);
    let length = Cell::new(0);
    let mut source = Counted { source, received: 0, told: |received| told(received, length.get()) };
    let verify = |head: &Head| {
        length.set(head.length());
        verify(head)
    };
    let received = spore_image::receive::<L, _, _>(&mut flash, &mut source, &target, verify).await;
    let received = received.map_err(refused)?;
    Ok((received.header.sequence, pieces::id(&received.encode())))
}

/// Reads back the image that was [received](receive), whose signature was found genuine, and puts it on trial unless it is to be held.
pub(crate) async fn finish<L: Layout, F: NorFlash>(
    slots: Slots<F>,
    image: ImageId,
    wanted: (&str, Wanted),
) -> Result<(), Refused> {
    let (runs, mut flash) = slots.gentle();
    let target = target(runs.other(), wanted);
    let same = |head: &Head| {
        let same = pieces::id(&head.encode()) == image;
        same.then_some(()).ok_or(SignatureError::Forged)
    };
    let done = if wanted.1.held {
        spore_image::check::<L, _>(&mut flash, &target, same).await
    } else {
        spore_image::start::<L, _>(&mut flash, &target, same).await
    };
    // What is not as it came is the flash's fault.
    done.map(|_| ()).map_err(|_| Refused::Flash)
}

/// What an image must be for `slot`, whose board has this name.
pub fn target(slot: Slot, (board, wanted): (&str, Wanted)) -> Target<'_> {
    let Wanted { floor, quarantined, .. } = wanted;
    Target { board, slot, floor, quarantined, length: None }
}

/// Reads the head of the image that is meant to `room`, if it is in the slot that does not run; whether it is.
pub(crate) async fn head<L: Layout, F: NorFlash>(
    slots: Slots<F>,
    image: ImageId,
    room: &mut [u8; HEAD],
) -> bool {
    let (runs, mut flash) = slots.gentle();
    pieces::head::<L, _>(&mut flash, runs.other(), &image, room).await.unwrap_or(false)
}

/// A refusal as the API has it.
pub(crate) fn refused(refusal: Refusal) -> Refused {
    match refusal {
        Refusal::Head(_) => Refused::Malformed,
        Refusal::Board => Refused::Board,
        Refusal::Slot(_) | Refusal::TooLarge => Refused::TooLarge,
        Refusal::Older => Refused::Older,
        Refusal::Quarantined => Refused::Quarantined,
        Refusal::Signature(_) => Refused::Unsigned,
        Refusal::Unconfirmed => Refused::Unconfirmed,
        Refusal::Length => Refused::Length,
        Refusal::Altered => Refused::Altered,
        Refusal::Flash | Refusal::Selector => Refused::Flash,
    }
}

/// A source that tells how much of it was read.
struct Counted<'f, T> {
    source: Source<'f>,
    received: u32,
    told: T,
}

impl<T> embedded_io_async::ErrorType for Counted<'_, T> {
    type Error = <Source<'static> as embedded_io_async::ErrorType>::Error;
}

impl<T: Fn(u32)> Read for Counted<'_, T> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Self::Error> {
        let read = self.source.read(buf).await?;
        self.received = self.received.saturating_add(u32::try_from(read).unwrap_or(u32::MAX));
        (self.told)(self.received);
        Ok(read)
    }
}

/// After so many operations in a row, the others have their turn.
const TURN: u32 = 8;

/// A flash whose operations block, without keeping the rest of the node from its work for long.
pub(crate) struct Gentle<F> {
    flash: F,
    operations: u32,
}

impl<F> Gentle<F> {
    async fn count(&mut self, operations: u32) {
        self.operations = self.operations.saturating_add(operations);
        if self.operations >= TURN {
            self.operations = 0;
            yield_now().await;
        }
    }
}

impl<F: ErrorType> ErrorType for Gentle<F> {
    type Error = F::Error;
}

impl<F: ReadNorFlash> ReadNorFlash for Gentle<F> {
    const READ_SIZE: usize = F::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        self.count(1).await;
        self.flash.read(offset, bytes).await
    }

    fn capacity(&self) -> usize {
        self.flash.capacity()
    }
}

impl<F: NorFlash> NorFlash for Gentle<F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), F::Error> {
        self.count(TURN).await;
        self.flash.erase(from, to).await
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), F::Error> {
        self.count(TURN / 2).await;
        self.flash.write(offset, bytes).await
    }
}
