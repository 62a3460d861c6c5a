//! Where this program keeps what must survive it (XDG base directory specification).

use anyhow::{Context as _, Result};
use std::path::PathBuf;

/// `$XDG_STATE_HOME/spore`, or `~/.local/state/spore`.
pub(crate) fn state() -> Result<PathBuf> {
    let from = |variable| std::env::var_os(variable).map(PathBuf::from);
    let base = from("XDG_STATE_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| from("HOME").map(|home| home.join(".local/state")))
        .context("neither XDG_STATE_HOME nor HOME is set; name the files by options")?;
    Ok(base.join("spore"))
}
