//! What `spore launch` and its node say to each other by exit codes.

use crate::ota::Fleet;
use crate::support::{Running, stderr};

#[test]
fn a_node_that_its_launcher_is_to_start_anew_ends_with_85() {
    let fleet = Fleet::new(1);
    let mut launcher = fleet.launch(1);
    launcher.signal("INT");
    assert_eq!(launcher.child.wait().unwrap().code(), Some(0));

    // In the launcher's place, which has left its slots.
    let (bind, port) = (fleet.corner.address(1).to_string(), fleet.corner.port.to_string());
    let mut node = fleet.corner.command(&["node", "--bind", &bind, "--port", &port]);
    node.args(["--http-port", &port, "--unclaimed", "--state", "node1"]);
    node.env("SPORE_SLOTS", "slots1/slots").env("SPORE_SLOT", "a");
    let mut node = Running::start(node);
    let restart = fleet.corner.run(&["restart", &fleet.corner.api(1)]);
    assert!(restart.status.success(), "{}", stderr(&restart));
    assert_eq!(node.child.wait().unwrap().code(), Some(85));
}
