//! The container that an update is signed and sent in, for the tools, for the node that installs it, and for its peers
//! that fetch it from there. `docs/image.md` has the bytes.
//!
//! It holds what slot A would, without the header that is specific to a slot, and a list of the words that are higher by
//! the distance of the slots in B. So one container serves both slots, and a node can give it on out of the slot that it
//! runs in.
//!
//! | module | what it knows |
//! |---|---|
//! | [`head`] | the fixed part: what the image is, and the signature over that |
//! | [`relocations`] | which words of a chunk move, and moving them |
//! | [`container`] | a container as a whole, checked once |
//! | [`mod@install`] | taking one in, and writing a slot of a flash |
//! | [`pieces`] | the same for pieces in any order, and giving them on |
//! | [`refusal`] | what an image is taken for, and why it is not |
//! | [`trial`] | what the image that runs does about the selector |
//! | `build` | making one, for tools (feature `build`) |
//!
//! All numbers are little-endian. Nothing here panics, whatever the bytes are.
#![no_std]
#![cfg_attr(
    not(test),
    warn(
        clippy::as_conversions,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

#[cfg(feature = "build")]
extern crate alloc;

#[cfg(feature = "build")]
pub mod build;
pub mod container;
pub mod head;
pub mod install;
pub mod pieces;
pub mod refusal;
pub mod relocations;
mod slot;
pub mod trial;

pub use container::{Container, ContainerError};
pub use head::{HEAD, Head, HeadError, SignatureError};
pub use install::{check, hold, install, receive, start};
pub use refusal::{Refusal, Target};

use spore_boot::map::SECTOR;

/// [`CHUNK`], for buffers.
pub const CHUNK_BYTES: usize = 4096;

const _: () = assert!(CHUNK == 4096);

/// Bytes of a chunk: a sector of the slot. The first one is shorter by the header of the slot, the last one may be.
pub const CHUNK: u32 = SECTOR;

/// Bytes of a digest, SHA-256.
pub const DIGEST: usize = spore_boot::image::DIGEST;

/// As an index; a number that is none on this machine is behind the end of anything.
pub(crate) fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
