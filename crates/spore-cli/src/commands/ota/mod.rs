//! `spore ota`.

mod images;
mod progress;
mod update;

use crate::client::Target;
use crate::key_file::KeyFile;
use anyhow::Result;
use clap::{Args, Subcommand};

/// Update nodes over the network.
///
/// A node writes an image into the slot that it does not run from, restarts into it on trial, and goes back by itself unless the cluster hears of
/// it again within five minutes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Ota {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    key: KeyFile,
    #[command(flatten)]
    target: Target,
}

const EXAMPLES: &str = "\
Examples:
  spore ota update 192.168.1.20                one node, with the last build for its board
  spore ota update pantry esp-01.spore         the same by name, with this image";

#[derive(Debug, Subcommand)]
enum Action {
    Update(update::Update),
}

impl Ota {
    pub(crate) fn run(self) -> Result<()> {
        match &self.action {
            Action::Update(update) => update.run(&self.target, &self.key),
        }
    }
}
