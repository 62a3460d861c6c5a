//! What the engine asks of the slots for the exchange of images between nodes.

use embedded_storage_async::nor_flash::NorFlash;
use spore_boot::layout::Layout;
use spore_core::ota::{Cut, Done, Found, Job, PIECE, Wanted};
use spore_image::pieces::{self, Pieces};
use spore_image::{Head, SignatureError};

use crate::slots::{Slots, refused, target};

const _: () = assert!(PIECE == pieces::PIECE);

/// Does a job of the exchange in `slots`. The piece that is to be written has this number and length, and is at the start of `buf`; one that was read is there
/// afterwards. What an image is taken for is said by the name of the board and by what the engine wants. Returns also how many
/// bytes were read.
pub async fn work<L: Layout, F: NorFlash>(
    slots: Slots<F>,
    job: Job,
    wanted: (&str, Wanted),
    (number, length): (u16, usize),
    buf: &mut [u8; PIECE],
    verify: impl FnOnce(&Head) -> Result<(), SignatureError>,
) -> (Done, usize) {
    let (runs, mut flash) = slots.gentle();
    let (flash, other) = (&mut flash, runs.other());
    let done = match job {
        Job::Prepare(image) => {
            let target = target(other, wanted);
            let prepared = pieces::prepare::<L, _>(flash, &image, &target, verify).await;
            Done::Prepared(prepared.map(found).map_err(refused))
        }
        Job::Write => {
            let bytes = buf.get(..length).unwrap_or_default();
            Done::Written(pieces::write::<L, _>(flash, other, number, bytes).await.is_ok())
        }
        Job::Check(chunk) => {
            Done::Checked(pieces::check_chunk::<L, _>(flash, other, chunk.into()).await.ok())
        }
        Job::Offer(image) => {
            let mut offered = None;
            for slot in [other, runs] {
                if let Ok(Some(pieces)) = pieces::offered::<L, _>(flash, slot, &image).await {
                    offered = Some((cut(pieces), slot == other));
                }
            }
            Done::Offered(offered)
        }
        Job::Read { piece, held } => {
            let slot = if held { other } else { runs };
            let read = pieces::read::<L, _>(flash, slot, piece, buf).await;
            return (Done::Read(read.is_ok()), read.unwrap_or(0));
        }
    };
    (done, 0)
}

fn found(found: pieces::Found) -> Found {
    match found {
        pieces::Found::Nothing => Found::Nothing,
        pieces::Found::Head(pieces) => Found::Head(cut(pieces)),
        pieces::Found::Manifest(pieces) => Found::Manifest(cut(pieces)),
    }
}

const fn cut(Pieces { manifest, count }: Pieces) -> Cut {
    Cut { manifest, count }
}

#[cfg(test)]
mod tests {
    use spore_core::ota::Cut;
    use spore_image::pieces::Pieces;

    // The engine decides when a chunk is to be checked, the installer which one that is.
    #[test]
    fn engine_and_installer_cut_an_image_alike() {
        for (manifest, count) in [(2, 3), (2, 17), (22, 1702), (48, 1919), (593, u16::MAX)] {
            let (cut, pieces) = (Cut { manifest, count }, Pieces { manifest, count });
            for piece in 0..=count {
                assert_eq!(cut.chunk(piece).map(u32::from), pieces.chunk(piece), "{piece}");
            }
        }
    }
}
