//! Where things are in the repository.

use std::path::{Path, PathBuf};

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_path_buf()
}

/// The firmware workspace.
pub(crate) fn firmware() -> PathBuf {
    repository().join("firmware")
}

/// Everything that building the firmware makes.
pub(crate) fn firmware_target() -> PathBuf {
    firmware().join("target")
}

/// Where this process writes `file` until it is whole, and is renamed: whoever makes the same beside it never finds a half.
pub(crate) fn unfinished(file: &Path) -> PathBuf {
    file.with_added_extension(format!("{}.part", std::process::id()))
}
