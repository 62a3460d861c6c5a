//! What the body does for the exchange of images, and how an image is cut for that.

use crate::ota::Refused;
use core::ops::Range;

/// Which image: the first bytes of the SHA-256 of its head.
pub type ImageId = [u8; 16];

/// Bytes of a piece at most: a page of flash.
pub const PIECE: usize = 256;

/// Pages of a chunk: a sector of flash.
const PAGES: u16 = 16;

/// How an image is cut into pieces: first the pages of the manifest, then those of the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Pieces of the manifest.
    pub manifest: u16,
    /// All pieces.
    pub count: u16,
}

impl Cut {
    /// The chunk that a piece of the payload belongs to.
    pub fn chunk(self, piece: u16) -> Option<u16> {
        // The header is the first page of the first chunk, and no piece.
        let page = piece.checked_sub(self.manifest).filter(|_| piece < self.count)?;
        Some(page.saturating_add(1) / PAGES)
    }

    /// The pieces of a chunk; none behind the last one.
    pub fn pieces(self, chunk: u16) -> Range<u16> {
        let page = chunk.saturating_mul(PAGES);
        let piece = |page: u16| self.manifest.saturating_add(page.saturating_sub(1));
        let end = piece(page.saturating_add(PAGES)).min(self.count);
        piece(page).min(end)..end
    }
}

/// What the body is to do with its slots for the exchange of images. It reports the end with [`Completion::Exchange`](crate::Completion::Exchange).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// See what there is of this image in the slot that does not run, and make that ready.
    Prepare(ImageId),
    /// Write [`Node::piece`](crate::Node::piece) there.
    Write,
    /// See whether this chunk is whole there, and make room for it if it is not.
    Check(u16),
    /// See which slot has this image, with its manifest.
    Offer(ImageId),
    /// Read this piece, and hand it in with [`Node::handle_piece`](crate::Node::handle_piece).
    Read {
        /// Its number.
        piece: u16,
        /// Out of the slot that does not run.
        held: bool,
    },
}

impl Job {
    /// How it ends in a body that cannot do it.
    pub const fn failed(self) -> Done {
        match self {
            Self::Prepare(_) => Done::Prepared(Err(Refused::Flash)),
            Self::Write => Done::Written(false),
            Self::Check(_) => Done::Checked(None),
            Self::Offer(_) => Done::Offered(None),
            Self::Read { .. } => Done::Read(false),
        }
    }
}

/// How a [`Job`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// What there is of the manifest, or why the image will never do.
    Prepared(Result<Found, Refused>),
    /// Whether the piece is written. There may be no such piece.
    Written(bool),
    /// Whether the chunk is whole; no answer if the flash failed.
    Checked(Option<bool>),
    /// How the image is cut, and whether it is in the slot that does not run; no answer if it is nowhere.
    Offered(Option<(Cut, bool)>),
    /// Whether the piece was read.
    Read(bool),
}

/// What there is of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// The pieces that have the head, which is the one that is meant. The manifest has more of them.
    Head(Cut),
    /// All of it.
    Manifest(Cut),
}
