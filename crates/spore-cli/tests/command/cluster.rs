//! Clusters of real processes on real sockets.

use crate::support::{Corner, Running, wait};
use std::time::Duration;

const JOIN: Duration = Duration::from_secs(5);
const DEATH: Duration = Duration::from_secs(15);

fn all_active(corner: &Corner, asked: &[u8], count: usize) -> bool {
    asked.iter().all(|&n| {
        let members = corner.members(n);
        members.len() == count && members.iter().all(|(_, status)| status == "active")
    })
}

fn lists_as(corner: &Corner, n: u8, hostname: &str, status: &str) -> bool {
    corner.members(n).iter().any(|(name, is)| name == hostname && is == status)
}

#[test]
fn five_nodes_know_each_other_within_5_seconds() {
    let corner = Corner::new();
    let _up = corner.up(5);
    wait("five nodes", JOIN, || all_active(&corner, &[1, 2, 3, 4, 5], 5));
    let names: Vec<_> = corner.members(3).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["node-1", "node-2", "node-3", "node-4", "node-5"]);
}

#[test]
fn a_node_that_is_killed_is_dead_for_all_others_and_returns_as_the_same_member() {
    let corner = Corner::new();
    let _up = corner.up(4);
    let start = || corner.node(9, &["--hostname", "apart"]);
    let apart = start();
    wait("five nodes", JOIN, || all_active(&corner, &[1, 2, 3, 4, 9], 5));
    let status = ["status", "apart", "--json", "--node", &corner.api(1)];
    let id = corner.json(&status)["id"].clone();

    apart.kill();
    let others = [1, 2, 3, 4];
    wait("the death", DEATH, || others.iter().all(|&n| lists_as(&corner, n, "apart", "dead")));
    for n in others {
        let active = corner.members(n).iter().filter(|(_, is)| is == "active").count();
        assert_eq!(active, 4, "as node {n} sees it");
    }

    let _apart = start();
    wait("the return", JOIN, || all_active(&corner, &others, 5));
    assert_eq!(corner.json(&status)["id"], id);
}

#[test]
fn clusters_with_different_keys_do_not_see_each_other() {
    let corner = Corner::new();
    let _up = corner.up(2);
    let other_key = corner.path().join("other.key");
    let other_key = other_key.to_str().unwrap();
    assert!(corner.run(&["key", "new", "--key-file", other_key]).status.success());
    let _stranger = corner.node(9, &["--key-file", other_key]);
    wait("two nodes", JOIN, || all_active(&corner, &[1, 2], 2));
    std::thread::sleep(Duration::from_secs(2));
    assert!(all_active(&corner, &[1, 2], 2));
    assert!(all_active(&corner, &[9], 1));
    let status = corner.json(&["status", "--json", "--node", &corner.api(1)]);
    assert!(status["datagrams"]["unauthentic"].as_u64().unwrap() > 0, "{status}");
}

#[test]
fn up_ends_well_on_either_signal() {
    let corner = Corner::new();
    for signal in ["INT", "TERM"] {
        let mut up: Running = corner.up(2);
        up.signal(signal);
        assert!(up.child.wait().unwrap().success(), "{signal}");
    }
}
