//! What happened lately.

use crate::canned::{Canned, said};
use crate::support::{Corner, stderr};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn log(first: u64, last: u64, uptime: u64) -> Value {
    let entry = |seq| json!({ "seq": seq, "uptime_ms": uptime + seq, "event": "cluster/member/joined", "member": null });
    json!({ "log": (first..=last).map(entry).collect::<Vec<_>>() })
}

#[test]
fn the_last_events_are_shown() {
    let corner = Corner::new();
    let node = Canned::start(|_| said(200, &log(3, 9, 0)));
    let all = corner.json(&["logs", "--json", "--node", &node.api]);
    assert_eq!(all, log(3, 9, 0));
    let last = corner.json(&["logs", "--json", "-n", "2", "--node", &node.api]);
    assert_eq!(last, log(8, 9, 0));
    let output = corner.run(&["logs", "-n", "1", "--node", &node.api]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "     9  9 ms            cluster/member/joined\n"
    );
}

#[test]
fn following_goes_on_through_a_restart_of_the_node() {
    let corner = Corner::new();
    let looks = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&looks);
    let node = Canned::start(move |_| match seen.fetch_add(1, Ordering::SeqCst) {
        0 => said(200, &log(1, 2, 1_000)),
        1 => said(200, &log(1, 3, 1_000)),
        2 => said(500, &json!({})),
        _ => said(200, &log(1, 2, 5)),
    });
    let mut command =
        corner.command(&["logs", "--follow", "-n", "1", "--json", "--node", &node.api]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().take(4);
    let seen: Vec<(u64, u64)> = lines
        .map(|line| {
            let entry: Value = serde_json::from_str(&line.unwrap()).unwrap();
            (entry["seq"].as_u64().unwrap(), entry["uptime_ms"].as_u64().unwrap())
        })
        .collect();
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(seen, [(2, 1_002), (3, 1_003), (1, 6), (2, 7)]);
    let text = stderr(&output);
    assert!(text.contains("500") && text.contains("has restarted"), "{text}");
}
