//! A node whose stored settings, or whose claim, are damaged.

use crate::support::{Corner, stderr, wait};
use std::fs;
use std::time::Duration;

const OLD: &str = "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29";
const NEW: &str = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";

/// Flips a bit in the node's memory, a little behind the place where `start` is.
fn flip(corner: &Corner, start: &[u8]) {
    let file = corner.path().join("kept/settings.flash");
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(start.len()).position(|window| window == start).unwrap();
    bytes[at + 9] ^= 0x10;
    fs::write(&file, bytes).unwrap();
}

#[test]
fn a_lost_release_key_makes_no_room_for_another_until_somebody_at_the_machine_says_so() {
    let corner = Corner::new();
    assert!(corner.run(&["key", "new"]).status.success());
    let start = || corner.node(1, &["--state", "kept"]);
    let api = corner.api(1);
    let set = |setting: &str| corner.run(&["config", "set", setting, "--node", &api]);
    let damaged = || corner.json(&["config", "get", "damaged", "--json", "--node", &api]);
    let node = start();
    assert!(set("hostname=attic").status.success());
    assert!(set(&format!("release-key={OLD}")).status.success());
    assert_eq!(damaged(), false);
    node.kill();
    flip(&corner, &[0x3B, 0x6A, 0x27, 0xBC]);
    for _ in 0..2 {
        let node = start();
        assert_eq!(damaged(), true);
        let output = set(&format!("release-key={NEW}"));
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("409, settings_damaged"), "{}", stderr(&output));
        assert!(set("hostname=cellar").status.success(), "what is no key is taken");
        let output = corner.run(&["repair", "kept"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("another node uses the folder"), "{}", stderr(&output));
        node.kill();
    }
    let output = corner.run(&["repair", "kept"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(said, "The name that is set is cellar. There is no release key; set it anew.\n");
    assert_eq!(corner.json(&["repair", "kept", "--json"])["repaired"], false);
    let _node = start();
    assert_eq!(damaged(), false);
    assert!(set(&format!("release-key={NEW}")).status.success());
}

#[test]
fn a_node_that_has_lost_whose_it_is_obeys_nobody_until_somebody_at_the_machine_says_so() {
    let corner = Corner::new();
    assert!(corner.run(&["key", "new"]).status.success());
    fs::create_dir(corner.path().join("kept")).unwrap();
    let made = corner.json(&["claim", "kept/settings.flash", "--no-wifi", "--json"]);
    flip(&corner, made["access_point_password"].as_str().unwrap().as_bytes());
    let api = corner.api(2);
    let status = || corner.json(&["status", "--json", "--node", &api]);
    let _other = corner.node(1, &[]);
    let node = corner.node(2, &["--state", "kept"]);
    assert_eq!((&status()["claimed"], &status()["claim_damaged"]), (&false.into(), &true.into()));
    let output = corner.run(&["config", "set", "hostname=attic", "--node", &api]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("403, claim_damaged"), "{}", stderr(&output));
    // It has the key of the others, and they are a second away.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!((corner.members(1).len(), corner.members(2).len()), (1, 1));
    node.kill();
    let output = corner.run(&["repair", "kept"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(said, "The claim is gone: the node has the key that it is started with.\n");
    let _node = corner.node(2, &["--state", "kept"]);
    assert_eq!((&status()["claimed"], &status()["claim_damaged"]), (&true.into(), &false.into()));
    wait("both know both", Duration::from_secs(20), || {
        (corner.members(1).len(), corner.members(2).len()) == (2, 2)
    });
}
