//! Nodes that are updated: which image runs, what is in the other slot, and what becomes of both at a start.
//!
//! Images are tiny, and the flash takes no time: it is the rollout that is tried here, not the flash. What is started is decided by
//! the bootloader's own code.

use crate::scenario::{Fleet, Nature};
use spore_boot::decision::candidates;
use spore_boot::map::{SELECTOR, Slot};
use spore_boot::selector::{BYTES, Choice, Selector, Stage as Selected};
use spore_core::Node;
use spore_core::ota::{Cut, Done, Found, ImageId, Job, Refused, Running, Stage, Step, StepFailed};
use spore_core::security::ReleaseKey;
use spore_core::settings::Settings;
use spore_core::store::MAX_VALUE;
use std::rc::Rc;

/// How every image is cut.
const CUT: Cut = Cut { manifest: 2, count: 5 };
const ALL: u8 = (1 << 5) - 1;
const MANIFEST: u8 = (1 << 2) - 1;

/// The id of the image with this number.
pub fn image_id(sequence: u32) -> ImageId {
    let mut id = [0x1D; 16];
    id[..4].copy_from_slice(&sequence.to_be_bytes());
    id
}

fn bytes(id: ImageId, piece: u16) -> [u8; 18] {
    let mut bytes = [0; 18];
    bytes[..16].copy_from_slice(&id);
    bytes[16..].copy_from_slice(&piece.to_be_bytes());
    bytes
}

/// What is in a slot.
#[derive(Clone, Copy, Debug)]
struct Held {
    sequence: u32,
    /// The pieces that are there, a bit each.
    pieces: u8,
    /// Whether the slot has its header, without which nothing is started from it.
    header: bool,
}

/// The slots of a node, and the selector.
#[derive(Debug)]
pub(crate) struct Firmware {
    fleet: Rc<Fleet>,
    slots: [Option<Held>; 2],
    selector: [[u8; BYTES]; 2],
    runs: Slot,
    /// All images that were ever started, for whoever holds the node to its promises.
    pub(crate) started: Vec<u32>,
}

const fn index(slot: Slot) -> usize {
    match slot {
        Slot::A => 0,
        Slot::B => 1,
    }
}

impl Firmware {
    pub(crate) fn new(fleet: &Rc<Fleet>) -> Self {
        let first = Held { sequence: fleet.first, pieces: ALL, header: true };
        let mut firmware = Self {
            fleet: Rc::clone(fleet),
            slots: [Some(first), None],
            selector: [[0xFF; BYTES]; 2],
            runs: Slot::A,
            started: Vec::new(),
        };
        firmware.confirm();
        firmware
    }

    fn selector(&self) -> Selector {
        Selector::read(&self.selector[0], &self.selector[1])
    }

    fn choose(&mut self, choice: Choice) {
        let write = self.selector().write(choice);
        let second = usize::from(write.sector.start == SELECTOR[1].start);
        self.selector[second] = write.bytes;
    }

    fn held(&mut self) -> &mut Option<Held> {
        &mut self.slots[index(self.runs.other())]
    }

    /// The sequence number of the image that runs.
    pub(crate) fn sequence(&self) -> u32 {
        self.slots[index(self.runs)].map_or(0, |held| held.sequence)
    }

    pub(crate) fn nature(&self) -> Nature {
        let sequence = self.sequence();
        let image = self.fleet.images.iter().find(|(number, _)| *number == sequence);
        image.map_or(Nature::Good, |(_, nature)| *nature)
    }

    /// Starts, as the bootloader does.
    pub(crate) fn boot(&mut self) {
        let startable = |held: &Held| held.header && held.pieces == ALL;
        let sequences = self.slots.map(|slot| slot.filter(startable).map(|held| held.sequence));
        for candidate in candidates(&self.selector(), sequences) {
            if sequences[index(candidate.slot)].is_none() {
                continue;
            }
            if let Some(address) = candidate.count {
                let second = usize::from(address >= SELECTOR[1].start);
                let at = (address - SELECTOR[second].start) as usize;
                self.selector[second][at..at + 4].fill(0);
            }
            self.runs = candidate.slot;
            self.started.push(self.sequence());
            return;
        }
        unreachable!("no image is left: the node is bricked");
    }

    /// What the engine is told of it.
    pub(crate) fn running(&self) -> Running {
        let choice = self.selector().record().map(|record| record.choice);
        let stage = match choice {
            Some(Choice { slot, stage: Selected::Trial, .. }) if slot == self.runs => Stage::Trial,
            Some(Choice { slot, stage: Selected::Trial, image }) if slot != self.runs => {
                Stage::Fallback { tried: Some(image) }
            }
            Some(Choice { slot, .. }) if slot != self.runs => Stage::Fallback { tried: None },
            _ => Stage::Confirmed,
        };
        Running { sequence: self.sequence(), stage }
    }

    fn confirm(&mut self) {
        if let Stage::Fallback { tried: Some(_) } = self.running().stage {
            *self.held() = None;
        }
        let choice = Choice { slot: self.runs, stage: Selected::Confirmed, image: self.sequence() };
        self.choose(choice);
        self.choose(choice);
    }

    /// Does what the engine asks for; `None` if the node restarts over it.
    pub(crate) fn step(&mut self, step: Step, node: &Node<'_>) -> Option<Result<(), StepFailed>> {
        match step {
            Step::Confirm => self.confirm(),
            Step::GiveUp => {
                while let Some(address) = self.selector().trial_word() {
                    let second = usize::from(address >= SELECTOR[1].start);
                    let at = (address - SELECTOR[second].start) as usize;
                    self.selector[second][at..at + 4].fill(0);
                }
                return None;
            }
            Step::Arm => {
                let wanted = node.rollout_image().map(|image| image.sequence);
                let slot = self.runs.other();
                let whole = |held: &&mut Held| held.pieces == ALL && Some(held.sequence) == wanted;
                let Some(held) = self.held().as_mut().filter(whole) else {
                    return Some(Err(StepFailed));
                };
                held.header = true;
                let image = held.sequence;
                self.choose(Choice { slot, stage: Selected::Trial, image });
            }
        }
        Some(Ok(()))
    }

    /// Does a job of the exchange of images.
    pub(crate) fn job(&mut self, job: Job, node: &mut Node<'_>) -> Done {
        match job {
            Job::Prepare(id) => Done::Prepared(self.prepare(id, node)),
            Job::Write => {
                let (number, piece) = node.piece();
                let Some(held) = self.held() else { return Done::Written(false) };
                if piece == bytes(image_id(held.sequence), number) && number < CUT.count {
                    held.pieces |= 1 << number;
                }
                Done::Written(true)
            }
            Job::Check(_) => Done::Checked(self.held().map(|held| held.pieces == ALL)),
            Job::Offer(id) => {
                let has = |slot: Option<Held>| {
                    slot.is_some_and(|held| image_id(held.sequence) == id && held.pieces == ALL)
                };
                let (runs, held) = (self.slots[index(self.runs)], *self.held());
                let found = if has(runs) { Some(false) } else { has(held).then_some(true) };
                Done::Offered(found.map(|held| (CUT, held)))
            }
            Job::Read { piece, held } => {
                let slot = if held { self.runs.other() } else { self.runs };
                let Some(image) = self.slots[index(slot)] else { return Done::Read(false) };
                node.handle_piece(piece, &bytes(image_id(image.sequence), piece));
                Done::Read(true)
            }
        }
    }

    fn prepare(&mut self, id: ImageId, node: &Node<'_>) -> Result<Found, Refused> {
        let images = &self.fleet.images;
        let image = images.iter().map(|(sequence, _)| *sequence).find(|it| image_id(*it) == id);
        let sequence = image.ok_or(Refused::Malformed)?;
        let wanted = node.wanted_image();
        if sequence <= wanted.floor {
            return Err(Refused::Older);
        }
        if wanted.quarantined == Some(sequence) {
            return Err(Refused::Quarantined);
        }
        let held = self.held();
        if held.is_none_or(|held| held.sequence != sequence) {
            *held = Some(Held { sequence, pieces: 0, header: false });
        }
        let pieces = held.map_or(0, |held| held.pieces);
        let manifest = pieces & MANIFEST == MANIFEST;
        Ok(if manifest { Found::Manifest(CUT) } else { Found::Nothing })
    }

    /// The operator has given the node this image, for others to fetch.
    pub(crate) fn hold(&mut self, sequence: u32) {
        *self.held() = Some(Held { sequence, pieces: ALL, header: false });
    }
}

/// The value of settings with the release key `key`.
pub(crate) fn settings(key: ReleaseKey) -> Vec<u8> {
    let settings = Settings { release_key: Some(key), ..Settings::default() };
    let mut value = [0; MAX_VALUE];
    let len = settings.encode(&mut value);
    value[..len].to_vec()
}
