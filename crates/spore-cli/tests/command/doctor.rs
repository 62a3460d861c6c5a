//! `spore doctor`, where all is well, and where it is not.

use crate::support::{Corner, stderr};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

/// Runs it on the test's own network: it speaks to all that it is not kept from.
fn run(corner: &Corner, more: &[&str]) -> Output {
    let (bind, port) = (corner.address(1).to_string(), corner.port.to_string());
    let own = ["doctor", "--bind", &bind, "--port", &port];
    corner.run(&[&own[..], more].concat())
}

/// What it says of each check, and its exit code.
fn doctor(corner: &Corner, more: &[&str]) -> (Option<i32>, Value) {
    let output = run(corner, &[&["--json"], more].concat());
    let text = stderr(&output);
    assert_eq!(output.status.success(), text.is_empty(), "{text}");
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

/// How `check` is, with what was found and what to do.
fn state(document: &Value, check: &str) -> (String, String) {
    let checks = document["checks"].as_array().unwrap();
    let found = checks.iter().find(|it| it["check"] == check);
    let found = found.unwrap_or_else(|| panic!("{check}: {document}"));
    (found["state"].as_str().unwrap().to_owned(), found.to_string())
}

#[test]
fn a_cluster_that_is_well_is_well_and_one_that_is_not_is_told_what_to_do() {
    let corner = Corner::new();
    let (code, nothing) = doctor(&corner, &[]);
    // Nothing runs on `spore up`'s own addresses, or somebody else's does: that is not looked at here.
    assert_eq!(state(&nothing, "cluster key").0, "absent", "{nothing}");
    assert_eq!(state(&nothing, "broadcasts").0, "ok", "{nothing}");
    assert!(code.is_some());

    let up = corner.up(3);
    let api = corner.api(1);
    let node = ["--node", &api, "--serial", "/dev/null"];
    let (code, well) = doctor(&corner, &node);
    assert_eq!((code, &well["ok"]), (Some(0), &true.into()), "{well}");
    for check in [
        "cluster key",
        "serial port",
        "broadcasts",
        "node",
        "key fits",
        "versions",
        "datagrams",
        "nodes",
    ] {
        assert_eq!(state(&well, check).0, "ok", "{check}: {well}");
    }
    assert!(state(&well, "versions").1.contains(env!("CARGO_PKG_VERSION")), "{well}");

    // The key of another cluster.
    let other = corner.run(&["key", "new", "--key-file", "other.key"]);
    assert!(other.status.success(), "{}", stderr(&other));
    let (code, foreign) = doctor(&corner, &[&node[..], &["--key-file", "other.key"]].concat());
    assert_eq!(code, Some(1));
    let (is, told) = state(&foreign, "key fits");
    assert!(is == "wrong" && told.contains("spore key import"), "{told}");

    // A key that others can read, and a port that is not there.
    let file = corner.path().join("other.key");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let wrong = ["--node", &api, "--key-file", "other.key", "--serial", "/dev/ttyUSB-none"];
    let (code, open) = doctor(&corner, &wrong);
    assert_eq!(code, Some(1));
    let (is, told) = state(&open, "cluster key");
    assert!(is == "wrong" && told.contains("chmod 600"), "{told}");
    assert_eq!(state(&open, "serial port").0, "wrong");

    // A node that was chosen and is not there.
    up.kill();
    let (code, gone) = doctor(&corner, &node);
    assert_eq!((code, &*state(&gone, "node").0), (Some(1), "wrong"), "{gone}");
    let shown = run(&corner, &["--node", &api]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("-> is it on"), "{shown:?}");
}
