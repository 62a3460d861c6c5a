//! `spore key`.

use crate::key_file::{self, KeyFile};
use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;
use spore_core::ClusterKey;

/// Make or show a cluster's key.
#[derive(Debug, Args)]
pub(crate) struct Key {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    file: KeyFile,
    /// Print the key and its file as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a new key
    New {
        /// Replace the key that is there; members that have it are locked out
        #[arg(long)]
        force: bool,
    },
    /// Show the key. Whoever has it is a member
    Show,
}

impl Key {
    pub(crate) fn run(self) -> Result<()> {
        let path = self.file.path()?;
        let key: ClusterKey = match self.action {
            Action::New { force } => key_file::make(&path, force)?,
            Action::Show => self.file.read()?,
        };
        if self.json {
            println!("{}", json!({ "key": key.to_hex().as_str(), "file": path }));
        } else if matches!(self.action, Action::Show) {
            println!("{}", key.to_hex());
        } else {
            println!("The new key is in {}; `spore key show` prints it.", path.display());
        }
        Ok(())
    }
}
