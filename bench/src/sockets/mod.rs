//! Clusters over real sockets: each in a network namespace of its own, several at a time.

mod fleet;
mod network;

use crate::contender::Contender;
use crate::figures::{Collected, Stalls};
use crate::trials;
use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum as _;
use fleet::Fleet;
use serde::{Deserialize, Serialize};
use std::process::{Command, Stdio};

/// One cluster, and what is done to it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Case {
    /// What its nodes run.
    #[arg(value_enum)]
    pub(crate) contender: Contender,
    /// How many they are.
    pub(crate) nodes: usize,
    /// The share of packets that gets lost, in percent.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=99))]
    pub(crate) loss: u8,
    /// Some nodes stall at times, and nothing else happens.
    #[arg(long)]
    pub(crate) stalls: bool,
    /// What all chance comes from that is not the machine's.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Watch it for 30 s at the end instead of five minutes.
    #[arg(long)]
    pub(crate) quick: bool,
}

/// What came of a cluster.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// Of one to which nodes came, and from which nodes went.
    Trial(Collected),
    /// Of one in which some stalled.
    Stalls(Stalls),
}

impl Case {
    /// Does it, in a namespace that was made for it, and prints the outcome.
    ///
    /// # Errors
    /// When a node or the network does not do its work.
    pub(crate) fn run(&self) -> Result<()> {
        let Self { contender, nodes, loss, seed, quick, .. } = *self;
        network::open(loss)?;
        let more = if self.stalls { 0 } else { trials::ROUNDS };
        let mut fleet = Fleet::new(contender, nodes, more, trials::START_WITHIN, seed);
        let outcome = if self.stalls {
            let mut stalls = Stalls::new(contender, nodes);
            trials::stalls(&mut fleet, nodes, quick, &mut stalls)?;
            Outcome::Stalls(stalls)
        } else {
            let mut collected = Collected::default();
            trials::trial(&mut fleet, nodes, quick, &mut collected)?;
            Outcome::Trial(collected)
        };
        println!("{}", serde_json::to_string(&outcome)?);
        Ok(())
    }

    /// Has it done in a namespace of its own, in which all ends with it.
    ///
    /// # Errors
    /// When there can be no such namespace, or the trial fails.
    pub(crate) fn start(&self) -> Result<Outcome> {
        let contender = self.contender.to_possible_value().context("it has a name")?;
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"]);
        command.arg(std::env::current_exe()?).args(["case", contender.get_name()]);
        command.args([self.nodes.to_string(), format!("--loss={}", self.loss)]);
        command.arg(format!("--seed={}", self.seed));
        command.args(self.stalls.then_some("--stalls")).args(self.quick.then_some("--quick"));
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output = output.context("cannot run unshare, of the package util-linux")?;
        ensure!(output.status.success(), "{self:?} has failed");
        serde_json::from_slice(&output.stdout).with_context(|| format!("{self:?} tells nothing"))
    }
}
