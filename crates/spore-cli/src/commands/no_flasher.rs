//! What stands for the page that flashes boards in a program without the gateway.

use crate::key_file::KeyFile;
use anyhow::Result;
use clap::Args;

/// There is nothing to choose, but scripts that want no page need not know which program they have.
#[derive(Debug, Default, Args)]
pub(crate) struct FlasherOptions {
    /// Serve no page that flashes boards, which this program does not anyway
    #[arg(long = "no-flasher")]
    _no_flasher: bool,
}

impl FlasherOptions {
    /// No page is served, so it is nowhere.
    pub(crate) fn start(self, _: KeyFile) -> Result<Option<String>> {
        Ok(None)
    }
}
