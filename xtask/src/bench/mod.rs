//! `cargo xtask bench`: what SPORE costs, and how it does beside others on the same work.

mod costs;
mod peers;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

/// Measure what SPORE costs, and compare it with others on the same work.
#[derive(Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Costs(costs::Costs),
    Peers(peers::Peers),
}

impl Bench {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// When a program cannot be built or started, or says nothing that can be read.
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.what {
            What::Costs(costs) => costs.run().map(|()| ExitCode::SUCCESS),
            What::Peers(peers) => peers.run(),
        }
    }
}
