//! Nodes that are updated: their slots for images, what is started from them, and how long the flash takes.
//!
//! The flash is the one of the power cuts; the code that works on it, and decides what is started from it, is the boards' own. While it
//! works, a board does nothing else, and keeps no more datagrams than its queue has room for.

use super::Simulation;
use crate::flash::NorChip;
use crate::images;
use crate::queue::{Event, Input};
use crate::scenario::{Fleet, Nature, Work};
use crate::simulation::memory::moment;
use embassy_futures::block_on;
use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use embedded_storage_async::nor_flash::{NorFlash as _, ReadNorFlash as _};
use fastrand::Rng;
use spore_boot::map::FLASH;
use spore_boot::{Esp, Slot, choose};
use spore_core::ota::{Done, ImageId, Job, PIECE, Running, Step, StepFailed, Wanted};
use spore_core::time::Instant;
use spore_core::{Completion, Node};
use spore_image::{pieces, trial};
use spore_node::{exchange, slots};
use std::rc::Rc;
use std::time::Duration;

/// How something ended that was asked of the slots.
#[derive(Debug)]
pub(crate) enum Worked {
    /// A job of the exchange of images, and the piece that was read.
    Job {
        /// How it ended.
        done: Done,
        /// Its number, and its bytes.
        piece: Option<(u16, Vec<u8>)>,
    },
    /// A step of an update: `None` if the node restarts over it.
    Step(Step, Option<Result<(), StepFailed>>),
}

/// The slots of a node, and the selector.
#[derive(Debug)]
pub(crate) struct Slots {
    fleet: Rc<Fleet>,
    chip: NorChip,
    runs: Slot,
    /// How long it was at work for the exchange of images.
    pub(crate) busy: Duration,
    /// How often the power was cut while it was at work.
    pub(crate) cuts: u32,
    /// The images that the selector has named as confirmed when one was started.
    pub(crate) confirmed: Vec<u32>,
    /// All images that were ever started, for whoever holds the node to its promises.
    pub(crate) started: Vec<u32>,
}

impl Slots {
    /// A flash as it leaves the desk: the first image is in slot A, and confirmed; an older one is where the next one will be.
    pub(crate) fn new(fleet: &Rc<Fleet>) -> Self {
        let mut chip = NorChip::blank(FLASH as usize / crate::flash::SECTOR);
        let [a, b] = Slot::BOTH.map(Slot::region);
        chip.bytes_mut()[b.start as usize..b.end() as usize].fill(0x5A);
        let first = images::linked(Slot::A, fleet.first);
        chip.bytes_mut()[a.start as usize..][..first.len()].copy_from_slice(&first);
        let confirmed = trial::confirm::<Esp, _>(&mut chip, Slot::A, fleet.first);
        block_on(confirmed).expect("the chip has power");
        Self {
            fleet: Rc::clone(fleet),
            chip,
            runs: Slot::A,
            busy: Duration::ZERO,
            cuts: 0,
            confirmed: Vec::new(),
            started: Vec::new(),
        }
    }

    /// Starts, as the bootloader does.
    pub(crate) fn boot(&mut self) {
        let start = choose::<Esp>(&mut Blocking(&mut self.chip));
        let start = start.expect("no image is left: the node is bricked");
        self.runs = start.slot;
        self.started.push(start.header.sequence);
        let found = block_on(trial::find::<Esp, _>(&mut self.chip, self.runs));
        if found.expect("the chip has power") == trial::Found::Confirmed {
            self.confirmed.push(start.header.sequence);
        }
    }

    /// What becomes of the node that runs the present image.
    pub(crate) fn nature(&self) -> Nature {
        let runs = self.started.last();
        let image = self.fleet.images.iter().find(|(number, _)| Some(number) == runs);
        image.map_or(Nature::Good, |(_, nature)| *nature)
    }

    fn slots(&mut self) -> slots::Slots<&mut NorChip> {
        slots::Slots { runs: self.runs, flash: &mut self.chip }
    }

    /// What the engine is told of it.
    pub(crate) fn running(&mut self) -> Option<Running> {
        block_on(slots::running::<Esp, _>(self.slots()))
    }

    /// So many datagrams wait while the flash is at work.
    pub(crate) fn queue(&self) -> usize {
        self.fleet.work.queue
    }

    /// Begins with something that a power cut may meet. How many erases and programs there were before.
    fn begin(&mut self) -> (u32, u32) {
        self.chip.keep_past();
        self.count()
    }

    fn count(&self) -> (u32, u32) {
        let erases = self.chip.erases().iter().sum::<u32>();
        (erases, u32::try_from(self.chip.operations()).unwrap_or(u32::MAX) - erases)
    }

    /// How long the flash takes for what it has done since then.
    fn time_since(&self, before: (u32, u32)) -> Duration {
        let ((erases, programs), Work { program, erase, .. }) = (self.count(), self.fleet.work);
        erase * (erases - before.0) + program * (programs - before.1)
    }

    /// The power goes while the flash is at work: it is cut at one of the operations of that, which is torn with the probability
    /// `torn`.
    pub(crate) fn cut(&mut self, torn: f64, rng: &mut Rng) {
        if self.chip.past() > 0 {
            let operation = rng.usize(..self.chip.past());
            self.chip.cut_past(operation, moment(torn, rng), rng.u64(..));
            self.cuts += 1;
        }
    }

    /// Does a step of an update, and says how long it took.
    pub(crate) fn take_step(&mut self, step: Step, node: &Node<'_>) -> (Worked, Duration) {
        let before = self.begin();
        let done = self.step(step, node);
        (Worked::Step(step, done), self.time_since(before))
    }

    /// Does what the engine asks for; `None` if the node restarts over it.
    pub(crate) fn step(&mut self, step: Step, node: &Node<'_>) -> Option<Result<(), StepFailed>> {
        let image = node.image().unwrap_or(0);
        let done = match (step, node.rollout_image()) {
            (Step::Arm, None) => Err(StepFailed),
            (Step::Arm, Some(image)) => {
                let wanted = (images::BOARD, node.wanted_image());
                let arm = slots::arm::<Esp, _>(self.slots(), image.digest, wanted, |_| Ok(()));
                block_on(arm)
            }
            _ => block_on(slots::step::<Esp, _>(self.slots(), image, step)),
        };
        (step != Step::GiveUp || done.is_err()).then_some(done)
    }

    /// Whether its flash takes no time.
    pub(crate) fn is_instant(&self) -> bool {
        self.fleet.work == Work::NONE
    }

    /// Does a job of the exchange of images, and says how long it took.
    pub(crate) fn work(&mut self, job: Job, node: &Node<'_>) -> (Worked, Duration) {
        let Work { read, verify, .. } = self.fleet.work;
        let before = self.begin();
        let (number, bytes) = node.piece();
        let mut buf = [0; PIECE];
        buf[..bytes.len()].copy_from_slice(bytes);
        let (piece, wanted) = ((number, bytes.len()), (images::BOARD, node.wanted_image()));
        let work = exchange::work::<Esp, _>(self.slots(), job, wanted, piece, &mut buf, |_| Ok(()));
        let (done, length) = block_on(work);
        let busy = self.time_since(before);
        let thought = match job {
            Job::Prepare(_) => verify,
            Job::Check(_) | Job::Offer(_) => read * 16,
            Job::Write => Duration::ZERO,
            Job::Read { .. } => read,
        };
        let piece = match job {
            Job::Read { piece, .. } => Some((piece, buf[..length].to_vec())),
            _ => None,
        };
        self.busy += busy + thought;
        (Worked::Job { done, piece }, busy + thought)
    }

    /// Takes `container` as an upload brings it, at once, and holds it. Which image it is.
    fn hold(&mut self, container: &[u8]) -> ImageId {
        let wanted = Wanted { floor: 0, quarantined: None, held: true };
        let target = slots::target(self.runs.other(), (images::BOARD, wanted));
        let mut source = container;
        let hold = spore_image::hold::<Esp, _, _>(&mut self.chip, &mut source, &target, |_| Ok(()));
        let head = block_on(hold).expect("the image is good");
        self.chip.keep_past();
        pieces::id(&head.encode())
    }

    /// What slot the image would be in, as bytes.
    pub(crate) fn other(&self) -> &[u8] {
        let region = self.runs.other().region();
        &self.chip.bytes()[region.start as usize..region.end() as usize]
    }
}

impl Worked {
    fn failed(job: Job) -> Self {
        Self::Job { done: job.failed(), piece: None }
    }

    /// Tells the engine. False if the node restarts instead.
    pub(crate) fn report(&self, now: Instant, node: &mut Node<'_>) -> bool {
        match self {
            Self::Job { done, piece } => {
                if let (Done::Read(true), Some((number, bytes))) = (done, piece) {
                    node.handle_piece(*number, bytes);
                }
                node.handle_completion(now, Completion::Exchange(*done));
                true
            }
            Self::Step(step, Some(done)) => {
                node.handle_completion(now, Completion::Update(*step, *done));
                true
            }
            Self::Step(_, None) => false,
        }
    }
}

impl Simulation {
    /// Puts an image into that slot of a node which it does not run from, in place of what is there, like an upload that is checked and
    /// not started: the node runs what it ran, and has something to give on ([`serve_image`](Self::serve_image), or a rollout). The node
    /// need not run. It takes no time, whatever the [`Work`], and no power cut meets it.
    ///
    /// `container` is the whole of it, from its head on ([`images::container`]). That nobody has signed it is not looked at, and it may
    /// be older than what runs. Returns the id by which nodes ask for it.
    ///
    /// # Panics
    /// If there is no such node, it takes no updates, or the container is not whole, or of another board.
    pub fn hold_image(&mut self, node: usize, container: &[u8]) -> ImageId {
        self.bodies[node].slots.as_mut().expect("it takes updates").hold(container)
    }

    /// Has a node give an image on that it holds, without a rollout.
    ///
    /// # Panics
    /// If the node does not run.
    pub fn serve_image(&mut self, node: usize, image: ImageId) {
        self.with_engine(node, |node, now| node.serve_image(now, image));
    }

    /// Has a node fetch an image from others, without a rollout.
    ///
    /// # Panics
    /// If the node does not run.
    pub fn fetch_image(&mut self, node: usize, image: ImageId) {
        self.with_engine(node, |node, now| node.fetch_image(now, image));
    }

    /// The slot of a node that does not run. Panics if the node takes no updates.
    pub fn other_slot(&self, node: usize) -> &[u8] {
        self.bodies[node].slots.as_ref().expect("it takes updates").other()
    }

    fn with_engine(&mut self, node: usize, verb: impl FnOnce(&mut Node<'_>, Instant)) {
        let life = self.bodies[node].life.as_mut().expect("it runs");
        let local = life.clock.local(self.now);
        life.engine.with(|engine| verb(engine, local));
        self.settle(node);
    }

    /// The engine of a node wants something of its slots that takes time.
    pub(super) fn begin_work(&mut self, node: usize, job: Job) {
        let body = &mut self.bodies[node];
        let Some(life) = &mut body.life else { return };
        let (work, took) = match &mut body.slots {
            Some(slots) => slots.work(job, life.engine.node()),
            None => (Worked::failed(job), Duration::ZERO),
        };
        self.is_at_work(node, work, took);
    }

    /// The engine of a node wants a step of an update that takes time.
    pub(super) fn begin_step(&mut self, node: usize, step: Step) {
        let body = &mut self.bodies[node];
        if let (Some(life), Some(slots)) = (&body.life, &mut body.slots) {
            let (work, took) = slots.take_step(step, life.engine.node());
            self.is_at_work(node, work, took);
        }
    }

    fn is_at_work(&mut self, node: usize, work: Worked, took: Duration) {
        let Some(life) = &mut self.bodies[node].life else { return };
        life.working = life.working.saturating_add(1);
        self.expect(self.now + took, node, Input::Worked(Box::new(work)));
    }

    /// It is done.
    pub(super) fn worked(&mut self, node: usize, work: &Worked) {
        let Some(life) = &mut self.bodies[node].life else { return };
        let local = life.clock.local(self.now);
        if !life.engine.with(|engine| work.report(local, engine)) {
            self.queue.push(self.now, Event::restart(node));
        }
    }
}

/// The flash as the bootloader uses it.
struct Blocking<'a>(&'a mut NorChip);

impl ErrorType for Blocking<'_> {
    type Error = crate::flash::FlashError;
}

impl ReadNorFlash for Blocking<'_> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        block_on(self.0.read(offset, bytes))
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl NorFlash for Blocking<'_> {
    const WRITE_SIZE: usize = crate::flash::WORD;
    const ERASE_SIZE: usize = crate::flash::SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        block_on(self.0.erase(from, to))
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        block_on(self.0.write(offset, bytes))
    }
}
