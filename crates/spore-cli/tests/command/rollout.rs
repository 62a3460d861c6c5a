//! `spore ota all`, `status` and `halt` on nodes of this machine.

use crate::ota::{Fleet, program};
use crate::schema::Schemas;
use crate::support::{stderr, wait};
use serde_json::Value;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Runs `spore ota`, and asks node 1.
fn ota(fleet: &Fleet, more: &[&str]) -> Output {
    fleet.corner.run(&[&["ota"], more, &["--node", &fleet.corner.api(1)]].concat())
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(output)))
}

#[test]
fn a_cluster_updates_itself_and_stops_at_a_canary_that_does_not_come_up() {
    let fleet = Fleet::new(3);
    let _nodes = [1, 2, 3].map(|n| fleet.launch(n));
    wait("each knows all", 30 * SECOND, || (1..=3).all(|n| fleet.corner.members(n).len() == 3));
    let running = |n| fleet.state(n)["image"]["sequence"].clone();

    let none = ota(&fleet, &["status"]);
    assert!(String::from_utf8_lossy(&none.stdout).contains("no rollout yet"), "{}", stderr(&none));
    let halt = ota(&fleet, &["halt"]);
    assert!(stderr(&halt).contains("no_rollout"), "{}", stderr(&halt));

    let good = fleet.image(5, &program("good"), &[]);
    let careful = ["--waves", "50%,100%", "--gate", "1s"];
    let output = ota(&fleet, &[&["all", &good], &careful[..]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("3 updated, 0 pending, 0 failed, 0 rolled back, 0 absent"), "{table}");
    assert!(table.contains("canary"), "{table}");
    assert!((1..=3).all(|n| running(n) == 5));
    let again = ota(&fleet, &["all", &good]);
    assert!(stderr(&again).contains("there is nothing to update"), "{}", stderr(&again));

    let bad = fleet.image(6, "#!/bin/sh\nexit 3\n", &[]);
    let output = ota(&fleet, &[&["all", &bad, "--json"], &careful[..]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("halted"), "{}", stderr(&output));
    let end = document(&output);
    Schemas::new(&fleet.corner).check("ota all", &end.to_string());
    assert_eq!(
        (&end["rollout"]["state"], &end["counts"]["rolled_back"]),
        (&"halted".into(), &1.into())
    );
    let nodes = end["nodes"].as_array().unwrap();
    let back: Vec<_> = nodes.iter().filter(|node| node["state"] == "rolled_back").collect();
    assert_eq!((back.len(), &back[0]["reason"]), (1, &"not_started".into()), "{end}");
    let table = ota(&fleet, &["status"]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    let canary = table.lines().find(|line| line.contains("canary")).unwrap_or_default();
    assert!(canary.contains("rolled back: it crashed"), "{table}");
    wait("all have heard", 30 * SECOND, || {
        let states = (1..=3).map(|n| {
            document(&fleet.corner.run(&[
                "ota",
                "status",
                "--json",
                "--node",
                &fleet.corner.api(n),
            ]))
        });
        states.into_iter().all(|state| state["rollout"]["state"] == "halted")
    });
    wait("the canary is back", 30 * SECOND, || (1..=3).all(|n| running(n) == 5));

    // What is halted stays so, and the next one is another one.
    let next = fleet.image(7, &program("next"), &[]);
    let follow = ["ota", "all", &next, "--gate", "1h", "--node", &fleet.corner.api(1)];
    let mut follow = fleet.corner.command(&follow);
    let follow = follow.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The node that is asked may itself be the canary, which restarts, and answers nobody then.
    wait("the canary runs it", 60 * SECOND, || {
        let said = ota(&fleet, &["status", "--json"]).stdout;
        let state = serde_json::from_slice::<Value>(&said).unwrap_or_default();
        state["rollout"]["state"] == "running" && state["counts"]["updated"] == 1
    });
    let id = follow.id().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
    let left = follow.wait_with_output().unwrap();
    assert_eq!(left.status.code(), Some(130), "{}", stderr(&left));
    assert!(stderr(&left).contains("goes on without this command"), "{}", stderr(&left));
    let busy = ota(&fleet, &["all", &next]);
    assert!(stderr(&busy).contains("a rollout is under way"), "{}", stderr(&busy));
    let halted = ota(&fleet, &["halt"]);
    assert!(halted.status.success(), "{}", stderr(&halted));
    assert!(String::from_utf8_lossy(&halted.stdout).starts_with("Rollout 3-"));
}
