//! What is in the slots, for who asks over HTTP.

use embedded_storage_async::nor_flash::NorFlash;
use spore_boot::layout::Layout;
use spore_core::api::{ImageAbout, ImagePart};
use spore_core::ota::PIECE;
use spore_image::pieces;

use crate::slots::Slots;

/// Writes what there is to know of both slots to `reply`; its length, 0 if there is no room.
pub(crate) async fn about<L: Layout, F: NorFlash>(slots: Slots<F>, reply: &mut [u8]) -> usize {
    let (runs, mut flash) = slots.gentle();
    let mut len = 0;
    for (name, slot) in [("{\"running\":", runs), (",\"held\":", runs.other())] {
        let head = pieces::about::<L, _>(&mut flash, slot).await.ok().flatten();
        let id = head.as_ref().map(|head| pieces::id(&head.encode()));
        let about = head.as_ref().zip(id.as_ref()).map(|(head, id)| ImageAbout {
            id,
            board: head.board(),
            version: head.version(),
            sequence: head.header.sequence,
            manifest: head.manifest_length(),
            length: head.length(),
            chunks: head.chunks(),
        });
        len += put(reply, len, name);
        len += ImageAbout::write(about.as_ref(), reply.get_mut(len..).unwrap_or_default());
    }
    len + put(reply, len, "}")
}

/// Puts `text` at `at` in `reply`; its length, 0 if there is no room.
fn put(reply: &mut [u8], at: usize, text: &str) -> usize {
    match reply.get_mut(at..at + text.len()) {
        Some(room) => {
            room.copy_from_slice(text.as_bytes());
            text.len()
        }
        None => 0,
    }
}

/// Reads a page of a part of an image to the start of `room`; its length, 0 behind the last one, and if there is no such part.
pub(crate) async fn read<L: Layout, F: NorFlash>(
    slots: Slots<F>,
    (part, page): (ImagePart, u16),
    room: &mut [u8; PIECE],
) -> usize {
    let (runs, mut flash) = slots.gentle();
    let slot = if part.held { runs.other() } else { runs };
    pieces::read_part::<L, _>(&mut flash, slot, (part.chunk, page), room).await.unwrap_or(0)
}
