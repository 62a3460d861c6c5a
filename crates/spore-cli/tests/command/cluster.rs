//! Clusters of real processes on real sockets.

use crate::support::{Corner, DEAD, Running, stderr, wait};
use std::time::Duration;

const JOIN_MS: u64 = 5_000;
const DEATH: Duration = Duration::from_secs(15);
/// What has no time of its own to keep comes within this, however busy the machine is.
const SOON: Duration = Duration::from_secs(30);

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
    wait("five nodes", SOON, || all_active(&corner, &[1, 2, 3, 4, 5], 5));
    // By the nodes' own clocks: to ask all of them takes a busy machine long.
    for n in 1..=5 {
        let log = corner.json(&["logs", "--json", "--node", &corner.api(n)]);
        let log = log["log"].as_array().unwrap().iter();
        let joined: Vec<_> = log
            .filter(|entry| entry["event"] == "cluster/member/joined")
            .map(|entry| entry["uptime_ms"].as_u64().unwrap())
            .collect();
        assert_eq!(joined.len(), 4, "node {n}");
        assert!(joined.iter().all(|at| *at <= JOIN_MS), "node {n}: {joined:?}");
    }
    let names: Vec<_> = corner.members(3).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["node-1", "node-2", "node-3", "node-4", "node-5"]);
}

#[test]
fn nodes_fetch_from_each_other_what_they_run() {
    let corner = Corner::new();
    let _up = corner.up(4);
    let runs = |n: u8| {
        let list = corner.json(&["members", "--json", "--node", &corner.api(n)]);
        let members = list["members"].as_array().unwrap().clone();
        let known = members.iter().filter(|member| {
            member["board"] == "host" && member["version"] == env!("CARGO_PKG_VERSION")
        });
        known.count()
    };
    // The first fetch comes within 2 s, and the third less than 3 s after that.
    wait("builds of all", SOON, || (1..=4).all(|n| runs(n) == 4));
}

#[test]
fn a_node_that_is_killed_is_dead_for_all_others_and_returns_as_the_same_member() {
    let corner = Corner::new();
    let _up = corner.up(4);
    let start = || corner.node(9, &["--hostname", "apart"]);
    let apart = start();
    wait("five nodes", SOON, || all_active(&corner, &[1, 2, 3, 4, 9], 5));
    let status = ["status", "apart", "--json", "--node", &corner.api(1)];
    let id = corner.json(&status)["id"].clone();

    apart.kill();
    let others = [1, 2, 3, 4];
    wait("the death", DEAD, || others.iter().all(|&n| lists_as(&corner, n, "apart", "dead")));
    let active = |n| corner.members(n).iter().filter(|(_, is)| is == "active").count();
    wait("the others as they were", SOON, || others.iter().all(|&n| active(n) == 4));

    let _apart = start();
    wait("the return", SOON, || all_active(&corner, &others, 5));
    assert_eq!(corner.json(&status)["id"], id);
}

#[test]
fn a_node_that_was_given_a_name_starts_under_it() {
    let corner = Corner::new();
    assert!(corner.run(&["key", "new"]).status.success());
    let node = corner.node(1, &["--hostname", "first"]);
    assert_eq!(node.first_line, format!("first: http://{}/api/node/status\n", corner.api(1)));
    let set = corner.run(&["config", "set", "hostname=attic", "--node", &corner.api(1)]);
    assert!(set.status.success(), "{}", stderr(&set));
    node.kill();
    let node = corner.node(1, &["--hostname", "first"]);
    assert!(node.first_line.starts_with("attic: http://"), "{}", node.first_line);
    assert_eq!(corner.members(1), [("attic".to_owned(), "active".to_owned())]);
}

#[test]
fn a_member_that_is_dead_is_called_that_when_it_cannot_be_asked() {
    let corner = Corner::new();
    let _up = corner.up(2);
    let apart = corner.node(9, &["--hostname", "apart", "--forget"]);
    wait("three nodes", SOON, || all_active(&corner, &[1, 2, 9], 3));
    apart.kill();
    wait("the death", DEAD, || lists_as(&corner, 1, "apart", "dead"));
    let ask = || corner.run(&["status", "apart", "--node", &corner.api(1)]);
    let output = ask();
    assert_eq!(output.status.code(), Some(1));
    let dead = format!("apart is held for dead by {}", corner.api(1));
    assert!(stderr(&output).contains(&dead), "{}", stderr(&output));
    assert!(stderr(&output).contains("refuses the connection"), "{}", stderr(&output));
    // A new member with the name of the dead one is the one that is meant.
    let _apart = corner.node(10, &["--hostname", "apart", "--forget"]);
    wait("the other one", SOON, || lists_as(&corner, 1, "apart", "active"));
    assert!(lists_as(&corner, 1, "apart", "dead"));
    let output = ask();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains(&corner.api(10)));
}

#[test]
fn a_state_folder_is_one_nodes_alone() {
    let corner = Corner::new();
    assert!(corner.run(&["key", "new"]).status.success());
    let shared = ["--state", "shared"];
    let first = corner.node(1, &shared);
    let (bind, port) = (corner.address(2).to_string(), corner.port.to_string());
    let node = ["node", "--bind", &bind, "--port", &port, "--http-port", &port];
    let output = corner.run(&[&node[..], &shared].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty(), "{output:?}");
    let text = "another node uses the folder shared; choose another with --state";
    assert!(stderr(&output).contains(text), "{}", stderr(&output));
    let id = |n| corner.json(&["status", "--json", "--node", &corner.api(n)])["id"].clone();
    let first_id = id(1);
    // The lock goes with the process, however that ends.
    first.kill();
    let _second = corner.node(2, &shared);
    assert_eq!(id(2), first_id);
}

#[test]
fn a_node_that_is_killed_while_it_starts_keeps_its_id() {
    let corner = Corner::new();
    assert!(corner.run(&["key", "new"]).status.success());
    let (bind, port) = (corner.address(1).to_string(), corner.port.to_string());
    let node = ["node", "--bind", &bind, "--port", &port, "--http-port", &port];
    let folder = ["--state", "folder"];
    let id = || corner.json(&["status", "--json", "--node", &corner.api(1)])["id"].clone();
    let first = corner.node(1, &folder);
    let before = id();
    first.kill();
    for millis in 0..40 {
        let mut child = corner.command(&[&node[..], &folder].concat()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(millis));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let _last = corner.node(1, &folder);
    assert_eq!(id(), before);
    let kept = std::fs::read_dir(corner.path().join("folder")).unwrap();
    let mut names: Vec<_> = kept.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["lock", "settings.flash"], "nothing was taken for damaged");
}

#[test]
fn clusters_with_different_keys_do_not_see_each_other() {
    let corner = Corner::new();
    let _up = corner.up(2);
    let other_key = corner.path().join("other.key");
    let other_key = other_key.to_str().unwrap();
    assert!(corner.run(&["key", "new", "--key-file", other_key]).status.success());
    let _stranger = corner.node(9, &["--key-file", other_key]);
    wait("two nodes", SOON, || all_active(&corner, &[1, 2], 2));
    std::thread::sleep(Duration::from_secs(2));
    assert!(all_active(&corner, &[1, 2], 2));
    assert!(all_active(&corner, &[9], 1));
    let status = || corner.json(&["status", "--json", "--node", &corner.api(1)]);
    wait("the stranger is heard, and not understood", SOON, || {
        status()["datagrams"]["unauthentic"].as_u64().unwrap() > 0
    });
}

#[test]
fn a_node_that_is_told_to_lose_everything_knows_nobody_and_one_with_bad_radio_knows_all() {
    let corner = Corner::new();
    assert!(corner.run(&["key", "new"]).status.success());
    let bad = ["--loss", "10", "--broadcast-loss", "50", "--jitter", "50", "--duplication", "5"];
    let _nodes = [1, 2, 3].map(|n| corner.node(n, &[&["--forget"][..], &bad].concat()));
    let _deaf = corner.node(9, &["--forget", "--loss", "100"]);
    let all_known = |n: &u8| corner.members(*n).len() == 3;
    wait("three nodes", SOON, || [1, 2, 3].iter().all(all_known));
    assert!(all_active(&corner, &[9], 1));
}

#[test]
fn a_node_that_is_told_to_end_leaves_at_once_and_is_not_dead() {
    let corner = Corner::new();
    let _up = corner.up(3);
    for (n, signal) in [(9, "TERM"), (10, "INT")] {
        let name = format!("apart-{n}");
        let mut apart = corner.node(n, &["--hostname", &name, "--forget"]);
        // Who has not heard of it yet would have nobody to list as gone.
        let all = [1, 2, 3];
        let listed = |status| all.iter().all(|&at| lists_as(&corner, at, &name, status));
        wait("four nodes", SOON, || listed("active"));
        apart.signal(signal);
        // It takes a second at most, and a busy machine some of its own; but less than others take
        // to notice that somebody is dead.
        wait("its end", DEATH, || apart.child.try_wait().unwrap().is_some());
        assert!(apart.child.wait().unwrap().success(), "{signal}");
        wait("the news", DEATH, || listed("left"));
    }
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
