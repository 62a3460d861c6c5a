//! What is done to a cluster, and what comes of it.

use crate::cluster::Cluster;
use crate::contender::Contender;
use crate::figures::{Collected, Row, Stalls, round};
use crate::world::World;
use anyhow::Result;
use peak_alloc::PeakAlloc;
use std::time::Duration;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// All nodes of a cluster start within so long.
pub(crate) const START_WITHIN: Duration = secs(2);
/// How long a cluster may take to become whole, a joiner to be known to all, and a death.
const LIMIT: Duration = secs(300);
/// How long traffic at rest is counted.
const REST: Duration = secs(60);
/// Between the end of one round and the next.
const PAUSE: Duration = secs(10);
/// In each round one node joins and another one dies.
pub(crate) const ROUNDS: usize = 3;
/// How long each cluster is watched for false deaths at the end, besides all the rest.
const WATCH: Duration = secs(300);
/// Likewise in little time.
const QUICK_WATCH: Duration = secs(30);
/// One node in so many stalls at times.
const STALLED: usize = 8;
/// For so long, in each so long.
const STALL: (Duration, Duration) = (secs(5), secs(20));

/// One cluster from its start on: how soon it is whole, what it says at rest, how soon joiners and deaths are known.
///
/// # Errors
/// When a node cannot be started, or the network not be asked.
pub(crate) fn trial<C: Cluster>(
    cluster: &mut C,
    nodes: usize,
    quick: bool,
    into: &mut Collected,
) -> Result<()> {
    let whole = cluster.run(LIMIT, C::is_whole)?;
    into.whole.push(whole.then(|| cluster.now().saturating_sub(START_WITHIN)));
    // The news of the start has spread when each has probed each, which are one a second.
    pass(cluster, secs(30) + secs(nodes as u64))?;
    let formed = cluster.now();
    cluster.views().false_deaths.clear();
    cluster.traffic()?;
    pass(cluster, REST)?;
    let traffic = cluster.traffic()?;
    into.packets += traffic.packets;
    into.bytes += traffic.bytes;
    into.node_seconds += REST.as_secs_f64() * nodes as f64;
    into.heap.extend(cluster.heap()?);
    for round in 0..ROUNDS {
        let joiner = nodes + round;
        cluster.start(joiner)?;
        cluster.run(LIMIT, |cluster| cluster.settled_after(joiner).is_some())?;
        into.joined.push(cluster.settled_after(joiner));
        pass(cluster, PAUSE)?;
        let victim = cluster.draw();
        cluster.kill(victim);
        cluster.run(LIMIT, |cluster| cluster.settled_after(victim).is_some())?;
        into.dead.push(cluster.settled_after(victim));
        pass(cluster, PAUSE)?;
    }
    pass(cluster, watch(quick))?;
    cluster.check();
    into.false_deaths += cluster.views().false_deaths.len();
    into.watched_hours += (cluster.now() - formed).as_secs_f64() / 3600.0;
    Ok(())
}

/// A cluster in which some nodes stall at times: how often those that do not are declared dead, and how often those that do.
///
/// # Errors
/// When a node cannot be started or stopped.
pub(crate) fn stalls<C: Cluster>(
    cluster: &mut C,
    nodes: usize,
    quick: bool,
    into: &mut Stalls,
) -> Result<()> {
    cluster.run(LIMIT, C::is_whole)?;
    pass(cluster, secs(30))?;
    cluster.views().false_deaths.clear();
    let stalled: Vec<usize> = (0..nodes).step_by(STALLED).map(|node| nodes - 1 - node).collect();
    let (span, period) = STALL;
    let begin = cluster.now();
    while cluster.now() - begin < watch(quick) {
        // One after the other, so that they do not all stand still at once.
        for node in &stalled {
            cluster.stall(*node, span)?;
            pass(cluster, period / u32::try_from(stalled.len()).unwrap_or(u32::MAX))?;
        }
    }
    for death in &cluster.views().false_deaths {
        let count =
            if stalled.contains(&death.node) { &mut into.stalled } else { &mut into.healthy };
        *count += 1;
    }
    into.hours += (cluster.now() - begin).as_secs_f64() / 3600.0;
    Ok(())
}

/// How many bytes a member of a cluster of so many has on its heap. Nothing else may run meanwhile.
///
/// # Errors
/// None in a simulated world.
pub(crate) fn heap(contender: Contender, nodes: usize, allocator: &PeakAlloc) -> Result<usize> {
    let mut world = World::new(contender, nodes, 0, START_WITHIN, 0.0, 1);
    world.run(LIMIT, World::is_whole)?;
    pass(&mut world, secs(30))?;
    let engine = world.take(0);
    let before = allocator.current_usage();
    drop(engine);
    Ok(before.saturating_sub(allocator.current_usage()))
}

fn pass(cluster: &mut impl Cluster, span: Duration) -> Result<()> {
    cluster.run(span, |_| false).map(drop)
}

fn watch(quick: bool) -> Duration {
    if quick { QUICK_WATCH } else { WATCH }
}

/// How many seeds a row has: fewer of large clusters, of which each has more to say.
pub(crate) fn seeds(nodes: usize, quick: bool) -> u64 {
    match (nodes, quick) {
        (..=32, false) => 34,
        (..=100, false) => 12,
        (_, false) => 4,
        (..=8, true) => 10,
        (_, true) => 4,
    }
}

/// Measures a row, one seed after the other.
///
/// # Errors
/// If without any loss something does not come about within [`LIMIT`].
pub(crate) fn row(contender: Contender, nodes: usize, loss: u8, seeds: u64) -> Result<Row> {
    let mut collected = Collected::default();
    for seed in 0..seeds {
        let loss = f64::from(loss) / 100.0;
        let mut world = World::new(contender, nodes, ROUNDS, START_WITHIN, loss, seed);
        trial(&mut world, nodes, false, &mut collected)?;
    }
    let row = collected.row(contender, nodes, loss);
    // Otherwise the comparison would be one with a set-up that does not work.
    let failed = row.whole.failed + row.joined.failed + row.dead.failed;
    anyhow::ensure!(
        loss > 0 || failed == 0,
        "{contender} with {nodes} nodes and no loss: {failed} times not within {LIMIT:?}: {row:?}"
    );
    Ok(row)
}

/// Likewise of clusters in which some nodes stall.
///
/// # Errors
/// None in a simulated world.
pub(crate) fn stall_row(contender: Contender, nodes: usize, seeds: u64) -> Result<Stalls> {
    let mut row = Stalls::new(contender, nodes);
    for seed in 0..seeds {
        let mut world = World::new(contender, nodes, 0, START_WITHIN, 0.0, seed);
        stalls(&mut world, nodes, false, &mut row)?;
    }
    row.hours = round(row.hours);
    Ok(row)
}
