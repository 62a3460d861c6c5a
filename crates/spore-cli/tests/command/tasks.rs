//! Tasks of real nodes: run, paused, found paused after a restart, and handed on.

use crate::support::{Corner, stderr, wait};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

fn task(corner: &Corner, n: u8, name: &str) -> Value {
    let list = corner.json(&["tasks", "--json", "--node", &corner.api(n)]);
    let tasks = list["tasks"].as_array().unwrap();
    tasks.iter().find(|task| task["name"] == name).cloned().unwrap()
}

/// The lines that runs have written.
fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn a_task_runs_its_command_and_stays_paused_over_a_restart() {
    let corner = Corner::new();
    assert!(corner.run(&["key", "new"]).status.success());
    let file = corner.path().join("runs");
    let command = format!("tick=0.1:echo $SPORE_TASK $SPORE_RUN_ID >> {}", file.display());
    let start = || corner.node(1, &["--task", &command, "--task", "fails=0.2:exit 3"]);
    let node = start();
    wait("three runs", SOON, || lines(&file).len() >= 3);
    let first = lines(&file)[0].clone();
    let id = corner.json(&["status", "--json", "--node", &corner.api(1)])["id"].clone();
    assert_eq!(first, format!("tick {}-1-1", id.as_str().unwrap()));
    wait("a failed run is a run", SOON, || task(&corner, 1, "fails")["runs"].as_u64() > Some(0));
    let shown = task(&corner, 1, "tick");
    assert!(shown["longest_us"].as_u64() > Some(0) && shown["owner"].is_null(), "{shown}");
    assert!(task(&corner, 1, "listen-discovery")["runs"].is_u64());

    let tasks = |arguments: &[&str]| {
        let output = corner.run(&[&["tasks"], arguments, &["--node", &corner.api(1)]].concat());
        (output.status.code(), String::from_utf8(output.stdout.clone()).unwrap(), stderr(&output))
    };
    let (code, text, error) = tasks(&["pause", "tick"]);
    assert!(code == Some(0) && text.contains("paused"), "{text}{error}");
    node.kill();
    let node = start();
    // A command of the first one may still write.
    let again = || lines(&file).iter().filter(|line| line.contains("-2-")).count();
    assert_eq!(task(&corner, 1, "tick")["enabled"], false);
    let (code, .., error) = tasks(&["run", "tick"]);
    assert_eq!(code, Some(0), "{error}");
    wait("one run by hand", SOON, || again() > 0);
    let (code, .., error) = tasks(&["interval", "tick", "1h"]);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(task(&corner, 1, "tick")["interval_ms"], 3_600_000);
    assert_eq!(again(), 1);
    for (arguments, said) in [
        (["pause", "probe"].as_slice(), "task_protected"),
        (&["interval", "status-poll", "10ms"], "interval_ms"),
        (&["resume", "none"], "no task none"),
    ] {
        let (code, _, error) = tasks(arguments);
        assert!(code == Some(1) && error.contains(said), "{arguments:?}: {error}");
    }
    let (code, table, _) = tasks(&[]);
    assert!(code == Some(0) && table.starts_with("NAME") && table.contains("send-discovery"));
    drop(node);
}

#[test]
fn a_clustered_task_is_run_by_one_node_and_by_the_other_when_that_one_leaves() {
    let corner = Corner::new();
    assert!(corner.run(&["key", "new"]).status.success());
    let file = corner.path().join("runs");
    let command = format!("alarm:clustered=0.2:echo $SPORE_RUN_ID >> {}", file.display());
    let mut nodes: Vec<_> = (1..=2).map(|n| Some(corner.node(n, &["--task", &command]))).collect();
    let runner = || {
        let last = lines(&file).pop()?;
        last.split('-').next().map(str::to_owned)
    };
    wait("a first run", SOON, || runner().is_some());
    std::thread::sleep(Duration::from_secs(2));
    let all = lines(&file);
    let owners: BTreeSet<_> = all.iter().map(|line| line.split('-').next().unwrap()).collect();
    assert_eq!(owners.len(), 1, "{all:?}");
    let owner = runner().unwrap();
    for n in 1..=2 {
        assert_eq!(task(&corner, n, "alarm")["owner"], owner.as_str());
    }
    let services = corner.json(&["services", "--json", "--node", &corner.api(1)]);
    assert_eq!(services["services"].as_array().unwrap().len(), 1, "{services}");
    let id = |n: u8| corner.json(&["status", "--json", "--node", &corner.api(n)])["id"].clone();
    let leaver = if id(1) == owner.as_str() { 0 } else { 1 };
    nodes[leaver].as_ref().unwrap().signal("INT");
    wait("the other one runs it", SOON, || runner().is_some_and(|runner| runner != owner));
    let all = lines(&file);
    let different: BTreeSet<_> = all.iter().collect();
    assert_eq!(different.len(), all.len(), "no run has the id of another one");
    nodes.clear();
}

#[test]
fn what_is_no_task_is_refused() {
    let corner = Corner::new();
    for text in ["tick", "tick=5", "Tick=5:true", "tick=0:true", "tick:once=5:true"] {
        let output = corner.run(&["node", "--bind", "127.0.0.1", "--task", text]);
        assert_eq!(output.status.code(), Some(2), "{text}: {}", stderr(&output));
    }
}
