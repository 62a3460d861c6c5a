//! `spore key`.

use crate::key_file::{self, KeyFile};
use crate::output::print_line;
use crate::shell;
use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

/// Make or show a cluster's key.
#[derive(Debug, Args)]
pub(crate) struct Key {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    file: KeyFile,
    /// Print the key's file as JSON, and the key if it is to be shown
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
        match self.action {
            Action::New { force } => {
                key_file::make(&path, force)?;
                if self.json {
                    // Not the key: what a script logs is soon read by others.
                    return print_line(json!({ "file": path }));
                }
                let option = match self.file.option() {
                    Some(path) => format!(" --key-file {}", shell::quoted(&path.to_string_lossy())),
                    None => String::new(),
                };
                let path = path.display();
                print_line(format_args!(
                    "The new key is in {path}; `spore key show{option}` prints it."
                ))
            }
            Action::Show => {
                let key = self.file.read()?;
                if self.json {
                    return print_line(json!({ "key": key.to_hex().as_str(), "file": path }));
                }
                print_line(key.to_hex())
            }
        }
    }
}
