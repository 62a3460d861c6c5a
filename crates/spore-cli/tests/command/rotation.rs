//! Another cluster key for all but a stolen node, with real nodes.

use crate::canned::{self, Canned};
use crate::support::{Corner, DEAD, Running, stderr, wait};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A node that has its key as a board has it: a copy, which nobody replaces.
fn start(corner: &Corner, n: u8, name: &str) -> Running {
    let state = format!("state-{n}");
    corner.node(n, &["--hostname", name, "--state", &state, "--key-file", "claimed.key"])
}

/// What `spore key …` says of each node.
fn states(output: &Output) -> Vec<(String, String)> {
    let said: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{:?}: {}", output.status, stderr(output)));
    let text = |node: &Value, name: &str| node[name].as_str().unwrap_or_default().to_owned();
    let nodes = said["nodes"].as_array().unwrap().iter();
    let mut states: Vec<_> =
        nodes.map(|node| (text(node, "hostname"), text(node, "state"))).collect();
    states.sort();
    states
}

fn all(states: &[(&str, &str)]) -> Vec<(String, String)> {
    states.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned())).collect()
}

#[test]
fn a_stolen_node_is_left_out_and_one_that_was_away_is_not() {
    let corner = Corner::new();
    assert!(corner.run(&["key", "new"]).status.success());
    let file = |name: &str| fs::read_to_string(corner.path().join(name)).unwrap();
    let key = file("spore/cluster.key");
    fs::copy(corner.path().join("spore/cluster.key"), corner.path().join("claimed.key")).unwrap();
    let names = ["attic", "cellar", "kitchen", "pantry"];
    let mut nodes: Vec<_> = (1..).zip(names).map(|(n, name)| start(&corner, n, name)).collect();
    wait("all know all", 30 * SECOND, || (1..=4).all(|n| corner.members(n).len() == 4));
    let api = corner.api(1);
    let run = |words: &[&str]| corner.run(&[&["key"], words, &["--json", "--node", &api]].concat());

    let refused = run(&["rotate"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("`spore key enroll`"), "{}", stderr(&refused));
    assert_eq!(states(&run(&["enroll"])), names.map(|it| (it.into(), "enrolled".into())));
    assert_eq!(states(&run(&["enroll"])), names.map(|it| (it.into(), "known".into())));
    let record = corner.path().join("spore/cluster.key.nodes");
    assert_eq!(fs::metadata(&record).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&record).unwrap();
    let refused = run(&["rotate", "--without", "larder"]);
    assert!(stderr(&refused).contains("no node was enrolled"), "{}", stderr(&refused));
    let stranger = start(&corner, 5, "stranger");
    wait("it is known", 30 * SECOND, || corner.members(1).len() == 5);
    let refused = run(&["rotate", "--without", "pantry"]);
    assert!(stderr(&refused).contains("not enrolled"), "{}", stderr(&refused));
    stranger.signal("INT");
    wait("it has left", 30 * SECOND, || {
        corner.members(1).iter().all(|(name, status)| name != "stranger" || status == "left")
    });
    assert_eq!(fs::read(&record).unwrap(), before, "what is refused changes nothing");

    // One stands still: nobody knows it yet, so it would be locked out.
    nodes[2].signal("STOP");
    let stopped = run(&["rotate", "--without", "pantry", "--timeout", "3"]);
    assert_eq!(stopped.status.code(), Some(1), "{}", stderr(&stopped));
    assert!(stderr(&stopped).contains("the old key is still in use"), "{}", stderr(&stopped));
    assert_eq!(file("spore/cluster.key"), key);
    let again = run(&["rotate"]);
    assert!(stderr(&again).contains("--resume"), "{}", stderr(&again));
    nodes.remove(2).kill();
    let at = |n: u8, name: &str| {
        let members = corner.members(n);
        members.into_iter().find(|(it, _)| it == name).map(|(_, status)| status)
    };
    wait("all know that it is gone", DEAD, || at(1, "kitchen").as_deref() == Some("dead"));
    let rotated = run(&["rotate", "--resume", "--timeout", "5"]);
    assert_eq!(rotated.status.code(), Some(1), "{}", stderr(&rotated));
    assert!(stderr(&rotated).contains("1 node does not have"), "{}", stderr(&rotated));
    let expected = all(&[
        ("attic", "new key"),
        ("cellar", "new key"),
        ("kitchen", "old key"),
        ("pantry", "left out"),
    ]);
    assert_eq!(states(&rotated), expected);
    let new = file("spore/cluster.key");
    assert_ne!(new, key);

    // The key that the thief has signs nothing any more, and says nothing to anybody.
    let get = ["config", "get", "--node", &api];
    assert!(corner.run(&get).status.success());
    let old = corner.run(&[&get[..], &["--key-file", "claimed.key"]].concat());
    assert!(stderr(&old).contains("401, credentials_invalid"), "{}", stderr(&old));
    wait("the others lose it", DEAD, || {
        (1..=2).all(|n| at(n, "pantry").as_deref() == Some("dead"))
    });
    assert_eq!(at(1, "cellar").as_deref(), Some("active"));
    wait("it hears nobody", 40 * SECOND, || at(4, "attic").as_deref() != Some("active"));

    // A start forgets nothing, whatever the node's key file says.
    nodes.remove(1).kill();
    nodes.push(start(&corner, 2, "cellar"));
    wait("it is back", 30 * SECOND, || at(2, "attic").as_deref() == Some("active"));
    let _kitchen = start(&corner, 3, "kitchen");
    let resumed = run(&["rotate", "--resume"]);
    assert_eq!(resumed.status.code(), Some(0), "{}", stderr(&resumed));
    wait("it is back", 30 * SECOND, || at(3, "attic").as_deref() == Some("active"));
    assert_eq!(file("spore/cluster.key"), new);
    let kept: Value = serde_json::from_str(&file("spore/cluster.key.nodes")).unwrap();
    assert_eq!(kept["keys"].as_object().unwrap().len(), 1, "the old key is not kept for ever");
}

#[test]
fn a_node_that_was_claimed_at_the_desk_needs_no_secret_over_the_network() {
    let corner = Corner::new();
    assert!(corner.run(&["key", "new"]).status.success());
    fs::create_dir(corner.path().join("kept")).unwrap();
    corner.json(&["claim", "kept/settings.flash", "--no-wifi", "--hostname", "attic", "--json"]);
    let _node = corner.node(1, &["--state", "kept", "--unclaimed"]);
    let api = corner.api(1);
    let run = |words: &[&str]| corner.run(&[&["key"], words, &["--json", "--node", &api]].concat());
    let unseen = run(&["rotate"]);
    assert!(stderr(&unseen).contains("not enrolled"), "{}", stderr(&unseen));
    assert_eq!(states(&run(&["enroll"])), all(&[("attic", "enrolled")]));
    let rotated = run(&["rotate"]);
    assert_eq!(states(&rotated), all(&[("attic", "new key")]));
    assert_eq!(rotated.status.code(), Some(0));
}

#[test]
fn a_gateway_signs_with_the_key_that_its_node_has() {
    let corner = Corner::new();
    assert!(corner.run(&["key", "new"]).status.success());
    fs::copy(corner.path().join("spore/cluster.key"), corner.path().join("claimed.key")).unwrap();
    let (bind, port) = (corner.address(1).to_string(), corner.port.to_string());
    let gate = ["gateway", "--bind", &bind, "--port", &port, "--http-port", &port];
    let kept = ["--state", "gate", "--key-file", "claimed.key", "--history", "home.db"];
    let command = [&gate[..], &kept, &["--hostname", "gate", "--no-flasher"]].concat();
    let start_gateway = || Running::start(corner.command(&command));
    let gateway = start_gateway();
    let _attic = start(&corner, 2, "attic");
    wait("both know both", 30 * SECOND, || (1..=2).all(|n| corner.members(n).len() == 2));
    let api = corner.api(1);
    for (words, state) in [(["key", "enroll"], "enrolled"), (["key", "rotate"], "new key")] {
        let output = corner.run(&[&words[..], &["--json", "--node", &api]].concat());
        assert_eq!(states(&output), all(&[("attic", state), ("gate", state)]));
    }
    let hears = |topic: &str| {
        let published = corner.run(&["pub", topic, "1", "--node", &corner.api(2)]);
        assert!(published.status.success(), "{}", stderr(&published));
        wait(topic, 30 * SECOND, || {
            let past = corner.json(&["history", "events", "--file", "home.db", "--json"]);
            past["history"].as_array().unwrap().iter().any(|event| event["what"] == topic)
        })
    };
    // With its node, the stream of events ends, and is asked for again.
    let restarted = corner.run(&["restart", "--node", &api]);
    assert!(restarted.status.success(), "{}", stderr(&restarted));
    hears("while/it/runs");
    gateway.kill();
    let _gateway = start_gateway();
    hears("with/an/old/file");
}

#[test]
fn a_rotation_ends_whatever_moment_it_was_interrupted_at() {
    let corner = Corner::new();
    assert!(corner.run(&["key", "new"]).status.success());
    let path = |name: &str| corner.path().join(name);
    let (key_file, record) = (path("spore/cluster.key"), path("spore/cluster.key.nodes"));
    fs::copy(&key_file, path("claimed.key")).unwrap();
    let key = |of: &std::path::Path| fs::read_to_string(of).unwrap();
    let first = key(&key_file);
    let _nodes: Vec<_> =
        (1..).zip(["attic", "cellar"]).map(|(n, name)| start(&corner, n, name)).collect();
    wait("all know all", 30 * SECOND, || (1..=2).all(|n| corner.members(n).len() == 2));
    let at = |api: &str, words: &[&str]| {
        corner.run(&[&["key"], words, &["--json", "--timeout", "5", "--node", api]].concat())
    };
    let run = |words: &[&str]| at(&corner.api(1), words);
    let change = |change: &dyn Fn(&mut Value)| {
        let mut text: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
        change(&mut text);
        fs::write(&record, text.to_string()).unwrap();
    };
    let refused = |output: Output, because: &str| {
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains(because), "{}", stderr(&output));
    };
    let done = |output: Output| assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    done(run(&["enroll"]));

    // One was not given its secret to the end.
    change(&|it| it["nodes"][1]["enrolled"] = json!(false));
    refused(run(&["rotate"]), "not enrolled");
    done(run(&["enroll"]));
    done(run(&["rotate"]));
    let second = key(&key_file);
    assert_ne!(second, first);

    // The record was written, the key file and what nodes said then were not.
    let lag = |it: &mut Value| {
        it["keys"]["0"] = json!(first.trim());
        for node in it["nodes"].as_array_mut().unwrap() {
            node["key"] = json!(0);
        }
    };
    change(&lag);
    fs::write(&key_file, &first).unwrap();
    refused(run(&["rotate"]), "--resume");
    refused(corner.run(&["claim", "new.flash", "--no-wifi", "--json"]), "--resume");
    // Whoever answers in a node's place is not believed.
    let impostor = Canned::start(|asked| match &*asked.target {
        "/api/auth/nonce" => canned::nonce(),
        _ => canned::said(200, &json!({ "number": 1, "staged": false, "proof": null })),
    });
    let away = |it: &mut Value| it["nodes"][1]["address"] = json!(impostor.api);
    change(&away);
    refused(at("127.42.0.99:1", &["rotate", "--resume"]), "1 node does not have");
    assert_eq!(key(&key_file), second);
    done(run(&["rotate", "--resume"]));

    // Nodes have changed over unseen, and there is another rotation.
    change(&lag);
    done(run(&["rotate"]));
    let third = key(&key_file);
    assert_ne!(third, second);

    // It was interrupted before the switch: nobody says who is there, then somebody is whom it locks out.
    let new = "07".repeat(32);
    change(&|it| {
        (it["number"], it["switched"], it["keys"]["3"]) = (json!(3), json!(false), json!(new));
    });
    refused(at("127.42.0.99:1", &["rotate", "--resume"]), "does not say who is there");
    fs::write(path("claimed.key"), &third).unwrap();
    let _stranger = start(&corner, 3, "stranger");
    wait("it is known", 30 * SECOND, || corner.members(1).len() == 3);
    refused(run(&["rotate", "--resume"]), "not enrolled");
    assert_eq!(key(&key_file), third);
    done(run(&["rotate", "--resume", "--leave-behind"]));
    assert_eq!(key(&key_file).trim(), new);
}
