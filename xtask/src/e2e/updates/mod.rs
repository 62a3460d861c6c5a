//! The whole cluster is updated over the air: boards and Linux nodes, with a good image, with one that never comes up, and with a
//! board that is unplugged meanwhile.

mod hostile;
pub(super) mod images;
pub(super) mod kills;
mod terminal;
pub(super) mod trials;

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;

use super::api::Api;
use super::cluster::{Cluster, POLL, Plan};
use super::said;
use crate::process;
use images::Nature;

/// Sequence numbers of the images: the second one never comes up.
const GOOD: u32 = 12;
const BAD: u32 = 13;
const LAST: u32 = 14;

/// How long a rollout may take. A board in QEMU writes flash as slowly as the chip, beside other boards on the same processor.
const ROLLOUT: Duration = Duration::from_secs(600);
/// How long the rest may take to hear that it was halted.
const HALT: Duration = Duration::from_secs(20);
/// The gate between waves.
const GATE: &str = "2s";

/// Runs the test; also against whoever has no good image, if it is to be `hostile`.
///
/// # Errors
/// What was not as it must be.
pub(super) fn run(plan: &Plan<'_>, hostile: bool) -> Result<()> {
    let mut cluster = Cluster::start(plan)?;
    cluster.expect_agreement()?;
    let operator = Operator::new(plan, &cluster);
    good(&mut cluster, &operator)?;
    if hostile {
        hostile::run(&mut cluster, &operator)?;
    }
    bad(&cluster, &operator)?;
    unplugged(&mut cluster, &operator)?;
    println!("e2e: updates passed; one board was unplugged meanwhile");
    Ok(())
}

/// All are brought to the new version, with bars on the screen.
fn good(cluster: &mut Cluster<'_>, operator: &Operator<'_>) -> Result<()> {
    let images =
        [images::board(operator.plan, Nature::Good, GOOD)?, images::host(operator.plan, GOOD)?];
    let begun = Instant::now();
    let shown = terminal::run(&mut operator.ota("all", &images, &["--gate", GATE]))?;
    ensure!(shown.status.success(), "the rollout has failed: {}", shown.bytes);
    let seconds = begun.elapsed().as_secs_f32();
    for api in cluster.apis() {
        expect_image(api, GOOD)?;
    }
    let names: Vec<&str> = cluster.apis().map(|api| api.name.as_str()).collect();
    shown.expect_bars(&names)?;
    let table: Vec<_> = names.iter().map(|name| (*name, "updated")).collect();
    shown.expect_table(&table)?;
    println!("e2e: {} nodes were updated in {seconds:.0} s, with a bar for each", names.len());
    Ok(())
}

/// An image that never comes up: one board tries it and goes back by itself, and it is halted everywhere.
fn bad(cluster: &Cluster<'_>, operator: &Operator<'_>) -> Result<()> {
    let image = images::board(operator.plan, Nature::Stillborn, BAD)?;
    let rollout = process::output(&mut operator.ota("all", &[image], &["--gate", GATE]))?;
    let told = said(&rollout);
    ensure!(rollout.status.code() == Some(1), "a bad image was taken: {told}");
    terminal::expect_plain(&told)?;
    let begun = Instant::now();
    let mut canary = None;
    for api in cluster.apis() {
        expect_image(api, GOOD)?;
        let state = api.get_patiently("/api/node/update")?;
        if state["quarantined"] == BAD {
            ensure!(state["last"]["reason"] == "not_started", "{} says {state}", api.name);
            let other = canary.replace(api.name.as_str());
            ensure!(other.is_none(), "{other:?} and {} have tried it", api.name);
        }
        loop {
            let rollout = api.get_patiently("/api/cluster/update")?;
            if rollout["rollout"]["state"] == "halted" {
                break;
            }
            ensure!(begun.elapsed() < HALT, "{} has not heard of the halt: {rollout}", api.name);
            std::thread::sleep(POLL);
        }
    }
    let Some(canary) = canary else { anyhow::bail!("nobody has tried the bad image: {told}") };
    let mut table: Vec<_> =
        cluster.hosts.iter().map(|(_, api)| (&*api.name, "takes no part")).collect();
    table.extend(cluster.boards.iter().map(|(_, api)| {
        let is_it = api.name == canary;
        (&*api.name, if is_it { "rolled back" } else { "" })
    }));
    terminal::expect_table(&told, &table)?;
    println!("e2e: a bad image got no further than {canary}, and all have heard so");
    Ok(())
}

/// A board that is unplugged in the middle finishes after its return.
fn unplugged(cluster: &mut Cluster<'_>, operator: &Operator<'_>) -> Result<()> {
    let images =
        [images::board(operator.plan, Nature::Good, LAST)?, images::host(operator.plan, LAST)?];
    let started =
        process::output(&mut operator.ota("all", &images, &["--gate", GATE, "--no-wait"]))?;
    ensure!(started.status.success(), "the rollout does not begin: {}", said(&started));
    // While images are on their way.
    std::thread::sleep(Duration::from_secs(3));
    let index = cluster.boards.len() - 1;
    cluster.boards[index].0.switch_off();
    std::thread::sleep(Duration::from_secs(3));
    cluster.switch_on(index)?;
    let begun = Instant::now();
    for api in cluster.apis() {
        loop {
            match expect_image(api, LAST) {
                Ok(()) => break,
                Err(error) => ensure!(begun.elapsed() < ROLLOUT, "{error:#}"),
            }
            std::thread::sleep(POLL);
        }
    }
    Ok(())
}

/// Who updates the cluster.
struct Operator<'a> {
    plan: &'a Plan<'a>,
    /// The node that is asked.
    entry: Api,
}

impl<'a> Operator<'a> {
    /// Asks the first Linux node.
    fn new(plan: &'a Plan<'a>, cluster: &Cluster<'_>) -> Self {
        Self { plan, entry: cluster.hosts[0].1.clone() }
    }

    /// `spore ota …`.
    fn ota<S: AsRef<std::ffi::OsStr>>(&self, verb: &str, images: &[S], more: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.arg(ROLLOUT.as_secs().to_string()).arg(self.plan.spore).args(["ota", verb]);
        command.args(images).args(more).args(["--timeout", "10", "--node"]);
        command.arg(format!("{}:{}", self.entry.address, self.entry.port));
        command.arg("--key-file").arg(self.plan.logs.join("cluster.key"));
        if verb == "all" {
            command.arg("--release-key-file").arg(self.plan.logs.join("release.key"));
        }
        command
    }

    /// The rollout as the first Linux node sees it.
    fn state(&self) -> Result<Value> {
        self.entry.get_patiently("/api/cluster/update")
    }
}

/// A node runs this image, and has confirmed it.
fn expect_image(api: &Api, sequence: u32) -> Result<()> {
    let state: Value = api.get_patiently("/api/node/update")?;
    let image = &state["image"];
    ensure!(
        image["sequence"] == sequence && image["stage"] == "confirmed",
        "{} does not run image {sequence}: {state}",
        api.name
    );
    Ok(())
}
