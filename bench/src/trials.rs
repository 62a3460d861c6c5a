//! What is done to a simulated cluster, and what comes of it.

use crate::contender::Contender;
use crate::figures::{Collected, Row, Stalls};
use crate::world::{Traffic, World};
use peak_alloc::PeakAlloc;
use std::time::Duration;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// All nodes of a cluster start within so long.
const START_WITHIN: Duration = secs(2);
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
/// One node in so many stalls at times.
const STALLED: usize = 8;
/// For so long, in each so long.
const STALL: (Duration, Duration) = (secs(5), secs(20));

/// One cluster from its start on: how soon it is whole, what it says at rest, how soon joiners and deaths are known.
pub(crate) fn trial(
    contender: Contender,
    nodes: usize,
    loss: f64,
    seed: u64,
    into: &mut Collected,
) {
    let mut world = World::new(contender, nodes, ROUNDS, START_WITHIN, loss, seed);
    let whole = world.run(LIMIT, World::is_whole);
    into.whole.push(whole.then(|| world.now().saturating_sub(START_WITHIN)));
    // The news of the start has spread when each has probed each, which are one a second.
    pass(&mut world, secs(30) + secs(nodes as u64));
    let formed = world.now();
    world.views.false_deaths.clear();
    world.traffic = Traffic::default();
    pass(&mut world, REST);
    into.datagrams += world.traffic.datagrams;
    into.bytes += world.traffic.bytes;
    into.node_seconds += REST.as_secs_f64() * nodes as f64;
    for round in 0..ROUNDS {
        let joiner = nodes + round;
        world.start(joiner);
        world.run(LIMIT, |world| world.views.settled_after(joiner).is_some());
        into.joined.push(world.views.settled_after(joiner));
        pass(&mut world, PAUSE);
        let victim = world.draw();
        world.kill(victim);
        world.run(LIMIT, |world| world.views.settled_after(victim).is_some());
        into.dead.push(world.views.settled_after(victim));
        pass(&mut world, PAUSE);
    }
    pass(&mut world, WATCH);
    world.check();
    into.false_deaths += world.views.false_deaths.len();
    into.watched_hours += (world.now() - formed).as_secs_f64() / 3600.0;
}

/// A cluster in which some nodes stall at times: how often those that do not are declared dead, and how often those that do.
pub(crate) fn stalls(contender: Contender, nodes: usize, seed: u64, into: &mut Stalls) {
    let mut world = World::new(contender, nodes, 0, START_WITHIN, 0.0, seed);
    world.run(LIMIT, World::is_whole);
    pass(&mut world, secs(30));
    world.views.false_deaths.clear();
    let stalled: Vec<usize> = (0..nodes).step_by(STALLED).map(|node| nodes - 1 - node).collect();
    let (span, period) = STALL;
    let begin = world.now();
    while world.now() - begin < WATCH {
        // One after the other, so that they do not all stand still at once.
        for node in &stalled {
            world.stall(*node, span);
            pass(&mut world, period / u32::try_from(stalled.len()).unwrap_or(u32::MAX));
        }
    }
    for death in &world.views.false_deaths {
        let count =
            if stalled.contains(&death.node) { &mut into.stalled } else { &mut into.healthy };
        *count += 1;
    }
    into.hours += (world.now() - begin).as_secs_f64() / 3600.0;
}

/// How many bytes a member of a cluster of so many has on its heap. Nothing else may run meanwhile.
pub(crate) fn heap(contender: Contender, nodes: usize, allocator: &PeakAlloc) -> usize {
    let mut world = World::new(contender, nodes, 0, START_WITHIN, 0.0, 1);
    world.run(LIMIT, World::is_whole);
    pass(&mut world, secs(30));
    let engine = world.take(0);
    let before = allocator.current_usage();
    drop(engine);
    before.saturating_sub(allocator.current_usage())
}

fn pass(world: &mut World, span: Duration) {
    world.run(span, |_| false);
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
/// When it takes longer than `deadline`, or if without any loss something does not come about within [`LIMIT`].
pub(crate) fn row(
    contender: Contender,
    nodes: usize,
    loss: u8,
    seeds: u64,
    deadline: Duration,
) -> anyhow::Result<Row> {
    let begin = std::time::Instant::now();
    let mut collected = Collected::default();
    for seed in 0..seeds {
        trial(contender, nodes, f64::from(loss) / 100.0, seed, &mut collected);
        let taken = begin.elapsed();
        anyhow::ensure!(
            taken < deadline,
            "{contender} with {nodes} nodes at {loss} % loss: {taken:.0?} for {} of {seeds} seeds, which is too long",
            seed + 1
        );
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
