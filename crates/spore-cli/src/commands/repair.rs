//! `spore repair`.

use crate::output::print_line;
use anyhow::Result;
use clap::Args;
use serde_json::json;
use spore_host::Repaired;
use std::path::PathBuf;

/// Go on after a node on this machine has lost settings, or whose it is.
///
/// A node whose stored settings were damaged takes no release key any more, since whoever holds the
/// cluster key alone could choose one then. This clears that: the next signed request may set one.
/// A node whose claim was damaged joins nobody. This makes it one that was never claimed, for the key
/// that it is started with. The node must not run.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Repair {
    /// The node's state folder, as its warning names it
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  spore repair ~/.local/state/spore/node-127.42.0.6-4210
  spore config set release-key=$(spore key show release) --node 127.42.0.6:8080
                                                once the node runs again, if settings were lost";

impl Repair {
    pub(crate) fn run(self) -> Result<()> {
        let repaired = spore_host::repair(&self.folder)?;
        if self.json {
            return print_line(json!({ "repaired": repaired != Repaired::Whole }));
        }
        match repaired {
            Repaired::Whole => print_line("No settings were lost: nothing was changed."),
            Repaired::Cleared { settings, claim, hostname } => {
                if claim {
                    print_line("The claim is gone: the node has the key that it is started with.")?;
                }
                if !settings {
                    return Ok(());
                }
                let name = hostname.map_or_else(
                    || "No name is set.".to_owned(),
                    |name| format!("The name that is set is {name}."),
                );
                print_line(format_args!("{name} There is no release key; set it anew."))
            }
        }
    }
}
