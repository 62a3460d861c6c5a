//! The bootloader's work, over any flash: find an image that is whole, and count its start.

use embedded_storage::nor_flash::NorFlash;

use crate::decision::{Candidate, candidates};
use crate::image::{HEADER, Header, IN_PLACE, Verifier};
use crate::map::{SELECTOR, Slot};
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
struct Buffer<const N: usize>([u8; N]);

/// Finds the image to start. If it is on trial, this start has been counted. None if no slot holds an image that is
/// whole.
///
/// Buffers that are handed to `flash` are aligned to four bytes. What cannot be read is taken for damaged. Of the flash,
/// one word at most is changed.
pub fn choose(flash: &mut impl NorFlash) -> Option<Start> {
    let selector = read_selector(flash);
    let sequences = Slot::BOTH.map(|slot| header(flash, slot).map(|(header, _)| header.sequence));
    let order = candidates(&selector, sequences);
    order.into_iter().find_map(|Candidate { slot, count }| {
        let header = verified(flash, slot)?;
        let counted = count.is_none_or(|address| use_up(flash, address));
        counted.then_some(Start { slot, header })
    })
}

/// Both sectors of the selector; one that cannot be read counts as blank.
fn read_selector(flash: &mut impl NorFlash) -> Selector {
    let [first, second] = SELECTOR.map(|sector| {
        let mut buffer = Buffer([0; BYTES]);
        let _unreadable = flash.read(sector.start, &mut buffer.0);
        buffer.0
    });
    Selector::read(&first, &second)
}

fn header(flash: &mut impl NorFlash, slot: Slot) -> Option<(Header, [u8; HEADER])> {
    let mut page = Buffer([0; HEADER]);
    flash.read(slot.region().start, &mut page.0).ok()?;
    Header::decode(slot, &page.0).ok().map(|header| (header, page.0))
}

/// The header of the image in `slot`, if all of it is what its digest says.
fn verified(flash: &mut impl NorFlash, slot: Slot) -> Option<Header> {
    let (header, page) = header(flash, slot)?;
    let mut verifier = Verifier::new(&page);
    let mut at = slot.region().start + IN_PLACE;
    let end = slot.region().start + header.length();
    let mut buffer = Buffer([0; HEADER]);
    while at < end {
        let length = usize::try_from(end - at).map_or(HEADER, |left| left.min(HEADER));
        let piece = buffer.0.get_mut(..length)?;
        flash.read(at, piece).ok()?;
        verifier.update(piece);
        at = at.saturating_add(crate::map::PAGE);
    }
    verifier.is_whole().then_some(header)
}

/// Programs a trial word, and looks whether it is blank no more.
fn use_up(flash: &mut impl NorFlash, address: u32) -> bool {
    let mut word = Buffer([0; 4]);
    let programmed = flash.write(address, &word.0).is_ok();
    programmed && flash.read(address, &mut word.0).is_ok() && word.0 != [0xFF; 4]
}
