//! `spore ota`.

mod all;
mod follow;
mod images;
mod plan;
pub(crate) mod progress;
mod rollout;
mod update;

use crate::client::Target;
use crate::key_file::KeyFile;
use crate::watch::Watch;
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
  spore ota update pantry esp-01.spore         the same by name, with this image
  spore ota all                                all nodes, some first, the others in waves
  spore ota status                             how far they are
  spore ota halt                               stops that on all nodes, for good";

const STATUS_EXAMPLES: &str = "\
Examples:
  spore ota status
  spore ota status --watch
  spore ota status --json | jq .counts";

const HALT_EXAMPLES: &str = "\
Examples:
  spore ota halt";

#[derive(Debug, Subcommand)]
enum Action {
    Update(update::Update),
    All(all::All),
    /// Show the rollout that was begun last, and how far each node is
    #[command(after_help = STATUS_EXAMPLES)]
    Status(Watch),
    /// Halt the rollout on all nodes, for good: what is updated by then stays so
    #[command(after_help = HALT_EXAMPLES)]
    Halt,
}

impl Ota {
    pub(crate) fn run(self) -> Result<()> {
        match &self.action {
            Action::Update(update) => update.run(&self.target, &self.key),
            Action::All(all) => all.run(&self.target, &self.key),
            Action::Status(watch) => rollout::status(&self.target, watch),
            Action::Halt => rollout::halt(&self.target, &self.key),
        }
    }
}
