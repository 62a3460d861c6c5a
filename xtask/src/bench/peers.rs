//! `cargo xtask bench peers`. The program that does it has a workspace of its own, `bench/`, so that what the others need slows
//! down nobody who does not compare.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::{paths, toolchain};

/// Membership beside foca in a simulated world, or beside foca, chitchat and memberlist over real sockets.
///
/// Over sockets each node is a process, and each cluster has a network namespace of its own, in which nftables counts and
/// loses packets: that needs the packages util-linux, iproute2 and nftables, and may need root.
#[derive(Args)]
pub(super) struct Peers {
    /// Over real sockets and in real time.
    #[arg(long)]
    sockets: bool,
    /// Clusters of 8 and 32 and few seeds: under two minutes, over sockets under ten.
    #[arg(long)]
    quick: bool,
    /// The sizes of the clusters, separated by commas [default: 8, 32, 100 and 300; over sockets 8 and 32].
    #[arg(long)]
    nodes: Option<String>,
    /// The engines, separated by commas [default: all].
    #[arg(long)]
    contenders: Option<String>,
    /// How many nodes over sockets run at a time.
    #[arg(long, requires = "sockets")]
    processes: Option<String>,
    /// How many clusters of the simulated world a row is made of.
    #[arg(long, conflicts_with = "sockets")]
    seeds: Option<String>,
    /// Write docs/benchmarks.md and what belongs to it.
    #[arg(long)]
    write: bool,
}

impl Peers {
    pub(super) fn run(self) -> Result<ExitCode> {
        let (bench, docs) = (paths::repository().join("bench"), paths::repository().join("docs"));
        let mut cargo = toolchain::cargo_for_host();
        cargo.current_dir(&bench).args(["build", "--release", "--locked", "--quiet"]);
        let built = cargo.status().context("cannot run cargo")?;
        ensure!(built.success(), "cannot build bench/");
        let mut command = Command::new(bench.join("target/release/spore-peers"));
        command.arg("compare");
        command.args(self.sockets.then_some("--sockets")).args(self.quick.then_some("--quick"));
        for (option, value) in [
            ("--nodes", self.nodes),
            ("--contenders", self.contenders),
            ("--processes", self.processes),
            ("--seeds", self.seeds),
        ] {
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
