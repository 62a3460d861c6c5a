//! What an image is taken for, and why it is not.

use core::fmt;

use spore_boot::image::HeaderError;
use spore_boot::layout::Layout;
use spore_boot::map::Slot;

use crate::head::{Head, HeadError, SignatureError};

/// For what, and where to.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The board that the image must be for.
    pub board: &'a str,
    /// The slot that does not run.
    pub slot: Slot,
    /// Images with this sequence number or a lower one are refused.
    pub floor: u32,
    /// An image that was rolled back, which is not tried again.
    pub quarantined: Option<u32>,
    /// How many bytes are to come, if that is known.
    pub length: Option<u32>,
}

/// Why an image is not taken. What runs, and what is started next, is as it was, except after
/// [`Selector`](Self::Selector).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is no image. Nothing was written.
    Head(HeadError),
    /// It is for another board. Nothing was written.
    Board,
    /// It cannot stand in the slots of this board. Nothing was written.
    Slot(HeaderError),
    /// It leaves no room in a slot for its manifest. Nothing was written.
    TooLarge,
    /// It is not newer than what is there. Nothing was written.
    Older,
    /// It was tried before, and rolled back. Nothing was written.
    Quarantined,
    /// It is not signed with the release key. Nothing was written.
    Signature(SignatureError),
    /// What runs is not confirmed, and the other slot is what to go back to. Nothing was written.
    Unconfirmed,
    /// It has not as many bytes as its head says, or the source ended; or there is no such piece of it.
    Length,
    /// What came is not what was signed.
    Altered,
    /// The flash failed, or does not hold what was written.
    Flash,
    /// Likewise, as the selector was written: the new image may be started next, or not.
    Selector,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head(error) => return error.fmt(f),
            Self::Signature(error) => return error.fmt(f),
            Self::Board => "it is for another board",
            Self::Slot(_) => "it cannot stand in the slots of this board",
            Self::TooLarge => "it is too large",
            Self::Older => "it is not newer than the image that is there",
            Self::Quarantined => "it was tried before, and rolled back",
            Self::Unconfirmed => "the image that runs is not confirmed yet",
            Self::Length => "it is not as long as it says",
            Self::Altered => "it is not what was signed",
            Self::Flash | Self::Selector => "the flash does not hold it",
        })
    }
}

impl core::error::Error for Refusal {}

impl Target<'_> {
    /// What can be said of an image by its head, but whose it is: [`Head::verify`].
    ///
    /// # Errors
    /// The [`Refusal`]s that an image deserves for its head.
    pub fn judge<L: Layout>(&self, head: &Head) -> Result<(), Refusal> {
        let sequence = head.header.sequence;
        if head.board() != self.board {
            return Err(Refusal::Board);
        }
        if sequence <= self.floor {
            return Err(Refusal::Older);
        }
        if self.quarantined == Some(sequence) {
            return Err(Refusal::Quarantined);
        }
        if !head.leaves_room::<L>() {
            return Err(Refusal::TooLarge);
        }
        head.header::<L>(self.slot).map_err(Refusal::Slot)?;
        if self.length.is_some_and(|length| length != head.length()) {
            return Err(Refusal::Length);
        }
        Ok(())
    }
}
