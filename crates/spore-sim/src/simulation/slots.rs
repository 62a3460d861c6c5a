//! Nodes that are updated: their slots for images, what is started from them, and how long the flash takes.
//!
//! The flash is the one of the power cuts; the code that works on it, and decides what is started from it, is the boards' own. While it
//! works, a board does nothing else, and keeps no more datagrams than its queue has room for.

use super::Simulation;
use crate::body::Body;
use crate::flash::NorChip;
use crate::images;
use crate::queue::Event;
use crate::scenario::{Fleet, Nature, Work};
use embassy_futures::block_on;
use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use embedded_storage_async::nor_flash::{NorFlash as _, ReadNorFlash as _};
use spore_boot::map::FLASH;
use spore_boot::{Esp, Slot, choose};
use spore_core::ota::{Done, ImageId, Job, PIECE, Running, Step, StepFailed, Wanted};
use spore_core::time::Instant;
use spore_core::{Completion, Node};
use spore_image::{pieces, trial};
use spore_node::{exchange, slots};
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::Duration;

/// How a job ended, and the piece that was read.
#[derive(Debug)]
pub(crate) struct Worked {
    done: Done,
    piece: Option<(u16, Vec<u8>)>,
}

/// The slots of a node, and the selector.
#[derive(Debug)]
pub(crate) struct Slots {
    fleet: Rc<Fleet>,
    chip: NorChip,
    runs: Slot,
    /// How long it was at work for the exchange of images.
    pub(crate) busy: Duration,
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
            started: Vec::new(),
        }
    }

    /// Starts, as the bootloader does.
    pub(crate) fn boot(&mut self) {
        let start = choose::<Esp>(&mut Blocking(&mut self.chip));
        let start = start.expect("no image is left: the node is bricked");
        self.runs = start.slot;
        self.started.push(start.header.sequence);
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
        let Work { program, erase, read, verify, .. } = self.fleet.work;
        let count = |chip: &NorChip| {
            let erases = chip.erases().iter().sum::<u32>();
            (erases, u32::try_from(chip.operations()).unwrap_or(u32::MAX) - erases)
        };
        let before = count(&self.chip);
        let (number, bytes) = node.piece();
        let mut buf = [0; PIECE];
        buf[..bytes.len()].copy_from_slice(bytes);
        let (piece, wanted) = ((number, bytes.len()), (images::BOARD, node.wanted_image()));
        let work = exchange::work::<Esp, _>(self.slots(), job, wanted, piece, &mut buf, |_| Ok(()));
        let (done, length) = block_on(work);
        let (erases, programs) = count(&self.chip);
        let busy = erase * (erases - before.0) + program * (programs - before.1);
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
        (Worked { done, piece }, busy + thought)
    }

    /// Takes `container` as an upload brings it, at once, and holds it. Which image it is.
    fn hold(&mut self, container: &[u8]) -> ImageId {
        let wanted = Wanted { floor: 0, quarantined: None, held: true };
        let target = slots::target(self.runs.other(), (images::BOARD, wanted));
        let mut source = container;
        let hold = spore_image::hold::<Esp, _, _>(&mut self.chip, &mut source, &target, |_| Ok(()));
        let head = block_on(hold).expect("the image is good");
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
        Self { done: job.failed(), piece: None }
    }

    /// Tells the engine.
    pub(crate) fn report(&self, now: Instant, node: &mut Node<'_>) {
        if let (Done::Read(true), Some((number, bytes))) = (self.done, &self.piece) {
            node.handle_piece(*number, bytes);
        }
        node.handle_completion(now, Completion::Exchange(self.done));
    }
}

impl Body {
    /// Whether its flash is at work, so that what comes for it must wait; then it waits, if there is room. The last place is kept
    /// for what is sent to this board alone.
    pub(crate) fn puts_off(
        &mut self,
        from: SocketAddrV4,
        bytes: &Rc<[u8]>,
        broadcast: bool,
    ) -> bool {
        let queue = self.slots.as_ref().map_or(0, |slots| slots.fleet.work.queue);
        let inbox = self.life.as_mut().and_then(|life| life.work.as_mut());
        match inbox {
            None => false,
            Some(inbox) => {
                if inbox.len() + usize::from(broadcast) < queue {
                    inbox.push_back((from, Rc::clone(bytes)));
                }
                true
            }
        }
    }
}

impl Simulation {
    /// Puts the image of a container into the slot of a node that does not run, for others to fetch, as an upload that is not to be
    /// started. Which image it is; it takes no time.
    ///
    /// # Panics
    /// If there is no such node, it takes no updates, or refuses the image.
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
        life.work.get_or_insert_default();
        let event = Event::Worked { node, boot: body.boot, work: Box::new(work) };
        self.queue.push(self.now + took, event);
    }

    /// It is done. What came meanwhile has its turn.
    pub(super) fn worked(&mut self, node: usize, boot: u32, work: &Worked) {
        let body = &mut self.bodies[node];
        let Some(life) = body.life.as_mut().filter(|_| body.boot == boot) else { return };
        let Some(inbox) = life.work.take() else { return };
        let local = life.clock.local(self.now);
        let due = life.wake.is_some_and(|wake| wake <= self.now);
        life.engine.with(|engine| {
            work.report(local, engine);
            if due {
                engine.handle_timeout(local);
            }
        });
        life.wake = None;
        // The shell takes in what waits before it has the flash go on: pieces for which there is no room must not
        // keep pings from getting in.
        for (from, bytes) in inbox {
            self.take_in(node, from, &bytes);
        }
        self.settle(node);
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
