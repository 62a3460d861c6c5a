//! Boards that are reset and lose their power at random moments, and are members again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;

use super::api::{self, Members};
use super::cluster::{Cluster, POLL, Plan};
use super::rotation;

/// Between two resets, in milliseconds. They also come while a board still starts.
const PAUSE_MS: std::ops::Range<u64> = 200..8_000;
/// How long the power stays away, in milliseconds.
const DARK_MS: std::ops::Range<u64> = 0..3_000;
/// How long a node may refuse connections.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs the test for so long.
///
/// # Errors
/// What was not as it must be.
pub(super) fn run(plan: &Plan<'_>, length: Duration) -> Result<()> {
    let mut cluster = Cluster::start(plan)?;
    let before = cluster.expect_agreement()?;
    let (mut rng, start) = (Rng::with_seed(plan.seed), Instant::now());
    let (mut resets, mut cuts) = (0, 0);
    let mut turns: Vec<usize> = Vec::new();
    let mut latest: Vec<Option<Instant>> = vec![None; cluster.boards.len()];
    while start.elapsed() < length {
        // One after the other in an order that changes, so that nobody is left out.
        let Some(index) = turns.pop() else {
            turns = (0..cluster.boards.len()).collect();
            rng.shuffle(&mut turns);
            continue;
        };
        wait(&mut cluster, rng.u64(PAUSE_MS))?;
        latest[index] = Some(Instant::now());
        if rng.bool() {
            cluster.boards[index].0.reset()?;
            resets += 1;
        } else {
            cluster.boards[index].0.switch_off();
            wait(&mut cluster, rng.u64(DARK_MS))?;
            cluster.switch_on(index)?;
            cuts += 1;
        }
    }
    let after = cluster.expect_agreement()?;
    same_nodes(&before, &after)?;
    for ((_, board), latest) in cluster.boards.iter().zip(latest) {
        let latest = latest.with_context(|| format!("{} was never reset", board.name))?;
        let uptime = api::patiently(PATIENCE, || board.uptime())?;
        ensure!(uptime < latest.elapsed(), "{} runs on through its reset: {uptime:?}", board.name);
    }
    println!(
        "e2e: {} boards and {} Linux nodes are whole after {resets} resets and {cuts} power cuts in {} s, seed {}",
        plan.boards,
        plan.hosts,
        length.as_secs(),
        plan.seed
    );
    // Of one alone, none can be stolen.
    if plan.boards > 1 {
        rotation::run(&mut cluster, plan)?;
    }
    Ok(())
}

fn wait(cluster: &mut Cluster<'_>, milliseconds: u64) -> Result<()> {
    let end = Instant::now() + Duration::from_millis(milliseconds);
    while Instant::now() < end {
        cluster.check_health()?;
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// A node is who it was, since it keeps that in its flash.
fn same_nodes(before: &Members, after: &Members) -> Result<()> {
    for (name, member) in before {
        let id = &after.get(name).with_context(|| format!("{name} is gone"))?.id;
        ensure!(*id == member.id, "{name} had the id {}, and has {id}", member.id);
    }
    Ok(())
}
