//! The bootloader's work, over any flash: find an image that is whole, and count its start.

use embedded_storage::nor_flash::NorFlash;

use crate::decision::{Candidate, candidates};
use crate::image::{HEADER, Header, IN_PLACE, Verifier};
use crate::layout::Layout;
use crate::map::{PAGE, Region, SELECTOR, Slot};
use crate::selector::{BYTES, Selector};

/// An image that is whole and may be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Where it is.
    pub slot: Slot,
    /// What it says of itself.
    pub header: Header,
}

/// Bytes that flash reads into; the mask ROM writes whole words.
#[repr(align(4))]
struct Page([u8; HEADER]);

/// As [`Page`].
#[repr(align(4))]
struct Word([u8; 4]);

/// Finds the image to start. If it is on trial, this start has been counted. None if no slot holds an image that is
/// whole.
///
/// Buffers that are handed to `flash` are aligned to four bytes. What cannot be read is taken for damaged. Of the flash,
/// one word at most is changed.
pub fn choose<L: Layout>(flash: &mut impl NorFlash) -> Option<Start> {
    // Loops and one buffer: the bootloader has four kilobytes for all that it is.
    let mut page = Page([0; HEADER]);
    let [first, second] = &SELECTOR;
    let first = selector_sector(flash, first, &mut page);
    let second = selector_sector(flash, second, &mut page);
    let selector = Selector::read(&first, &second);
    let mut sequence = |slot| header::<L>(flash, slot, &mut page).map(|header| header.sequence);
    let sequences = [sequence(Slot::A), sequence(Slot::B)];
    for Candidate { slot, count } in &candidates(&selector, sequences) {
        let Some(header) = header::<L>(flash, *slot, &mut page) else { continue };
        if !is_whole::<L>(flash, *slot, &header, &mut page) {
            continue;
        }
        if count.is_none_or(|address| use_up(flash, address)) {
            return Some(Start { slot: *slot, header });
        }
    }
    None
}

/// The first bytes of a sector; if it cannot be read, some that are no record.
fn selector_sector(flash: &mut impl NorFlash, sector: &Region, page: &mut Page) -> [u8; BYTES] {
    let read = flash.read(sector.start, &mut page.0);
    let bytes = page.0.first_chunk().filter(|_| read.is_ok());
    bytes.copied().unwrap_or_default()
}

/// Reads the header of the image in `slot` to `page`.
fn header<L: Layout>(flash: &mut impl NorFlash, slot: Slot, page: &mut Page) -> Option<Header> {
    flash.read(L::region(slot).start, &mut page.0).ok()?;
    Header::decode::<L>(slot, &page.0).ok()
}

/// Whether the image whose header is in `page` is what its digest says.
fn is_whole<L: Layout>(
    flash: &mut impl NorFlash,
    slot: Slot,
    header: &Header,
    page: &mut Page,
) -> bool {
    let mut verifier = Verifier::new(&page.0);
    let mut at = L::region(slot).start + IN_PLACE;
    let mut left = header.length().saturating_sub(IN_PLACE);
    while left > 0 {
        let length = left.min(PAGE);
        let piece = usize::try_from(length).ok().and_then(|length| page.0.get_mut(..length));
        let Some(piece) = piece else { return false };
        if flash.read(at, piece).is_err() {
            return false;
        }
        verifier.update(piece);
        (at, left) = (at.saturating_add(length), left - length);
    }
    verifier.is_whole()
}

/// Programs a trial word, and looks whether it is blank no more.
fn use_up(flash: &mut impl NorFlash, address: u32) -> bool {
    let mut word = Word([0; 4]);
    let programmed = flash.write(address, &word.0).is_ok();
    programmed && flash.read(address, &mut word.0).is_ok() && word.0 != [0xFF; 4]
}
