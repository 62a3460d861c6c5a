//! An image that nodes fetch from each other: in pieces of a page, in any order, from any of them.
//!
//! A container is cut into its manifest's pages, then its payload's; see [`Pieces`]. A piece is written where it belongs at once, its
//! words moved on the way, and a chunk is judged when all its pieces are there. The image is *held* when all chunks are;
//! [`start`](crate::start) is the rest.
//!
//! Nothing of it is in memory between two calls: what has come so far is read from flash, at a restart, too. Each sector of the payload
//! is blank, written in part, or whole; [`check_chunk`] makes it one of the first and the last.

use core::ops::Range;

use embedded_storage_async::nor_flash::NorFlash;
use sha2::{Digest as _, Sha256};
use spore_boot::image::IN_PLACE;
use spore_boot::layout::Layout;
use spore_boot::map::{PAGE, SECTOR, Slot};

use crate::CHUNK;
use crate::head::{HEAD, Head, SignatureError};
use crate::refusal::{Refusal, Target};
use crate::slot::{Aligned, InFlash, PAGE_BYTES, up_to_page};

/// Bytes of a piece at most: a page.
pub const PIECE: usize = PAGE_BYTES;

/// The first bytes of the SHA-256 of a head, signature included: which image is meant.
pub type ImageId = [u8; 16];

/// The pieces that have the head.
pub const HEAD_PIECES: u16 = 2;

/// How a container is cut: first the pages of the manifest, of which the last may be shorter, then the pages of the
/// payload, likewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pieces {
    /// How many pieces the manifest has.
    pub manifest: u16,
    /// How many there are. No layout has room for 65,536.
    pub count: u16,
}

/// Where a piece is: bytes from the start of manifest or payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Manifest { at: u32, length: usize },
    Payload { at: u32, length: usize },
}

/// What there is of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: the slot is ready for the pieces that have the head, the first one first.
    Nothing,
    /// The head, which was judged: the slot is ready for the manifest's other pieces, of which there is one at least.
    Head(Pieces),
    /// All of it: the slot is ready for those of the payload. What there is of them, [`check_chunk`] says.
    Manifest(Pieces),
}

impl Pieces {
    /// Those of this container.
    pub fn of(head: &Head) -> Self {
        let pages = |bytes: u32| u16::try_from(bytes.div_ceil(PAGE)).unwrap_or(u16::MAX);
        let manifest = pages(head.manifest_length());
        Self { manifest, count: manifest.saturating_add(pages(head.payload())) }
    }

    /// The chunk that a piece of the payload belongs to.
    pub fn chunk(&self, piece: u16) -> Option<u32> {
        let page = piece.checked_sub(self.manifest).filter(|_| piece < self.count)?;
        // The header is the first page of the first chunk.
        Some(u32::from(page).saturating_add(1) / (CHUNK / PAGE))
    }

    /// The pieces of a part: of a chunk, or of the manifest; none if there is no such chunk.
    fn part(&self, chunk: Option<u16>) -> Range<u16> {
        let Some(chunk) = chunk else { return 0..self.manifest };
        // The header is the first page of the first chunk.
        let pages = u16::try_from(CHUNK / PAGE).unwrap_or(u16::MAX);
        let first = chunk.saturating_mul(pages);
        let piece =
            |page: u16| self.manifest.saturating_add(page.saturating_sub(1)).min(self.count);
        piece(first)..piece(first.saturating_add(pages))
    }

    fn place(&self, head: &Head, piece: u16) -> Option<Place> {
        if piece >= self.count {
            return None;
        }
        Some(match piece.checked_sub(self.manifest) {
            None => {
                let at = u32::from(piece).saturating_mul(PAGE);
                Place::Manifest { at, length: up_to_page(at, head.manifest_length()) }
            }
            Some(page) => {
                let at = u32::from(page).saturating_mul(PAGE);
                Place::Payload { at, length: up_to_page(at, head.payload()) }
            }
        })
    }
}

/// Looks at what there is in the slot of the image that is meant, and makes it ready for what is still to come. It is
/// to be called at the beginning, again when the pieces are there that have the head, and when all of the manifest is.
/// `verify` is [`Head::verify`], which is asked whenever a head is found.
///
/// # Errors
/// [`Refusal`] says why the image will never do, or that the flash fails. A manifest that is not what it should be is no error: it is
/// erased.
pub async fn prepare<L: Layout, F: NorFlash>(
    flash: &mut F,
    id: &ImageId,
    target: &Target<'_>,
    verify: impl FnOnce(&Head) -> Result<(), SignatureError>,
) -> Result<Found, Refusal> {
    let mut slot = InFlash::<F, L>::new(flash, target.slot);
    let head = identified(&slot.head().await?, id);
    if let Some(head) = &head {
        target.judge::<L>(head)?;
        verify(head).map_err(Refusal::Signature)?;
    }
    slot.release().await?;
    if !slot.is_blank(0, IN_PLACE).await? {
        // An image that could be started, or was to be.
        slot.erase_chunk(0).await?;
    }
    let (at, length) = (L::room(target.slot), L::manifest(target.slot).length);
    if let Some(head) = &head {
        let pieces = Pieces::of(head);
        if slot.has_lists(head).await? {
            return Ok(Found::Manifest(pieces));
        }
        let first = u32::from(HEAD_PIECES).saturating_mul(PAGE);
        let more = pieces.manifest > HEAD_PIECES;
        if more && slot.is_blank(at.saturating_add(first), length.saturating_sub(first)).await? {
            return Ok(Found::Head(pieces));
        }
    }
    if !slot.is_blank(at, length).await? {
        slot.erase_manifest().await?;
    }
    Ok(Found::Nothing)
}

/// Writes a piece, unless something is there already. What was written wrong is found when its chunk, or the manifest,
/// is checked.
///
/// # Errors
/// [`Refusal::Length`] when there is no such piece, or it has another length: nothing was written. So it is with all pieces but the first
/// as long as that is not there. [`Refusal::Altered`] when a chunk's relocations are none.
pub async fn write<L: Layout, F: NorFlash>(
    flash: &mut F,
    slot: Slot,
    piece: u16,
    bytes: &[u8],
) -> Result<(), Refusal> {
    let room = L::room(slot);
    let mut slot = InFlash::<F, L>::new(flash, slot);
    // The second piece may be missing, but no size is in it.
    let head = Head::decode(&slot.head().await?).ok().filter(Head::leaves_room::<L>);
    let place = match &head {
        Some(head) => Pieces::of(head).place(head, piece),
        None => (piece == 0).then_some(Place::Manifest { at: 0, length: PIECE }),
    };
    let place = place.ok_or(Refusal::Length)?;
    let mut page = Aligned([0xFF; PAGE_BYTES]);
    let (at, length) = match place {
        Place::Manifest { at, length } => (room.saturating_add(at), length),
        Place::Payload { at, length } => (IN_PLACE.saturating_add(at), length),
    };
    let part = page.0.get_mut(..length).filter(|part| part.len() == bytes.len());
    let part = part.ok_or(Refusal::Length)?;
    part.copy_from_slice(bytes);
    if !slot.is_blank(at, PAGE).await? {
        return Ok(());
    }
    match place {
        Place::Manifest { at, length } => slot.write_manifest(at, &mut page, length).await,
        Place::Payload { at, .. } => {
            let head = head.ok_or(Refusal::Length)?;
            let (number, within) = chunk_of(&head, at);
            let (_, mut moves) = slot.row(&head, number).await?;
            slot.move_in(part, within, &mut moves).await?;
            slot.write_payload(at, part).await
        }
    }
}

/// Whether all of a chunk is there. If it is not, its sector is blank afterwards. The manifest must have been found.
///
/// # Errors
/// When the flash fails, or there is no such chunk.
pub async fn check_chunk<L: Layout, F: NorFlash>(
    flash: &mut F,
    slot: Slot,
    number: u32,
) -> Result<bool, Refusal> {
    let mut slot = InFlash::<F, L>::new(flash, slot);
    let head = Head::decode(&slot.head().await?).map_err(Refusal::Head)?;
    if number >= head.chunks() || !head.leaves_room::<L>() {
        return Err(Refusal::Length);
    }
    let (digest, mut moves) = slot.row(&head, number).await?;
    let range = head.chunk(number);
    let mut page = Aligned([0; PAGE_BYTES]);
    let mut sha = Sha256::new();
    let mut at = range.start;
    while at < range.end {
        let part = page.0.get_mut(..up_to_page(at, range.end)).ok_or(Refusal::Flash)?;
        slot.read_payload(at, part).await?;
        slot.move_back(part, at.saturating_sub(range.start), &mut moves).await?;
        sha.update(&*part);
        at = at.saturating_add(PAGE);
    }
    if sha.finalize()[..] == digest && moves.are_done() {
        return Ok(true);
    }
    if !slot.is_blank(number.saturating_mul(SECTOR), SECTOR).await? {
        slot.erase_chunk(number).await?;
    }
    Ok(false)
}

/// Whether the slot has the image that is meant, with its manifest, and how that is cut. Of the payload nothing is checked: that was done
/// when it was written, and whoever gets a piece of it does so again.
///
/// # Errors
/// When the flash fails.
pub async fn offered<L: Layout, F: NorFlash>(
    flash: &mut F,
    slot: Slot,
    id: &ImageId,
) -> Result<Option<Pieces>, Refusal> {
    let mut slot = InFlash::<F, L>::new(flash, slot);
    let Some(head) = identified(&slot.head().await?, id).filter(Head::leaves_room::<L>) else {
        return Ok(None);
    };
    Ok(slot.has_lists(&head).await?.then(|| Pieces::of(&head)))
}

/// Reads the head of the image that is meant to `room`, if it is in the slot; whether it is.
///
/// # Errors
/// When the flash fails.
pub async fn head<L: Layout, F: NorFlash>(
    flash: &mut F,
    slot: Slot,
    image: &ImageId,
    room: &mut [u8; HEAD],
) -> Result<bool, Refusal> {
    *room = InFlash::<F, L>::new(flash, slot).head().await?;
    Ok(id(room) == *image)
}

/// Reads a piece to the start of `room`, as it was signed, whichever slot it is in, and returns its length. The slot must
/// have been found to offer it.
///
/// # Errors
/// When there is no such piece, or the flash fails.
pub async fn read<L: Layout, F: NorFlash>(
    flash: &mut F,
    slot: Slot,
    piece: u16,
    room: &mut [u8; PIECE],
) -> Result<usize, Refusal> {
    let mut slot = InFlash::<F, L>::new(flash, slot);
    let head = Head::decode(&slot.head().await?).map_err(Refusal::Head)?;
    let mut page = Aligned([0; PAGE_BYTES]);
    let length = match Pieces::of(&head).place(&head, piece).ok_or(Refusal::Length)? {
        Place::Manifest { at, length } => {
            let words = length.next_multiple_of(4);
            let words = page.0.get_mut(..words).ok_or(Refusal::Length)?;
            slot.read_manifest(at, words).await?;
            length
        }
        Place::Payload { at, length } => {
            let (number, within) = chunk_of(&head, at);
            let (_, mut moves) = slot.row(&head, number).await?;
            let part = page.0.get_mut(..length).ok_or(Refusal::Length)?;
            slot.read_payload(at, part).await?;
            slot.move_back(part, within, &mut moves).await?;
            length
        }
    };
    *room = page.0;
    Ok(length)
}

/// The head of the image in the slot, if its manifest is there, whole. Of the payload nothing is checked.
///
/// # Errors
/// When the flash fails.
pub async fn about<L: Layout, F: NorFlash>(
    flash: &mut F,
    slot: Slot,
) -> Result<Option<Head>, Refusal> {
    let mut slot = InFlash::<F, L>::new(flash, slot);
    let head = Head::decode(&slot.head().await?).ok().filter(Head::leaves_room::<L>);
    let Some(head) = head else { return Ok(None) };
    Ok(slot.has_lists(&head).await?.then_some(head))
}

/// Reads a page of a part, the manifest or a chunk, to the start of `room`, as [`read`] does: so that the manifest and all chunks in their order
/// are the container. Its length; 0 behind the last page, and if there is no such chunk.
///
/// # Errors
/// When there is no image, or the flash fails.
pub async fn read_part<L: Layout, F: NorFlash>(
    flash: &mut F,
    slot: Slot,
    (chunk, page): (Option<u16>, u16),
    room: &mut [u8; PIECE],
) -> Result<usize, Refusal> {
    let head = InFlash::<F, L>::new(flash, slot).head().await?;
    let head = Head::decode(&head).ok().filter(Head::leaves_room::<L>).ok_or(Refusal::Length)?;
    let pieces = Pieces::of(&head).part(chunk);
    let piece = pieces.start.saturating_add(page);
    if pieces.contains(&piece) { read::<L, _>(flash, slot, piece, room).await } else { Ok(0) }
}

/// Which image a head is of.
pub fn id(head: &[u8; HEAD]) -> ImageId {
    let digest: [u8; 32] = Sha256::digest(head).into();
    let [id, _] = digest.as_chunks().0 else { return ImageId::default() };
    *id
}

fn identified(bytes: &[u8; HEAD], meant: &ImageId) -> Option<Head> {
    (id(bytes) == *meant).then(|| Head::decode(bytes).ok()).flatten()
}

/// The chunk that a byte of the payload belongs to, and how many bytes of the chunk are in front of it.
fn chunk_of(head: &Head, at: u32) -> (u32, u32) {
    let number = at.saturating_add(IN_PLACE) / CHUNK;
    (number, at.saturating_sub(head.chunk(number).start))
}
