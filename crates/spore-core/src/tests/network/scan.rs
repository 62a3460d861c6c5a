//! Looking for networks.

use super::{Rig, connected, credentials, get};
use crate::network::{RadioCommand, RadioEvent, Reason, Seen, Ssid};
use serde_json::Value;
use std::format;
use std::string::String;
use std::vec::Vec;

fn seen(name: &str, rssi: i8) -> RadioEvent {
    let ssid = Ssid::new(name.as_bytes()).unwrap();
    RadioEvent::Scanned(Seen { ssid, rssi, channel: 6, secure: true })
}

#[test]
fn a_scan_lists_the_strongest_networks_once_each() {
    let mut rig = connected();
    rig.scans = false;
    rig.radio(seen("early", -10));
    let scan = |rig: &mut Rig| {
        let document = get(&mut rig.node, rig.now, "/api/network/scan");
        rig.settle();
        document
    };
    let first = scan(&mut rig);
    assert_eq!((&first["scanning"], &first["age_ms"]), (&true.into(), &Value::Null));
    assert_eq!(first["networks"], serde_json::json!([]));
    for n in 0..50_u8 {
        rig.radio(seen(&format!("n{}", n % 40), -30 - i8::try_from(n).unwrap()));
    }
    rig.radio(RadioEvent::ScanDone);
    rig.run(2);
    let second = scan(&mut rig);
    assert_eq!((&second["scanning"], &second["age_ms"]), (&false.into(), &2_000.into()));
    let names: Vec<&str> = second["networks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n["ssid"].as_str().unwrap())
        .collect();
    let expected: Vec<String> = (0..32).map(|n| format!("n{n}")).collect();
    assert_eq!(names, expected);
    assert_eq!(rig.count(RadioCommand::Scan), 1, "what is known is new");
    rig.run(9);
    assert_eq!(scan(&mut rig)["scanning"], true);
    assert_eq!(rig.count(RadioCommand::Scan), 2);
    rig.run(15);
    assert_eq!(get(&mut rig.node, rig.now, "/api/network/status")["state"], "connected");
    assert!(!rig.node.network.scan().0, "one that does not end is over");
}

#[test]
fn a_scan_that_would_throw_out_a_client_is_refused_unless_there_was_one() {
    let mut rig = Rig::with_scans(Some(credentials("old")), false);
    rig.fail(Reason::NotFound);
    rig.attempt(2);
    rig.run(14);
    rig.radio(RadioEvent::Associated);
    rig.run(14);
    rig.radio(RadioEvent::Associated);
    rig.run(2);
    // The access point has opened in the middle of an attempt, and somebody is faster than the scan.
    rig.radio(RadioEvent::ClientJoined);
    let refused = get(&mut rig.node, rig.now, "/api/network/scan");
    assert_eq!(refused["error"]["code"], "access_point_in_use");

    let mut rig = Rig::with_scans(None, false);
    rig.radio(RadioEvent::ClientJoined);
    rig.radio(seen("home", -50));
    rig.radio(RadioEvent::ScanDone);
    rig.run(100);
    let known = get(&mut rig.node, rig.now, "/api/network/scan");
    assert_eq!((&known["scanning"], &known["age_ms"]), (&false.into(), &100_000.into()));
    assert_eq!(known["networks"][0]["ssid"], "home");
}
