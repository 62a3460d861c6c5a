//! A board: a flash, the bootloader, and a node that takes one update.

use crate::pieces::Source;
use embassy_futures::block_on;
use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash as _};
use fastrand::Rng;
use spore_boot::image::{DATA_RAM, Header, IN_PLACE, INSTRUCTION_RAM, MAX_SEGMENTS, Segment};
use spore_boot::map::{CONFIGURATION, FLASH};
use spore_boot::{Esp, Slot, Start, choose};
use spore_image::trial::{self, Found};
use spore_image::{Head, Refusal, SignatureError, Target, build};
use spore_sim::flash::{FlashError, NorChip};

/// The name of the board.
pub(crate) const BOARD: &str = "esp-01";
/// Sequence number of the image that the board is made with.
pub(crate) const OLD: u32 = 1;
/// That of the update.
pub(crate) const NEW: u32 = 2;
/// Where the node notes that the update did not pass its trial: a word that is not blank.
const QUARANTINE: u32 = CONFIGURATION.start;

/// Whether the update is any good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Update {
    /// It confirms itself at its first start.
    Good,
    /// It gives itself up.
    Bad,
    /// It ends without a word.
    Silent,
}

/// How it comes to the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// In one stream.
    Upload,
    /// In pieces, in an order that differs from start to start.
    Pieces,
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

/// The bytes of an image for a slot: 5 KB, which differ by sequence number, and by slot in each seventh word.
pub(crate) fn image(slot: Slot, sequence: u32) -> Vec<u8> {
    image_of(slot, sequence, 4000)
}

/// Likewise, with so many bytes that run in place.
pub(crate) fn image_of(slot: Slot, sequence: u32, in_place: u32) -> Vec<u8> {
    let mut segments = [Segment::default(); MAX_SEGMENTS];
    segments[0] = Segment { address: INSTRUCTION_RAM.start, length: 1000 };
    segments[1] = Segment { address: DATA_RAM.start, length: 120 };
    let entry = slot.window() + IN_PLACE;
    let (mut board, mut version) = ([0; 16], [0; 24]);
    board[..BOARD.len()].copy_from_slice(BOARD.as_bytes());
    version[0] = b'1';
    let header = Header { sequence, entry, in_place, board, version, segments };
    header.check(slot).expect("the image fits");
    let mut rng = fastrand::Rng::with_seed(u64::from(sequence));
    let word = |at| if at % 7 == 0 { slot.window() + at } else { rng.u32(..) };
    let contents = (0..(header.length() - IN_PLACE) / 4).map(word);
    let contents: Vec<u8> = contents.flat_map(u32::to_le_bytes).collect();
    [header.encode(&contents).as_slice(), &contents].concat()
}

/// The container of that image, not signed.
pub(crate) fn container(sequence: u32) -> Vec<u8> {
    container_of(sequence, 4000)
}

/// Likewise.
pub(crate) fn container_of(sequence: u32, in_place: u32) -> Vec<u8> {
    let [a, b] = Slot::BOTH.map(|slot| image_of(slot, sequence, in_place));
    build::from_slots(&a, &b).expect("the images are of one program")
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
    choose::<Esp>(&mut Blocking(chip, Programs::Work))
}

/// What the flash says of the cut that it has suffered.
fn flash(result: Result<(), Refusal>, chip: &NorChip) -> Result<(), FlashError> {
    result.map_err(|refusal| match refusal {
        Refusal::Flash if chip.is_off() => FlashError::Off,
        refusal => panic!("a whole flash is refused: {refusal:?}"),
    })
}

/// Confirms what is running.
pub(crate) fn confirm(chip: &mut NorChip, start: &Start) -> Result<(), FlashError> {
    let confirmed = block_on(trial::confirm::<Esp, _>(chip, start.slot, start.header.sequence));
    flash(confirmed, chip)
}

/// What a node asks of an update for the slot that does not run.
pub(crate) fn target(start: &Start) -> Target<'static> {
    let (slot, floor) = (start.slot.other(), start.header.sequence);
    Target { board: BOARD, slot, floor, quarantined: None, length: None }
}

/// Takes an update from `source`. A power cut has nothing to do with signatures, which take long.
pub(crate) fn install(
    chip: &mut impl NorFlash,
    mut source: &[u8],
    target: &Target<'_>,
    verify: impl FnOnce(&Head) -> Result<(), SignatureError>,
) -> Result<Head, Refusal> {
    block_on(spore_image::install::<Esp, _, _>(chip, &mut source, target, verify))
}

/// What a node does after it was started: it knows nothing but what is in flash, and which slot it runs in.
pub(crate) fn run(
    chip: &mut NorChip,
    start: &Start,
    update: Update,
    way: Way,
) -> Result<End, FlashError> {
    let found = match block_on(trial::find::<Esp, _>(chip, start.slot)) {
        Err(Refusal::Flash) if chip.is_off() => return Err(FlashError::Off),
        found => found.expect("a whole flash can be read"),
    };
    match found {
        Found::Trial if update == Update::Bad => {
            let given_up = block_on(trial::give_up::<Esp, _>(chip, start.slot));
            return flash(given_up, chip).map(|()| End::Restart);
        }
        Found::Trial if update == Update::Silent => return Ok(End::Restart),
        Found::Fallback { tried: Some(_) } => {
            // It went back to this one: never try that one again, even if the selector is lost.
            block_on(chip.write(QUARANTINE, &[0; 4]))?;
            confirm(chip, start)?;
        }
        Found::Trial | Found::Confirmed | Found::Fallback { tried: None } => confirm(chip, start)?,
    }
    let mut quarantine = [0; 4];
    block_on(chip.read(QUARANTINE, &mut quarantine))?;
    if start.header.sequence >= NEW || quarantine != [0xFF; 4] {
        return Ok(End::Idle);
    }
    let (container, target) = (container(NEW), target(start));
    let taken = match way {
        Way::Upload => install(chip, &container, &target, |_| Ok(())),
        Way::Pieces => {
            let mut rng = Rng::with_seed(chip.operations());
            let taken = Source::new(&container).fetch(chip, &target, |all| rng.shuffle(all));
            taken.and_then(|_| block_on(spore_image::start::<Esp, _>(chip, &target, |_| Ok(()))))
        }
    };
    match taken {
        Ok(_) => Ok(End::Restart),
        Err(Refusal::Flash | Refusal::Selector) if chip.is_off() => Err(FlashError::Off),
        Err(refusal) => panic!("a good update is refused: {refusal:?}"),
    }
}
