//! Installing an image: a container comes in, in order and in pieces of any size, and the slot that does not run is written.
//!
//! Nothing is written before the signature was found genuine. Then the slot is made one without an image; manifest and chunks are written
//! as they come, each chunk checked; and once all has come, everything is read back. The image is *held* then: it is
//! complete, and cannot be started. [`start`] writes the header of the slot, and the selector behind that: the image is
//! on trial. So a power cut at any moment leaves the image that is running, or, behind the last step, the new one.

use embedded_io_async::Read;
use embedded_storage_async::nor_flash::NorFlash;
use sha2::{Digest as _, Sha256};
use spore_boot::layout::Layout;
use spore_boot::map::PAGE;

use crate::head::{HEAD, Head, SignatureError};
use crate::refusal::{Refusal, Target};
use crate::slot::{Aligned, InFlash, PAGE_BYTES, up_to_page};

/// Takes one image from `source` to its end, which must be that of the container, and writes it to `flash`. `verify` is [`Head::verify`]
/// with the release key, where there is the stack for it. What is in flash then is yet to be [checked](check).
///
/// Dropped, it has done what [`Refusal::Flash`] says.
///
/// # Errors
/// [`Refusal`] says why not, as early as the bytes allow, and what was touched.
pub async fn receive<L: Layout, F: NorFlash, R: Read>(
    flash: &mut F,
    source: &mut R,
    target: &Target<'_>,
    verify: impl FnOnce(&Head) -> Result<(), SignatureError>,
) -> Result<Head, Refusal> {
    // Its bytes are made anew where they are needed: a board has no memory for both.
    let head = {
        let mut bytes = [0; HEAD];
        fill(source, &mut bytes).await?;
        Head::decode(&bytes).map_err(Refusal::Head)?
    };
    target.judge::<L>(&head)?;
    verify(&head).map_err(Refusal::Signature)?;
    let mut slot = InFlash::<F, L>::new(flash, target.slot);
    slot.release().await?;
    slot.erase_header().await?;
    slot.erase_manifest().await?;
    write_manifest(&mut slot, &head, source).await?;
    for chunk in 0..head.chunks() {
        write_chunk(&mut slot, &head, chunk, source).await?;
    }
    if source.read(&mut [0]).await.map_err(|_| Refusal::Length)? != 0 {
        return Err(Refusal::Length);
    }
    Ok(head)
}

/// Reads back the image that is held in the slot. Nothing is taken on trust from when it came.
///
/// # Errors
/// [`Refusal`] says why it will not do. An image that is not complete is not what was signed.
pub async fn check<L: Layout, F: NorFlash>(
    flash: &mut F,
    target: &Target<'_>,
    verify: impl FnOnce(&Head) -> Result<(), SignatureError>,
) -> Result<Head, Refusal> {
    let mut slot = InFlash::<F, L>::new(flash, target.slot);
    let head = Head::decode(&slot.head().await?).map_err(Refusal::Head)?;
    target.judge::<L>(&head)?;
    verify(&head).map_err(Refusal::Signature)?;
    let whole = slot.has_lists(&head).await? && slot.is_whole(&head).await?;
    if whole { Ok(head) } else { Err(Refusal::Altered) }
}

/// [Checks](check) the image that is held in the slot, and puts it on trial: it is what the bootloader starts next.
///
/// # Errors
/// As that; and what runs may not be confirmed.
pub async fn start<L: Layout, F: NorFlash>(
    flash: &mut F,
    target: &Target<'_>,
    verify: impl FnOnce(&Head) -> Result<(), SignatureError>,
) -> Result<Head, Refusal> {
    InFlash::<F, L>::new(flash, target.slot).release().await?;
    let head = check::<L, F>(flash, target, verify).await?;
    InFlash::<F, L>::new(flash, target.slot).start_trial(&head).await?;
    Ok(head)
}

/// [`receive`] and [`check`]: the image is held.
///
/// # Errors
/// As those two; what is not in flash as it came is [`Refusal::Flash`].
pub async fn hold<L: Layout, F: NorFlash, R: Read>(
    flash: &mut F,
    source: &mut R,
    target: &Target<'_>,
    verify: impl FnOnce(&Head) -> Result<(), SignatureError>,
) -> Result<Head, Refusal> {
    let head = receive::<L, F, R>(flash, source, target, verify).await?;
    check::<L, F>(flash, target, |found| same(found, &head)).await.map_err(of_flash)
}

/// [`receive`] and [`start`].
///
/// # Errors
/// As [`hold`].
pub async fn install<L: Layout, F: NorFlash, R: Read>(
    flash: &mut F,
    source: &mut R,
    target: &Target<'_>,
    verify: impl FnOnce(&Head) -> Result<(), SignatureError>,
) -> Result<Head, Refusal> {
    let head = receive::<L, F, R>(flash, source, target, verify).await?;
    start::<L, F>(flash, target, |found| same(found, &head)).await.map_err(of_flash)
}

/// Whether what is in flash is what was found genuine as it came.
fn same(found: &Head, head: &Head) -> Result<(), SignatureError> {
    if found == head { Ok(()) } else { Err(SignatureError::Forged) }
}

/// What is not in flash as it came is the fault of that.
fn of_flash(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Selector => Refusal::Selector,
        _ => Refusal::Flash,
    }
}

/// Takes the lists, and writes them behind the head.
async fn write_manifest<F: NorFlash, L: Layout>(
    slot: &mut InFlash<'_, F, L>,
    head: &Head,
    source: &mut impl Read,
) -> Result<(), Refusal> {
    let mut page = Aligned([0; PAGE_BYTES]);
    page.0.copy_from_slice(head.encode().split_at(PAGE_BYTES).0);
    slot.write_manifest(0, &mut page, PAGE_BYTES).await?;
    let (mut at, mut filled) = (PAGE, HEAD.saturating_sub(PAGE_BYTES));
    page.0.iter_mut().zip(head.encode().split_at(PAGE_BYTES).1).for_each(|(to, from)| *to = *from);
    let mut sha = Sha256::new();
    let end = head.manifest_length();
    while at < end {
        let length = up_to_page(at, end);
        let room = page.0.get_mut(filled..length).ok_or(Refusal::Flash)?;
        fill(source, room).await?;
        sha.update(room);
        slot.write_manifest(at, &mut page, length).await?;
        (at, filled) = (at.saturating_add(PAGE), 0);
    }
    if sha.finalize()[..] == head.lists { Ok(()) } else { Err(Refusal::Altered) }
}

/// Takes a chunk, and writes it with its words moved.
async fn write_chunk<F: NorFlash, L: Layout>(
    slot: &mut InFlash<'_, F, L>,
    head: &Head,
    number: u32,
    source: &mut impl Read,
) -> Result<(), Refusal> {
    // That of the header was erased before.
    if number > 0 {
        slot.erase_chunk(number).await?;
    }
    let (digest, mut moves) = slot.row(head, number).await?;
    let range = head.chunk(number);
    let mut page = Aligned([0; PAGE_BYTES]);
    let mut sha = Sha256::new();
    let mut at = range.start;
    while at < range.end {
        let part = page.0.get_mut(..up_to_page(at, range.end)).ok_or(Refusal::Flash)?;
        fill(source, part).await?;
        sha.update(&*part);
        slot.move_in(part, at.saturating_sub(range.start), &mut moves).await?;
        slot.write_payload(at, part).await?;
        at = at.saturating_add(PAGE);
    }
    let whole = sha.finalize()[..] == digest && moves.are_done();
    if whole { Ok(()) } else { Err(Refusal::Altered) }
}

/// Takes as many bytes as there is room for.
async fn fill(source: &mut impl Read, mut room: &mut [u8]) -> Result<(), Refusal> {
    while !room.is_empty() {
        let read = source.read(room).await.map_err(|_| Refusal::Length)?;
        room = room.get_mut(read..).filter(|_| read > 0).ok_or(Refusal::Length)?;
    }
    Ok(())
}
