//! Bugs that are seeded on purpose: `cargo xtask canaries` has each of them found by the tests of the quick gate.
//!
//! Without the feature `seeded-bugs` there is nothing of them in the program. With it one of them is there in each run
//! in whose environment `SPORE_SEEDED_BUG` names it; so all are compiled at once, and the tests are what they are.

#[cfg(all(feature = "seeded-bugs", not(any(unix, windows))))]
compile_error!("seeded bugs are for tests on the machine that compiles them, never for a board");

/// The second expression; the first one, which is wrong, where the bug of this name is seeded.
#[cfg(not(feature = "seeded-bugs"))]
macro_rules! seeded {
    ($bug:literal, $wrong:expr, $right:expr) => {
        $right
    };
}

#[cfg(feature = "seeded-bugs")]
macro_rules! seeded {
    ($bug:literal, $wrong:expr, $right:expr) => {
        if $crate::seeded::is_seeded($bug) { $wrong } else { $right }
    };
}

pub(crate) use seeded;

/// Whether this run is to have the bug.
#[cfg(feature = "seeded-bugs")]
pub(crate) fn is_seeded(bug: &str) -> bool {
    extern crate std;
    static CHOSEN: std::sync::OnceLock<Option<std::string::String>> = std::sync::OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| std::env::var("SPORE_SEEDED_BUG").ok());
    chosen.as_deref() == Some(bug)
}
