//! `spore launch`.

use crate::output;
use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;
use spore_host::{Launcher, Starting, Stop};
use std::ffi::OsString;
use std::path::PathBuf;

/// Run a node that takes updates over the network, as a board does.
///
/// What a board has its bootloader for: there are two slots for programs in FOLDER, of which one is started. An update goes into the other one,
/// which is started on trial then, and if it does not confirm itself within five minutes, or ends three times, the one before is started again. At
/// first, slot A gets the program of this command.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Launch {
    /// The folder of the slots: for this node alone, and only for who may decide what runs here
    #[arg(long, value_name = "FOLDER")]
    slots: PathBuf,
    /// The first program, if it is another one than this, such as one with sprockets of its own
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Print a line of JSON whenever an image is started, between what the programs print
    #[arg(long)]
    json: bool,
    /// What programs are started with
    #[arg(last = true, required = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

const EXAMPLES: &str = "\
Examples:
  spore launch --slots /var/lib/spore -- node --bind 192.168.1.20 --http-port 80
  spore launch --slots ./slots --program ./greenhouse -- --bind 192.168.1.21

Exit code: that of the program, when it ends with 0 or 2.";

impl Launch {
    pub(crate) fn run(self) -> Result<()> {
        let program = match self.program {
            Some(program) => program,
            None => std::env::current_exe().context("this program cannot be found")?,
        };
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let on_start = if self.json { tell } else { |_| () };
        let launcher =
            Launcher { folder: self.slots, program, version, arguments: self.arguments, on_start };
        let stop = Stop::default();
        let request = stop.clone();
        ctrlc::set_handler(move || {
            request.request();
        })
        .context("cannot wait for Ctrl-C")?;
        let code = launcher.run(|| stop.is_requested())?;
        std::process::exit(code.into());
    }
}

fn tell(Starting { slot, image, on_trial }: Starting) {
    // Whoever does not read on does not end the node.
    let _ = output::print_line(json!({ "starting": image, "slot": slot, "on_trial": on_trial }));
}
