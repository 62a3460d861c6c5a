//! `cargo xtask bench`: SPORE beside others, on the same work.

mod peers;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

/// Compare SPORE with others on the same work.
#[derive(Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Peers(peers::Peers),
}

impl Bench {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// When the program cannot be built or started.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let What::Peers(peers) = self.what;
        peers.run()
    }
}
