//! `spore network`, against nodes with a modelled radio.

use crate::support::{Corner, Running, stderr, wait};
use serde_json::Value;
use std::io::Write as _;
use std::process::{Output, Stdio};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Says what is on the air.
fn air(corner: &Corner, networks: &str) {
    std::fs::write(corner.path().join("air"), networks).unwrap();
}

/// A node that knows the network at home, where there is another one.
fn node(corner: &Corner) -> Running {
    assert!(corner.run(&["key", "new"]).status.success());
    air(corner, "home:home-password\nattic:attic-password\n");
    let node = corner.node(1, &["--radio", "air", "--wifi", "home:home-password"]);
    wait("connected", 60 * SECOND, || status(corner)["state"] == "connected");
    node
}

fn status(corner: &Corner) -> Value {
    corner.json(&["network", "--json", "--node", &corner.api(1)])
}

/// Gives the node another network.
fn wifi(corner: &Corner, ssid: &str, password: &str) -> Output {
    let mut command = corner.command(&["network", "wifi", ssid, "--node", &corner.api(1)]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // What is refused for its name asks for no password.
    let typed = writeln!(child.stdin.take().unwrap(), "{password}");
    assert!(typed.is_ok() || child.wait().is_ok_and(|status| !status.success()));
    child.wait_with_output().unwrap()
}

#[test]
fn a_node_keeps_a_network_that_takes_it_over_a_restart_too() {
    let corner = Corner::new();
    let running = node(&corner);
    let scan = corner.json(&["network", "scan", "--json", "--node", &corner.api(1)]);
    let mut names: Vec<_> =
        scan["networks"].as_array().unwrap().iter().map(|n| n["ssid"].as_str().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["attic", "home"]);

    let output = wifi(&corner, "attic", "attic-password");
    assert!(output.status.success(), "{}", stderr(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("keeps attic"), "{said}");
    running.kill();
    let _running = corner.node(1, &["--radio", "air", "--wifi", "home:home-password"]);
    wait("connected again", 60 * SECOND, || status(&corner)["state"] == "connected");
    let status = status(&corner);
    assert_eq!((&status["ssid"], &status["radio"]), (&"attic".into(), &"modelled".into()));
}

#[test]
fn a_node_goes_back_from_a_wrong_password_and_says_why() {
    let corner = Corner::new();
    let _running = node(&corner);
    let output = wifi(&corner, "attic", "not-that-one");
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    let why = "did not get into attic: the network does not take the password; it is back to home";
    assert!(told.contains(why), "{told}");
    assert_eq!(status(&corner)["credentials"], "returned");
    wait("back", 60 * SECOND, || status(&corner)["state"] == "connected");
}

#[test]
fn a_node_whose_router_goes_is_back_when_that_is() {
    let corner = Corner::new();
    let _running = node(&corner);
    air(&corner, "");
    wait("missed", 60 * SECOND, || status(&corner)["state"] != "connected");
    air(&corner, "home:home-password\n");
    wait("back", 60 * SECOND, || status(&corner)["state"] == "connected");
    // What makes no sense changes nothing.
    air(&corner, "home\n");
    std::thread::sleep(2 * SECOND);
    assert_eq!(status(&corner)["state"], "connected");
}

#[test]
fn what_cannot_be_done_is_said_before_anything_is_changed() {
    let corner = Corner::new();
    assert!(corner.run(&["key", "new"]).status.success());
    let _running = corner.node(1, &[]);
    let output = wifi(&corner, "home", "home-password");
    assert!(stderr(&output).contains("no_radio"), "{}", stderr(&output));
    let output = wifi(&corner, "home", "");
    assert!(stderr(&output).contains("--open"), "{}", stderr(&output));
    let output = wifi(&corner, "home", "short");
    assert!(stderr(&output).contains("8 to 63"), "{}", stderr(&output));
    let output = wifi(&corner, &"x".repeat(33), "home-password");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let output = corner.run(&["network", "--node", &corner.api(1)]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("none: it is wired"));
}
