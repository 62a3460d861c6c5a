//! A board: a flash, the bootloader, and a node that takes one update.

use embassy_futures::block_on;
use embedded_storage_async::nor_flash::{NorFlash as _, ReadNorFlash as _};
use spore_boot::image::{
    DATA_RAM, HEADER, Header, IN_PLACE, INSTRUCTION_RAM, MAX_SEGMENTS, Segment,
};
use spore_boot::map::{CONFIGURATION, FLASH, SECTOR, SELECTOR};
use spore_boot::selector::BYTES;
use spore_boot::{Choice, Selector, Slot, Stage, Start, Verifier, Write, choose};
use spore_sim::flash::{FlashError, NorChip};

/// Sequence number of the image that the board is made with.
pub(crate) const OLD: u32 = 1;
/// That of the update.
pub(crate) const NEW: u32 = 2;
/// Bytes that are programmed at once while an image is installed.
const PIECE: usize = 1024;
/// Where the node notes that the update did not pass its trial: a word that is not blank.
const QUARANTINE: u32 = CONFIGURATION.start;

/// Whether the update is any good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Update {
    /// It confirms itself at its first start.
    Good,
    /// It never does.
    Bad,
}

/// How a start of a node ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With a restart.
    Restart,
    /// Not at all: there is nothing left to do.
    Idle,
}

/// What becomes of programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Programs {
    /// They are done.
    Work,
    /// They are refused.
    Fail,
    /// They are said to be done, and are not.
    DoNothing,
}

/// The blocking traits over the flash whose operations can be cut.
pub(crate) struct Blocking<'a>(pub(crate) &'a mut NorChip, pub(crate) Programs);

impl embedded_storage::nor_flash::ErrorType for Blocking<'_> {
    type Error = FlashError;
}

impl embedded_storage::nor_flash::ReadNorFlash for Blocking<'_> {
    const READ_SIZE: usize = 4;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        // As the mask ROM needs it, which writes words.
        if !bytes.as_ptr().addr().is_multiple_of(4) {
            return Err(FlashError::NotAligned);
        }
        block_on(self.0.read(offset, bytes))
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl embedded_storage::nor_flash::NorFlash for Blocking<'_> {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = spore_sim::flash::SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        block_on(self.0.erase(from, to))
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        match self.1 {
            Programs::Work => block_on(self.0.write(offset, bytes)),
            Programs::Fail => Err(FlashError::Lapse),
            Programs::DoNothing => Ok(()),
        }
    }
}

/// The bytes of an image for a slot: 5 KB, which differ by slot and sequence number.
pub(crate) fn image(slot: Slot, sequence: u32) -> Vec<u8> {
    let mut segments = [Segment::default(); MAX_SEGMENTS];
    segments[0] = Segment { address: INSTRUCTION_RAM.start, length: 1000 };
    segments[1] = Segment { address: DATA_RAM.start, length: 120 };
    let entry = slot.window() + IN_PLACE;
    let header =
        Header { sequence, entry, in_place: 4000, board: [0; 16], version: [0; 24], segments };
    header.check(slot).expect("the image fits");
    let mut rng = fastrand::Rng::with_seed(u64::from(sequence) << 32 | u64::from(entry));
    let contents: Vec<u8> = (0..header.length() - IN_PLACE).map(|_| rng.u8(..)).collect();
    [header.encode(&contents).as_slice(), &contents].concat()
}

/// A flash as it leaves the desk: the old image in slot A, and nothing else.
pub(crate) fn new_board() -> Vec<u8> {
    let mut bytes = vec![0xFF; FLASH as usize];
    let image = image(Slot::A, OLD);
    bytes[Slot::A.region().start as usize..][..image.len()].copy_from_slice(&image);
    bytes
}

/// What the bootloader does with a flash.
pub(crate) fn boot(chip: &mut NorChip) -> Option<Start> {
    choose(&mut Blocking(chip, Programs::Work))
}

fn selector(chip: &mut NorChip) -> Result<Selector, FlashError> {
    let mut sectors = [[0; BYTES]; 2];
    for (sector, bytes) in SELECTOR.iter().zip(&mut sectors) {
        block_on(chip.read(sector.start, bytes))?;
    }
    Ok(Selector::read(&sectors[0], &sectors[1]))
}

fn write(chip: &mut NorChip, write: Write) -> Result<(), FlashError> {
    block_on(chip.erase(write.sector.start, write.sector.end()))?;
    block_on(chip.write(write.sector.start, &write.bytes))
}

fn settle(chip: &mut NorChip) -> Result<(), FlashError> {
    match selector(chip)?.settle() {
        Some(left) => write(chip, left),
        None => Ok(()),
    }
}

/// Confirms what is running, and what it says in one sector it says in both.
fn confirm(chip: &mut NorChip, start: &Start) -> Result<(), FlashError> {
    let choice = Choice { slot: start.slot, stage: Stage::Confirmed, image: start.header.sequence };
    let confirmation = selector(chip)?.write(choice);
    write(chip, confirmation)?;
    settle(chip)
}

/// Writes an image, its header last, once the rest was read back.
fn install(chip: &mut NorChip, slot: Slot, image: &[u8]) -> Result<(), FlashError> {
    let region = slot.region();
    let end = region.start + (image.len() as u32).next_multiple_of(SECTOR);
    block_on(chip.erase(region.start, end))?;
    let mut at = region.start + IN_PLACE;
    for piece in image[HEADER..].chunks(PIECE) {
        block_on(chip.write(at, piece))?;
        at += piece.len() as u32;
    }
    let mut read = vec![0; image.len() - HEADER];
    block_on(chip.read(region.start + IN_PLACE, &mut read))?;
    let header = image.first_chunk().expect("an image has a header");
    let mut verifier = Verifier::new(header);
    verifier.update(&read);
    assert!(verifier.is_whole(), "what was written is not what was read");
    block_on(chip.write(region.start, header))
}

/// What a node does after it was started: it knows nothing but what is in flash, and which slot it runs in.
pub(crate) fn run(chip: &mut NorChip, start: &Start, update: Update) -> Result<End, FlashError> {
    let record = selector(chip)?.record();
    match record.map(|record| record.choice) {
        Some(Choice { slot, stage: Stage::Trial, .. }) if slot == start.slot => {
            if update == Update::Bad {
                return Ok(End::Restart);
            }
            confirm(chip, start)?;
        }
        Some(Choice { slot, stage: Stage::Trial, .. }) => {
            // It went back to this one: never try that one again, even if the selector is lost.
            block_on(chip.write(QUARANTINE, &[0; 4]))?;
            block_on(chip.erase(slot.region().start, slot.region().start + SECTOR))?;
            confirm(chip, start)?;
        }
        Some(choice) if choice.slot == start.slot => settle(chip)?,
        _ => confirm(chip, start)?,
    }
    let mut quarantine = [0; 4];
    block_on(chip.read(QUARANTINE, &mut quarantine))?;
    if start.header.sequence >= NEW || quarantine != [0xFF; 4] {
        return Ok(End::Idle);
    }
    let slot = start.slot.other();
    install(chip, slot, &image(slot, NEW))?;
    let trial = Choice { slot, stage: Stage::Trial, image: NEW };
    let trial = selector(chip)?.write(trial);
    write(chip, trial)?;
    Ok(End::Restart)
}
