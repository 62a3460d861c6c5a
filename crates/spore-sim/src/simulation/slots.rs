//! Boards with slots for images, in a flash that takes its time.
//!
//! The flash is the one of the power cuts, the code that works on it is the boards' own. While it works, a board does
//! nothing else, and keeps no more datagrams than its queue has room for.

use super::Simulation;
use crate::body::Body;
use crate::flash::NorChip;
use crate::queue::Event;
use embassy_futures::block_on;
use embedded_storage_async::nor_flash::NorFlash as _;
use spore_boot::map::FLASH;
use spore_boot::selector::{BYTES, Choice, Selector, Stage};
use spore_boot::{Esp, Slot};
use spore_core::Completion;
use spore_core::ota::{Done, ImageId, Job, PIECE, Wanted};
use spore_image::Target;
use spore_node::exchange;
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::Duration;

/// How boards keep images, and how long that takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    /// What images must be for.
    pub name: &'static str,
    /// To program a page of 256 bytes. Default 4.27 ms: 60 KB/s.
    pub program: Duration,
    /// To erase a sector. Default 50 ms, as data sheets have it typically.
    pub erase: Duration,
    /// To read a page, with all that is done to it: hashed, or relocated and sealed. Default 0.6 ms.
    pub read: Duration,
    /// To verify a signature: 16 million instructions. Default 220 ms.
    pub verify: Duration,
    /// So many datagrams wait meanwhile. Default 3, as the queue of the firmware has room for pieces.
    pub queue: usize,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            name: "sim",
            program: Duration::from_micros(4_270),
            erase: Duration::from_millis(50),
            read: Duration::from_micros(600),
            verify: Duration::from_millis(220),
            queue: 3,
        }
    }
}

/// The number of a piece, and its bytes.
pub(crate) type Piece = (u16, Vec<u8>);

/// The flash of a board.
#[derive(Debug)]
pub(crate) struct Slots {
    board: Board,
    chip: NorChip,
    runs: Slot,
}

impl Slots {
    /// A flash as it leaves the desk: the image in slot A is confirmed.
    pub(crate) fn new(board: Board) -> Self {
        let mut chip = NorChip::blank(FLASH as usize / crate::flash::SECTOR);
        // An older image is where the next one will be.
        let old = Slot::B.region();
        chip.bytes_mut()[old.start as usize..old.end() as usize].fill(0x5A);
        let choice = Choice { slot: Slot::A, stage: Stage::Confirmed, image: 1 };
        for _ in 0..2 {
            let mut sectors = [[0; BYTES]; 2];
            for (sector, bytes) in spore_boot::map::SELECTOR.iter().zip(&mut sectors) {
                bytes.copy_from_slice(&chip.bytes()[sector.start as usize..][..BYTES]);
            }
            let [first, second] = &sectors;
            let write = Selector::read(first, second).write(choice);
            block_on(chip.write(write.sector.start, &write.bytes)).expect("it is blank");
        }
        Self { board, chip, runs: Slot::A }
    }

    fn target(&self, wanted: Wanted) -> Target<'static> {
        let Wanted { floor, quarantined, .. } = wanted;
        let (board, slot) = (self.board.name, self.runs.other());
        Target { board, slot, floor, quarantined, length: None }
    }

    /// Does a job, and says how long it took. `piece` is the one that is to be written, or becomes the one that was read.
    fn work(&mut self, job: Job, wanted: Wanted, piece: &mut Piece) -> (Done, Duration) {
        let Board { name, program, erase, read, verify, .. } = self.board;
        let count = |chip: &NorChip| {
            let erases = chip.erases().iter().sum::<u32>();
            (erases, u32::try_from(chip.operations()).unwrap_or(u32::MAX) - erases)
        };
        let before = count(&self.chip);
        let slots = spore_node::Slots { runs: self.runs, flash: &mut self.chip };
        let (number, bytes) = piece;
        let mut buf = [0; PIECE];
        buf[..bytes.len()].copy_from_slice(bytes);
        let piece = (*number, bytes.len());
        let work =
            exchange::work::<Esp, _>(slots, job, (name, wanted), piece, &mut buf, |_| Ok(()));
        let (done, length) = block_on(work);
        if let Job::Read { piece, .. } = job {
            (*number, *bytes) = (piece, buf[..length].to_vec());
        }
        let (erases, programs) = count(&self.chip);
        let busy = erase * (erases - before.0) + program * (programs - before.1);
        let thought = match job {
            Job::Prepare(_) => verify,
            Job::Check(_) | Job::Offer(_) => read * 16,
            Job::Write => Duration::ZERO,
            Job::Read { .. } => read,
        };
        (done, busy + thought)
    }

    /// Takes `container` as an upload brings it, at once, and holds it. Which image it is.
    fn hold(&mut self, container: &[u8]) -> ImageId {
        let wanted = Wanted { floor: 0, quarantined: None, held: true };
        let target = self.target(wanted);
        let mut source = container;
        let hold = spore_image::hold::<Esp, _, _>(&mut self.chip, &mut source, &target, |_| Ok(()));
        let head = block_on(hold).expect("the image is good");
        spore_image::pieces::id(&head.encode())
    }

    /// What slot the image would be in, as bytes.
    pub(crate) fn other(&self) -> &[u8] {
        let region = self.runs.other().region();
        &self.chip.bytes()[region.start as usize..region.end() as usize]
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
        let queue = self.slots.as_ref().map_or(0, |slots| slots.board.queue);
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
    /// Hands `container` to a board, as an upload that is not to be started. Which image it is; it takes no time.
    ///
    /// # Panics
    /// If the node does not run, is no board, or refuses the image.
    pub fn give_image(&mut self, node: usize, container: &[u8]) -> ImageId {
        let image = self.bodies[node].slots.as_mut().expect("a board").hold(container);
        self.with_engine(node, |node, now| node.serve_image(now, image));
        image
    }

    /// Has a board fetch an image from others.
    ///
    /// # Panics
    /// If the node does not run.
    pub fn fetch_image(&mut self, node: usize, image: ImageId) {
        self.with_engine(node, |node, now| node.fetch_image(now, image));
    }

    /// The slot of a board that does not run. Panics if the node is no board.
    pub fn other_slot(&self, node: usize) -> &[u8] {
        self.bodies[node].slots.as_ref().expect("a board").other()
    }

    fn with_engine(
        &mut self,
        node: usize,
        verb: impl FnOnce(&mut spore_core::Node<'_>, spore_core::time::Instant),
    ) {
        let life = self.bodies[node].life.as_mut().expect("it runs");
        let local = life.clock.local(self.now);
        life.engine.with(|engine| verb(engine, local));
        self.settle(node);
    }

    /// The engine of a node wants something of its slots.
    pub(super) fn begin_work(&mut self, node: usize, job: Job) {
        let body = &mut self.bodies[node];
        let Some(life) = &mut body.life else { return };
        let engine = life.engine.node();
        let (number, bytes) = engine.piece();
        let (mut piece, wanted) = ((number, bytes.to_vec()), engine.wanted_image());
        let (done, took) = match &mut body.slots {
            Some(slots) => slots.work(job, wanted, &mut piece),
            None => (job.failed(), Duration::ZERO),
        };
        life.work.get_or_insert_default();
        let work = Box::new((done, piece));
        self.queue.push(self.now + took, Event::Worked { node, boot: body.boot, work });
    }

    /// It is done. What came meanwhile has its turn.
    pub(super) fn worked(&mut self, node: usize, boot: u32, (done, piece): &(Done, Piece)) {
        let body = &mut self.bodies[node];
        let Some(life) = body.life.as_mut().filter(|_| body.boot == boot) else { return };
        let Some(inbox) = life.work.take() else { return };
        let local = life.clock.local(self.now);
        let due = life.wake.is_some_and(|wake| wake <= self.now);
        life.engine.with(|engine| {
            if *done == Done::Read(true) {
                engine.handle_piece(piece.0, &piece.1);
            }
            engine.handle_completion(local, Completion::Exchange(*done));
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
