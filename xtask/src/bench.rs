//! `cargo xtask bench`: SPORE beside others, on the same work. The program that does it has a workspace of its own, `bench/`, so that
//! what the others need slows down nobody who does not compare.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Subcommand};

use crate::{paths, toolchain};

/// Compare SPORE with others on the same work.
#[derive(Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Peers(Peers),
}

/// Membership beside foca, in a simulated world.
#[derive(Args)]
struct Peers {
    /// Clusters of 8 and 32 and few seeds: under two minutes.
    #[arg(long)]
    quick: bool,
    /// The sizes of the clusters, separated by commas. Default: 8, 32, 100 and 300.
    #[arg(long)]
    nodes: Option<String>,
    /// The engines, separated by commas. Default: all.
    #[arg(long)]
    contenders: Option<String>,
    /// Write docs/benchmarks.md and what belongs to it.
    #[arg(long)]
    write: bool,
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

impl Peers {
    fn run(self) -> Result<ExitCode> {
        let (bench, docs) = (paths::repository().join("bench"), paths::repository().join("docs"));
        let mut cargo = toolchain::cargo_for_host();
        cargo.current_dir(&bench).args(["build", "--release", "--locked", "--quiet"]);
        let built = cargo.status().context("cannot run cargo")?;
        ensure!(built.success(), "cannot build bench/");
        let mut command = Command::new(bench.join("target/release/spore-peers"));
        command.arg("compare");
        command.args(self.quick.then_some("--quick"));
        for (option, value) in [("--nodes", self.nodes), ("--contenders", self.contenders)] {
            command.args(value.into_iter().flat_map(|value| [option.to_owned(), value]));
        }
        if self.write {
            command.arg("--write").arg(docs);
        }
        let done = command.status().context("cannot start what was built in bench/")?;
        let code = done.code().and_then(|code| u8::try_from(code).ok());
        Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
    }
}
