//! A cluster at rest says little.

use crate::{lossy, promise, scenario, secs, whole};
use spore_sim::Scenario;
use spore_sim::report::Traffic;
use std::time::Duration;

/// Sent datagrams and bytes a second of the busiest node of a cluster at rest, and of the mean one.
fn idle(nodes: usize, loss: f64, span: Duration) -> [f64; 4] {
    let mut sim = whole(Scenario { conditions: lossy(loss), ..scenario(nodes, 1) }, secs(60));
    // The news of the start has spread when each has probed each, which are one a second.
    sim.run_for(secs(30) + Duration::from_secs(nodes as u64));
    sim.clear_counters();
    sim.run_for(span);
    let report = sim.report();
    let most = |of: fn(&Traffic) -> u64| {
        report.traffic.iter().map(|node| node.per_second(of(node))).fold(0.0, f64::max)
    };
    let total = report.total();
    let figures = [
        most(|node| node.sent),
        most(|node| node.sent_bytes),
        total.per_second(total.sent),
        total.per_second(total.sent_bytes),
    ];
    let [datagrams, bytes, mean_datagrams, mean_bytes] = figures;
    println!(
        "idle at {loss} loss, N={nodes}: a node sends {mean_datagrams:.2} datagrams and \
         {mean_bytes:.0} bytes a second, the busiest {datagrams:.2} and {bytes:.0}"
    );
    let name = |what| format!("n{nodes}_{:.0}_{what}", loss * 100.0);
    promise("C7", &[(&name("datagrams"), datagrams), (&name("bytes"), bytes)]);
    figures
}

#[test]
fn an_idle_node_of_32_sends_at_most_10_datagrams_and_2_kilobytes_a_second() {
    for loss in [0.0, 0.05] {
        let [datagrams, bytes, ..] = idle(32, loss, secs(300));
        assert!(datagrams <= 10.0 && bytes <= 2_000.0, "at {loss} loss");
    }
}

#[test]
fn idle_traffic_does_not_grow_with_the_cluster() {
    let [few, few_bytes, ..] = idle(8, 0.0, secs(60));
    let [many, many_bytes, ..] = idle(100, 0.0, secs(60));
    assert!(many <= few * 1.5 && many_bytes <= few_bytes * 1.5);
}
