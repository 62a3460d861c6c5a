//! `spore man`.

use crate::output::{print, print_line};
use anyhow::{Context as _, Result};
use clap::{Args, Command};
use serde_json::json;
use std::path::PathBuf;

/// Print the manual page, or write one for each command into a folder.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Man {
    /// A folder for the pages, such as ~/.local/share/man/man1; it is made if need be
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Print JSON: the page, or where the pages are
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  spore man | man -l -                              read it
  spore man --output ~/.local/share/man/man1        then `man spore-call`";

impl Man {
    pub(crate) fn run(self, command: Command) -> Result<()> {
        let Some(folder) = self.output else {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).context("cannot make the page")?;
            let page = String::from_utf8_lossy(&page);
            return if self.json { print_line(json!({ "page": page })) } else { print(page) };
        };
        std::fs::create_dir_all(&folder)
            .and_then(|()| clap_mangen::generate_to(command.disable_help_subcommand(true), &folder))
            .with_context(|| format!("cannot write pages to {}", folder.display()))?;
        if self.json {
            return print_line(json!({ "folder": folder }));
        }
        print_line(format_args!("The pages are in {}.", folder.display()))
    }
}
