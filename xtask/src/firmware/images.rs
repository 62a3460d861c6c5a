//! What the checks of the quick gate compile, in one place. Each is compiled once, by whoever asks first: cargo keeps
//! all of them beside each other, and compiles again only what a change of the sources has made stale. How it is linked
//! is the matter of each check.

use super::{Board, Build};
use crate::purity;

/// All of them. Who writes a check that compiles something else adds it here.
pub(super) fn all() -> Vec<Build> {
    let engine_that_calls_out =
        Build { features: vec![purity::CANARY.to_owned()], ..Build::emulated(purity::PACKAGE) };
    vec![
        // What ships: with the SDK, and with its stand-in.
        Build::esp01(),
        // The node on QEMU's board.
        Build::emulated("node"),
        Build::bootloader(),
        // Of the checks only.
        Build::emulated("difftest"),
        Build::emulated("sdk-emu"),
        Build { board: Board::Esp01, ..Build::emulated("sdk-test") },
        Build::emulated(purity::PACKAGE),
        engine_that_calls_out,
        Build { board: Board::Rom, ..Build::emulated("rom-emu") },
    ]
}
