//! What the checks of the quick gate compile, in one place. Each is compiled once, by whoever asks first: cargo keeps
//! all of them beside each other, and compiles again only what a change of the sources has made stale. How it is linked
//! is the matter of each check.

use super::Build;
use crate::purity;

/// All of them. Who writes a check that compiles something else adds it here.
pub(super) fn all() -> Vec<Build> {
    let engine_that_calls_out =
        Build { features: vec![purity::CANARY.to_owned()], ..Build::of(purity::PACKAGE) };
    // What ships comes first.
    let packages = ["node", "boot", "difftest", "sdk-emu", "sdk-test", purity::PACKAGE, "rom-emu"];
    packages.into_iter().map(Build::of).chain([engine_that_calls_out]).collect()
}
