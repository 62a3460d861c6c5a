//! What happens when nobody reads what the command writes.

use crate::support::{Corner, Running, stderr, wait};
use std::fs::File;
use std::io::pipe;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A pipe that nobody will read from.
fn closed() -> Stdio {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    OwnedFd::from(writer).into()
}

#[test]
fn a_reader_that_stops_is_no_failure() {
    let corner = Corner::new();
    assert!(corner.run(&["key", "new"]).status.success());
    let _up = corner.up(1);
    let api = corner.api(1);
    for arguments in [
        &["sim", "--nodes", "4"][..],
        &["sim", "--nodes", "4", "--json"],
        &["key", "show"],
        &["key", "show", "--json"],
        &["key", "new", "--force"],
        &["completions", "bash"],
        &["man"],
        &["openapi"],
        &["members", "--node", &api],
        &["members", "--node", &api, "--json"],
        &["status", "--node", &api],
        &["status", "--node", &api, "--json"],
        &["--help"],
    ] {
        let output = corner.command(arguments).stdout(closed()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
        assert!(output.stderr.is_empty(), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn a_failure_stays_one_when_nobody_reads_why() {
    let corner = Corner::new();
    let mut command = corner.command(&["key", "show"]);
    let status = command.stdout(closed()).stderr(closed()).status().unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn output_that_is_lost_for_another_reason_is_a_failure() {
    let corner = Corner::new();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = corner.command(&["completions", "bash"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot write to stdout"), "{}", stderr(&output));
}

#[test]
fn a_cluster_and_a_node_run_on_without_anybody_who_reads() {
    let corner = Corner::new();
    assert!(corner.run(&["key", "new"]).status.success());
    let start = |mut command: Command| -> Child {
        command.stdout(closed()).stderr(closed()).spawn().unwrap()
    };
    let (base, bind, port) =
        (corner.address(1).to_string(), corner.address(9).to_string(), corner.port.to_string());
    let ports = ["--port", &port, "--http-port", &port, "-v"];
    let up = [&["up", "--nodes", "2", "--base", &base][..], &ports].concat();
    let mut up = Running { child: start(corner.command(&up)), first_line: String::new() };
    let node = [&["node", "--bind", &bind][..], &ports].concat();
    let mut node = Running { child: start(corner.command(&node)), first_line: String::new() };
    let listed = |n: u8| {
        let output = corner.run(&["members", "--json", "--node", &corner.api(n)]);
        output.status.success() && corner.members(n).len() == 3
    };
    wait("three nodes", Duration::from_secs(30), || [1, 2, 9].into_iter().all(listed));
    // By now `up` has told its closed stderr that it is complete.
    std::thread::sleep(Duration::from_secs(1));
    assert!(up.child.try_wait().unwrap().is_none() && node.child.try_wait().unwrap().is_none());
    assert!([1, 2, 9].into_iter().all(listed));
}

#[test]
fn who_waits_for_events_ends_as_soon_as_nobody_reads_them() {
    let corner = Corner::new();
    assert!(corner.run(&["key", "new"]).status.success());
    let _up = corner.up(1);
    let api = corner.api(1);
    for arguments in [&["logs", "--follow", "--node", &api][..], &["sub", "--node", &api]] {
        let (reader, writer) = pipe().unwrap();
        let mut command = corner.command(arguments);
        let child = command.stdout(OwnedFd::from(writer)).spawn().unwrap();
        let mut running = Running { child, first_line: String::new() };
        // It holds the other end of the pipe, too.
        drop(command);
        std::thread::sleep(Duration::from_millis(500));
        assert!(running.child.try_wait().unwrap().is_none(), "{arguments:?} waits");
        drop(reader);
        let mut status = None;
        wait("it ends", Duration::from_secs(10), || {
            status = running.child.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(status.and_then(|status| status.code()), Some(0), "{arguments:?}");
    }
}
