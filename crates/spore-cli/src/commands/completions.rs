//! `spore completions`.

use crate::output::{print, print_line};
use anyhow::Result;
use clap::{Args, Command};
use serde_json::json;

/// Print the completions for a shell.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completions {
    /// The shell
    shell: clap_complete::Shell,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  spore completions bash > ~/.local/share/bash-completion/completions/spore
  spore completions zsh > ~/.zfunc/_spore
  spore completions fish > ~/.config/fish/completions/spore.fish";

impl Completions {
    pub(crate) fn run(self, mut spore: Command) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut spore, "spore", &mut script);
        let script = String::from_utf8_lossy(&script);
        match self.json {
            true => print_line(json!({ "shell": self.shell.to_string(), "script": script })),
            false => print(script),
        }
    }
}
