//! What the command says when it is used wrongly, or when the world is.

use crate::canned::{Canned, refusal, said};
use crate::support::{Corner, Running, stderr};
use serde_json::json;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

#[test]
fn wrong_usage_is_exit_code_2_and_starts_nothing() {
    let corner = Corner::new();
    let wrong: [&[&str]; 31] = [
        &[],
        &["unknown"],
        &["up", "--nodes", "0"],
        &["up", "--nodes", "65"],
        &["up", "--base", "192.168.1.1"],
        &["node"],
        &["node", "--bind", "localhost"],
        &["node", "--bind", "127.0.0.1", "--hostname", "a.b"],
        &["members", "--timeout", "0"],
        &["node", "--bind", "127.0.0.1", "--forget", "--state", "x"],
        &["node", "--bind", "127.0.0.1", "--unclaimed", "--key-file", "x"],
        &["node", "--bind", "127.0.0.1", "--port", "0"],
        &["node", "--bind", "127.0.0.1", "--http-port", "0"],
        &["up", "--port", "0"],
        &["up", "--http-port", "0"],
        &["up", "--base", "127.255.255.250", "--nodes", "9"],
        &["members", "--node", "a b"],
        &["members", "--node", "127.0.0.1:0"],
        &["members", "--node", "127.0.0.1:65536"],
        &["members", "--node", "127.0.0.1:x"],
        &["status", "127.0.0.1:x"],
        &["sign", "nopath", "--key-file", "/dev/null"],
        &["sign", "/api/a b"],
        &["call", "a/b"],
        &["call", "a", "--path", "é"],
        &["key", "export", "--public", "--stdout"],
        &["sim", "--nodes", "3", "--kill", "3"],
        &["gateway", "--bind", "127.0.0.1", "--history-keep", "9d"],
        &["gateway", "--bind", "127.0.0.1", "--history-size", "9M"],
        &["gateway", "--bind", "127.0.0.1", "--certificate", "x", "--private-key", "y"],
        &["gateway", "--bind", "127.0.0.1", "--private-key", "y", "--broker", "mqtts://a"],
    ];
    for arguments in wrong {
        let output = corner.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
    assert_eq!(std::fs::read_dir(corner.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn a_node_that_does_not_answer_is_a_clear_error_within_3_seconds() {
    let corner = Corner::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    for (node, what) in
        [(corner.api(1), "refuses the connection"), (silent, "gives no answer within 3 s")]
    {
        let start = Instant::now();
        let output = corner.run(&["members", "--node", &node]);
        // The 3 s, and what a busy machine takes to start a program.
        assert!(start.elapsed() < Duration::from_secs(10), "{node}: {:?}", start.elapsed());
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(&format!("{node} {what}")), "{output:?}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_node_without_a_key_says_how_to_make_one() {
    let corner = Corner::new();
    let bind = corner.address(1).to_string();
    let output = corner.run(&["node", "--bind", &bind]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("`spore key new`"), "{}", stderr(&output));
    let output = corner.run(&["node", "--bind", &bind, "--key-file", "my.key"]);
    assert_eq!(output.status.code(), Some(1));
    let command = "`spore key new --key-file my.key`";
    assert!(stderr(&output).contains(command), "{}", stderr(&output));
    assert_eq!(std::fs::read_dir(corner.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn an_unclaimed_node_needs_no_key_joins_nobody_and_refuses_holders_of_one() {
    let corner = Corner::new();
    let _up = corner.up(1);
    let _unclaimed = corner.node(2, &["--unclaimed"]);
    let node = corner.api(2);
    assert_eq!(corner.json(&["status", "--json", "--node", &node])["claimed"], false);
    let output = corner.run(&["config", "set", "hostname=mine", "--node", &node]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no cluster key yet"), "{}", stderr(&output));
    // Nodes with a key find each other in a fraction of that.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!((corner.members(1).len(), corner.members(2).len()), (1, 1));
}

#[test]
fn addresses_that_cannot_be_had_are_named() {
    let corner = Corner::new();
    let _up = corner.up(2);
    let (base, port) = (corner.address(2).to_string(), corner.port.to_string());
    let output = corner.run(&["up", "--base", &base, "--port", &port, "--http-port", &port]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&format!("{base}:{port}")), "{}", stderr(&output));
    let output = corner.run(&["node", "--bind", "192.0.2.1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no interface of this machine"), "{}", stderr(&output));
    let output = corner.run(&["up", "--base", "127.255.255.250", "--nodes", "9"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--base"), "{}", stderr(&output));
}

#[test]
fn a_gateway_whose_history_cannot_be_one_joins_nobody_and_changes_nothing() {
    let corner = Corner::new();
    assert!(corner.run(&["key", "new"]).status.success());
    let (file, bind) = (corner.path().join("letter"), corner.address(1).to_string());
    std::fs::write(&file, "Dear reader, this is a letter.").unwrap();
    let (port, free) = (corner.port.to_string(), ["--forget", "--no-flasher", "--history"]);
    let start = ["gateway", "--bind", &bind, "--port", &port, "--http-port", &port];
    let output = corner.run(&[&start[..], &free, &["letter"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no SQLite database"), "{}", stderr(&output));
    assert!(output.stdout.is_empty(), "it is refused before it is a member");
    assert_eq!(std::fs::read(&file).unwrap(), b"Dear reader, this is a letter.");
}

#[test]
fn a_gateway_that_cannot_have_the_key_is_wrong_usage_before_anything_is_made() {
    let corner = Corner::new();
    let (bind, port) = (corner.address(1).to_string(), corner.port.to_string());
    let start = ["gateway", "--bind", &bind, "--port", &port, "--http-port", &port, "--unclaimed"];
    let refused = |more: &[&str]| {
        let output = corner.run(&[&start[..], &["--no-flasher"], more].concat());
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains("leave out --unclaimed"), "{}", stderr(&output));
    };
    // Whoever asks for this address is told that it is taken.
    let taken = TcpListener::bind(corner.api(1)).unwrap();
    for state in [&["--state", "gate"][..], &["--forget"], &[]] {
        refused(state);
    }
    assert_eq!(std::fs::read_dir(corner.path()).unwrap().count(), 0, "nothing was written");
    drop(taken);
    // Whether the folder of a node is claimed is known when it is read.
    assert!(corner.run(&["key", "new"]).status.success());
    std::fs::create_dir(corner.path().join("gate")).unwrap();
    let claim = ["claim", "gate/settings.flash", "--no-wifi", "--json"];
    corner.json(&[&claim[..], &["--unclaimed"]].concat());
    refused(&["--state", "gate"]);
    corner.json(&[&claim[..], &["--force"]].concat());
    let claimed = [&start[..], &["--no-flasher", "--state", "gate"]].concat();
    let gateway = Running::start(corner.command(&claimed));
    assert!(gateway.first_line.contains(&corner.api(1)), "{}", gateway.first_line);
}

#[test]
fn a_key_is_made_shown_and_not_replaced_by_accident() {
    let corner = Corner::new();
    let made = corner.run(&["key", "new", "--json"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let made_text = String::from_utf8(made.stdout).unwrap();
    let made: serde_json::Value = serde_json::from_str(&made_text).unwrap();
    let shown = corner.json(&["key", "show", "--json"]);
    let key = shown["key"].as_str().unwrap();
    assert!(!made_text.contains(key), "the secret is only shown where that is asked for");
    assert_eq!(made, serde_json::json!({ "file": shown["file"] }));
    let plain = corner.run(&["key", "show"]);
    assert_eq!(String::from_utf8_lossy(&plain.stdout).trim(), key);
    let file = std::path::Path::new(made["file"].as_str().unwrap());
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(file).unwrap().trim(), key);
    let again = corner.run(&["key", "new"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("--force"), "{}", stderr(&again));
    assert_eq!(corner.json(&["key", "show", "--json"]), shown);
    assert_eq!(corner.json(&["key", "new", "--force", "--json"]), made);
    assert_ne!(corner.json(&["key", "show", "--json"])["key"], key);
}

#[test]
fn completions_are_printed_for_each_shell() {
    let corner = Corner::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = corner.run(&["completions", shell]);
        assert!(output.status.success(), "{shell}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("members"), "{shell}");
    }
}

#[test]
fn there_is_a_manual_page_for_each_command() {
    let corner = Corner::new();
    let output = corner.run(&["man"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(page.contains(".TH") && page.contains("spore\\-call"), "{page}");
    assert!(corner.run(&["man", "--output", "pages"]).status.success());
    for name in ["spore", "spore-call", "spore-config-set", "spore-key-export", "spore-sign"] {
        let file = corner.path().join(format!("pages/{name}.1"));
        let page = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(page.contains("Examples:"), "{name}");
    }
}

#[test]
fn the_description_of_the_api_is_printed_or_written() {
    let corner = Corner::new();
    let document = corner.json(&["openapi"]);
    assert_eq!(document["openapi"], "3.1.1");
    assert!(document["paths"]["/api/node/status"]["get"].is_object());
    assert!(corner.run(&["openapi", "--output", "api.json"]).status.success());
    let written = std::fs::read(corner.path().join("api.json")).unwrap();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&written).unwrap(), document);
}

#[test]
fn asking_for_an_unknown_member_says_so() {
    let corner = Corner::new();
    let _up = corner.up(1);
    let output = corner.run(&["status", "nobody", "--node", &corner.api(1)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("knows no member \"nobody\""), "{}", stderr(&output));
}

#[test]
fn a_port_that_is_none_is_named_also_from_the_variable() {
    let corner = Corner::new();
    for node in ["127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x"] {
        for variable in [false, true] {
            let mut command = corner.command(&["members"]);
            if variable {
                command.env("API_NODE", node)
            } else {
                command.args(["--node", node])
            };
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(2));
            assert!(stderr(&output).contains("1 to 65535"), "{}", stderr(&output));
        }
    }
}

#[test]
fn a_busy_node_is_asked_again_and_nothing_on_offer_is_said() {
    let asked = AtomicU32::new(0);
    let node = Canned::start(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => refusal(503, "busy"),
        _ => said(200, &json!({ "services": [] })),
    });
    let corner = Corner::new();
    let output = corner.run(&["services", "--node", &node.api]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "No member offers a service.\n");
    let busy = Canned::start(|_| refusal(503, "busy"));
    let output = corner.run(&["services", "--node", &busy.api, "--timeout", "2"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("busy"), "{}", stderr(&output));
}
