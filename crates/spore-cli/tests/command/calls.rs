//! Calling the services of nodes that run.

use crate::support::{Corner, Running, stderr, wait};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::process::Output;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// Runs `spore call` through node `n`.
fn call(corner: &Corner, n: u8, line: &[&str]) -> Output {
    corner.run(&[&["call"], line, &["--node", &corner.api(n)]].concat())
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The hostnames of those who offer the service `name`, as node `n` knows.
fn providers(corner: &Corner, n: u8, name: &str) -> BTreeSet<String> {
    let list = corner.json(&["services", "--json", "--node", &corner.api(n)]);
    let services = list["services"].as_array().unwrap();
    let found = services.iter().find(|service| service["name"] == name);
    let providers = found.and_then(|service| service["providers"].as_array());
    let hostname = |provider: &Value| provider["hostname"].as_str().unwrap().to_owned();
    providers.into_iter().flatten().map(hostname).collect()
}

/// A node with a key of its own making and these services.
fn node(corner: &Corner, n: u8, services: &[&str]) -> Running {
    let mut line = vec!["--forget", "--hostname"];
    let hostname = format!("n{n}");
    line.push(&hostname);
    for service in services {
        line.extend(["--service", service]);
    }
    corner.node(n, &line)
}

fn with_key() -> Corner {
    let corner = Corner::new();
    assert!(corner.run(&["key", "new"]).status.success());
    corner
}

#[test]
fn every_node_of_up_identifies_itself_to_holders_of_the_key() {
    let corner = Corner::new();
    let _up = corner.up(3);
    let all = ["node-1", "node-2", "node-3"].map(str::to_owned);
    wait("all offer identify", PATIENCE, || {
        providers(&corner, 1, "identify") == all.clone().into()
    });
    let answer: Value = serde_json::from_str(&text(&call(&corner, 1, &["identify"]))).unwrap();
    assert_eq!(answer["identified"], true);
    assert!(all.iter().any(|hostname| answer["hostname"] == **hostname), "{answer}");

    let document = text(&call(&corner, 1, &["identify", "--all", "--json"]));
    let document: Value = serde_json::from_str(&document).unwrap();
    let answers = document["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 3);
    for answer in answers {
        assert_eq!(answer["body"]["hostname"], answer["node"]["hostname"], "{document}");
        assert_eq!(answer["body"]["identified"], true);
    }
    let stranger = call(&corner, 1, &["identify", "--key-file", "none.key"]);
    assert_eq!(stranger.status.code(), Some(1));
    assert!(stderr(&stranger).contains("signed"), "{}", stderr(&stranger));
    let renamed = corner.run(&["config", "set", "hostname=front", "--node", &corner.api(2)]);
    assert!(renamed.status.success(), "{}", stderr(&renamed));
    let line = ["identify", "--provider", "front"];
    wait("the new name is known", PATIENCE, || call(&corner, 2, &line).status.success());
    assert!(text(&call(&corner, 2, &line)).contains(r#""hostname":"front""#));
}

#[test]
fn commands_are_services() {
    let corner = with_key();
    let shown = r#"echo=printf '%s|%s|%s|' "$SPORE_METHOD" "$SPORE_PATH" "$SPORE_QUERY"; cat"#;
    let long = "full=head -c 2048 /dev/zero | tr '\\0' x";
    let services = [shown, "open:open=cat", "broken=echo no luck >&2; exit 3", long, "over=yes"];
    let _node = node(&corner, 1, &services);
    let run = |line: &[&str]| call(&corner, 1, line);
    assert_eq!(text(&run(&["echo", "hello"])), "POST|||hello");
    let below = ["echo", "x", "--method", "put", "--path", "a/b%20c?d=e"];
    assert_eq!(text(&run(&below)), "PUT|/a/b%20c|d=e|x");
    assert_eq!(text(&run(&["echo"])), "GET|||");
    fs::write(corner.path().join("large"), "y".repeat(2048)).unwrap();
    assert_eq!(text(&run(&["open", "@large"])), "y".repeat(2048));
    assert_eq!(text(&run(&["full"])), "x".repeat(2048));

    // Who has no key may call what is open, and that alone.
    let keyless = |name| run(&[name, "hello", "--key-file", "none.key"]);
    assert_eq!(text(&keyless("open")), "hello");
    assert_eq!(keyless("echo").status.code(), Some(1));

    for (name, message) in [("broken", "no luck"), ("over", "longer than 2048 bytes")] {
        let output = run(&[name, "x"]);
        assert_eq!(output.status.code(), Some(1));
        let text = stderr(&output);
        assert!(text.contains(message) && text.contains("(502, service_failed)"), "{text}");
    }
    let output = run(&["identify", "--method", "delete"]);
    assert!(stderr(&output).contains("(405, method_not_allowed)"), "{}", stderr(&output));
}

#[test]
fn a_slow_command_is_killed_and_delays_nobody() {
    let corner = with_key();
    let started = corner.path().join("started");
    // An hour, so that it is not over by itself however slow the machine is.
    let slow = format!("slow=sleep 3600 & echo $! >'{}'; wait", started.display());
    let _node = node(&corner, 1, &[&slow, "quick=cat"]);
    let start = Instant::now();
    let pid = std::thread::scope(|scope| {
        let waits = scope.spawn(|| call(&corner, 1, &["slow", "x", "--timeout", "60"]));
        let pid = || fs::read_to_string(&started).ok()?.trim().parse::<u32>().ok();
        wait("it has started", PATIENCE, || pid().is_some());
        assert_eq!(text(&call(&corner, 1, &["quick", "y"])), "y");
        assert!(!waits.is_finished(), "it was waited for");
        let output = waits.join().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("(504, service_timeout)"), "{}", stderr(&output));
        pid().unwrap()
    });
    assert!(start.elapsed() > Duration::from_secs(9), "{:?}", start.elapsed());
    // What the shell has started goes with it. Of a process that is not waited for yet nothing else
    // is left than its number.
    let line = format!("/proc/{pid}/cmdline");
    wait("it is gone", PATIENCE, || fs::read(&line).unwrap_or_default().is_empty());
}

#[test]
fn another_provider_answers_when_one_is_gone() {
    let corner = with_key();
    let services = |n| format!("who:open=echo n{n}");
    let _asked = node(&corner, 1, &[]);
    let first = node(&corner, 2, &[&services(2)]);
    let _second = node(&corner, 3, &[&services(3)]);
    let both = BTreeSet::from(["n2".to_owned(), "n3".to_owned()]);
    wait("both offer it", PATIENCE, || providers(&corner, 1, "who") == both);
    first.kill();
    // Now, before its death is known, and ever after.
    for _ in 0..6 {
        assert_eq!(text(&call(&corner, 1, &["who"])), "n3\n");
    }
}

#[test]
fn what_is_no_service_is_refused_at_the_start() {
    let corner = with_key();
    let bind = corner.address(1).to_string();
    let refused = |services: &[&str]| {
        let mut line = vec!["node", "--forget", "--bind", &bind];
        services.iter().for_each(|service| line.extend(["--service", service]));
        let output = corner.run(&line);
        assert!(!output.status.success());
        stderr(&output)
    };
    assert!(refused(&["Echo=cat"]).contains("the first a letter"));
    assert!(refused(&["echo"]).contains("NAME=COMMAND"));
    assert!(refused(&["echo:shut=cat"]).contains("open or signed, not shut"));
    assert!(refused(&["echo=cat", "echo=tac"]).contains("two services are called echo"));
    assert!(refused(&["identify=cat"]).contains("two services are called identify"));
    let eight: Vec<_> = (0..8).map(|n| format!("s{n}=cat")).collect();
    let eight: Vec<_> = eight.iter().map(|text| &**text).collect();
    assert!(refused(&eight).contains("at most 8 services"));
}
