//! What is where in the flash of a board, and which of two images it starts: for the bootloader, the firmware and the
//! tools alike.
//!
//! Nothing here owns a flash: bytes go in; decisions, and bytes to be written, come out. So the bootloader, which has
//! four kilobytes and the mask ROM, and the node, whose flash is asynchronous, do the same. `docs/image.md` has the
//! bytes.
//!
//! | module | what it knows |
//! |---|---|
//! | [`map`] | who owns which bytes of a board |
//! | [`layout`] | where a body has its slots: a board, or a Linux machine |
//! | [`selector`] | which slot is in force, and how often an image on trial was started |
//! | [`image`] | what a slot must hold to be started |
//! | [`decision`] | which slots to try, one after the other |
//! | [`start`] | the bootloader's work, over any flash |
//! | [`bytes`] | fields, read and written in order |
#![no_std]
#![cfg_attr(
    not(test),
    warn(
        clippy::as_conversions,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used
    )
)]

pub mod bytes;
pub mod decision;
pub mod image;
pub mod layout;
pub mod map;
pub mod selector;
pub mod start;

pub use decision::{Candidate, candidates};
pub use image::{Header, HeaderError, Verifier};
pub use layout::{Esp, Layout};
pub use map::{Region, Slot};
pub use selector::{Choice, Record, Selector, Stage, Write};
pub use start::{Start, choose};
